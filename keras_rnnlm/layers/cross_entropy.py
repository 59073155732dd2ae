"""Where the cross-entropy in chunks was in version 0.1.0."""

from keras_rnnlm.heads.cross_entropy import CHUNK, cross_entropy, linear_cross_entropy

__all__ = ["CHUNK", "cross_entropy", "linear_cross_entropy"]
