"""Whole models."""

from keras_rnnlm.models.classifier import Classifier
from keras_rnnlm.models.language_model import LanguageModel, Perplexity
from keras_rnnlm.models.tagger import Tagger

__all__ = ["Classifier", "LanguageModel", "Perplexity", "Tagger"]
