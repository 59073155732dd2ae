"""What holds for every recurrence and every option."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_rnnlm import recurrence
from tests import reference
from tests.cases import BATCH, CASES, EACH, FEATURES, FEW, FEWER, MASK, TIME, build, data
from tests.support import BACKEND, largest_relative_difference, loss_of, numpy, value_and_gradients

every_case = pytest.mark.parametrize("case", CASES, ids=str)
a_few_cases = pytest.mark.parametrize("case", FEW, ids=str)
each_cell = pytest.mark.parametrize("case", EACH, ids=str)
HOW = [{}, {"mask": MASK}, {"mask": MASK, "zero_output_for_mask": True, "reverse": True}]
RETURN_ALL = dict(return_sequences=True, return_state=True)


def arguments(layer, weights, dtype):
    x, states = data(layer)
    return [array.astype(dtype) for array in (x, *states, *weights.values())]


# Every program that is compiled costs a second: what does not depend on the equations is asked of a few cases.
@pytest.mark.parametrize("case, how", [
    (case, how) for case in CASES for how in (HOW if case in FEW and not FEWER else HOW[::2])
], ids=lambda value: "-".join(value) or "plain" if isinstance(value, dict) else str(value))  # fmt: skip
def test_outputs_and_states_equal_the_reference(case, how):
    zeros, reverse, mask = how.get("zero_output_for_mask", False), how.get("reverse", False), how.get("mask")
    layer, weights = build(case, **RETURN_ALL, zero_output_for_mask=zeros, go_backwards=reverse)
    x, states = data(layer)
    wanted = case.equations(x, weights, states, **how)
    x, states = x.astype("float32"), [state.astype("float32") for state in states]
    output, *final = layer(x, initial_state=states, mask=mask)
    np.testing.assert_allclose(numpy(output), wanted["output"], atol=1e-5)
    for got, want in zip(final, wanted["states"], strict=True):
        np.testing.assert_allclose(numpy(got), want, atol=1e-5)
    if case in FEW:
        layer.return_sequences = layer.return_state = False
        last = layer(x, initial_state=states, mask=mask)
        np.testing.assert_allclose(numpy(last), wanted["output"][:, -1], atol=1e-5)


@every_case
def test_the_gradient_equals_finite_differences_of_the_reference(case):
    # Keras's own matrix product is in float32 everywhere but on TensorFlow.
    dtype, bound = ("float64", 1e-6) if BACKEND == "tensorflow" else ("float32", 1e-4)
    layer, weights = build(case, dtype=dtype, **RETURN_ALL)
    arrays = arguments(layer, weights, dtype)
    mask = MASK
    loss = loss_of(layer, mask)
    value, gradients = value_and_gradients(loss, arrays)
    rng = np.random.default_rng(2)
    states = layer.cell.number_of_states
    upstream = [rng.normal(size=(BATCH, TIME, layer.output_width))]
    upstream += [rng.normal(size=(BATCH, width)) for width in layer.state_widths]

    def of_reference(arrays):
        named = dict(zip(weights, arrays[1 + states :]))
        result = case.equations(arrays[0], named, arrays[1 : 1 + states], mask=mask)
        return sum(np.sum(a * b) for a, b in zip([result["output"], *result["states"]], upstream))

    arrays = arguments(layer, weights, "float64")
    assert value == pytest.approx(of_reference(arrays), rel=bound, abs=bound)
    wanted = reference.finite_differences(of_reference, arrays)
    assert largest_relative_difference(gradients, wanted) < bound


DROP = dict(return_sequences=True, recurrent_dropout=0.4, dropout=0.3, seed=5)
HOLD = dict(return_sequences=True, return_state=True, zoneout=0.4, seed=5)
HOW_IN_TRAINING = [dict(return_state=True, go_backwards=True), dict(DROP, zero_output_for_mask=True), DROP, HOLD]


@pytest.mark.parametrize("case, how", [
    *[(case, DROP | HOLD) for case in FEW[:: 2 if FEWER else 1]],
    *[(case, how) for case in FEW[: 0 if FEWER else 2] for how in HOW_IN_TRAINING],
], ids=lambda value: "-".join(value) if isinstance(value, dict) else str(value))  # fmt: skip
def test_the_gradient_equals_plain_autodiff(case, how):
    layer, weights = build(case, **how)
    arrays = arguments(layer, weights, "float32")
    loss = loss_of(layer, MASK, training=True)
    value, gradients = value_and_gradients(loss, arrays)
    token = recurrence.plain_autodiff.set(True)
    try:
        wanted_value, wanted = value_and_gradients(loss, arrays)
    finally:
        recurrence.plain_autodiff.reset(token)
    assert value == pytest.approx(wanted_value, rel=1e-4, abs=1e-5)
    assert largest_relative_difference(gradients, wanted) < 1e-4


@pytest.mark.parametrize("case, jit", [(case, False) for case in FEW[:3]] + [(FEW[0], True)] * (not FEWER), ids=str)
def test_what_is_not_kept_but_computed_again_gives_the_same_gradient(case, jit):
    how = dict(return_sequences=True, return_state=True, zoneout=0.4, dropout=0.3)
    found = []
    for remat in (True, False):
        keras.utils.set_random_seed(5)
        layer, weights = build(case, remat=remat, **how)
        arrays = arguments(layer, weights, "float32")
        found.append(value_and_gradients(loss_of(layer, MASK, training=True), arrays, jit))
    (value, gradients), (wanted_value, wanted) = found
    assert value == pytest.approx(wanted_value, rel=1e-5)
    assert largest_relative_difference(gradients, wanted) < 1e-5


@each_cell
def test_two_halves_with_carried_states_equal_one_whole(case):
    layer, _ = build(case, **RETURN_ALL)
    x, states = data(layer)
    x = x.astype("float32")
    whole, *final = layer(x)
    first, *carried = layer(x[:, : TIME // 2])
    second, *ended = layer(x[:, TIME // 2 :], initial_state=carried)
    np.testing.assert_allclose(np.concatenate([numpy(first), numpy(second)], axis=1), numpy(whole), atol=1e-6)
    for got, want in zip(ended, final, strict=True):
        np.testing.assert_allclose(numpy(got), numpy(want), atol=1e-6)


@each_cell
def test_a_mask_holds_the_state(case):
    layer, _ = build(case, **RETURN_ALL)
    x, states = data(layer)
    states = [s.astype("float32") for s in states]
    nothing = np.zeros((BATCH, TIME), "bool")
    output, *final = layer(x.astype("float32"), initial_state=states, mask=nothing)
    assert not np.any(numpy(output))
    for got, want in zip(final, states, strict=True):
        np.testing.assert_array_equal(numpy(got), want)


@pytest.mark.parametrize("case", FEW if FEWER else CASES, ids=str)  # a format, not a backend's
def test_saving_and_loading_is_the_identity(case, tmp_path):
    layer, _ = build(case, return_sequences=True)
    model = keras.Sequential([keras.Input((None, FEATURES)), layer, keras.layers.Dense(2)])
    x = data(layer)[0].astype("float32")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(numpy(loaded(x)), numpy(model(x)))
    assert loaded.layers[0].get_config() == layer.get_config()


@pytest.mark.parametrize("case", EACH[:: 2 if FEWER else 1], ids=str)
def test_eager_graph_and_jit_agree(case):
    layer, weights = build(case, **RETURN_ALL)
    arrays = arguments(layer, weights, "float32")
    loss = loss_of(layer, MASK)
    eager = float(numpy(loss([ops.convert_to_tensor(array) for array in arrays])))
    value, gradients = value_and_gradients(loss, arrays)
    assert value == pytest.approx(eager, rel=1e-5, abs=1e-5)
    value, compiled = value_and_gradients(loss, arrays, jit=True)
    assert value == pytest.approx(eager, rel=1e-5, abs=1e-5)
    assert largest_relative_difference(compiled, gradients) < 1e-5


@pytest.mark.parametrize("case", [case for case in EACH if not FEWER or case.halves], ids=str)
def test_half_precision_stays_close(case):
    full, weights = build(case, **RETURN_ALL)
    arrays = arguments(full, weights, "float32")
    _, wanted = value_and_gradients(loss_of(full), arrays)
    for policy, bound in (("mixed_bfloat16", 4e-2), ("mixed_float16", 5e-3))[: 2 if case.halves else 1]:
        half, _ = build(case, dtype=policy, **RETURN_ALL)
        _, got = value_and_gradients(loss_of(half), arrays)
        assert largest_relative_difference(got, wanted) < bound, policy
        output, *states = half(arrays[0])
        assert keras.backend.standardize_dtype(output.dtype) == policy.removeprefix("mixed_")
        assert {keras.backend.standardize_dtype(state.dtype) for state in states} == {"float32"}


@every_case
def test_the_cell_alone_equals_the_layer(case):
    layer, weights = build(case, return_sequences=True)
    x = data(layer)[0].astype("float32")
    cell = type(layer.cell).from_config(layer.cell.get_config())
    loop = keras.layers.RNN(cell, return_sequences=True)
    loop.build(x.shape)
    cell.set_weights(list(weights.values()))
    np.testing.assert_allclose(numpy(loop(x)), numpy(layer(x)), atol=1e-5)


@every_case
def test_the_trace_equals_the_reference(case):
    layer, weights = build(case, return_sequences=True, return_trace=True)
    x, states = data(layer)
    output, trace = layer(x.astype("float32"), initial_state=[s.astype("float32") for s in states])
    wanted = case.equations(x, weights, states)
    np.testing.assert_allclose(numpy(output), wanted["output"], atol=1e-5)
    assert sorted(trace) == sorted(layer.cell.traced()) == sorted(wanted["trace"])
    for name, want in wanted["trace"].items():
        np.testing.assert_allclose(numpy(trace[name]), want, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("case", FEW[::3], ids=str)
def test_unrolling_changes_nothing(case):
    layer, weights = build(case, **RETURN_ALL)
    unrolled, _ = build(case, unroll=True, **RETURN_ALL)
    arrays = arguments(layer, weights, "float32")
    value, gradients = value_and_gradients(loss_of(layer), arrays)
    other, same = value_and_gradients(loss_of(unrolled), arrays)
    assert other == pytest.approx(value, rel=1e-5, abs=1e-5)
    assert largest_relative_difference(same, gradients) < 1e-5


@pytest.mark.skipif(BACKEND != "tensorflow", reason="only TensorFlow builds graphs of unknown shapes")
@pytest.mark.parametrize("case", FEW[:: 3 if FEWER else 1], ids=str)
def test_shapes_may_be_unknown(case):
    import tensorflow as tf

    layer, weights = build(case, **RETURN_ALL)
    unknown = tf.function(
        lambda x, mask: layer(x, mask=mask),
        input_signature=[tf.TensorSpec((None, None, FEATURES)), tf.TensorSpec((None, None), "bool")],
        autograph=False,
    )
    for time in (1, TIME, 19):
        x = data(layer, time=time)[0].astype("float32")
        mask = np.random.default_rng(0).random((BATCH, time)) < 0.7
        for got, want in zip(unknown(x, mask), layer(x, mask=mask), strict=True):
            np.testing.assert_allclose(numpy(got), numpy(want), atol=1e-6)
