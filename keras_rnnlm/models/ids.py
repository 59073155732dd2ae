"""Ids outside of the vocabulary: an error where they can be looked at without waiting, and NaN where not."""

import contextlib
import re

import numpy as np
from keras import ops

from keras_rnnlm.layers import exporting
from keras_rnnlm.recurrence import backend

TOKENS, TARGETS = "Tokens", "Targets"


def check(ids, vocabulary_size, what, weights=None):
    """Raises for ids that are here to be looked at, not in a graph or on another device. Returns whether they were.

    Targets of weight 0 may be any numbers.
    """
    ids, given, weights = _at_hand(ids), weights, _at_hand(weights)
    if ids is None or ids.dtype.kind not in "iuf" or (given is not None and weights is None):
        return False
    if weights is not None:
        weights = weights.reshape(weights.shape + (1,) * (ids.ndim - weights.ndim))
        ids = np.where(weights == 0, 0, ids)
    if ids.size:
        for id in (ids.min(), ids.max()):
            if not 0 <= id < vocabulary_size:
                raise ValueError(_message(what, vocabulary_size) + str(id))
    return True


def _at_hand(values):
    """In numpy what numpy can look at without a copy from a device and outside of a graph, else None."""
    if isinstance(values, np.ndarray):
        return values
    if isinstance(values, (list, tuple)):
        return np.asarray(values)
    return ops.convert_to_numpy(values) if backend.is_at_hand(values) else None


def checked(x, y, sample_weight, vocabulary_size):
    """The `x` of `fit` and its like, after a look at its ids.

    Arrays are looked at as a whole; a dataset that has a `map` comes back as one that looks at each batch before it is
    used.
    """
    if hasattr(x, "element_spec") and hasattr(x, "map"):
        return _looking(x, vocabulary_size)
    check(x.get("tokens") if isinstance(x, dict) else x, vocabulary_size, TOKENS)
    check(y, vocabulary_size, TARGETS, sample_weight)
    return x


def _looking(dataset, vocabulary_size):
    def look(*batch):
        x, y, sample_weight = (*batch, None, None)[:3]
        _look(TOKENS, x.get("tokens") if isinstance(x, dict) else x, None, vocabulary_size)
        _look(TARGETS, y, sample_weight, vocabulary_size)
        return batch if isinstance(dataset.element_spec, tuple) else batch[0]

    return dataset.map(look)


def _look(what, ids, weights, vocabulary_size):
    if isinstance(ids, np.ndarray):  # outside of tf.data
        check(ids, vocabulary_size, what, weights)
        return
    import tensorflow as tf

    if not (isinstance(ids, tf.Tensor) and ids.dtype.is_integer):
        return
    if weights is not None:
        ids, weights = (tf.reshape(tensor, (tf.shape(ids)[0], -1)) for tensor in (ids, weights))  # one a token or a row
        ids = tf.where(weights == 0, tf.zeros_like(ids), ids)
    # Few operators, for each takes its time at every batch. A negative number is a large one without its sign.
    ids = ids if ids.dtype.size >= 4 else tf.cast(ids, tf.int32)
    largest = tf.reduce_max(tf.bitcast(ids, tf.uint32 if ids.dtype.size == 4 else tf.uint64))
    received = tf.bitcast(largest, ids.dtype)
    tf.raw_ops.Assert(condition=largest < vocabulary_size, data=[_message(what, vocabulary_size), received])


@contextlib.contextmanager
def in_one_line():
    """What a dataset's look at its ids found is a ValueError, as everywhere, in place of TensorFlow's many lines."""
    try:
        yield
    except Exception as error:
        found = None if isinstance(error, ValueError) else _FOUND.search(str(error))
        if found is None:
            raise
        raise ValueError(found[1] + found[2]) from None


_MESSAGE = "{} are ids of the vocabulary, integers from 0 to {}. Received: "
_FOUND = re.compile(
    "(" + _MESSAGE.format(f"(?:{TOKENS}|{TARGETS})", r"\d+") + r")[\s\[\]]*(-?\d+)"
)  # as TensorFlow shows it


def _message(what, vocabulary_size):
    return _MESSAGE.format(what, vocabulary_size - 1)


def poison(tokens, vocabulary_size, is_tied):
    """0 for each token and NaN for one outside of the vocabulary; None where such a token is an error anyway.

    JAX, PyTorch and Keras count a negative index from the end; XLA takes the nearest row, a GPU zeros.
    """
    if check(tokens, vocabulary_size, TOKENS) or exporting.writer() is not None:
        return None  # an exported file is given ids by a runtime, which looks at them
    if not is_tied and backend.raises_for_missing_rows():
        return None
    known = ops.logical_and(tokens >= 0, tokens < vocabulary_size)
    return ops.where(known, 0.0, float("nan"))[..., None]
