"""Text to ids and back. It needs numpy and tokenizers alone, so that training and exported models share it."""

from keras_rnnlm.text.tokenizers import Tokenizer

__all__ = ["Tokenizer"]
