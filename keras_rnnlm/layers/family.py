"""The cells of the list over time: each layer takes its cell's arguments."""

import functools

import keras

from keras_rnnlm import cells
from keras_rnnlm.cell_list import CELLS
from keras_rnnlm.layers.gru import GRU
from keras_rnnlm.layers.lstm import LSTM
from keras_rnnlm.layers.recurrent import Recurrent
from keras_rnnlm.layers.simple_rnn import SimpleRNN


@functools.cache
def over_time(cell_class):
    """The layer that runs cells of a class over time.

    >>> over_time(cells.MUT3Cell)(4)(np.ones((2, 5, 3))).shape
    (2, 4)
    """
    name, like = (one.__name__.removesuffix("Cell") for one in (cell_class, cell_class.like))
    about = (
        f"A `{cell_class.__name__}` over time.\n\n"
        f"    Takes every argument of `keras.layers.{like}`, in its order, then the cell's own.\n\n"
        f"    >>> {name}(4, return_sequences=True)(keras.Input((5, 4))).shape\n    (None, 5, 4)\n    "
    )
    options = {"cell_class": cell_class, "like": getattr(keras.layers, like), "__doc__": about, "__module__": __name__}
    return type(name, (Recurrent,), options)


LAYERS = {layer.__name__: layer for layer in (LSTM, GRU, SimpleRNN)}
for _named in CELLS.values():
    if _named.layer not in LAYERS:
        _layer = over_time(getattr(cells, _named.cell))
        LAYERS[_named.layer] = keras.saving.register_keras_serializable(package="keras_rnnlm")(_layer)

globals().update(LAYERS)
