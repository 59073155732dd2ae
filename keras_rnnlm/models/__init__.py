"""Whole models."""

from keras_rnnlm.models.language_model import LanguageModel, Perplexity

__all__ = ["LanguageModel", "Perplexity"]
