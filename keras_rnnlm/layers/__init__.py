"""Cells run over time, attention to what they gave, and a conditional random field over it."""

import importlib

from keras_rnnlm.layers.attention import CausalAttention, EncoderAttention
from keras_rnnlm.layers.crf import CRF, CRFAccuracy, CRFLoss, Viterbi, allowed_transitions
from keras_rnnlm.layers.family import LAYERS
from keras_rnnlm.layers.recurrent import Recurrent
from keras_rnnlm.layers.stack import RecurrentStack

globals().update(LAYERS)

__all__ = ["CRF", "CRFAccuracy", "CRFLoss", "CausalAttention", "EncoderAttention", "Recurrent", "RecurrentStack"]
__all__ += ["Viterbi", "VocabularyLogits", "allowed_transitions", *LAYERS]


def __getattr__(name):  # by it, type checkers know that there are more names than those above
    if name == "VocabularyLogits":  # a head now, and heads stand on layers
        return importlib.import_module("keras_rnnlm.heads").VocabularyLogits
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}. It has {', '.join(__all__)}.")
