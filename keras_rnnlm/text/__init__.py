"""Text to ids and back. It needs numpy and tokenizers alone, so that training and exported models share it."""

from keras_rnnlm.text.pair_vocabulary import PairVocabulary
from keras_rnnlm.text.target_vocabulary import TargetVocabulary
from keras_rnnlm.text.tokenizers import Tokenizer
from keras_rnnlm.text.vocabulary import Vocabulary
from keras_rnnlm.text.weighted_vocabulary import WeightedVocabulary

__all__ = ["PairVocabulary", "TargetVocabulary", "Tokenizer", "Vocabulary", "WeightedVocabulary"]
