"""The sLSTM (Beck et al. 2024): an LSTM whose gates are exponential."""

import keras
from keras import ops

from keras_rnnlm.cells.lstm import LSTMCell
from keras_rnnlm.cells.recurrent_cell import RecurrentCell


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class SLSTMCell(RecurrentCell):
    """The sLSTM of the xLSTM paper. With I, F, G, O = x@W + h@U + b,

        m' = max(log f + m, I)             log f = log s(F), or F where the forget gate is exponential, too
        i = exp(I - m');  f = exp(log f + m - m')
        c' = f*c + i*tanh(G)
        n' = f*n + i
        h' = s(O) * c'/n'

    The states are h, c, the normalizer n and the stabilizer m, by which no exponent is above 0. Where n is 0, as at
    first, m' = I and f = 0. Takes every argument of `keras.layers.LSTMCell`, in its order, and by keyword:

    Args:
        forget_gate: "sigmoid" or "exponential".

    >>> output, states = SLSTMCell(4)(np.ones((2, 3)), SLSTMCell(4).get_initial_state(2))
    >>> output.shape, len(states)
    ((2, 4), 4)
    """

    like = keras.layers.LSTMCell
    gates = "ifgo"
    state_names = ("h", "c", "n", "m")
    only_adds_x = True
    options = {"forget_gate": "sigmoid"}
    starts_at = {"n": 1.0, "m": 0.0}
    initialize_bias = LSTMCell.initialize_bias

    def check_options(self):
        if self.forget_gate not in ("sigmoid", "exponential"):
            raise ValueError(f'`forget_gate` is "sigmoid" or "exponential". Received: forget_gate={self.forget_gate!r}')

    def step(self, dot, x, states, p):
        h, c, n, m = states
        i, f, g, o = self.by_gate(dot(h, "recurrent_kernel", x))
        log_f = (f if self.forget_gate == "exponential" else ops.log_sigmoid(f)) + m
        log_f = ops.where(n == 0, -1e9, log_f)
        m = ops.maximum(log_f, i)
        i, f, g, o = ops.exp(i - m), ops.exp(log_f - m), self.activation(g), self.recurrent_activation(o)
        c, n = f * c + i * g, f * n + i
        h = o * c / ops.maximum(n, 0.5)  # n is 1 at least, but for states that no sequence leads to
        dot.note(i=i, f=f, g=g, o=o, c=c, h=h)
        return h, c, n, m

    def traced(self):
        return ["i", "f", "g", "o", "c", "h"]
