"""Keras's own tests of its recurrent layers, as they are installed, with our layers in the place of Keras's."""

import unittest

import keras
import pytest
from keras.src.layers.rnn import bidirectional

from keras_rnnlm import cells, layers
from tests.cases import FEWER
from tests.support import on_tensorflow

OURS = {name: getattr(layers, name) for name in ("LSTM", "GRU", "SimpleRNN")}
OUR_CELLS = {name: getattr(cells, name) for name in ("LSTMCell", "GRUCell", "SimpleRNNCell")}
pytestmark = on_tensorflow  # and from our own tests the other backends are known to agree
FILES = ("lstm", "gru", "simple_rnn", "bidirectional", "rnn") + ("stacked_rnn_cells",) * (not FEWER)


@pytest.fixture(autouse=True)
def in_place_of_keras_s(monkeypatch):
    for name, ours in (OURS | OUR_CELLS).items():
        monkeypatch.setattr(keras.src.layers, name, ours)
    for name in ("LSTM", "GRU"):  # by which Bidirectional knows what its fused call can run
        monkeypatch.setattr(bidirectional, name, OURS[name])


def from_keras(file):
    """The one class of tests in a file of Keras's. Not every version of Keras installs them."""
    name = f"keras.src.layers.rnn.{file}_test"
    module = pytest.importorskip(name, reason="this Keras comes without its tests")
    (found,) = (kind for kind in vars(module).values() if _is_test_case(kind) and kind.__module__ == name)
    return found


def _is_test_case(kind):
    return isinstance(kind, type) and issubclass(kind, unittest.TestCase)


globals().update({f"Keras_{file}": from_keras(file) for file in FILES})  # pytest finds them by these names


def test_our_layers_stand_in_the_place_of_keras_s():
    from keras.src import layers as those_of_the_tests

    assert those_of_the_tests.LSTM is layers.LSTM and those_of_the_tests.GRUCell is cells.GRUCell
    assert isinstance(those_of_the_tests.Bidirectional(those_of_the_tests.GRU(2)).forward_layer, layers.GRU)
