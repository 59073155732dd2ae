"""A ClippedOptimizer's steps, against the arithmetic in numpy and the inner optimizer's own."""

from copy import deepcopy

import keras
import numpy as np
import pytest
from keras import ops

from keras_rnnlm import recurrence
from keras_rnnlm.optimizers import ClippedOptimizer, compiled_update
from tests.optimizers.steps import (
    GRADS,
    apply,
    assert_close,
    changes,
    counts,
    new_variables,
    sgd,
    some_grads,
    state,
    with_a_bad_number,
)
from tests.support import BACKEND

has_multi_optimizer = pytest.mark.skipif(
    not hasattr(keras.optimizers, "MultiOptimizer"), reason="this Keras has no MultiOptimizer yet"
)

only_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="tf.IndexedSlices and tf.function")
only_jax = pytest.mark.skipif(BACKEND != "jax", reason="jax.jit and donated state")

# What is clipped, against the arithmetic in numpy.


@pytest.mark.parametrize(
    ("options", "factors"),
    [
        ({"max_norm": np.float32(6.5)}, (1 / 2, 1 / 2, 1)),
        ({"max_norm": 13.0}, (1, 1, 1)),
        ({"max_norm": 6.0, "by": "variable"}, (1, 1 / 2, 1)),
        ({"max_norm": {"recurrent": 1.0}}, (1 / 5, 1, 1)),
        ({"max_norm": {"recurrent": None, "kernel": 3.0}}, (1, 1 / 4, 1)),
        ({"max_norm": {"^kernel": 3.0, "": 1.0}}, (1 / 5, 1 / 4, 1)),
        ({"max_norm": {"kernel": 1.3}}, (1 / 10, 1 / 10, 1)),
        ({"max_norm": {"kernel": 3.0}, "by": "variable"}, (3 / 5, 1 / 4, 1)),
        ({"max_norm": None}, (1, 1, 1)),
        ({"max_norm": None, "by": "value"}, (1, 1, 1)),
    ],
)
def test_a_norm_above_its_limit_is_scaled_down_to_it(options, factors):
    optimizer = ClippedOptimizer(sgd(), **options)
    expected = [g * f for g, f in zip(GRADS, factors)]
    assert_close(changes(optimizer), expected)
    np.testing.assert_allclose(float(optimizer.gradient_norm), 13.0, rtol=1e-6)
    clipped_norm = np.sqrt(sum(np.sum(g**2) for g in expected))
    np.testing.assert_allclose(float(optimizer.clipped_norm), clipped_norm, rtol=1e-6)
    assert counts(optimizer) == (1, int(factors != (1, 1, 1)), 0)


@pytest.mark.parametrize(
    ("max_norm", "limits"), [(3.5, (3.5, 3.5, 3.5)), (20.0, (20, 20, 20)), ({"^recurrent": 1.0}, (1.0, 99.0, 99.0))]
)
def test_values_are_cut_at_the_limit(max_norm, limits):
    optimizer = ClippedOptimizer(sgd(), max_norm, by="value")
    expected = [np.clip(g, -m, m) for g, m in zip(GRADS, limits)]
    assert_close(changes(optimizer), expected)
    np.testing.assert_allclose(float(optimizer.clipped_norm), np.sqrt(sum(np.sum(g**2) for g in expected)), rtol=1e-6)
    assert counts(optimizer) == (1, int(max_norm != 20.0), 0)


@pytest.mark.parametrize("max_norm", [0.9, None])
def test_the_limit_follows_a_percentile_of_the_recent_norms(max_norm):
    window, rng = 4, np.random.default_rng(1)
    norms = rng.uniform(0.1, 1.5, size=12)
    norms[window] = 2.0  # the first one that the percentile may stop
    optimizer = ClippedOptimizer(sgd(), max_norm, percentile=70, window=window)
    variable = keras.Variable([0.0, 0.0])
    highest = np.inf if max_norm is None else max_norm
    clipped = 0
    for step, norm in enumerate(norms):
        optimizer.apply([ops.convert_to_tensor([0.6 * norm, 0.8 * norm], "float32")], [variable])
        limit = np.percentile(norms[step - window : step], 70) if step >= window else np.inf
        limit = min(limit, highest)
        clipped += norm > limit
        np.testing.assert_allclose(float(optimizer.clipped_norm), min(norm, limit), rtol=1e-5)
    assert 0 < clipped < len(norms)
    assert counts(optimizer) == (len(norms), clipped, 0)


def test_a_step_that_is_not_clipped_is_the_inner_optimizers_own_step():
    plain, wrapped = keras.optimizers.AdamW(0.01), ClippedOptimizer(keras.optimizers.AdamW(0.01), 1e3)
    ours, theirs = new_variables(), new_variables()
    for grads in some_grads(2, steps=3):
        apply(plain, grads, theirs)
        apply(wrapped, grads, ours)
    for a, b in zip(state(wrapped.inner_optimizer, ours), state(plain, theirs)):
        np.testing.assert_array_equal(a, b)


def test_weight_decay_is_not_clipped():
    optimizer = ClippedOptimizer(keras.optimizers.AdamW(0.1, weight_decay=0.5), 1e-3)
    variables = new_variables()
    apply(optimizer, [np.zeros_like(g) for g in GRADS], variables)
    assert_close([v.numpy() for v in variables], [np.full(g.shape, 1 - 0.1 * 0.5) for g in GRADS])


def test_a_variable_without_a_gradient_has_no_part_in_the_norm():
    optimizer = ClippedOptimizer(sgd(), 2.5)
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        optimizer.build(variables := new_variables())
        apply(optimizer, [GRADS[0], None, GRADS[2]], variables)
    np.testing.assert_allclose(float(optimizer.gradient_norm), 5.0, rtol=1e-6)
    assert_close([1 - v.numpy() for v in variables], [GRADS[0] / 2, np.zeros((1, 1)), GRADS[2]])


def test_some_of_the_variables_can_be_updated_alone():
    optimizer = ClippedOptimizer(sgd(), 6.0)
    optimizer.build(variables := new_variables())
    with np.testing.suppress_warnings() as quiet:
        quiet.filter(UserWarning)
        apply(optimizer, GRADS[1:2], variables[1:2])
    assert_close([1 - v.numpy() for v in variables], [np.zeros(2), GRADS[1] / 2, np.zeros(1)])


def test_a_variable_overwritten_by_its_gradient_is_not_clipped():
    variables = new_variables()
    variables[1].overwrite_with_gradient = True
    optimizer = ClippedOptimizer(sgd(), 2.5)
    apply(optimizer, GRADS, variables)
    assert_close([v.numpy() for v in variables], [1 - GRADS[0] / 2, GRADS[1], np.ones(1)])
    np.testing.assert_allclose(float(optimizer.gradient_norm), 5.0, rtol=1e-6)


# Numbers that float32 or half precision has no room for.


@pytest.mark.parametrize("by", ["global", "variable", "value"])
def test_an_exploding_gradient_is_clipped_and_not_skipped(by):
    optimizer = ClippedOptimizer(sgd(), 1.0, by=by)
    grads = [g * 1e25 for g in GRADS]
    expected = {
        "global": [g / 13 for g in GRADS],
        "variable": [GRADS[0] / 5, GRADS[1] / 12, GRADS[2]],
        "value": [np.sign(g) for g in GRADS],
    }
    assert_close(changes(optimizer, grads), expected[by])
    np.testing.assert_allclose(float(optimizer.gradient_norm), 13e25, rtol=1e-6)
    assert counts(optimizer) == (1, 1, 0)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 1e-3), ("bfloat16", 1e-2)])
@pytest.mark.parametrize("by", ["global", "variable", "value"])
def test_the_norm_of_many_half_precision_numbers_does_not_overflow(dtype, tolerance, by):
    values = np.full((500, 200), 1e4)  # squares beyond float16, and factors below it
    variable = keras.Variable(np.zeros(values.shape), dtype=dtype)
    optimizer = ClippedOptimizer(sgd(), 5.0, by=by)
    apply(optimizer, [values], [variable], dtype)
    values = ops.convert_to_numpy(ops.cast(ops.convert_to_tensor(values, dtype), "float32"))
    norm = np.linalg.norm(values.astype("float64"))
    np.testing.assert_allclose(float(optimizer.gradient_norm), norm, rtol=1e-5)
    expected = np.clip(values, -5, 5) if by == "value" else values * 5 / norm
    np.testing.assert_allclose(-ops.convert_to_numpy(ops.cast(variable, "float32")), expected, rtol=tolerance)
    assert counts(optimizer) == (1, 1, 0)


# Steps that are skipped.


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("by", ["global", "value"])
@pytest.mark.parametrize("options", [{"use_ema": True}, {"gradient_accumulation_steps": 2}])
def test_a_step_with_a_bad_gradient_changes_nothing(bad, by, options):
    inner = keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.9), weight_decay=0.1, **options)
    optimizer = ClippedOptimizer(inner, 0.5, by=by)
    variables = new_variables()
    steps = some_grads(3, steps=4)
    for grads in steps[:3]:
        apply(optimizer, grads, variables)
    before, seen = state(inner, variables), counts(optimizer)
    norms = float(optimizer.gradient_norm), float(optimizer.clipped_norm)
    apply(optimizer, with_a_bad_number(steps[3], bad), variables)
    for a, b in zip(state(inner, variables), before):
        np.testing.assert_array_equal(a, b)
    assert counts(optimizer) == (seen[0], seen[1], 1)
    assert (float(optimizer.gradient_norm), float(optimizer.clipped_norm)) == norms


def test_training_goes_on_after_a_skipped_step_as_if_it_had_not_been():
    results = []
    for bad_step in (False, True):
        optimizer = ClippedOptimizer(keras.optimizers.Adam(0.1), 0.5, percentile=60, window=2)
        variables = new_variables()
        for number, grads in enumerate(some_grads(4, steps=6)):
            if bad_step and number == 4:
                apply(optimizer, with_a_bad_number(grads, np.nan), variables)
            apply(optimizer, grads, variables)
        assert int(optimizer.skipped_steps) == bad_step
        optimizer.skipped_steps.assign(0)
        results.append(state(optimizer, variables))
    for a, b in zip(*results):
        np.testing.assert_array_equal(a, b)


def test_without_a_limit_bad_steps_are_still_skipped():
    optimizer = ClippedOptimizer(sgd(), None)
    assert_close(changes(optimizer, with_a_bad_number(GRADS, np.nan)), [np.zeros_like(g) for g in GRADS])
    assert counts(optimizer) == (0, 0, 1)


# Gradient accumulation.


@pytest.mark.parametrize("by", ["global", "variable", "value"])
def test_the_accumulated_gradient_is_clipped_once_like_that_of_the_large_batch(by):
    small = ClippedOptimizer(keras.optimizers.Adam(0.1, gradient_accumulation_steps=3), 0.2, by=by)
    large = ClippedOptimizer(keras.optimizers.Adam(0.1), 0.2, by=by)
    ours, theirs = new_variables(), new_variables()
    micro = some_grads(5, steps=6)
    for number, grads in enumerate(micro):
        held = state(small, ours)[: len(ours)]
        apply(small, grads, ours)
        if number % 3 != 2:
            for a, b in zip(ours, held):
                np.testing.assert_array_equal(a.numpy(), b)
        else:
            apply(large, [np.mean(g, axis=0) for g in zip(*micro[number - 2 : number + 1])], theirs)
            assert_close([v.numpy() for v in ours], [v.numpy() for v in theirs])
            np.testing.assert_allclose(float(small.gradient_norm), float(large.gradient_norm), rtol=1e-5)
            np.testing.assert_allclose(float(small.clipped_norm), float(large.clipped_norm), rtol=1e-5)
    assert counts(small) == counts(large) == (2, 2, 0)
    assert int(small.iterations) == 2


def test_a_bad_batch_is_left_out_of_the_accumulated_gradient():
    optimizer = ClippedOptimizer(sgd(gradient_accumulation_steps=2), 6.5)
    variables = new_variables()
    for grads in (GRADS, with_a_bad_number(GRADS, np.inf), GRADS):
        apply(optimizer, grads, variables)
    assert_close([1 - v.numpy() for v in variables], [g / 2 for g in GRADS])
    assert counts(optimizer) == (1, 1, 1)


def test_accumulation_inside_a_loss_scale_is_clipped_after_unscaling():
    scaler = keras.optimizers.LossScaleOptimizer(sgd(gradient_accumulation_steps=2), initial_scale=64.0)
    optimizer = ClippedOptimizer(scaler, 6.5)
    variables = new_variables()
    for grads in (GRADS, with_a_bad_number(GRADS, np.nan)):
        apply(optimizer, [g * 64 for g in grads], variables)
    assert float(scaler.dynamic_scale) == 32.0
    apply(optimizer, [g * 32 for g in GRADS], variables)
    assert_close([1 - v.numpy() for v in variables], [g / 2 for g in GRADS])
    assert counts(optimizer) == (1, 1, 1)


# Loss scaling.


@pytest.mark.parametrize("by", ["global", "value"])
def test_a_loss_scale_inside_is_divided_out_before_clipping(by):
    scaler = keras.optimizers.LossScaleOptimizer(sgd(), initial_scale=1024.0)
    optimizer = ClippedOptimizer(scaler, 6.5, by=by)
    expected = [g / 2 for g in GRADS] if by == "global" else [np.clip(g, -6.5, 6.5) for g in GRADS]
    variables = new_variables()
    optimizer.build(variables)
    assert float(ops.convert_to_numpy(optimizer.scale_loss(ops.convert_to_tensor(2.0)))) == 2048.0
    apply(optimizer, [g * 1024 for g in GRADS], variables)
    assert_close([1 - v.numpy() for v in variables], expected)
    np.testing.assert_allclose(float(optimizer.gradient_norm), 13.0, rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("options", [{"by": "global"}, {"by": "value"}, {"max_norm": None}])
def test_a_bad_step_lowers_the_loss_scale_inside_and_changes_nothing_else(bad, options):
    scaler = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.1, use_ema=True), initial_scale=8.0)
    optimizer = ClippedOptimizer(scaler, **options)
    variables = new_variables()
    apply(optimizer, GRADS, variables)
    before = state(scaler.inner_optimizer, variables)
    apply(optimizer, with_a_bad_number(GRADS, bad), variables)
    for a, b in zip(state(scaler.inner_optimizer, variables), before):
        np.testing.assert_array_equal(a, b)
    assert float(scaler.dynamic_scale) == 4.0
    assert int(optimizer.skipped_steps) == 1


def test_a_loss_scale_outside_hands_on_unscaled_gradients_and_keeps_bad_ones():
    clipped = ClippedOptimizer(sgd(), 6.5)
    optimizer = keras.optimizers.LossScaleOptimizer(clipped, initial_scale=1024.0)
    variables = new_variables()
    apply(optimizer, with_a_bad_number(GRADS, np.nan), variables)
    assert float(optimizer.dynamic_scale) == 512.0
    apply(optimizer, [g * 512 for g in GRADS], variables)
    assert_close([1 - v.numpy() for v in variables], [g / 2 for g in GRADS])
    assert counts(clipped) == (1, 1, 0)


def test_a_fixed_loss_scale_is_divided_out_before_clipping():
    optimizer = ClippedOptimizer(sgd(loss_scale_factor=16.0), 6.5)
    assert_close(changes(optimizer, [g * 16 for g in GRADS]), [g / 2 for g in GRADS])
    keras.optimizers.LossScaleOptimizer(optimizer)
    assert optimizer.inner_optimizer.loss_scale_factor is None


def test_the_loss_is_not_scaled_twice():
    optimizer = ClippedOptimizer(keras.optimizers.LossScaleOptimizer(sgd()))
    with pytest.raises(ValueError, match="auto_scale_loss=False"):
        keras.optimizers.LossScaleOptimizer(optimizer)


# The rest of the inner optimizer.


def test_the_schedule_advances_with_the_inner_optimizer():
    inner = keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(1.0, 1, 0.5))
    optimizer = ClippedOptimizer(inner, 6.5)
    variables = new_variables()
    for _ in range(2):
        apply(optimizer, GRADS, variables)
    assert int(optimizer.iterations) == 2
    np.testing.assert_allclose(float(ops.convert_to_numpy(optimizer.learning_rate)), 0.25)
    assert_close([1 - v.numpy() for v in variables], [g / 2 * 1.5 for g in GRADS])


def test_the_moving_average_is_that_of_the_inner_optimizer():
    def averaged(wrap, grads):
        optimizer = wrap(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=3))
        variables = new_variables()
        for g in grads:
            apply(optimizer, g, variables)
        optimizer.finalize_variable_values(variables)
        return [v.numpy() for v in variables]

    grads = some_grads(6, steps=4)
    norms = [np.sqrt(sum(np.sum(g**2) for g in step)) for step in grads]
    by_hand = [[g * min(1, 0.5 / n) for g in step] for step, n in zip(grads, norms)]
    ours = averaged(lambda optimizer: ClippedOptimizer(optimizer, 0.5), grads)
    assert_close(ours, averaged(lambda optimizer: optimizer, by_hand), 1e-5)


@has_multi_optimizer
def test_several_inner_optimizers_share_one_norm():
    by_name = {"recurrent_kernel": sgd(), "kernel": keras.optimizers.SGD(0.5)}
    inner = keras.optimizers.MultiOptimizer(lambda variable: by_name.get(variable.path, by_name["kernel"]))
    assert_close(changes(ClippedOptimizer(inner, 6.5)), [GRADS[0] / 2, GRADS[1] / 4, GRADS[2]])


def test_all_weights_can_be_set():
    variables = new_variables()
    first, second = (ClippedOptimizer(keras.optimizers.Adam(0.1), 0.5) for _ in range(2))
    apply(first, GRADS, variables)
    second.build(variables)
    second.set_weights(state(first))
    for a, b in zip(state(second), state(first)):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="a weight for each"):
        second.set_weights(state(first)[:2])


@pytest.mark.parametrize(
    "optimizer",
    [
        ClippedOptimizer("sgd"),
        ClippedOptimizer(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.1, 9)), None, percentile=95.0),
        ClippedOptimizer("sgd", {"recurrent": 0.5, "": None}, by="value"),
        ClippedOptimizer(keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(use_ema=True)), 2, by="variable"),
        keras.optimizers.LossScaleOptimizer(ClippedOptimizer("adamw", 0.25)),
    ],
)
def test_the_config_makes_the_same_optimizer(optimizer):
    config = keras.optimizers.serialize(optimizer)
    # Keras changes the config that it reads.
    copy = keras.optimizers.deserialize(deepcopy(config))
    assert type(copy) is type(optimizer)
    assert keras.optimizers.serialize(copy) == config


# Sparse gradients, on TensorFlow.


class Recorder(keras.optimizers.SGD):
    """Gradient descent that shows what gradients it was given."""

    def apply(self, grads, trainable_variables=None):
        self.received = list(grads)
        super().apply(grads, trainable_variables)


def sparse(rows=(4, 1, 4, 0, 4)):
    import tensorflow as tf

    values = np.random.default_rng(9).normal(size=(len(rows), 3)).astype("float32")
    full = np.zeros((6, 3), "float32")
    np.add.at(full, list(rows), values)
    return tf.IndexedSlices(tf.constant(values), tf.constant(rows), tf.constant([6, 3])), full


@only_tensorflow
@pytest.mark.parametrize("compiled", [None, False, True])
@pytest.mark.parametrize("by", ["global", "variable", "value"])
def test_a_sparse_gradient_is_clipped_by_the_norm_of_its_summed_rows(by, compiled):
    import tensorflow as tf

    gradient, full = sparse()
    unsummed = np.linalg.norm(gradient.values.numpy())
    assert not np.isclose(np.linalg.norm(full), unsummed)
    optimizer = ClippedOptimizer(sgd(), 0.25, by=by)
    variables = [
        keras.Variable(np.ones((6, 3)), dtype="float32", name="embeddings"),
        keras.Variable([1.0], name="bias"),
    ]
    optimizer.build(variables)

    def step(values, indices):
        slices = tf.IndexedSlices(values, indices, tf.constant([6, 3]))
        optimizer.apply([slices, tf.constant([2.0])], variables)

    if compiled is not None:
        step = tf.function(step, jit_compile=compiled)
    step(gradient.values, gradient.indices)
    norm = np.sqrt(np.sum(full**2) + 4)
    expected = {
        "global": [full * 0.25 / norm, [2 * 0.25 / norm]],
        "variable": [full * 0.25 / np.linalg.norm(full), [0.25]],
        "value": [np.clip(full, -0.25, 0.25), [0.25]],
    }[by]
    np.testing.assert_allclose(float(optimizer.gradient_norm), norm, rtol=1e-5)
    assert_close([1 - v.numpy() for v in variables], expected)


@only_tensorflow
@pytest.mark.parametrize("by", ["global", "value"])
def test_a_sparse_gradient_reaches_the_inner_optimizer_sparse(by):
    import tensorflow as tf

    gradient, full = sparse()
    inner = Recorder(1.0)
    ClippedOptimizer(inner, 0.25, by=by).apply([gradient], [keras.Variable(np.ones((6, 3)), dtype="float32")])
    (received,) = inner.received
    assert isinstance(received, tf.IndexedSlices)
    np.testing.assert_array_equal(received.indices, gradient.indices)
    assert received.values.shape == gradient.values.shape
    if by == "global":
        np.testing.assert_allclose(tf.convert_to_tensor(received), full * 0.25 / np.linalg.norm(full), rtol=1e-5)


@only_tensorflow
@pytest.mark.parametrize("wrap", [lambda inner: inner, keras.optimizers.LossScaleOptimizer])
def test_a_sparse_gradient_with_a_bad_number_is_skipped(wrap):
    import tensorflow as tf

    gradient, _ = sparse()
    bad = tf.IndexedSlices(gradient.values * [[1.0], [1.0], [np.nan], [1.0], [1.0]], gradient.indices, [6, 3])
    variable = keras.Variable(np.ones((6, 3)), dtype="float32")
    optimizer = ClippedOptimizer(wrap(sgd()), 0.25)
    optimizer.apply([bad], [variable])
    np.testing.assert_array_equal(variable.numpy(), np.ones((6, 3)))
    assert counts(optimizer) == (0, 0, 1)


@only_tensorflow
def test_accumulated_sparse_gradients_are_clipped_as_their_sum():
    gradient, full = sparse()
    variable = keras.Variable(np.ones((6, 3)), dtype="float32")
    optimizer = ClippedOptimizer(sgd(gradient_accumulation_steps=2), 0.25)
    for _ in range(2):
        optimizer.apply([gradient], [variable])
    np.testing.assert_allclose(1 - variable.numpy(), full * 0.25 / np.linalg.norm(full), rtol=1e-4, atol=1e-6)


# How each backend calls an optimizer.


@only_tensorflow
@pytest.mark.parametrize("accumulate", [None, 2])
@pytest.mark.parametrize("compiled", [False, True])
def test_a_function_can_build_and_call_the_optimizer(compiled, accumulate):
    import tensorflow as tf

    eager, traced = (
        ClippedOptimizer(keras.optimizers.Adam(0.1, gradient_accumulation_steps=accumulate), 0.5) for _ in range(2)
    )
    ours, theirs = new_variables(), new_variables()
    traced.build(theirs) if compiled else None

    @tf.function(jit_compile=compiled)
    def step(grads):
        traced.apply_gradients(zip(grads, theirs))

    steps = some_grads(10, steps=4)
    for grads in [steps[0], with_a_bad_number(steps[1], np.nan), *steps[2:]]:
        apply(eager, grads, ours)
        step([tf.constant(g, "float32") for g in grads])
    assert_close(state(traced, theirs), state(eager, ours))
    assert int(traced.skipped_steps) == 1


@only_jax
@pytest.mark.parametrize("wrap", [lambda inner: inner, keras.optimizers.LossScaleOptimizer])
@pytest.mark.parametrize("accumulate", [None, 2])
def test_the_stateless_step_compiles_and_equals_the_eager_one(accumulate, wrap):
    import jax

    eager, traced = (
        ClippedOptimizer(wrap(keras.optimizers.Adam(0.1, gradient_accumulation_steps=accumulate)), 0.5)
        for _ in range(2)
    )
    variables = new_variables()
    traced.build(variables)
    weights, own = [v.value for v in variables], [v.value for v in traced.variables]
    step = jax.jit(traced.stateless_apply)
    steps = some_grads(11, steps=4)
    for grads in [steps[0], with_a_bad_number(steps[1], np.inf), *steps[2:]]:
        apply(eager, grads, variables)
        weights, own = step(own, [jax.numpy.asarray(g, "float32") for g in grads], weights)
    assert_close([np.asarray(value) for value in [*weights, *own]], state(eager, variables))
    assert int(eager.skipped_steps) == 1


# Mistakes.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_norm": 0.0}, "finite number above 0"),
        ({"max_norm": -1}, "finite number above 0"),
        ({"max_norm": float("nan")}, "finite number above 0"),
        ({"max_norm": float("inf")}, "finite number above 0"),
        ({"max_norm": "1"}, "finite number above 0"),
        ({"max_norm": True}, "finite number above 0"),
        ({"max_norm": {"kernel": 0}}, "finite number above 0"),
        ({"max_norm": {}}, "a dict without patterns"),
        ({"max_norm": {"(": 1.0}}, "regular expressions"),
        ({"by": "norm"}, '"global", "variable" or "value"'),
        ({"percentile": 0}, "at most 100"),
        ({"percentile": 101}, "at most 100"),
        ({"percentile": 50, "window": 1}, "at least 2"),
        ({"percentile": 50, "by": "variable"}, "follows the global norm"),
        ({"percentile": 50, "max_norm": {"kernel": 1.0}}, "follows the global norm"),
    ],
)
def test_impossible_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ClippedOptimizer("sgd", **options)


@pytest.mark.parametrize("name", ["clipnorm", "clipvalue", "global_clipnorm"])
def test_an_inner_optimizer_that_clips_too_is_refused(name):
    with pytest.raises(ValueError, match=f"Choose one.*{name}"):
        ClippedOptimizer(keras.optimizers.LossScaleOptimizer(sgd(**{name: 1.0})))


@has_multi_optimizer
@pytest.mark.parametrize("option", [{"clipnorm": 1.0}, {"gradient_accumulation_steps": 2}])
def test_the_parts_of_a_multi_optimizer_are_checked_once_they_are_known(option):
    part = sgd(**option)
    optimizer = ClippedOptimizer(keras.optimizers.MultiOptimizer(lambda variable: part))
    with pytest.raises(ValueError, match="clipnorm|cannot accumulate"):
        optimizer.build(new_variables())


@pytest.mark.parametrize(
    ("max_norm", "message"),
    [
        ({"kernel": 1.0, "peephole": 1.0}, "'peephole'.*matches no variable"),
        ({"": 1.0, "bias": 2.0}, "'bias'.*earlier"),
    ],
)
def test_a_pattern_that_limits_nothing_is_refused(max_norm, message):
    with pytest.raises(ValueError, match=message):
        ClippedOptimizer("sgd", max_norm).build(new_variables())


def test_gradients_and_variables_have_to_match():
    optimizer = ClippedOptimizer(sgd())
    gradients = [ops.convert_to_tensor(g, "float32") for g in GRADS]
    with pytest.raises(ValueError, match="does not know any yet"):
        optimizer.apply(gradients)
    with pytest.raises(ValueError, match="2 gradients for 3 variables"):
        optimizer.apply(gradients[:2], new_variables())
    optimizer.build(new_variables())
    with pytest.raises(ValueError, match="Unknown variable"):
        optimizer.apply(gradients, new_variables())


# The update of a large model as one region.


@only_tensorflow
@pytest.mark.parametrize(
    "inner",
    [
        lambda: keras.optimizers.SGD(0.1),
        lambda: keras.optimizers.SGD(0.1, momentum=0.9),
        lambda: keras.optimizers.AdamW(0.1, use_ema=True),
        lambda: keras.optimizers.Nadam(0.1, gradient_accumulation_steps=2),
    ],
)
def test_the_update_of_a_large_model_is_the_same_in_one_region(monkeypatch, inner):
    import tensorflow as tf

    regions = []
    region = recurrence.backend.region
    monkeypatch.setattr(recurrence.backend, "region", lambda f: regions.append(f) or region(f))

    def after_three_steps(large):
        monkeypatch.setattr(compiled_update, "LARGE", large)
        table, kernel = (keras.Variable(np.full(shape, 0.5, "float32"), name="v") for shape in ((6, 3), (2, 2)))
        optimizer = ClippedOptimizer(inner(), max_norm=0.5)
        optimizer.build([table, kernel])
        slices, _ = sparse()

        @tf.function
        def step(values):
            optimizer.apply(
                [tf.IndexedSlices(values, slices.indices, slices.dense_shape), values[:2, :2]], [table, kernel]
            )

        for factor in (1.0, float("nan"), -0.1, 0.3, 0.2):
            step(slices.values * factor)
        return state(optimizer, [table, kernel])

    alone = after_three_steps(10**9)
    assert not regions
    together = after_three_steps(0)
    assert len(regions) == 1
    assert_close(together, alone)
