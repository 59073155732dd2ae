"""The depth-gated LSTM (Yao et al. 2015): a stack whose cells are linked by gates."""

import functools

import keras

from keras_rnnlm.cells.lstm import LSTMCell
from keras_rnnlm.cells.recurrent_cell import RecurrentCell
from keras_rnnlm.schema import is_count


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class DepthGatedLSTMCell(RecurrentCell):
    """Layers of LSTMs, each of which also takes in the new cell of the layer below, through a gate.

        i, f, o = s(x@W + h@U + b)
        g = tanh(x@Wg + h@Ug + bg)
        d = s(x@Wd + wc*c + wl*below + bd)
        c' = f*c + i*g + d*below
        h' = o*tanh(c')

    x is the h' of the layer below, `below` its c'. The first layer, which has none below, is an ordinary LSTM. The
    states are h and c of each layer, the last layer first, whose h is the output.

    Takes every argument of `keras.layers.LSTMCell`, in its order, and by keyword:

    Args:
        depth: how many layers.
        project_cell: the first layer has a depth gate, too, and a projection of the input in the place of a cell below.
        zoneout, zoneout_cell: fractions of every h and c that keep their values at a step, in training.

    >>> cell = DepthGatedLSTMCell(4, depth=3)
    >>> output, states = cell(np.ones((2, 3)), cell.get_initial_state(2))
    >>> output.shape, len(states)
    ((2, 4), 6)
    """

    like = keras.layers.LSTMCell
    gates = "ifgo"
    takes_mogrifier = False
    options = {"depth": 2, "project_cell": False, "zoneout_cell": 0.0}

    def check_options(self):
        if not is_count(self.depth):
            raise ValueError(f"`depth` is the number of layers. Received: depth={self.depth!r}")
        # The last layer first: the first state is the output.
        self.state_names = tuple(f"{name}_{k}" for k in reversed(range(self.depth)) for name in "hc")

    def step(self, dot, x, states, p):
        new, below = [], None
        for k in range(self.depth):
            h, c = states[2 * (self.depth - 1 - k) :][:2]
            x = dot(x, f"kernel_{k}", p.get(f"bias_{k}")) if k else x
            z = dot(h, f"recurrent_kernel_{k}" if k else "recurrent_kernel", x[..., : 4 * self.units])
            if k == 0 and self.project_cell:
                below = x[..., 5 * self.units :]
            i, f, g, o = self.by_gate(z)
            i, f, o = self.recurrent_activation(i), self.recurrent_activation(f), self.recurrent_activation(o)
            g = self.activation(g)
            added = i * g
            if below is not None:
                d = x[..., 4 * self.units : 5 * self.units] + p[f"depth_cell_{k}"] * c + p[f"depth_below_{k}"] * below
                d = self.recurrent_activation(d)
                added = added + d * below
                dot.note(**{f"d_{k}": d})
            c = f * c + added
            h = o * self.activation(c)
            dot.note(**{f"{name}_{k}": value for name, value in zip("ifgoch", (i, f, g, o, c, h))})
            x, below, new = h, c, [h, c, *new]
        return tuple(new)

    def traced(self):
        gates = [f"{name}_{k}" for k in range(self.depth) for name in "ifgoch"]
        return gates + [f"d_{k}" for k in range(self.depth) if k or self.project_cell]

    @property
    def kernel_gates(self):
        return "ifgodp" if self.project_cell else "ifgo"

    def build(self, input_shape):
        super().build(input_shape)
        for k in range(self.depth):
            if k:
                self.declare(f"kernel_{k}", (self.units, 5 * self.units), "kernel")
                self.declare(f"recurrent_kernel_{k}", (self.units, 4 * self.units), "recurrent")
                if self.use_bias:
                    draw = functools.partial(self.initialize_bias, number=self.kinds.count("bias"))
                    self.declare(f"bias_{k}", (5 * self.units,), "bias", draw)
            if k or self.project_cell:
                self.declare(f"depth_cell_{k}", (self.units,), "bias")
                self.declare(f"depth_below_{k}", (self.units,), "bias")

    initialize_bias = LSTMCell.initialize_bias

    def bias_shape(self):
        return (len(self.kernel_gates) * self.units,)

    def products(self):
        return {"recurrent_kernel": self.gates} | {f"recurrent_kernel_{k}": self.gates for k in range(1, self.depth)}

    def kernels(self, w):
        return {name: w[name] for name in w if "kernel" in name and name != "kernel"}

    def parameters(self, w):
        return {name: w[name] for name in w if name.startswith(("bias_", "depth_"))}

    def zoneout_rates(self):
        return [self.zoneout, self.zoneout_cell] * self.depth
