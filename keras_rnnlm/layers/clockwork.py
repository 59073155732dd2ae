"""The clockwork network over time."""

import keras

from keras_rnnlm.cells import ClockworkRNNCell
from keras_rnnlm.layers.recurrent import Recurrent


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class ClockworkRNN(Recurrent):
    """A `ClockworkRNNCell` over time.

    Takes every argument of `keras.layers.SimpleRNN`, in its order, then the cell's own.

    >>> ClockworkRNN(4)(np.ones((2, 5, 3))).shape
    (2, 4)
    """

    cell_class = ClockworkRNNCell
