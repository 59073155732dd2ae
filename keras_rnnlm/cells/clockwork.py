"""The clockwork network (Koutnik et al. 2014): groups of units that tick at different speeds."""

import math
import numbers

import keras
import numpy as np
from keras import ops

from keras_rnnlm.cells.recurrent_cell import RecurrentCell


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class ClockworkRNNCell(RecurrentCell):
    """A plain network in groups, of which group k only runs at the steps that its period divides.

        h_k' = tanh(x@W_k + sum_{j: T_j >= T_k} h_j@U_jk + b_k)    where t mod T_k = 0, else h_k

    Steps count from 0, where every group runs. Links run from slow groups to fast ones, and within a group. The states
    are h and the step, which so is carried from window to window; a masked step is not counted. In half precision
    `keras.layers.RNN` carries both in it, and counts no further than 256 or 2,048: `Recurrent` carries them in float32.

    Takes every argument of `keras.layers.SimpleRNNCell`, in its order, and by keyword:

    Args:
        periods: of the groups, rising. The units are divided among them in equal parts, the fastest first.

    >>> cell = ClockworkRNNCell(6, periods=(1, 2, 4))
    >>> output, (h, t) = cell(np.ones((2, 3)), [np.zeros((2, 6)), np.zeros((2, 6))])
    >>> output.shape, float(t[0, 0])
    ((2, 6), 1.0)
    """

    gates = "h"
    takes_mogrifier = False
    state_names = ("h", "t")
    options = {"periods": (1, 2, 4, 8)}
    starts_at = {"t": 0.0}

    def check_options(self):
        periods = list(self.periods) if isinstance(self.periods, (list, tuple)) else None
        whole = periods and all(isinstance(t, numbers.Integral) and not isinstance(t, bool) and t > 0 for t in periods)
        if not whole or periods != sorted(set(periods)):
            raise ValueError(
                f"`periods` are whole numbers of steps, each longer than before. Received: {self.periods!r}"
            )
        if self.units % len(periods):
            raise ValueError(
                f"The units are divided among {len(periods)} periods in equal parts. Received: units={self.units}"
            )
        self.periods = [int(period) for period in periods]
        self.turn = math.lcm(*self.periods)  # after so many steps all is as it was
        self.period_of_unit = np.repeat(self.periods, self.units // len(periods)).astype("float32")

    def step(self, dot, x, states, p):
        h, t = states
        turns = t / ops.cast(self.period_of_unit, t.dtype)
        runs = ops.abs(turns - ops.round(turns)) < 0.25 / max(self.periods)
        h = ops.where(runs, self.activation(dot(h, "recurrent_kernel", x)), h)
        dot.note(h=h)
        t = t + 1
        return h, ops.where(t >= self.turn, ops.zeros_like(t), t)

    def kernels(self, w):
        period = self.period_of_unit
        reads = ops.cast(period[:, None] >= period[None, :], w["recurrent_kernel"].dtype)
        return {"recurrent_kernel": w["recurrent_kernel"] * reads}
