"""Whole models."""

from keras_rnnlm.models.classifier import Classifier
from keras_rnnlm.models.encoder import Encoder
from keras_rnnlm.models.image_encoder import ImageEncoder
from keras_rnnlm.models.language_model import LanguageModel, Perplexity
from keras_rnnlm.models.matcher import Matcher
from keras_rnnlm.models.sound_encoder import SoundEncoder
from keras_rnnlm.models.tagger import Tagger
from keras_rnnlm.models.translator import Translator

__all__ = [
    "Classifier",
    "Encoder",
    "ImageEncoder",
    "LanguageModel",
    "Matcher",
    "Perplexity",
    "SoundEncoder",
    "Tagger",
    "Translator",
]
