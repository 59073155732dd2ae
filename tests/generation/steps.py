"""Steps whose texts are known, and a way to run a function in a graph of each backend."""

import numpy as np
from keras import ops

from tests.support import BACKEND, numpy


def count(tokens, states):
    """Ten tokens; each is followed by the next, after 9 comes 0."""
    return 20 * np.eye(10, dtype="float32")[(numpy(tokens) + 1) % 10], states


class Story:
    """A step whose logits depend on all that was read: its one state is a number made of the history, exactly."""

    def __init__(self, vocabulary=7, seed=0, tensors=False):
        self.table = np.random.default_rng(seed).normal(size=(101, vocabulary)).astype("float32") * 2
        self.tensors, self.calls = tensors, 0

    def states(self, batch):
        return [self._given(np.ones((batch, 1), dtype="float32"))]

    def __call__(self, tokens, states):
        self.calls += 1
        (state,) = states
        assert state.shape == (len(tokens), 1)
        state = (numpy(state) * 31 + numpy(tokens)[:, None] + 1) % 101
        return self._given(self.table[state[:, 0].astype(int)]), [self._given(state)]

    def _given(self, array):
        return ops.convert_to_tensor(array) if self.tensors else array


def in_graph(f, *arrays):
    """`f` of these arrays as a graph of the backend computes it, as numpy."""
    tensors = [ops.convert_to_tensor(array) for array in arrays]
    if BACKEND == "tensorflow":
        import tensorflow as tf

        f = tf.function(f, autograph=False)
    elif BACKEND == "jax":
        import jax

        f = jax.jit(f)
    return numpy(f(*tensors))
