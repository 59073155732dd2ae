"""Long short-term memory over time."""

import keras

from keras_rnnlm.cells import LSTMCell
from keras_rnnlm.cells.lstm import variant_options
from keras_rnnlm.layers.recurrent import Recurrent


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class LSTM(Recurrent):
    """An `LSTMCell` over time.

    Takes every argument of `keras.layers.LSTM`, in its order, then, by keyword, the options of `LSTMCell`: `peephole`,
    `coupled`, `layer_norm`, `zoneout` and the others. Without them the weights are those of `keras.layers.LSTM`, in the
    same order.

    >>> LSTM(4, peephole=True, coupled=True)(np.ones((2, 5, 3))).shape
    (2, 4)
    """

    cell_class = LSTMCell
    like = keras.layers.LSTM

    @classmethod
    def variant(cls, name, units, **kwargs):
        """One of the networks of Greff et al. (2015): V, NIG, NFG, NOG, NIAF, NOAF, CIFG, NP, FGR.

        >>> LSTM.variant("NIG", 4).cell.gates
        'fgo'
        """
        return cls(units, **{**variant_options(name), **kwargs})
