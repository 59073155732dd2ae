"""Optimizers for recurrent networks."""

from keras_rnnlm.optimizers.clipped_optimizer import ClippedOptimizer
from keras_rnnlm.optimizers.clipping_report import ClippingReport
from keras_rnnlm.optimizers.layerwise_optimizer import LayerwiseOptimizer

__all__ = ["ClippedOptimizer", "ClippingReport", "LayerwiseOptimizer"]
