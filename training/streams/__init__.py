"""Texts as batches."""

from keras_rnnlm.training.streams.contiguous import Contiguous
from keras_rnnlm.training.streams.examples import Examples, padded
from keras_rnnlm.training.streams.sentences import Sentences
from keras_rnnlm.training.streams.stream import untuned

__all__ = ["Contiguous", "Examples", "Sentences", "padded", "untuned"]
