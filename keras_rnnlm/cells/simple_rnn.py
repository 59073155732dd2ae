"""The plain recurrent network (Elman 1990)."""

import keras

from keras_rnnlm.cells.recurrent_cell import RecurrentCell


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class SimpleRNNCell(RecurrentCell):
    """The plain recurrent network.

        h' = tanh(x@W + h@U + b)

    Takes every argument of `keras.layers.SimpleRNNCell`, in its order, and by keyword:

    Args:
        layer_norm: h' = tanh(g*norm(x@W + h@U) + b), with g as a last weight, `recurrent_gain` (Ba et al. 2016).
        zoneout: fraction of the units that keep their values at a step, in training.

    >>> cell = SimpleRNNCell(4)
    >>> output, state = cell(np.ones((2, 3)), np.zeros((2, 4)))
    >>> output.shape
    (2, 4)
    """

    gates = "h"
    only_adds_x = True
    options = {"layer_norm": False}

    def step(self, dot, x, states, p):
        (h,) = states
        z = dot(h, "recurrent_kernel", x)
        if self.layer_norm:
            z = p["recurrent_gain"] * self.normalize(z) + p.get("bias", 0.0)
        h = self.activation(z)
        dot.note(h=h)
        return (h,)

    def build(self, input_shape):
        super().build(input_shape)
        if self.layer_norm:
            self.declare_norm("recurrent", self.units)

    def input_bias(self, w):
        return None if self.layer_norm else w.get("bias")

    def parameters(self, w):
        names = ["recurrent_gain"] + ["bias"] * self.use_bias if self.layer_norm else []
        return {name: w[name] for name in names}
