"""The networks of Jozefowicz et al. (2015) over time."""

import keras

from keras_rnnlm.cells import MUT1Cell, MUT2Cell, MUT3Cell
from keras_rnnlm.layers.recurrent import Recurrent


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class MUT1(Recurrent):
    """A `MUT1Cell` over time. Takes every argument of `keras.layers.SimpleRNN`, in its order, then the cell's own.

    >>> MUT1(4, projection=True)(np.ones((2, 5, 3))).shape
    (2, 4)
    """

    cell_class = MUT1Cell


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class MUT2(Recurrent):
    """A `MUT2Cell` over time. Takes every argument of `keras.layers.SimpleRNN`, in its order, then the cell's own.

    >>> MUT2(3)(np.ones((2, 5, 3))).shape
    (2, 3)
    """

    cell_class = MUT2Cell


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class MUT3(Recurrent):
    """A `MUT3Cell` over time. Takes every argument of `keras.layers.SimpleRNN`, in its order, then the cell's own.

    >>> MUT3(4)(np.ones((2, 5, 3))).shape
    (2, 4)
    """

    cell_class = MUT3Cell
