"""Keras's dropout, by masks that are drawn as suits the backend."""

import keras
from keras import ops

from keras_rnnlm.recurrence import backend


class Dropout(keras.layers.Dropout):
    """`keras.layers.Dropout`, and drops the same, bit for bit.

    >>> ours, of_keras, x = Dropout(0.5, seed=0), keras.layers.Dropout(0.5, seed=0), ops.ones((2, 8))
    >>> bool(ops.all(ours(x, training=True) == of_keras(x, training=True)))
    True
    """

    def call(self, inputs, training=False):
        if training and self.rate:
            return backend.dropout(inputs, self.rate, self.noise_shape_of(inputs), self.seed_generator)
        return inputs

    def noise_shape_of(self, inputs):
        return self.noise_shape


class SpatialDropout1D(Dropout, keras.layers.SpatialDropout1D):
    """`keras.layers.SpatialDropout1D`: one mask for all steps of a sequence."""

    def noise_shape_of(self, inputs):
        return ops.shape(inputs)[0], 1, inputs.shape[-1]


def dropout_layer(rate, locked, **options):
    """What drops anew at every step, or, `locked`, the same at all steps of a sequence."""
    return (SpatialDropout1D if locked else Dropout)(rate, **options)
