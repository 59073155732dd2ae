"""The three things that the loop does to arrays: those of numpy or, when they are not, those of Keras's backend."""

import numpy as np


def to_numpy(array):
    if isinstance(array, np.ndarray):
        return array
    from keras import ops

    return np.asarray(ops.convert_to_numpy(array))


def take_rows(array, rows):
    if isinstance(array, np.ndarray):
        return array[rows]
    from keras import ops

    return ops.take(array, rows, axis=0)


def where_rows(mask, new, old):
    """The rows of `new` where `mask`, booleans (batch,), is True, those of `old` elsewhere."""
    mask = mask.reshape(-1, *[1] * (len(old.shape) - 1))
    if isinstance(new, np.ndarray) and isinstance(old, np.ndarray):
        return np.where(mask, new, old)
    from keras import ops

    return ops.where(mask, new, old)
