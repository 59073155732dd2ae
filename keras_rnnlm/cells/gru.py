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

    With reset_after=True z and r have a second bias, too, beside h. Takes every argument of `keras.layers.GRUCell`, in
    its order. Weights are stored for z, r, n. By keyword:

    Args:
        layer_norm: normalize every product (Ba et al. 2016): gx*norm(x@W) and gh*norm(h@U) stand in the places of x@W
            and h@U, each over all of its gates. `input_gain` and `recurrent_gain` are then the last weights.
        zoneout: fraction of the units that keep their values at a step, in training.

    >>> cell = GRUCell(4, reset_after=False)
    >>> output, state = cell(np.ones((2, 3)), np.zeros((2, 4)))
    >>> output.shape
    (2, 4)
    """

    like = keras.layers.GRUCell
    gates = "zrn"
    options = {"layer_norm": False}

    def step(self, dot, x, states, p):
        (h,) = states
        if self.layer_norm:
            return self.normalized_step(dot, x, h, p)
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

    def normalized_step(self, dot, x, h, p):
        xz, xr, xn = self.by_gate(p["input_gain"] * self.normalize(x) + p.get("input_bias", 0.0))
        gain = p["recurrent_gain"]
        if self.reset_after:
            y = gain * self.normalize(dot(h, "recurrent_kernel"))
            yz, yr, yn = self.by_gate(y + p["recurrent_bias"] if self.use_bias else y)
        else:
            yz, yr = self.by_gate(self.columns(gain, "zr") * self.normalize(dot(h, "recurrent_kernel_zr")))
        z, r = self.recurrent_activation(xz + yz), self.recurrent_activation(xr + yr)
        if self.reset_after:
            n = self.activation(xn + r * yn)
        else:
            n = self.activation(xn + self.columns(gain, "n") * self.normalize(dot(r * h, "recurrent_kernel_n")))
        h = z * h + (1 - z) * n
        dot.note(z=z, r=r, n=n, h=h)
        return (h,)

    fused_kernel = "gru"

    def beyond_cudnn(self):
        reasons = ["reset_after=False"] * (not self.reset_after) + ["layer_norm"] * bool(self.layer_norm)
        return reasons + self.unusual_functions()

    def build(self, input_shape):
        super().build(input_shape)
        if self.layer_norm:
            for name in ("input", "recurrent"):
                self.declare_norm(name, 3 * self.units)

    def traced(self):
        return ["z", "r", "n", "h"]

    def products(self):
        if self.reset_after:
            return {"recurrent_kernel": "zrn"}
        return {"recurrent_kernel_zr": "zr", "recurrent_kernel_n": "n"}

    def bias_shape(self):
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def biases(self, w):
        """Of the input, and of the product by h: None where there is none."""
        if not self.use_bias:
            return None, None
        return (w["bias"][0], w["bias"][1]) if self.reset_after else (w["bias"], None)

    def input_bias(self, w):
        return None if self.layer_norm else self.biases(w)[0]

    def parameters(self, w):
        before, after = self.biases(w)
        found = {} if after is None else {"recurrent_bias": after}
        if self.layer_norm:
            found |= {"input_gain": w["input_gain"], "recurrent_gain": w["recurrent_gain"]}
            found |= {} if before is None else {"input_bias": before}
        return found
