"""The recurrences: one a file, its equations and nothing else."""

from keras_rnnlm.cells.gru import GRUCell
from keras_rnnlm.cells.lstm import LSTMCell
from keras_rnnlm.cells.recurrent_cell import RecurrentCell
from keras_rnnlm.cells.simple_rnn import SimpleRNNCell

__all__ = ["GRUCell", "LSTMCell", "RecurrentCell", "SimpleRNNCell"]
