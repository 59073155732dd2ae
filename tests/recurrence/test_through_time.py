"""The engine by itself: any step written by the `dot` contract."""

import functools

import numpy as np
import pytest
from keras import ops

from keras_rnnlm import recurrence
from keras_rnnlm.layers import LSTM
from tests.cases import CASES, FEW, MASK, build, data, named
from tests.support import BACKEND, largest_relative_difference, loss_of, numpy, value_and_gradients

TIME, BATCH, UNITS = 5, 3, 4
DTYPE = "float64" if BACKEND == "tensorflow" else "float32"  # which the matrix products of the others are in


def every_trick(dot, x, states, p):
    """Products of a state, of a state that is new, of a product's function, one kernel twice, a weight of the step."""
    h, c = states
    a = ops.tanh(dot(h, "U", x) + p["b"] * c)
    c = 0.5 * c + ops.sigmoid(dot(a * c, "V")) * a
    h = ops.tanh(dot(c, "V", a) + dot(h, "U") * p["d"])
    return h, c


def never_uses_its_state(dot, x, states, p):
    return (ops.tanh(dot(x, "U", x * p["b"])), states[1] * 0 + p["d"])


def layer_normalised(dot, x, states, p):
    """Not elementwise by unit."""
    h, c = states
    a = dot(h, "U", x)
    a = (a - ops.mean(a, axis=-1, keepdims=True)) / ops.sqrt(ops.var(a, axis=-1, keepdims=True) + 1e-3)
    return ops.tanh(a * p["b"] + p["d"] + dot(c, "V")), a


STEPS = [every_trick, never_uses_its_state, layer_normalised]


def arrays_of(seed=0):
    rng = np.random.default_rng(seed)
    shapes = [(TIME, BATCH, UNITS)] + [(BATCH, UNITS)] * 2 + [(UNITS, UNITS)] * 2 + [(UNITS,)] * 2
    return [rng.normal(size=shape).astype(DTYPE) * 0.7 for shape in shapes]


def loss(step, mask=None, emit=(0, 1), **how):
    rng = np.random.default_rng(1)
    up = [rng.normal(size=(TIME, BATCH, UNITS)) for _ in emit] + [rng.normal(size=(BATCH, UNITS)) for _ in range(2)]

    def of(tensors):
        x, h, c, u, v, b, d = tensors
        sequences, final, _ = recurrence.run(
            step, x, [h, c], {"U": u, "V": v}, {"b": b, "d": d}, mask=mask, emit=emit, **how
        )
        weights = [ops.convert_to_tensor(w.astype(DTYPE)) for w in up]
        return sum(ops.sum(value * w) for value, w in zip([*sequences, *final], weights, strict=True))

    return of


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
@pytest.mark.parametrize("emit", [(0, 1), (1,), ()], ids=str)
def test_the_gradient_of_any_step_equals_plain_autodiff(step, emit):
    random = ops.convert_to_tensor(np.random.default_rng(2).random((TIME, BATCH, 1)) < 0.6)
    for mask in (None, random):
        value, got = value_and_gradients(loss(step, mask, emit), arrays_of())
        wanted_value, wanted = value_and_gradients(loss(step, mask, emit, plain=True), arrays_of())
        assert value == pytest.approx(wanted_value, rel=1e-5)
        assert largest_relative_difference(got, wanted) < 1e-5


def test_the_gradient_stops_at_no_step_of_the_window():
    """The first input moves the last state, through every step."""
    _, gradients = value_and_gradients(loss(every_trick, emit=()), arrays_of())
    assert np.all(np.abs(gradients[0][0]) > 0)


def test_emitting_nothing_still_gives_the_final_states():
    arrays = [ops.convert_to_tensor(array) for array in arrays_of()]
    x, h, c, u, v, b, d = arrays
    given = (every_trick, x, [h, c], {"U": u, "V": v}, {"b": b, "d": d})
    (sequence,), final, notes = recurrence.run(*given)
    nothing, same, _ = recurrence.run(*given, emit=())
    assert nothing == [] and notes == {}
    np.testing.assert_array_equal(numpy(same[0]), numpy(final[0]))
    np.testing.assert_allclose(numpy(sequence[-1]), numpy(final[0]), atol=1e-6)


def attends(dot, x, states, p):
    """Reads what is of two ranks and noise, and notes what is no state: of rank 1, and of another width."""
    h, c = states
    weights = ops.softmax(ops.einsum("bw,blw->bl", dot(h, "U", x), p["memory"]), axis=-1)
    read = ops.einsum("bl,blw->bw", weights, p["memory"]) * p["gain"]
    h = ops.tanh(read + dot(c + p["noise"], "V", p["b"]))
    dot.note(weights=weights, energy=ops.sum(h * h, axis=-1), never=h)
    return h, c * p["d"] + ops.mean(p["noise"])


EMITTED = [(0, "weights", "energy"), ("energy",), ("weights", 1)]


def loss_of_attention(emit, seed=1, **how):
    rng = np.random.default_rng(seed)
    shape = {"weights": (TIME, BATCH, 7), "energy": (TIME, BATCH)}
    up = [rng.normal(size=shape.get(name, (TIME, BATCH, UNITS))) for name in emit]
    up += [rng.normal(size=(BATCH, UNITS)) for _ in range(2)]
    noise = ops.convert_to_tensor(rng.normal(size=(TIME, BATCH, UNITS)).astype(DTYPE))

    def of(tensors):
        x, h, c, u, v, b, d, memory, gain = tensors
        reads = {"memory": memory, "gain": gain}
        sequences, final, _ = recurrence.run(
            attends,
            x,
            [h, c],
            {"U": u, "V": v},
            {"b": b, "d": d},
            emit=emit,
            reads=reads,
            noise={"noise": noise},
            **how,
        )
        weights = [ops.convert_to_tensor(w.astype(DTYPE)) for w in up]
        return sum(ops.sum(value * w) for value, w in zip([*sequences, *final], weights, strict=True))

    return of


def arrays_of_attention():
    rng = np.random.default_rng(3)
    read = [rng.normal(size=shape).astype(DTYPE) for shape in ((BATCH, 7, UNITS), (BATCH, UNITS))]
    return [*arrays_of(), *read]


@pytest.mark.parametrize("emit", EMITTED, ids=str)
@pytest.mark.parametrize("how", [{}, {"remat": True}, {"unroll": True}], ids=str)
def test_what_is_read_and_emitted_has_the_gradient_of_plain_autodiff(emit, how):
    mask = ops.convert_to_tensor(np.random.default_rng(2).random((TIME, BATCH, 1)) < 0.6)
    value, got = value_and_gradients(loss_of_attention(emit, mask=mask, **how), arrays_of_attention())
    wanted_value, wanted = value_and_gradients(loss_of_attention(emit, mask=mask, plain=True), arrays_of_attention())
    assert value == pytest.approx(wanted_value, rel=1e-5)
    assert largest_relative_difference(got, wanted) < 1e-5
    assert min(np.abs(gradient).max() for gradient in got) > 0


WRITTEN = {
    f"{step.__name__}, {emit}": (functools.partial(loss, step, emit=emit), arrays_of)
    for step in STEPS
    for emit in ((0, 1), (1,))
}
WRITTEN |= {str(emit): (functools.partial(loss_of_attention, emit), arrays_of_attention) for emit in EMITTED}
WRITTEN["remat"] = functools.partial(loss, every_trick, emit=(), remat=True), arrays_of


@pytest.mark.skipif(BACKEND != "jax", reason="which alone writes so")
@pytest.mark.parametrize("case", WRITTEN)
def test_what_is_written_together_is_what_is_written_apart(case, monkeypatch):
    """As on GPUs, where each array that a step writes is a kernel."""
    loss_of_step, arrays = WRITTEN[case]
    mask = ops.convert_to_tensor(np.random.default_rng(2).random((TIME, BATCH, 1)) < 0.6)
    value, apart = value_and_gradients(loss_of_step(mask=mask), arrays())
    asked = []
    monkeypatch.setattr(recurrence.backend, "writes_together", lambda: asked.append(1) or True)
    same, together = value_and_gradients(loss_of_step(mask=mask), arrays())
    assert asked and same == pytest.approx(value, rel=1e-6)
    assert largest_relative_difference(together, apart) < 1e-6


def test_what_no_step_notes_cannot_be_emitted():
    with pytest.raises(ValueError, match="The step notes no 'wights'.*energy.*weights"):
        value_and_gradients(loss_of_attention(("wights",)), arrays_of_attention())


PROJECTED = [*FEW, *(case for case in CASES if "norm" in case.name and case not in FEW)]
PROJECTED = [case for case in PROJECTED if case.layer(UNITS, **case.options).cell.only_adds_x]


@pytest.mark.parametrize("case", PROJECTED, ids=str)
def test_projecting_in_the_loop_changes_nothing(case, monkeypatch):
    results = []
    for answer in (False, True):
        asked = []
        monkeypatch.setattr(recurrence.backend, "projects_in_the_loop", lambda *a, x=answer: asked.append(1) or x)
        layer, weights = build(case, return_sequences=True, return_state=True)
        arrays = [array.astype("float32") for array in (data(layer)[0], *data(layer)[1], *weights.values())]
        value, gradients = value_and_gradients(loss_of(layer, MASK), arrays)
        results.append([np.array(value), *gradients])
        assert asked
    assert largest_relative_difference(*results) < 1e-5


def test_what_drops_states_is_not_projected_in_the_loop(monkeypatch):
    monkeypatch.setattr(recurrence.backend, "projects_in_the_loop", lambda *a: True)
    layer, weights = build(named("lstm")[0], return_sequences=True, return_state=True, recurrent_dropout=0.3)
    arrays = [array.astype("float32") for array in (data(layer)[0], *data(layer)[1], *weights.values())]
    value, gradients = value_and_gradients(loss_of(layer, MASK, training=True), arrays)
    assert np.isfinite(value) and all(np.isfinite(gradient).all() for gradient in gradients)


def test_a_step_that_does_more_with_x_may_not_be_projected_in_the_loop():
    def greedy(dot, x, states, p):
        return ops.tanh(dot(states[0], "U", x) * x), states[1]

    projection = {"kernel": ops.convert_to_tensor(np.eye(UNITS, dtype="float32"))}
    with pytest.raises(ValueError, match="only add it to a product"):
        value_and_gradients(loss(greedy, projection=projection), arrays_of())


@pytest.mark.skipif(BACKEND != "tensorflow", reason="the other backends compile for each length")
@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
def test_what_lies_beyond_the_length_takes_no_part(step):
    arrays = arrays_of()
    whole, short = 1.0 * arrays[0], arrays[0][:3]
    given = [ops.convert_to_tensor(array) for array in arrays[1:]]

    def run(x, **how):
        h, c, u, v, b, d = given
        return recurrence.run(step, x, [h, c], {"U": u, "V": v}, {"b": b, "d": d}, **how)

    compiled = recurrence.backend.compiled(lambda x, length: run(x, length=length))
    sequences, final, _ = compiled(ops.convert_to_tensor(whole), ops.convert_to_tensor(3))
    wanted, wanted_final, _ = run(ops.convert_to_tensor(short))
    np.testing.assert_allclose(numpy(sequences[0])[:3], numpy(wanted[0]), atol=1e-6)
    assert not numpy(sequences[0])[3:].any()
    for got, want in zip(final, wanted_final):
        np.testing.assert_allclose(numpy(got), numpy(want), atol=1e-6)
    # The gradient, too, is that of the short sequence, and zero beyond it.
    _, got = value_and_gradients(loss(step, length=3, emit=()), [whole, *arrays[1:]], jit=True)
    _, wanted = value_and_gradients(loss(step, emit=()), [short, *arrays[1:]])
    assert not got[0][3:].any()
    assert largest_relative_difference([got[0][:3], *got[1:]], wanted) < 1e-5


@pytest.mark.skipif(BACKEND != "tensorflow", reason="the other backends say whether a gradient is taken")
@pytest.mark.parametrize("remat", [False, True])
def test_a_graph_without_a_tape_keeps_nothing_and_still_has_a_gradient(remat):
    import tensorflow as tf

    layer = LSTM(UNITS, peephole=True, remat=remat)
    x = tf.constant(arrays_of()[0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        wanted = tape.gradient(tf.reduce_sum(layer(x) ** 2), x)
    function = tf.function(lambda x: tf.reduce_sum(layer(x) ** 2))
    assert "keeping" not in str(function.get_concrete_function(x).graph.as_graph_def())
    with tf.GradientTape() as tape:
        tape.watch(x)
        got = tape.gradient(function(x), x)
    np.testing.assert_allclose(numpy(got), numpy(wanted), rtol=1e-5, atol=1e-6)
    symbolic = tf.function(lambda x: tf.gradients(function(x), x)[0])
    np.testing.assert_allclose(numpy(symbolic(x)), numpy(wanted), rtol=1e-5, atol=1e-6)
