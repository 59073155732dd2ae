"""Gradients whose norms are known, and one step of an optimizer on them."""

import keras
import numpy as np
from keras import ops

from tests.support import BACKEND

# Norms 5, 12 and 0: together 13.
GRADS = [np.array([3.0, -4.0]), np.array([[12.0]]), np.array([0.0])]
NAMES = ["recurrent_kernel", "kernel", "bias"]


def new_variables(grads=GRADS, dtype="float32"):
    return [keras.Variable(np.ones(g.shape), dtype=dtype, name=name) for g, name in zip(grads, NAMES)]


def apply(optimizer, grads, variables, dtype="float32"):
    grads = [None if g is None else ops.convert_to_tensor(g, dtype) for g in grads]
    if BACKEND == "jax" and isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        # Keras's own LossScaleOptimizer has no `apply` that works on JAX.
        optimizer.built or optimizer.build(variables)
        values = [v.value for v in optimizer.variables], grads, [v.value for v in variables]
        weights, own = optimizer.stateless_apply(*values)
        for variable, value in zip([*variables, *optimizer.variables], [*weights, *own]):
            variable.assign(value)
    else:
        optimizer.apply(grads, variables)


def changes(optimizer, grads=GRADS, dtype="float32"):
    """What one step of gradient descent with rate 1 takes off the variables: the clipped gradients."""
    variables = new_variables(grads, dtype)
    apply(optimizer, grads, variables, dtype)
    return [1.0 - ops.convert_to_numpy(ops.cast(v, "float32")) for v in variables]


def sgd(**options):
    return keras.optimizers.SGD(1.0, **options)


def state(optimizer, variables=()):
    return [np.array(ops.convert_to_numpy(v)) for v in [*variables, *optimizer.variables]]


def counts(optimizer):
    return int(optimizer.steps), int(optimizer.clipped_steps), int(optimizer.skipped_steps)


def some_grads(seed, steps=1):
    rng = np.random.default_rng(seed)
    return [[rng.normal(size=g.shape) for g in GRADS] for _ in range(steps)]


def with_a_bad_number(grads, bad):
    grads = [g.copy() for g in grads]
    grads[1][0, 0] = bad
    return grads


def assert_close(got, expected, tolerance=1e-6):
    assert len(got) == len(expected)
    for a, b in zip(got, expected):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
