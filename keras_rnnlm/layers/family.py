"""The rest of the family over time: each layer takes its cell's arguments."""

import keras

from keras_rnnlm import cells
from keras_rnnlm.layers.recurrent import Recurrent


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class MinimalGatedUnit(Recurrent):
    """A `MinimalGatedUnitCell` over time.

    Takes every argument of `keras.layers.SimpleRNN`, in its order, then the cell's own.

    >>> MinimalGatedUnit(4)(np.ones((2, 5, 3))).shape
    (2, 4)
    """

    cell_class = cells.MinimalGatedUnitCell


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class MUT1(Recurrent):
    """A `MUT1Cell` over time.

    Takes every argument of `keras.layers.SimpleRNN`, in its order, then the cell's own.

    >>> MUT1(4, projection=True)(np.ones((2, 5, 3))).shape
    (2, 4)
    """

    cell_class = cells.MUT1Cell


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class MUT2(Recurrent):
    """A `MUT2Cell` over time.

    Takes every argument of `keras.layers.SimpleRNN`, in its order, then the cell's own.

    >>> MUT2(3)(np.ones((2, 5, 3))).shape
    (2, 3)
    """

    cell_class = cells.MUT2Cell


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class MUT3(Recurrent):
    """A `MUT3Cell` over time.

    Takes every argument of `keras.layers.SimpleRNN`, in its order, then the cell's own.

    >>> MUT3(4)(np.ones((2, 5, 3))).shape
    (2, 4)
    """

    cell_class = cells.MUT3Cell


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class ClockworkRNN(Recurrent):
    """A `ClockworkRNNCell` over time.

    Takes every argument of `keras.layers.SimpleRNN`, in its order, then the cell's own.

    >>> ClockworkRNN(4)(np.ones((2, 5, 3))).shape
    (2, 4)
    """

    cell_class = cells.ClockworkRNNCell


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class DepthGatedLSTM(Recurrent):
    """A `DepthGatedLSTMCell` over time.

    Takes every argument of `keras.layers.LSTM`, in its order, then the cell's own.

    >>> DepthGatedLSTM(4, depth=3)(np.ones((2, 5, 3))).shape
    (2, 4)
    """

    cell_class = cells.DepthGatedLSTMCell
    like = keras.layers.LSTM


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class GridLSTM(Recurrent):
    """A `GridLSTMCell` over time.

    Takes every argument of `keras.layers.LSTM`, in its order, then the cell's own.

    >>> GridLSTM(4, depth=3, tied=True)(np.ones((2, 5, 3))).shape
    (2, 4)
    """

    cell_class = cells.GridLSTMCell
    like = keras.layers.LSTM
