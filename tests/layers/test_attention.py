"""Attention beside its equations: what a step sees, what the memory carries, what masks hide."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_rnnlm.diagnostics import gradient_flow
from keras_rnnlm.layers import CausalAttention, EncoderAttention, RecurrentStack, SimpleRNN
from keras_rnnlm.models import LanguageModel
from tests import reference
from tests.cases import BATCH, FEATURES, MASK, TIME, UNITS
from tests.support import largest_relative_difference, numpy, value_and_gradients

MEMORY, WIDTH = 2, 2 * UNITS + 1


def build(kind=CausalAttention, shapes=((None, None, FEATURES),), **options):
    """A layer with random weights, not one of them like another."""
    more = {"memory": MEMORY, "return_state": True} if kind is CausalAttention else {}
    layer = kind(UNITS, **{**more, **options})
    layer.build(*shapes)
    rng = np.random.default_rng(0)
    for weight in layer.trainable_variables:
        weight.assign(rng.normal(size=weight.shape))
    return layer


def data(seed=1):
    """Inputs, and memories of which a row holds two steps, the others one or none."""
    rng = np.random.default_rng(seed)
    memory = rng.normal(size=(BATCH, MEMORY, WIDTH))
    memory[..., -1] = [[1, 1], [0, 1], [0, 0], [1, 1], [0, 1], [1, 1]]
    x = rng.normal(size=(BATCH, TIME, FEATURES))
    return x.astype("float32"), memory.reshape(BATCH, -1).astype("float32")


def weights_of(layer):
    return {weight.path.split("/", 1)[1]: numpy(weight).astype("float64") for weight in layer.trainable_variables}


def softmax(z):
    z = np.exp(z - np.max(z))
    return z / z.sum()


def causal(x, w, memory, heads=1, mask=None):
    """Row by row, step by step: the outputs and the new memory."""
    x, mask = np.asarray(x, "float64"), np.ones(x.shape[:2], bool) if mask is None else mask
    rows = np.array(memory, "float64").reshape(len(x), MEMORY, WIDTH)
    output = np.zeros((*x.shape[:2], UNITS))
    for b, t in np.ndindex(*x.shape[:2]):
        if not mask[b, t]:
            output[b, t] = output[b, t - 1] if t else 0
            continue
        q, k, v = np.split(x[b, t] @ w["project/kernel"], 3)
        seen = np.array([row for row in [*rows[b], [*k, *v, 1]] if row[-1]])
        rows[b] = [*rows[b, 1:], [*k, *v, 1]]
        c = []
        for part in np.split(np.arange(UNITS), heads):
            a = softmax(seen[:, part] @ q[part] / np.sqrt(len(part)))
            c.extend(a @ seen[:, UNITS + part])
        output[b, t] = np.tanh(np.concatenate([c, x[b, t]]) @ w["combine/kernel"] + w["combine/bias"])
    return output, rows.reshape(len(x), -1)


@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "masked"])
@pytest.mark.parametrize("heads", [1, 2])
def test_outputs_and_memory_are_those_of_the_equations(heads, mask):
    layer, (x, memory) = build(heads=heads), data()
    output, after = layer(x, initial_state=[memory], mask=mask)
    wanted, wanted_after = causal(x, weights_of(layer), memory, heads, mask)
    np.testing.assert_allclose(numpy(output), wanted, atol=1e-5)
    np.testing.assert_allclose(numpy(after), wanted_after, atol=1e-5)


def test_a_step_sees_itself_and_the_memory_and_no_more():
    layer, (x, _) = build(return_state=False), data()
    plain = numpy(layer(x))
    for t in range(TIME):
        changed = np.array(x)
        changed[:, t] += 1
        differ = np.abs(numpy(layer(changed)) - plain).max(axis=(0, 2)) > 1e-6
        assert np.flatnonzero(differ).tolist() == list(range(t, min(t + MEMORY + 1, TIME)))


@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "masked"])
def test_windows_are_one_text_cut_into_pieces(mask):
    layer, (x, memory) = build(), data()
    wanted, final = layer(x, initial_state=[memory], mask=mask)
    states, outputs = [memory], []
    for columns in ([0], [1, 2], [3, 4]):
        part = None if mask is None else mask[:, columns]
        output, *states = layer(x[:, columns], initial_state=states, mask=part)
        outputs.append(numpy(output))
    where = slice(None) if mask is None else mask  # a window knows no output of the window before it
    np.testing.assert_allclose(np.concatenate(outputs, axis=1)[where], numpy(wanted)[where], atol=1e-6)
    np.testing.assert_allclose(numpy(states[0]), numpy(final), atol=1e-6)


def test_steps_are_the_window():
    layer, (x, memory) = build(heads=2), data()
    wanted, final = layer(x, initial_state=[memory])
    states = [memory]
    for t in range(TIME):
        output, states = layer.step(ops.convert_to_tensor(x[:, t]), states)
        np.testing.assert_allclose(numpy(output), numpy(wanted)[:, t], atol=1e-6)
    np.testing.assert_allclose(numpy(states[0]), numpy(final), atol=1e-6)


def test_an_empty_memory_is_zeros_and_padding_leaves_it_so():
    layer, (x, memory) = build(), data()
    assert layer.state_names == ("memory",) and layer.state_widths == [MEMORY * WIDTH] and layer.output_width == UNITS
    (zeros,) = layer.get_initial_state(BATCH)
    np.testing.assert_array_equal(numpy(layer(x)[0]), numpy(layer(x, initial_state=[zeros])[0]))
    for given in (numpy(zeros), memory):
        output, after = layer(x, initial_state=[given], mask=np.zeros((BATCH, TIME), "bool"))
        np.testing.assert_array_equal(numpy(after), given)
        assert not numpy(output).any()


def test_the_gradient_equals_finite_differences_of_the_equations():
    layer, (x, memory) = build(heads=2), data()
    weights, rng = weights_of(layer), np.random.default_rng(2)
    upstream = [rng.normal(size=(BATCH, TIME, UNITS)), rng.normal(size=memory.shape)]

    def loss(tensors):
        x, memory, *values = tensors
        fixed = [variable.value for variable in layer.non_trainable_variables]
        results, _ = layer.stateless_call(values, fixed, x, initial_state=[memory], mask=MASK, training=True)
        return sum(ops.sum(result * ops.convert_to_tensor(u, "float32")) for result, u in zip(results, upstream))

    def of_reference(arrays):
        x, memory, *values = arrays
        results = causal(x, dict(zip(weights, values)), memory, heads=2, mask=MASK)
        return sum(np.sum(result * u) for result, u in zip(results, upstream))

    arrays = [x, memory, *weights.values()]
    wanted = reference.finite_differences(of_reference, [array.astype("float64") for array in arrays])
    numbers = np.arange(MEMORY * WIDTH) % WIDTH != WIDTH - 1  # whether a step is there is none
    wanted[1] = wanted[1] * numbers
    value, gradients = value_and_gradients(loss, [array.astype("float32") for array in arrays], jit=True)
    assert value == pytest.approx(of_reference(arrays), rel=1e-4)
    gradients[1] = gradients[1] * numbers
    assert largest_relative_difference(gradients, wanted) < 1e-4


def rounded(value, policy):
    return numpy(ops.cast(ops.cast(value, policy.removeprefix("mixed_")), "float32"))


@pytest.mark.parametrize("policy, bound", [("mixed_bfloat16", 4e-2), ("mixed_float16", 5e-3)])
def test_half_precision_stays_close_and_carries_the_memory_in_full(policy, bound):
    full, half, (x, memory) = build(), build(dtype=policy), data()
    output, after = half(x, initial_state=[memory], mask=MASK)
    assert keras.backend.standardize_dtype(output.dtype) == policy.removeprefix("mixed_")
    assert keras.backend.standardize_dtype(after.dtype) == "float32"
    # From the same numbers: by how much they are rounded is no matter of the layer's.
    for variable in full.trainable_variables:
        variable.assign(rounded(numpy(variable), policy))
    wanted = full(rounded(x, policy), initial_state=[rounded(memory, policy)], mask=MASK)
    got = [numpy(ops.cast(result, "float32")) for result in (output, after)]
    assert largest_relative_difference(got, [numpy(result) for result in wanted]) < bound


def test_dropout_is_of_what_is_seen_and_in_training_only():
    layer, (x, memory) = build(dropout=1.0, return_state=False), data()
    w = weights_of(layer)
    wanted = np.tanh(x @ w["combine/kernel"][UNITS:] + w["combine/bias"])
    np.testing.assert_allclose(numpy(layer(x, initial_state=[memory], training=True)), wanted, atol=1e-6)
    np.testing.assert_allclose(numpy(layer(x, initial_state=[memory])), causal(x, w, memory)[0], atol=1e-5)


def test_the_gradient_flows_through_the_memory_but_to_no_step_before_the_text():
    flow = gradient_flow(build(), data()[0][:, :2])
    assert flow.names == ["layer 0, memory"] and flow.norms[0, 0] > 0 and flow.norms[0, 1] == 0


# In stacks and models


def language_model():
    layers = [SimpleRNN(UNITS, unroll=True), CausalAttention(UNITS, memory=3, heads=2)]
    return LanguageModel(7, layers=layers, connection="residual", seed=0)


def windows(tokens, starts):
    """A dataset of two windows of four tokens; each row of `starts` says which texts begin with a window."""
    cut = [np.stack(np.split(array, 2, axis=1)) for array in (tokens[:, :-1], tokens[:, 1:])]
    return tf.data.Dataset.from_tensor_slices(({"tokens": cut[0], "start": np.array(starts)}, cut[1]))


def test_a_language_model_carries_the_memory_from_window_to_window(tmp_path):
    model, tokens = language_model(), np.random.default_rng(0).integers(0, 7, (3, 9)).astype("int32")
    assert model.stack.state_names == ["layer_0_h", "layer_1_memory"]
    whole = model(tokens[:, :-1])

    def predict(tokens, second):
        starts = [[True] * 3, second]
        return np.concatenate(np.split(model.predict(windows(tokens, starts), verbose=0), 2), axis=1)

    np.testing.assert_allclose(predict(tokens, [False] * 3), numpy(whole), atol=1e-5)
    forgot, alone = predict(tokens, [False, True, False]), predict(np.roll(tokens, -4, axis=1), [False] * 3)
    np.testing.assert_allclose(forgot[1, 4:], alone[1, :4], atol=1e-6)
    np.testing.assert_allclose(forgot[::2], numpy(whole)[::2], atol=1e-5)
    assert np.abs(forgot - numpy(whole)).max() > 1e-3

    before = model.get_weights()
    model.compile(keras.optimizers.SGD(0.5))
    model.fit(windows(tokens, [[True] * 3, [False] * 3]), verbose=0)
    assert all(np.abs(a - b).max() > 1e-6 for a, b in zip(before, model.get_weights(), strict=True))
    memory = model.get_states()[1].reshape(3, 3, WIDTH)
    assert (memory[..., -1] == 1).all()

    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(numpy(loaded(tokens[:, :-1])), numpy(model(tokens[:, :-1])))
    assert loaded.stack.layers[1].get_config() == model.stack.layers[1].get_config()
    written = model.generate([[1, 2, 3], [4]], length=6, seed=1)
    assert written == loaded.generate([[1, 2, 3], [4]], length=6, seed=1) and [len(ids) for ids in written] == [6, 6]


def test_padding_behind_a_text_and_within_it_changes_nothing():
    inputs = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(9, UNITS, mask_zero=True)(inputs)
    x = CausalAttention(UNITS, memory=2)(RecurrentStack([CausalAttention(UNITS, memory=2)])(x)[0])
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling1D()(x))
    wanted = model.predict(np.array([[3, 1, 4, 1, 5]]), verbose=0)
    padded = model.predict(np.array([[3, 1, 4, 1, 5, 0, 0, 0], [0, 3, 0, 0, 1, 4, 1, 5]]), verbose=0)
    np.testing.assert_allclose(padded, np.repeat(wanted, 2, axis=0), atol=1e-5)


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(units=0), "`units` is a positive integer. Received: units=0"),
        (dict(memory=0), "`memory` is a positive integer. Received: memory=0"),
        (dict(heads=1.5), "`heads` is a positive integer. Received: heads=1.5"),
        (dict(heads=3), "`heads` is a divisor of `units`. Received: heads=3, units=4"),
        (dict(dropout=2), "`dropout` is a fraction, from 0 to 1. Received: dropout=2"),
    ],
)
def test_an_option_that_cannot_be_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        CausalAttention(**{"units": UNITS, "memory": MEMORY, **options})


def test_what_does_not_fit_is_named():
    layer, (x, memory) = build(), data()
    for states in ([], [memory, memory], [memory[:, 1:]], [memory[1:]]):
        with pytest.raises(ValueError, match=r"`initial_state` is a list of 1 tensors .*= \[\(6, 18\)\]. Received"):
            layer(x, initial_state=states)
    with pytest.raises(
        ValueError, match=r"`mask` is .* \(batch, time\) = \(6, 5\). Received: a mask of shape \(6, 4\)"
    ):
        layer(x, mask=MASK[:, 1:])
    with pytest.raises(ValueError, match="'looks_back' only goes forwards.*bidirectional=True"):
        RecurrentStack([CausalAttention(UNITS, MEMORY, name="looks_back")], bidirectional=True)


# A decoder's attention to an encoder


def decoder(score, **options):
    widths = (UNITS, UNITS) if score == "dot" else (FEATURES, 5)
    layer = build(EncoderAttention, [(None, None, width) for width in widths], score=score, **options)
    rng = np.random.default_rng(1)
    x, encoded = rng.normal(size=(BATCH, 3, widths[0])), rng.normal(size=(BATCH, TIME, widths[1]))
    return layer, x.astype("float32"), encoded.astype("float32")


def from_encoder(x, encoded, w, score, mask):
    x, encoded = x.astype("float64"), encoded.astype("float64")
    output, weights = np.zeros((*x.shape[:2], UNITS)), np.zeros((*x.shape[:2], encoded.shape[1]))
    for b, t in np.ndindex(*x.shape[:2]):
        for_step = {
            "dot": lambda e: x[b, t] @ e,
            "general": lambda e: x[b, t] @ w["query/kernel"] @ e,
            "additive": lambda e: (
                w["attention/scale"] @ np.tanh(x[b, t] @ w["query/kernel"] + e @ w["key/kernel"] + w["key/bias"])
            ),
        }[score]
        if mask[b].any():
            weights[b, t, mask[b]] = softmax(np.array([for_step(e) for e in encoded[b, mask[b]]]))
        context = weights[b, t] @ encoded[b]
        output[b, t] = np.tanh(np.concatenate([context, x[b, t]]) @ w["combine/kernel"] + w["combine/bias"])
    return output, weights


@pytest.mark.parametrize("score", ["dot", "general", "additive"])
def test_a_decoder_s_output_and_weights_are_those_of_the_equations(score):
    layer, x, encoded = decoder(score)
    for mask in (None, MASK):
        wanted, weights = from_encoder(
            x, encoded, weights_of(layer), score, np.ones_like(MASK) if mask is None else mask
        )
        output, drawn = layer(x, encoded, encoded_mask=mask, return_weights=True)
        np.testing.assert_allclose(numpy(output), wanted, atol=1e-5)
        np.testing.assert_allclose(numpy(drawn), weights, atol=1e-5)
        one, drawn = layer(x[:, 1], encoded, encoded_mask=mask, return_weights=True)
        np.testing.assert_allclose(numpy(one), wanted[:, 1], atol=1e-5)
        np.testing.assert_allclose(numpy(drawn), weights[:, 1], atol=1e-5)
        np.testing.assert_array_equal(numpy(layer(x, encoded, encoded_mask=mask)), numpy(output))


def test_an_encoder_s_padding_is_not_seen_in_a_model_that_is_saved(tmp_path):
    read, written = [keras.Input((None,), dtype="int32") for _ in range(2)]
    embedding = keras.layers.Embedding(9, UNITS, mask_zero=True)
    output = EncoderAttention(UNITS, "additive")(embedding(written), embedding(read))
    model = keras.Model([read, written], keras.layers.GlobalAveragePooling1D()(output))
    wanted = model.predict([np.array([[3, 1, 4]]), np.array([[2, 7]])], verbose=0)
    padded = [np.array([[3, 1, 4, 0, 0]]), np.array([[2, 7, 0]])]
    np.testing.assert_allclose(model.predict(padded, verbose=0), wanted, atol=1e-6)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.predict(padded, verbose=0), wanted, atol=1e-6)
    assert loaded.layers[-2].get_config() == model.layers[-2].get_config()


@pytest.mark.parametrize("policy, score", [("mixed_bfloat16", "general"), ("mixed_float16", "additive")])
def test_the_weights_of_half_precision_are_in_full(policy, score):
    half, x, encoded = decoder(score, dtype=policy)
    output, weights = half(x, encoded, encoded_mask=MASK, return_weights=True)
    assert keras.backend.standardize_dtype(output.dtype) == policy.removeprefix("mixed_")
    assert keras.backend.standardize_dtype(weights.dtype) == "float32"
    wanted = decoder(score)[0](x, encoded, encoded_mask=MASK)
    np.testing.assert_allclose(numpy(ops.cast(output, "float32")), numpy(wanted), atol=0.1)


def test_what_a_decoder_cannot_read_is_named():
    with pytest.raises(ValueError, match="`score` is one of .*general.*score='concat'"):
        EncoderAttention(UNITS, "concat")
    with pytest.raises(ValueError, match="`dropout` is a fraction, from 0 to 1. Received: dropout=True"):
        EncoderAttention(UNITS, dropout=True)
    with pytest.raises(ValueError, match='"general" takes any widths. Received: x of width 3, encoded of width 5'):
        EncoderAttention(UNITS, "dot")(np.zeros((2, 4, 3)), np.zeros((2, 6, 5)))
    layer, x, encoded = decoder("general")
    with pytest.raises(ValueError, match=r"`x` is .*Received: shape \(3,\)"):
        layer(x[0, 0], encoded)
    with pytest.raises(ValueError, match=r"`encoded` is .*the batch of x, 6. Received: shape \(2, 5, 5\)"):
        layer(x, encoded[:2])
    with pytest.raises(ValueError, match=r"`encoded_mask` is .*\(6, 5\). Received: shape \(6, 3\)"):
        layer(x, encoded, encoded_mask=MASK[:, :3])
