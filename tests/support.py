"""Gradients in the words of each backend, and what is of one backend alone."""

import keras
import numpy as np
import pytest
from hypothesis import Phase, settings
from keras import ops

BACKEND = keras.backend.backend()
on_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="of TensorFlow alone")

# For examples that are drawn: the same ones each time, and no minutes spent on smaller ones where one fails.
drawn_examples = settings(
    derandomize=True, max_examples=15, deadline=None, database=None, phases=[Phase.explicit, Phase.generate]
)


def numpy(value):
    return np.asarray(ops.convert_to_numpy(value))


def value_and_gradients(f, arrays, jit=False):
    """The scalar `f(list of tensors)` and its gradients, as numpy arrays."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        @tf.function(autograph=False, jit_compile=jit)
        def run(*tensors):
            with tf.GradientTape() as tape:
                tape.watch(tensors)
                value = f(list(tensors))
            return value, tape.gradient(value, tensors, unconnected_gradients="zero")

        value, gradients = run(*[tf.constant(array) for array in arrays])
    elif BACKEND == "jax":
        import jax

        run = jax.value_and_grad(lambda *tensors: f(list(tensors)), argnums=tuple(range(len(arrays))))
        value, gradients = (jax.jit(run) if jit else run)(*[ops.convert_to_tensor(array) for array in arrays])
    else:
        import torch

        # On the device that Keras computes on.
        tensors = [ops.convert_to_tensor(array).clone().requires_grad_() for array in arrays]
        value = f(tensors)
        gradients = torch.autograd.grad(value, tensors, allow_unused=True)
        gradients = [torch.zeros_like(t) if g is None else g for t, g in zip(tensors, gradients)]
    return float(numpy(value.detach() if BACKEND == "torch" else value)), [numpy(g) for g in gradients]


def loss_of(layer, mask=None, seed=2, training=False):
    """A scalar that weighs every output and every final state of the layer, as a function of [x, *states, *weights]."""
    rng = np.random.default_rng(seed)
    drawn = {}

    def loss(tensors):
        if training:
            keras.utils.set_random_seed(7)  # PyTorch's dropout draws from the global generator
        states = layer.cell.number_of_states
        x, initial, weights = tensors[0], tensors[1 : 1 + states], tensors[1 + states :]
        fixed = [variable.value for variable in layer.non_trainable_variables]
        results, _ = layer.stateless_call(weights, fixed, x, initial_state=initial, mask=mask, training=training)
        results = results if isinstance(results, tuple) else (results,)
        total = 0.0
        for k, result in enumerate(results):
            weight = drawn.setdefault(k, rng.normal(size=result.shape))
            total = total + ops.sum(ops.cast(result, x.dtype) * ops.convert_to_tensor(weight, dtype=x.dtype))
        return total

    return loss


def largest_relative_difference(got, wanted):
    """The largest difference of two lists of arrays, each beside the largest number in it."""
    return max(float(np.max(np.abs(a - b)) / max(np.max(np.abs(b)), 1e-3)) for a, b in zip(got, wanted, strict=True))
