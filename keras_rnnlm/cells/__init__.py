"""The recurrences: one a file, its equations and nothing else."""

from keras_rnnlm.cells.clockwork import ClockworkRNNCell
from keras_rnnlm.cells.depth_gated_lstm import DepthGatedLSTMCell
from keras_rnnlm.cells.grid_lstm import GridLSTMCell
from keras_rnnlm.cells.gru import GRUCell
from keras_rnnlm.cells.lstm import LSTMCell
from keras_rnnlm.cells.minimal_gated_unit import MinimalGatedUnitCell
from keras_rnnlm.cells.mutations import MUT1Cell, MUT2Cell, MUT3Cell
from keras_rnnlm.cells.recurrent_cell import RecurrentCell
from keras_rnnlm.cells.simple_rnn import SimpleRNNCell

__all__ = [
    "ClockworkRNNCell",
    "DepthGatedLSTMCell",
    "GRUCell",
    "GridLSTMCell",
    "LSTMCell",
    "MUT1Cell",
    "MUT2Cell",
    "MUT3Cell",
    "MinimalGatedUnitCell",
    "RecurrentCell",
    "SimpleRNNCell",
]
