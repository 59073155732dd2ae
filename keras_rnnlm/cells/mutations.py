"""The three networks that an evolutionary search found (Jozefowicz et al. 2015)."""

import keras
from keras import ops

from keras_rnnlm.cells.recurrent_cell import RecurrentCell


class Mutation(RecurrentCell):
    """What the three have in common: h' = z*n + (1-z)*h, and a place where some read their input as it comes.

    `raw` is the gate whose sum takes x itself, not a product by a weight. Its width then has to be that of the units,
    unless `projection` gives it a matrix after all.
    """

    gates = "zrn"
    raw = ""
    options = {"recurrent_activation": "sigmoid", "projection": False}

    @property
    def kernel_gates(self):
        return self.gates if self.projection else self.gates.replace(self.raw, "") if self.raw else self.gates

    def build(self, input_shape):
        if self.raw and not self.projection and input_shape[-1] != self.units:
            raise ValueError(
                f"{type(self).__name__} adds its input, as it is, to its own {self.units} units, so both must be "
                f"equally wide. Pass `projection=True`, or {input_shape[-1]} units. Received: features of width "
                f"{input_shape[-1]}, units={self.units}"
            )
        super().build(input_shape)

    def project(self, inputs, w, mask=None):
        of_gates = isinstance(mask, (list, tuple))
        of_kernel = [mask[self.gates.index(gate)] for gate in self.kernel_gates] if of_gates else mask
        x, raw = super().project(inputs, w, of_kernel), inputs
        if mask is not None and self.raw:
            raw = raw * (mask[self.gates.index(self.raw)] if of_gates else mask)
        return self.with_raw(x, ops.cast(raw, x.dtype))

    def with_raw(self, x, raw):
        if self.kernel_gates == self.gates:
            return x
        blocks = {**dict(zip(self.kernel_gates, self.by_gate(x))), self.raw: raw}
        return ops.concatenate([blocks[gate] for gate in self.gates], axis=-1)

    # MUT1 adds a bias outside of the function that it takes of x: no bias is a part of x.

    def input_bias(self, w):
        return None

    def parameters(self, w):
        return {f"bias_{gate}": self.columns(w["bias"], gate) for gate in self.gates} if self.use_bias else {}

    def with_bias(self, x, p):
        """What each gate reads of x, and its bias."""
        return [x + p.get(f"bias_{gate}", 0.0) for gate, x in zip(self.gates, self.by_gate(x))]

    def products(self):
        return {f"recurrent_kernel_{gate}": gate for gate in self.recurrent_gates}

    def traced(self):
        return ["z", "r", "n", "h"]

    def mixed(self, dot, h, z, r, n):
        new = z * n + (1 - z) * h
        dot.note(z=z, r=r, n=n, h=new)
        return (new,)


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class MUT1Cell(Mutation):
    """The first of the three: its update gate does not look at the state.

        z = s(x@Wz + bz)
        r = s(x@Wr + h@Ur + br)
        n = tanh((r*h)@Un + tanh(x) + bn)
        h' = z*n + (1-z)*h

    Takes every argument of `keras.layers.SimpleRNNCell`, in its order, and by keyword `recurrent_activation`, and
    `projection`: read x@Wn in place of x, which otherwise has to be as wide as the units. Kernels are stored in the
    order z, r, n, those that exist; biases for all three.

    >>> cell = MUT1Cell(4, projection=True)
    >>> output, state = cell(np.ones((2, 3)), np.zeros((2, 4)))
    >>> output.shape
    (2, 4)
    """

    raw = "n"

    @property
    def recurrent_gates(self):
        return "rn"

    def step(self, dot, x, states, p):
        (h,) = states
        xz, xr, _ = self.with_bias(x, p)
        xn = self.by_gate(x)[2]
        z = self.recurrent_activation(xz)
        r = self.recurrent_activation(dot(h, "recurrent_kernel_r", xr))
        n = self.activation(dot(r * h, "recurrent_kernel_n") + ops.tanh(xn) + p.get("bias_n", 0.0))
        return self.mixed(dot, h, z, r, n)


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class MUT2Cell(Mutation):
    """The second of the three: its reset gate reads x itself.

        z = s(x@Wz + h@Uz + bz)
        r = s(x + h@Ur + br)
        n = tanh((r*h)@Un + x@Wn + bn)
        h' = z*n + (1-z)*h

    Arguments and weights are as in `MUT1Cell`.

    >>> cell = MUT2Cell(3)
    >>> output, state = cell(np.ones((2, 3)), np.zeros((2, 3)))
    >>> output.shape
    (2, 3)
    """

    raw = "r"

    def step(self, dot, x, states, p):
        (h,) = states
        xz, xr, xn = self.with_bias(x, p)
        z = self.recurrent_activation(dot(h, "recurrent_kernel_z", xz))
        r = self.recurrent_activation(dot(h, "recurrent_kernel_r", xr))
        n = self.activation(dot(r * h, "recurrent_kernel_n", xn))
        return self.mixed(dot, h, z, r, n)


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class MUT3Cell(Mutation):
    """The third of the three: its update gate reads tanh(h).

        z = s(x@Wz + tanh(h)@Uz + bz)
        r = s(x@Wr + h@Ur + br)
        n = tanh((r*h)@Un + x@Wn + bn)
        h' = z*n + (1-z)*h

    Takes every argument of `keras.layers.SimpleRNNCell`, in its order, and by keyword `recurrent_activation`. Weights
    are stored for z, r, n.

    >>> cell = MUT3Cell(4)
    >>> output, state = cell(np.ones((2, 3)), np.zeros((2, 4)))
    >>> output.shape
    (2, 4)
    """

    def step(self, dot, x, states, p):
        (h,) = states
        xz, xr, xn = self.with_bias(x, p)
        z = self.recurrent_activation(dot(ops.tanh(h), "recurrent_kernel_z", xz))
        r = self.recurrent_activation(dot(h, "recurrent_kernel_r", xr))
        n = self.activation(dot(r * h, "recurrent_kernel_n", xn))
        return self.mixed(dot, h, z, r, n)
