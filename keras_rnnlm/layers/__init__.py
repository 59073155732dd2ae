"""Cells run over time, and attention to what they gave."""

import importlib

from keras_rnnlm.layers.attention import CausalAttention, EncoderAttention
from keras_rnnlm.layers.family import LAYERS
from keras_rnnlm.layers.recurrent import Recurrent
from keras_rnnlm.layers.stack import RecurrentStack

globals().update(LAYERS)

__all__ = ["CausalAttention", "EncoderAttention", "Recurrent", "RecurrentStack", "VocabularyLogits", *LAYERS]


def __getattr__(name):  # by it, type checkers know that there are more names than those above
    if name == "VocabularyLogits":  # a head now, and heads stand on layers
        return importlib.import_module("keras_rnnlm.heads").VocabularyLogits
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}. It has {', '.join(__all__)}.")
