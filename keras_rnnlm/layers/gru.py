"""The gated recurrent unit over time."""

import keras

from keras_rnnlm.cells import GRUCell
from keras_rnnlm.layers.recurrent import Recurrent


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class GRU(Recurrent):
    """A `GRUCell` over time. Takes every argument of `keras.layers.GRU`, in its order, and stores the same weights.

    >>> GRU(4, return_sequences=True)(np.ones((2, 5, 3))).shape
    (2, 5, 4)
    """

    cell_class = GRUCell
    like = keras.layers.GRU
