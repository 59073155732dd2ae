"""The plain recurrent network over time."""

import keras

from keras_rnnlm.cells import SimpleRNNCell
from keras_rnnlm.layers.recurrent import Recurrent


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class SimpleRNN(Recurrent):
    """A `SimpleRNNCell` over time. Takes every argument of `keras.layers.SimpleRNN`, in its order.

    >>> SimpleRNN(4)(np.ones((2, 5, 3))).shape
    (2, 4)
    """

    cell_class = SimpleRNNCell
    like = keras.layers.SimpleRNN
