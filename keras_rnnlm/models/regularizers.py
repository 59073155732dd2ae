"""What regularizes a language model: dropout of its sequences and words, and penalties on what its layers give."""

import keras
from keras import ops

from keras_rnnlm.optimizers import replicas


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class WordDropout(keras.layers.Layer):
    """Zero for all occurrences of some tokens, in training: dropout of whole rows of an embedding's table.

    A batch has one mask over the vocabulary (Gal & Ghahramani 2016), and what is kept is as much larger.

    Args:
        vocabulary_size: number of different tokens.
        rate: fraction of them that is dropped.
        seed: of the masks.
    """

    def __init__(self, vocabulary_size, rate, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.vocabulary_size, self.rate, self.seed = vocabulary_size, rate, seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, embedded, tokens, training=False):
        if not training:
            return embedded
        draw = keras.random.uniform((self.vocabulary_size,), dtype="float32", seed=self.seed_generator)
        scales = ops.cast(draw >= self.rate, embedded.dtype) / (1 - self.rate)
        return embedded * ops.take(scales, tokens, axis=0)[..., None]

    def get_config(self):
        config = {"vocabulary_size": self.vocabulary_size, "rate": self.rate, "seed": self.seed}
        return {**super().get_config(), **config}


def activity_penalty(dropped, raw, weights, ar, tar):
    """The penalties of Merity et al. (2017) on what the last layer gives, in means over tokens and features:

        ar * mean(dropped[t] ** 2) + tar * mean((raw[t] - raw[t - 1]) ** 2)

    Args:
        dropped: what the output layer reads, (batch, time, features).
        raw: the same without dropout.
        weights: of the tokens, (batch, time); those of weight 0 take no part.
        ar: of activation regularization.
        tar: of temporal activation regularization.
    """
    dropped, raw = ops.cast(dropped, "float32"), ops.cast(raw, "float32")
    penalty = 0.0
    if ar:
        penalty = penalty + ar * _mean(ops.mean(dropped * dropped, axis=-1), weights)
    if tar and raw.shape[1] != 1:
        change = raw[:, 1:] - raw[:, :-1]
        penalty = penalty + tar * _mean(ops.mean(change * change, axis=-1), weights[:, 1:] * weights[:, :-1])
    return penalty


def _mean(values, weights):
    """This replica's part of the mean over all of them."""
    count = replicas.summed(ops.sum(weights))
    return ops.sum(values * weights) / ops.where(count > 0, count, 1.0)
