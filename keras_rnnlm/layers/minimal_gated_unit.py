"""The minimal gated unit over time."""

import keras

from keras_rnnlm.cells import MinimalGatedUnitCell
from keras_rnnlm.layers.recurrent import Recurrent


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class MinimalGatedUnit(Recurrent):
    """A `MinimalGatedUnitCell` over time.

    Takes every argument of `keras.layers.SimpleRNN`, in its order, then the cell's own.

    >>> MinimalGatedUnit(4)(np.ones((2, 5, 3))).shape
    (2, 4)
    """

    cell_class = MinimalGatedUnitCell
