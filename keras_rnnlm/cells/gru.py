"""The gated recurrent unit (Cho et al. 2014), with the reset gate before or after the product."""

import keras

from keras_rnnlm.cells.recurrent_cell import RecurrentCell


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class GRUCell(RecurrentCell):
    """The gated recurrent unit.

        z = s(x@Wz + h@Uz + bz)
        r = s(x@Wr + h@Ur + br)
        n = tanh(x@Wn + bn + r*(h@Un + bun))     reset_after=True, as in cuDNN
        n = tanh(x@Wn + (r*h)@Un + bn)           reset_after=False, as in the paper
        h' = z*h + (1-z)*n

    Takes every argument of `keras.layers.GRUCell`, in its order. Weights are stored for z, r, n.

    >>> cell = GRUCell(4, reset_after=False)
    >>> output, state = cell(np.ones((2, 3)), np.zeros((2, 4)))
    >>> output.shape
    (2, 4)
    """

    like = keras.layers.GRUCell
    gates = "zrn"

    def step(self, dot, x, states, p):
        (h,) = states
        if self.reset_after:
            y = dot(h, "recurrent_kernel")
            if self.use_bias:
                y = y + p["recurrent_bias"]
            (xz, xr, xn), (yz, yr, yn) = self.by_gate(x), self.by_gate(y)
            z, r = self.recurrent_activation(xz + yz), self.recurrent_activation(xr + yr)
            n = self.activation(xn + r * yn)
        else:
            z, r = self.by_gate(self.recurrent_activation(dot(h, "recurrent_kernel_zr", self.columns(x, "zr"))))
            n = self.activation(dot(r * h, "recurrent_kernel_n", self.columns(x, "n")))
        h = z * h + (1 - z) * n
        dot.note(z=z, r=r, n=n, h=h)
        return (h,)

    fused_kernel = "gru"

    def beyond_cudnn(self):
        return ["reset_after=False"] * (not self.reset_after) + self.unusual_functions()

    def traced(self):
        return ["z", "r", "n", "h"]

    def products(self):
        if self.reset_after:
            return {"recurrent_kernel": "zrn"}
        return {"recurrent_kernel_zr": "zr", "recurrent_kernel_n": "n"}

    def bias_shape(self):
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def input_bias(self, w):
        return w["bias"][0] if self.use_bias and self.reset_after else w.get("bias")

    def parameters(self, w):
        return {"recurrent_bias": w["bias"][1]} if self.use_bias and self.reset_after else {}
