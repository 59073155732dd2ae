"""Cells run over time, and attention to what they gave."""

from keras_rnnlm.layers.attention import CausalAttention, EncoderAttention
from keras_rnnlm.layers.family import MUT1, MUT2, MUT3, ClockworkRNN, DepthGatedLSTM, GridLSTM, MinimalGatedUnit
from keras_rnnlm.layers.gru import GRU
from keras_rnnlm.layers.lstm import LSTM
from keras_rnnlm.layers.recurrent import Recurrent
from keras_rnnlm.layers.simple_rnn import SimpleRNN
from keras_rnnlm.layers.stack import RecurrentStack
from keras_rnnlm.layers.vocabulary import VocabularyLogits

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
