"""Whole models."""

from keras_rnnlm.models.classifier import Classifier
from keras_rnnlm.models.language_model import LanguageModel, Perplexity
from keras_rnnlm.models.matcher import Matcher
from keras_rnnlm.models.tagger import Tagger
from keras_rnnlm.models.translator import Translator

__all__ = ["Classifier", "LanguageModel", "Matcher", "Perplexity", "Tagger", "Translator"]
