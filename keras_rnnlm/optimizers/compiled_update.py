"""On TensorFlow, the update of a large model as one compiled region, not as many passes over its weights."""

import contextlib
import math

import keras

from keras_rnnlm import recurrence
from keras_rnnlm.optimizers import gradients, private_keras

LARGE = 2**20  # numbers in all, from which a region saves more than it costs to compile


@contextlib.contextmanager
def compiled_update(optimizer, made_of):
    """While it lasts, `optimizer` updates large models in one compiled region.

    `made_of` tells of gradients, by their id, which tensor and which factor they are the product of: the region
    multiplies them by itself, and the product need not exist.
    """
    if not recurrence.backend.compiles_regions():
        yield
        return
    import tensorflow as tf

    update = private_keras.update_of(optimizer)
    # Plain gradient descent alone touches no more than the rows of a sparse gradient.
    keeps_sparse = isinstance(optimizer, keras.optimizers.SGD) and not optimizer.momentum

    def in_one_region(grads, variables, learning_rate):
        apart, together = [], []
        for pair in zip(grads, variables):
            (apart if keeps_sparse and gradients.is_sparse(pair[0]) else together).append(pair)
        if sum(math.prod(variable.shape) for _, variable in together) < LARGE:
            update(grads, variables, learning_rate)
            return
        if apart:
            update(*zip(*apart), learning_rate)
        targets = [variable for _, variable in together]

        def scale_and_update(factors, rate):
            grads = [gradient if factor is None else gradients.scaled(gradient, factor) for gradient, factor in factors]
            update(grads, targets, rate)

        factors = [made_of.get(id(gradient), (gradient, None)) for gradient, _ in together]
        factors = [(gradients.dense(gradient), factor) for gradient, factor in factors]
        recurrence.backend.region(scale_and_update)(factors, tf.convert_to_tensor(learning_rate))

    # The sum over one replica changes nothing, but TensorFlow keeps its gradient for good, and by it the weights.
    with private_keras.updating_by(optimizer, in_one_region):
        yield
