"""Cells as someone else writes them: what a recipe names, and what has to share compiled loops."""

import keras
from keras import ops

from keras_rnnlm.cells import RecurrentCell


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
