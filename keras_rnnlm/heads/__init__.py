"""What turns hidden features into logits over a vocabulary, and into a loss."""

from keras_rnnlm.heads.by_name import HEADS
from keras_rnnlm.heads.head import Head
from keras_rnnlm.heads.vocabulary import VocabularyLogits

__all__ = ["HEADS", "Head", "VocabularyLogits"]
