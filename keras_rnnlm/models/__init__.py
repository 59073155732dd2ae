"""Whole models."""

from keras_rnnlm.models.language_model import LanguageModel, Perplexity
from keras_rnnlm.models.tagger import Tagger

__all__ = ["LanguageModel", "Perplexity", "Tagger"]
