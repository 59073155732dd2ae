"""The recurrences: one a file, its equations and nothing else."""

import importlib

from keras_rnnlm.cell_list import CELLS
from keras_rnnlm.cells.attention_decoder import AttentionDecoderCell
from keras_rnnlm.cells.recurrent_cell import RecurrentCell

for _named in CELLS.values():
    globals()[_named.cell] = getattr(importlib.import_module(f"{__name__}.{_named.module}"), _named.cell)

__all__ = ["AttentionDecoderCell", "RecurrentCell", *(named.cell for named in CELLS.values())]


def __getattr__(name):  # by it, type checkers know that there are more names than those above
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}. It has {', '.join(__all__)}.")
