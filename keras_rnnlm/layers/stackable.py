"""What a RecurrentStack asks of a layer, and checks of what a layer is called with."""

from keras_rnnlm.cells.private_keras import get_keras_mask


class Stackable:
    """A layer that reads from left to right and hands on, as states, all that later steps need of the earlier ones.

    It has

    - `output_width`, `state_names` and `state_widths`: each state is a tensor (batch, width), zeros at first;
    - `get_initial_state(batch_size)`;
    - a call with `(sequences, initial_state, mask, training)`, which with `return_sequences` and `return_state` returns
      the output of every step, then the states; masked steps hold them;
    - `step(x, states)`: one step, without a loop. It returns the output and the new states, those of the call;
    - `reads`: names of tensors, (batch, ...), that every step reads. Where there are any, the call and `step` take
      `reads={name: tensor}`.
    """

    go_backwards = stateful = return_trace = return_state = False
    return_sequences = True
    reads = ()


def mask_of(sequences, mask):
    """The mask to go by: the one given, or else the one that the sequences bring along.

    Keras itself passes that on only to a layer that has one input and no states.
    """
    mask = mask[0] if isinstance(mask, (list, tuple)) else mask
    return get_keras_mask(sequences) if mask is None else mask


def check_states(states, widths, batch):
    received = states if isinstance(states, (list, tuple)) else [states]
    shapes = [tuple(getattr(state, "shape", ())) for state in received]
    wanted = [(batch, width) for width in widths]
    if len(shapes) != len(wanted) or not all(map(fits, shapes, wanted)):
        raise ValueError(
            f"`initial_state` is a list of {len(wanted)} tensors of shapes (batch, width) = {wanted}. "
            f"Received shapes: {shapes}"
        )


def check_mask(mask, batch, time):
    shape = tuple(getattr(mask, "shape", ()))
    if not fits(shape, (batch, time)) and not fits(shape, (batch, time, 1)):
        raise ValueError(
            f"`mask` is an array with a boolean for each step: shape (batch, time) = {(batch, time)}. "
            f"Received: a mask of shape {shape}"
        )


def fits(shape, wanted):
    """Whether two shapes can be the same, unknown dimensions being anything."""
    return len(shape) == len(wanted) and all(None in (a, b) or a == b for a, b in zip(shape, wanted))
