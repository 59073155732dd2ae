"""Trains the small networks of the studies on examples that are generated."""

import itertools

import keras
import numpy as np
import tensorflow as tf

from keras_rnnlm.optimizers import ClippedOptimizer
from keras_rnnlm.training.streams import untuned


def fit(model, draw, *, seed, steps, batch, loss, learning_rate=1e-3, max_norm=1.0, every=100):
    """Trains a model by Adam with clipped gradients, and returns the mean losses of every `every` steps.

    Args:
        model: a Keras model that is not compiled.
        draw: `draw(rng, n)` generates n examples: inputs and targets, and weights if there are any, arrays or dicts.
        seed: of the examples.
        steps: how many updates to make, a multiple of `every`.
        batch: examples a step.
        loss: anything `keras.Model.compile` takes.
        learning_rate: of Adam, a number or a schedule.
        max_norm: of the gradient, None for none.
        every: how many steps are generated at once, run by one call of the backend, and averaged.

    >>> model = keras.Sequential([keras.layers.Dense(1)])
    >>> def draw(rng, n):
    ...     x = rng.normal(size=(n, 3)).astype("float32")
    ...     return x, x.sum(axis=1, keepdims=True)
    >>> losses = fit(model, draw, seed=1, steps=200, batch=10, loss="mse", learning_rate=0.1)
    >>> len(losses), losses[1] < 0.01
    (2, True)
    """
    if steps % every:
        raise ValueError(f"`steps` is a multiple of `every`. Received: steps={steps}, every={every}")
    rng = np.random.default_rng(seed)

    def chunks():
        while True:
            examples = draw(rng, every * batch)
            yield keras.tree.map_structure(lambda array: array.reshape(every, batch, *array.shape[1:]), examples)

    chunks = chunks()
    first = next(chunks)
    signature = keras.tree.map_structure(lambda array: tf.TensorSpec(array.shape, array.dtype), first)
    dataset = tf.data.Dataset.from_generator(lambda: itertools.chain([first], chunks), output_signature=signature)
    model.compile(
        ClippedOptimizer(keras.optimizers.Adam(learning_rate), max_norm),
        loss=loss,
        steps_per_execution=at_once(every),  # the networks are small: a call of the backend costs as much as a step
        # Our layers compile their loops by themselves on TensorFlow, and the whole step took longer to compile.
        jit_compile=False if keras.backend.backend() == "tensorflow" else "auto",
    )
    history = model.fit(
        untuned(dataset.unbatch()), epochs=steps // every, steps_per_epoch=every, shuffle=False, verbose=0
    )
    return history.history["loss"]


def outputs(model, inputs, batch=500):
    """What a model makes of many inputs, in parts: a call of a whole test set would need its memory at once.

    >>> outputs(keras.layers.Dense(2), np.zeros((7, 3)), batch=4).shape
    (7, 2)
    """
    parts = [model(inputs[first : first + batch]) for first in range(0, len(inputs), batch)]
    return np.concatenate([keras.ops.convert_to_numpy(part) for part in parts])


def at_once(steps):
    """How many of so many steps one call of the backend makes: PyTorch's makes one."""
    return 1 if keras.backend.backend() == "torch" else steps
