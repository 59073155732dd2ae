"""The minimal gated unit (Zhou et al. 2016): a GRU whose one gate does both."""

import keras

from keras_rnnlm.cells.recurrent_cell import RecurrentCell


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class MinimalGatedUnitCell(RecurrentCell):
    """The minimal gated unit.

        f = s(x@Wf + h@Uf + bf)
        n = tanh(x@Wn + (f*h)@Un + bn)
        h' = (1-f)*h + f*n

    Takes every argument of `keras.layers.SimpleRNNCell`, in its order, and by keyword `recurrent_activation`. Weights
    are stored for f, n.

    >>> cell = MinimalGatedUnitCell(4)
    >>> output, state = cell(np.ones((2, 3)), np.zeros((2, 4)))
    >>> output.shape
    (2, 4)
    """

    gates = "fn"
    options = {"recurrent_activation": "sigmoid"}

    def step(self, dot, x, states, p):
        (h,) = states
        xf, xn = self.by_gate(x)
        f = self.recurrent_activation(dot(h, "recurrent_kernel_f", xf))
        n = self.activation(dot(f * h, "recurrent_kernel_n", xn))
        h = (1 - f) * h + f * n
        dot.note(f=f, n=n, h=h)
        return (h,)

    def traced(self):
        return ["f", "n", "h"]

    def products(self):
        return {"recurrent_kernel_f": "f", "recurrent_kernel_n": "n"}
