"""What turns hidden features into logits over a vocabulary, and into a loss."""

from keras_rnnlm.heads.adaptive import AdaptiveSoftmax
from keras_rnnlm.heads.by_name import HEADS
from keras_rnnlm.heads.head import Head
from keras_rnnlm.heads.mixture import MixtureOfSoftmaxes
from keras_rnnlm.heads.projected import ProjectedLogits
from keras_rnnlm.heads.sampled import SampledSoftmax
from keras_rnnlm.heads.vocabulary import VocabularyLogits

__all__ = [
    "HEADS",
    "AdaptiveSoftmax",
    "Head",
    "MixtureOfSoftmaxes",
    "ProjectedLogits",
    "SampledSoftmax",
    "VocabularyLogits",
]
