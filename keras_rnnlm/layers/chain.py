"""A vector that goes along a chain of matrices: what dynamic programming over tags comes to, on every backend."""

from keras import ops

from keras_rnnlm import recurrence
from keras_rnnlm.layers import exporting
from keras_rnnlm.layers.programs import time_major

FORBIDDEN = -1e4  # the score of what must not be. Minus infinity would have no gradient
NEVER = -1e9  # nothing beside any score, FORBIDDEN included


class Chain:
    """One way to multiply a row vector by matrix after matrix.

        "sum"      v_j = sum_i v_i m_ij
        "max"      v_j = max_i (v_i + m_ij)
        "log sum"  v_j = log sum_i exp(v_i + m_ij), up to a number that is the same for all j

    Called on matrices, (batch, time, tags, tags), and a vector, (batch, tags), it returns the vector after each matrix,
    (batch, time, tags). Backwards it goes from the last matrix to the first.

    To an exporter it is a layer, and its own cell, without weights.
    """

    def __init__(self, kind, tags, dtype, go_backwards=False):
        self.name, self.go_backwards, self.tags = f"chain_by_{kind.replace(' ', '_')}", go_backwards, tags
        self.step = {"sum": _sum, "max": _max, "log sum": _log_sum}[kind]
        self.cell, self.compute_dtype = self, dtype

    def __call__(self, matrices, vector):
        batch, time = ops.shape(matrices)[:2]
        sequences, write = ops.reshape(matrices, (batch, time, self.tags**2)), exporting.writer()
        if write is not None and (written := write(self, sequences, [vector], None, {})) is not None:
            vectors, _ = written
        else:
            vectors = self._run(ops.flip(sequences, axis=1) if self.go_backwards else sequences, vector)
        return ops.flip(vectors, axis=1) if self.go_backwards else vectors

    def _run(self, sequences, vector):
        def loops(settings):
            key = (self.step, self.tags, recurrence.backend.is_compiled(), *settings)
            return recurrence.shared(key, lambda: recurrence.Loops(self.step, *settings))

        loops = loops if recurrence.backend.keeps_programs() else None
        plain = recurrence.is_plain()
        (vectors,), _, _ = recurrence.run(self.step, time_major(sequences), [vector], {}, {}, plain=plain, loops=loops)
        return time_major(vectors)

    # What exporters ask of a cell

    @property
    def output_size(self):
        return self.tags

    @property
    def state_widths(self):
        return [self.tags]

    def read_weights(self):
        return {}

    def recurrence(self, w):
        return self.step, {}, {}, {}

    def read(self, sequences, w):
        return sequences

    def draw_noise(self, leading, training):
        return {}


def _meeting(x, states):
    """The vector as a column, and the matrix."""
    (v,) = states
    tags = v.shape[-1]
    return ops.expand_dims(v, 2), ops.reshape(x, (-1, tags, tags))


def _sum(dot, x, states, p):
    v, m = _meeting(x, states)
    return (ops.sum(v * m, axis=1),)


def _max(dot, x, states, p):
    v, m = _meeting(x, states)
    return (ops.max(v + m, axis=1),)


def _log_sum(dot, x, states, p):
    v, m = _meeting(x, states)
    s = v + m
    largest = ops.stop_gradient(ops.max(s, axis=1, keepdims=True))
    new = ops.log(ops.sum(ops.exp(s - largest), axis=1)) + ops.squeeze(largest, 1)
    return (new - ops.stop_gradient(ops.max(new, axis=-1, keepdims=True)),)  # or it would grow with the time
