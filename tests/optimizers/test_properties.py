"""What holds of every ClippedOptimizer that users can make, on gradients of every size: examples that are drawn."""

import math

import keras
import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from keras_rnnlm.optimizers import ClippedOptimizer
from tests.optimizers.steps import GRADS, apply, counts, new_variables, state, with_a_bad_number
from tests.support import BACKEND, drawn_examples

RULES = ("SGD", "Adam", "Nadam", "RMSprop")
LIMITS = (1e-3, 1.0, 1e3, None, {"recurrent": 0.5}, {"recurrent": None, "kernel": 2.0})

options = st.fixed_dictionaries(
    {"max_norm": st.sampled_from(LIMITS), "by": st.sampled_from(["global", "variable", "value"])}
)
inner = st.fixed_dictionaries(
    {
        "rule": st.sampled_from(RULES),
        "accumulate": st.sampled_from([None, 2]),
        # Keras's own LossScaleOptimizer has no `apply` that works on JAX.
        "scale": st.sampled_from([None] if BACKEND == "jax" else [None, 8.0, 2.0**15]),
    }
)
DTYPES = ["float32"] if BACKEND == "jax" else ["float32", "float64"]
dtypes = st.sampled_from(DTYPES)
sizes = st.lists(st.sampled_from([1e-20, 1e-6, 1.0, 1e6, 1e15, 1e18, 1e25, math.nan]), min_size=4, max_size=4)


def optimizer_of(rule, accumulate, scale):
    made = getattr(keras.optimizers, rule)(0.01, gradient_accumulation_steps=accumulate)
    return made if scale is None else keras.optimizers.LossScaleOptimizer(made, initial_scale=scale)


def drawn(rule, accumulate, scale):
    return {"rule": rule, "accumulate": accumulate, "scale": None if BACKEND == "jax" else scale}


@drawn_examples
@given(options, inner, dtypes, sizes)
@example({"max_norm": 1.0, "by": "value"}, drawn("RMSprop", None, 8.0), DTYPES[-1], [1.0, math.nan, 1.0, 1e6])
@example({"max_norm": 1.0, "by": "global"}, drawn("SGD", 2, 8.0), DTYPES[-1], [1.0, math.nan, 1.0, 1e6])
@example({"max_norm": None, "by": "global"}, drawn("Nadam", 2, None), "float32", [1e25] * 4)
@example({"max_norm": {"recurrent": 0.5}, "by": "global"}, drawn("Adam", 2, 8.0), "float32", [1.0, 1.0, 1.0, 1e25])
def test_variables_stay_numbers_and_every_batch_is_a_step_or_skipped(options, inner, dtype, sizes):
    optimizer, variables = ClippedOptimizer(optimizer_of(**inner), **options), new_variables(dtype=dtype)
    for size in sizes:
        before = state(optimizer.inner_optimizer, variables)
        scaled = [g * (1.0 if math.isnan(size) else size) * float(optimizer.scale_loss(1.0)) for g in GRADS]
        skipped = counts(optimizer)[2]
        apply(optimizer, with_a_bad_number(scaled, math.nan) if math.isnan(size) else scaled, variables, dtype)
        after = state(optimizer.inner_optimizer, variables)
        assert all(np.isfinite(value).all() for value in after)
        if counts(optimizer)[2] > skipped and inner["scale"] is None:
            assert all(np.array_equal(a, b) for a, b in zip(after, before))
        if math.isnan(size) or size <= 1e15:
            assert counts(optimizer)[2] - skipped == math.isnan(size)
    if inner["accumulate"] is None:
        assert sum(counts(optimizer)[::2]) == len(sizes)


@drawn_examples
@given(options, inner, st.sampled_from([1e-6, 1.0, 1e6]))
def test_a_step_is_the_inner_optimizer_s_of_the_clipped_gradient(options, inner, size):
    inner = {**inner, "accumulate": None}
    optimizer, mine, theirs = ClippedOptimizer(optimizer_of(**inner), **options), new_variables(), new_variables()
    grads = [g * size for g in GRADS]
    factor = float(optimizer.scale_loss(1.0))
    apply(optimizer, [g * factor for g in grads], mine)
    plain = optimizer_of(inner["rule"], None, None)
    apply(plain, clipped(grads, **options), theirs)
    for a, b in zip(mine, theirs):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6)


def clipped(grads, max_norm, by):
    """In numpy, of gradients by the names that `new_variables` gives: recurrent_kernel, kernel, bias."""
    limits = max_norm if isinstance(max_norm, dict) else {"": max_norm}
    names, group = ["recurrent_kernel", "kernel", "bias"], []
    for name in names:
        group.append(next((pattern for pattern in limits if pattern in name), None))
    result = []
    for gradient, pattern in zip(grads, group):
        limit = limits.get(pattern)
        if by == "value":
            result.append(gradient if limit is None else np.clip(gradient, -limit, limit))
            continue
        together = [g for g, other in zip(grads, group) if other == pattern] if by == "global" else [gradient]
        norm = np.sqrt(sum(np.sum(g**2) for g in together))
        result.append(gradient if limit is None or norm <= limit else gradient * limit / norm)
    return result


@drawn_examples
@given(options, inner)
def test_a_configuration_is_read_as_often_as_one_likes(options, inner):
    config = keras.saving.serialize_keras_object(ClippedOptimizer(optimizer_of(**inner), **options))
    for _ in range(2):
        again = keras.saving.deserialize_keras_object(config)
        assert keras.saving.serialize_keras_object(again) == config
