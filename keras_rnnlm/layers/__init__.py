"""Cells run over time, and attention to what they gave."""

import importlib

from keras_rnnlm.layers.attention import CausalAttention, EncoderAttention
from keras_rnnlm.layers.family import MUT1, MUT2, MUT3, ClockworkRNN, DepthGatedLSTM, GridLSTM, MinimalGatedUnit
from keras_rnnlm.layers.gru import GRU
from keras_rnnlm.layers.lstm import LSTM
from keras_rnnlm.layers.recurrent import Recurrent
from keras_rnnlm.layers.simple_rnn import SimpleRNN
from keras_rnnlm.layers.stack import RecurrentStack

__all__ = [
    "GRU",
    "LSTM",
    "MUT1",
    "MUT2",
    "MUT3",
    "CausalAttention",
    "ClockworkRNN",
    "DepthGatedLSTM",
    "EncoderAttention",
    "GridLSTM",
    "MinimalGatedUnit",
    "Recurrent",
    "RecurrentStack",
    "SimpleRNN",
    "VocabularyLogits",
]


def __getattr__(name):
    if name == "VocabularyLogits":  # a head now, and heads stand on layers
        return importlib.import_module("keras_rnnlm.heads").VocabularyLogits
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
