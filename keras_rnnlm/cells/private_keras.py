"""All that cells and layers take of Keras's private parts, and what for. tests/test_private.py says what breaks."""

from keras.src import backend as kernels  # the only door to Keras's cuDNN kernels, `lstm` and `gru`
from keras.src.backend import get_keras_mask  # where there is no attribute: a tensor that JAX traces has none
from keras.src.layers.rnn.dropout_rnn_cell import DropoutRNNCell  # what keras.layers.RNN looks for to draw masks
from keras.src.utils.tracking import no_automatic_dependency_tracking  # of an attribute that is no part of a layer

__all__ = ["DropoutRNNCell", "dropout_mask", "get_keras_mask", "kernels", "no_automatic_dependency_tracking"]


def dropout_mask(cell, like, rate):
    """A mask of what a cell drops, or the scale of what it keeps: a new one at each call."""
    return cell._create_dropout_mask(like, rate)
