"""The plain recurrent network (Elman 1990)."""

import keras

from keras_rnnlm.cells.recurrent_cell import RecurrentCell


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class SimpleRNNCell(RecurrentCell):
    """The plain recurrent network.

        h' = tanh(x@W + h@U + b)

    Takes every argument of `keras.layers.SimpleRNNCell`, in its order.

    >>> cell = SimpleRNNCell(4)
    >>> output, state = cell(np.ones((2, 3)), np.zeros((2, 4)))
    >>> output.shape
    (2, 4)
    """

    gates = "h"
    only_adds_x = True

    def step(self, dot, x, states, p):
        (h,) = states
        h = self.activation(dot(h, "recurrent_kernel", x))
        dot.note(h=h)
        return (h,)
