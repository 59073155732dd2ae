"""The grid of LSTMs in two dimensions, time and depth (Kalchbrenner et al. 2015)."""

import functools

import keras
from keras import ops

from keras_rnnlm.cells.lstm import LSTMCell
from keras_rnnlm.cells.recurrent_cell import RecurrentCell
from keras_rnnlm.schema import is_count


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class GridLSTMCell(RecurrentCell):
    """Layers of LSTMs with memory cells along time and along depth.

    At each step, a pair (h, c) comes up through the layers. In every layer it meets the pair that comes from the step
    before:

        hT', cT' = LSTM_T(hD@W_T + hT@U_T + b_T, cT)
        hD', cD' = LSTM_D(hD@W_D + hT'@U_D + b_D, cD)

    where LSTM(z, c) is i, f, g, o = s(zi), s(zf), tanh(zg), s(zo); c' = f*c + i*g; h' = o*tanh(c'). The first layer's
    hD is x@W, its cD is 0. The output is the last layer's hD'. The states are that output, then every layer's hT and
    cT.

    Takes every argument of `keras.layers.LSTMCell`, in its order, and by keyword:

    Args:
        depth: how many layers.
        tied: all layers have the same weights.
        prioritized: depth reads the new hT'; else it reads hT, as time does.
        project_cell: the first layer's cD is a projection of the input, too.
        zoneout, zoneout_cell: fractions of every hT and cT that keep their values at a step, in training.

    >>> cell = GridLSTMCell(4, depth=3, tied=True)
    >>> output, states = cell(np.ones((2, 3)), cell.get_initial_state(2))
    >>> output.shape, len(states), len(cell.weights)
    ((2, 4), 7, 7)
    """

    like = keras.layers.LSTMCell
    gates = "ifgo"
    takes_mogrifier = False
    options = {"depth": 2, "tied": False, "prioritized": True, "project_cell": False, "zoneout_cell": 0.0}

    def check_options(self):
        if not is_count(self.depth):
            raise ValueError(f"`depth` is the number of layers. Received: depth={self.depth!r}")
        self.blocks = [0] * self.depth if self.tied else list(range(self.depth))  # whose weights a layer reads
        self.state_names = ("h", *(f"{name}_{k}" for k in range(self.depth) for name in "hc"))

    def step(self, dot, x, states, p):
        h_d, c_d = self.by_gate(x) if self.project_cell else (x, ops.zeros_like(x))
        new = []
        for layer, (k, h_t, c_t) in enumerate(zip(self.blocks, states[1::2], states[2::2])):
            z = dot(h_d, f"time_kernel_{k}", p.get(f"time_bias_{k}"))
            h_new, c_new = self.lstm(dot, f"time_{layer}", dot(h_t, f"time_recurrent_kernel_{k}", z), c_t)
            z = dot(h_d, f"depth_kernel_{k}", p.get(f"depth_bias_{k}"))
            z = dot(h_new if self.prioritized else h_t, f"depth_recurrent_kernel_{k}", z)
            h_d, c_d = self.lstm(dot, f"depth_{layer}", z, c_d)
            new += [h_new, c_new]
        dot.note(h=h_d)
        return (h_d, *new)

    def lstm(self, dot, where, z, c):
        i, f, g, o = self.by_gate(z)
        i, f, o = self.recurrent_activation(i), self.recurrent_activation(f), self.recurrent_activation(o)
        g = self.activation(g)
        c = f * c + i * g
        h = o * self.activation(c)
        dot.note(**{f"{name}_{where}": value for name, value in zip("ifgoch", (i, f, g, o, c, h))})
        return h, c

    def traced(self):
        return ["h"] + [f"{n}_{d}_{k}" for k in range(self.depth) for d in ("time", "depth") for n in "ifgoch"]

    @property
    def kernel_gates(self):
        return "hc" if self.project_cell else "h"

    def build(self, input_shape):
        self.declared = []
        self.declare("kernel", (input_shape[-1], len(self.kernel_gates) * self.units), "kernel")
        for name in self.parts():
            self.declare(name, (self.units, 4 * self.units), "recurrent" if "recurrent" in name else "kernel")
            if self.use_bias and "recurrent" in name:
                draw = functools.partial(self.initialize_bias, number=self.kinds.count("bias"))
                self.declare(name.replace("recurrent_kernel", "bias"), (4 * self.units,), "bias", draw)
        self.declare_what_every_cell_may_have(input_shape[-1])
        self.built = True

    initialize_bias = LSTMCell.initialize_bias

    def parts(self):
        """The names of the matrices, a layer's all before the next's."""
        whose = sorted(set(self.blocks))
        return [f"{d}_{what}_{k}" for k in whose for d in ("time", "depth") for what in ("kernel", "recurrent_kernel")]

    def products(self):
        return {name: self.gates for name in self.parts() if "recurrent" in name}

    def kernels(self, w):
        return {name: w[name] for name in self.parts()}

    def parameters(self, w):
        return {name: w[name] for name in w if "_bias_" in name}

    def input_bias(self, w):
        return None

    def zoneout_rates(self):
        return [0.0] + [self.zoneout, self.zoneout_cell] * self.depth
