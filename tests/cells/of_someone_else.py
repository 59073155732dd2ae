"""Cells as someone else writes them: what a recipe names, and what has to share compiled loops."""

import keras
from keras import ops

from keras_rnnlm.cells import LSTMCell, RecurrentCell


@keras.saving.register_keras_serializable(package="someone_else")
class LeakyCell(RecurrentCell):
    """h' = a*h + (1-a)*tanh(x@W + h@U + b)"""

    gates = "h"
    options = {"leak": 0.5}

    def step(self, dot, x, states, p):
        (h,) = states
        return (self.leak * h + (1 - self.leak) * self.activation(dot(h, "recurrent_kernel", x)),)


@keras.saving.register_keras_serializable(package="someone_else")
class QuasiRecurrentCell(RecurrentCell):
    """h' = f*h + (1-f)*n, of which f and n read x alone: there is no recurrent kernel."""

    gates = "fn"
    recurrent_gates = ""

    def step(self, dot, x, states, p):
        (h,) = states
        f, n = self.by_gate(x)
        f = ops.sigmoid(f)
        return (f * h + (1 - f) * self.activation(n),)


@keras.saving.register_keras_serializable(package="someone_else")
class AttendingCell(RecurrentCell):
    """h' = tanh(x@W + h@U + b + a@M + e), a = softmax(h@M.T): a step attends to `memory` M, and draws e in training."""

    gates = "h"
    reads = ("memory",)
    trace_widths = {"weights": 3}

    def step(self, dot, x, states, p):
        (h,) = states
        weights = ops.softmax(ops.einsum("bu,blu->bl", h, p["memory"]), axis=-1)
        read = ops.einsum("bl,blu->bu", weights, p["memory"])
        h = self.activation(dot(h, "recurrent_kernel", x) + read + p["noise"])
        dot.note(weights=weights, h=h)
        return (h,)

    def traced(self):
        return ["weights", "h"]

    def draw_noise(self, leading, training):
        shape = (*leading, self.units)
        drawn = keras.random.normal(shape, seed=self.seed_generator) if training else ops.zeros(shape)
        return {"noise": drawn}


@keras.saving.register_keras_serializable(package="someone_else")
class WeightDropCell(LSTMCell):
    """An LSTM of whose recurrent weights half are dropped in training, the same ones at every step of a sequence."""

    def read_weights(self, training=False):
        w = super().read_weights(training)
        if training:
            w["recurrent_kernel"] = keras.random.dropout(w["recurrent_kernel"], 0.5, seed=self.seed_generator)
        return w
