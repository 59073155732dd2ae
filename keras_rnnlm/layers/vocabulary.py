"""Where `VocabularyLogits` was in version 0.1.0."""

from keras_rnnlm.heads.vocabulary import VocabularyLogits

__all__ = ["VocabularyLogits"]
