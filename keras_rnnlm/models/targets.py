"""What a language model is trained on: a target for each token, and what it weighs in the loss."""

from keras import ops

from keras_rnnlm.layers.stackable import fits
from keras_rnnlm.models import ids


def targets_and_weights(y, sample_weight, shape, vocabulary_size):
    """Integers and float32 weights, both of the tokens' `shape`, (batch, time).

    A target of weight 0 takes no part, whatever number it is.
    """
    if y is None:
        raise ValueError("A LanguageModel learns from (tokens, next tokens). Received: a dataset without targets")
    if rank_of(y) is None:
        import tensorflow as tf

        y = tf.ensure_shape(y, shape)
    if not fits(y.shape, shape):
        raise ValueError(
            f"Targets are integers in the shape of the tokens, {tuple(shape)}. Received: shape {tuple(y.shape)}"
        )
    ids.check(y, vocabulary_size, ids.TARGETS, sample_weight)
    targets = ops.cast(y, "int32")
    weights = ops.ones_like(targets, dtype="float32")
    if sample_weight is None:
        return targets, weights
    sample_weight = ops.cast(sample_weight, "float32")
    if rank_of(sample_weight) is None:
        sample_weight = ops.reshape(sample_weight, (ops.shape(targets)[0], -1))
    if len(sample_weight.shape) == 1:
        sample_weight = sample_weight[:, None]
    if len(sample_weight.shape) != 2:
        raise ValueError(
            f"Sample weights are one number a token or one a row, of shape {tuple(shape)} or {tuple(shape[:1])}. "
            f"Received: shape {tuple(sample_weight.shape)}"
        )
    weights = weights * sample_weight
    return ops.where(weights == 0, 0, targets), weights


def rank_of(tensor):
    """The number of dimensions, or None where TensorFlow does not know it: `len` of such a shape is an error."""
    return tensor.shape.rank if hasattr(tensor.shape, "rank") else len(tensor.shape)
