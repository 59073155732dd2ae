"""DropConnect of the weights that read the states (Merity et al. 2018): one mask a sequence, whatever runs the loop."""

import keras
from keras import ops


def check_rate(cell):
    if cell.weight_drop == 1:
        raise ValueError("`weight_drop` is a fraction below 1: something has to remain. Received: weight_drop=1")


def check_weights(cell):
    if cell.weight_drop and not cell.recurrent_names:
        raise ValueError(
            f"`weight_drop` is of weights that read the states, and {type(cell).__name__} declares none of the kind "
            f'"recurrent": drop the argument. Received: weight_drop={cell.weight_drop}'
        )


def dropped(cell, w):
    """The weights `w`, with a new mask on each that reads the states; what is kept is as much larger."""
    for name in cell.recurrent_names:
        draw = keras.random.uniform(w[name].shape, dtype="float32", seed=cell.seed_generator)
        kept = w[name] / (1 - cell.weight_drop)
        w[name] = ops.where(draw >= cell.weight_drop, kept, ops.zeros_like(kept))
    return w
