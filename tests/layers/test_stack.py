"""Layers on top of each other: what each connection computes, and whose states are whose."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_rnnlm import recurrence
from keras_rnnlm.cells import LSTMCell
from keras_rnnlm.layers import GRU, LSTM, Recurrent, RecurrentStack, SimpleRNN
from keras_rnnlm.layers.programs import Programs
from keras_rnnlm.models import LanguageModel
from tests import reference
from tests.support import numpy, on_tensorflow

BATCH, TIME, UNITS = 3, 5, 4
KINDS = [(GRU, {}), (LSTM, {"peephole": True}), (SimpleRNN, {})]
CONNECTIONS = [None, "residual", "dense", "highway"]


def build(connection=None, features=UNITS, **options):
    """A GRU below a peephole LSTM below a plain layer, with random weights."""
    layers = [kind(UNITS, unroll=True, **more) for kind, more in KINDS]  # so that nothing is compiled
    stack = RecurrentStack(layers, connection, **options)
    stack.build((None, None, features))
    rng = np.random.default_rng(0)
    stack.set_weights([rng.normal(size=weight.shape) * 0.5 for weight in stack.weights])
    return stack


def data(features=UNITS):
    rng = np.random.default_rng(1)
    states = [rng.normal(size=(BATCH, UNITS)).astype("float32") * 0.5 for _ in range(4)]
    return rng.normal(size=(BATCH, TIME, features)).astype("float32"), states


def in_numpy(stack, x, states):
    h_gru, h_lstm, c_lstm, h_simple = states
    gru, lstm, simple = [{w.name: numpy(w) for w in layer.weights} for layer in stack.layers]
    runs = [
        lambda x: (r := reference.gru(x, gru, h_gru), [r["h"]]),
        lambda x: (r := reference.lstm(x, lstm, h_lstm, c_lstm, peephole="ifo"), [r["h"], r["c"]]),
        lambda x: (r := reference.simple_rnn(x, simple, h_simple), [r["h"]]),
    ]
    new = []
    for k, run in enumerate(runs):
        result, states = run(x)
        h, new = result["output"], new + states
        if stack.connection == "residual":
            x = x + h
        elif stack.connection == "dense":
            x = np.concatenate([x, h], axis=-1)
        elif stack.connection == "highway":
            t = reference.sigmoid(x @ numpy(stack.gates[k].kernel) + numpy(stack.gates[k].bias))
            x = t * h + (1 - t) * x
        else:
            x = h
    return x, new


@pytest.mark.parametrize("connection", CONNECTIONS)
def test_each_connection_is_its_formula_and_a_step_is_the_loop_once(connection):
    features = UNITS if connection in ("residual", "highway") else 2
    stack = build(connection, features)
    x, states = data(features)
    wanted, final = in_numpy(stack, x, states)
    output, new = stack(x, states)
    assert stack.output_width == output.shape[-1] == (features + 3 * UNITS if connection == "dense" else UNITS)
    assert stack.state_widths == [UNITS] * 4
    np.testing.assert_allclose(numpy(output), wanted, atol=1e-5)
    for got, want in zip(new, final, strict=True):
        np.testing.assert_allclose(numpy(got), want, atol=1e-5)
    for t in range(TIME):
        output, states = stack.step(x[:, t], states)
        np.testing.assert_allclose(numpy(output), wanted[:, t], atol=1e-5)
    for got, want in zip(states, final, strict=True):
        np.testing.assert_allclose(numpy(got), want, atol=1e-5)


def test_states_are_zeros_unless_they_are_given():
    stack = build()
    x, _ = data()
    zeros = stack.initial_states(BATCH)
    assert [tuple(z.shape) for z in zeros] == [(BATCH, UNITS)] * 4 and not any(numpy(z).any() for z in zeros)
    np.testing.assert_array_equal(numpy(stack(x)[0]), numpy(stack(x, zeros)[0]))


def test_a_highway_begins_mostly_carried():
    stack = RecurrentStack([GRU(UNITS)], "highway")
    stack.build((None, None, UNITS))
    np.testing.assert_array_equal(numpy(stack.gates[0].bias), -1)


def test_a_highway_whose_gate_is_closed_is_the_identity():
    stack, x = build("highway"), data()[0]
    for gate in stack.gates:
        gate.kernel.assign(np.zeros(gate.kernel.shape))
        gate.bias.assign(np.full(gate.bias.shape, -1e4))
    np.testing.assert_allclose(numpy(stack(x)[0]), x, atol=1e-6)


def test_dropout_is_of_what_the_layers_but_the_first_read():
    keras.utils.set_random_seed(0)
    x = np.ones((1000, 1, UNITS), "float32")
    alone = RecurrentStack([GRU(UNITS)], dropout=0.9)
    np.testing.assert_array_equal(numpy(alone(x, training=True)[0]), numpy(alone(x)[0]))
    stack = RecurrentStack([GRU(UNITS), SimpleRNN(UNITS, use_bias=False)], dropout=0.9)
    assert numpy(stack(x)[0]).all()
    dropped = np.mean(~numpy(stack(x, training=True)[0]).any(axis=-1))  # rows of which everything was dropped
    assert dropped == pytest.approx(0.9**UNITS, abs=0.06)  # four deviations


@pytest.mark.parametrize("connection", CONNECTIONS)
def test_half_precision_carries_states_in_full(connection):
    dtype = dict(dtype="mixed_bfloat16")
    stack = RecurrentStack([GRU(UNITS, **dtype), LSTM(UNITS)], connection, dropout=0.5, **dtype)
    output, states = stack(data()[0], training=True)
    assert keras.backend.standardize_dtype(output.dtype) == "bfloat16"
    assert {keras.backend.standardize_dtype(state.dtype) for state in states} == {"float32"}
    output, states = stack.step(ops.ones((BATCH, UNITS)), states)
    assert keras.backend.standardize_dtype(output.dtype) == "bfloat16"
    assert {keras.backend.standardize_dtype(state.dtype) for state in states} == {"float32"}


@pytest.mark.parametrize("connection", CONNECTIONS)
def test_a_stack_in_a_functional_model_is_saved_and_loaded(connection, tmp_path):
    stack = build(connection, dropout=0.25)
    x, states = data()
    inputs, initial = keras.Input((TIME, UNITS)), [keras.Input((UNITS,)) for _ in range(4)]
    model = keras.Model([inputs, *initial], list(keras.tree.flatten(stack(inputs, initial))))
    wanted = model([x, *states])
    np.testing.assert_allclose(numpy(wanted[0]), in_numpy(stack, x, states)[0], atol=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for got, want in zip(loaded([x, *states]), wanted, strict=True):
        np.testing.assert_array_equal(numpy(got), numpy(want))
    config = stack.get_config()
    assert loaded.get_layer(stack.name).get_config() == config
    assert RecurrentStack.from_config(config).get_config() == RecurrentStack.from_config(config).get_config() == config


def test_a_stack_may_be_given_states_before_it_is_built():
    x, states = data()
    output, new = RecurrentStack([GRU(UNITS), LSTM(UNITS), SimpleRNN(UNITS)])(x, states)
    assert output.shape == (BATCH, TIME, UNITS) and len(new) == 4


@pytest.mark.parametrize(
    "layers, options, message",
    [
        ([GRU(4)], dict(connection="skip"), "`connection` is one of .*highway.*connection='skip'"),
        ([], {}, r"`layers` is a list of recurrent layers of keras_rnnlm.layers. Received: \[\]"),
        ([keras.layers.GRU(4)], {}, "`layers` is a list of recurrent layers of keras_rnnlm.layers. Received: .*GRU"),
        ([GRU(4, go_backwards=True)], {}, "runs forwards.*go_backwards=True"),
        ([GRU(4, stateful=True)], {}, "handed its states.*stateful=True"),
        ([GRU(4, return_trace=True)], {}, "no trace.*return_trace=True"),
    ],
)
def test_layers_that_cannot_be_stacked_are_named(layers, options, message):
    with pytest.raises(ValueError, match=message):
        RecurrentStack(layers, **options)


@pytest.mark.parametrize("connection", ["residual", "highway"])
def test_widths_that_cannot_be_added_are_named(connection):
    with pytest.raises(ValueError, match=f"A {connection} connection.* layer 0 .*features of width 3, 4 units"):
        RecurrentStack([GRU(4)], connection).build((None, None, 3))
    with pytest.raises(ValueError, match="layer 1 .*features of width 4, 5 units"):
        RecurrentStack([GRU(4), GRU(5)], connection).build((None, None, 4))


def test_states_are_counted_and_measured():
    stack, (x, states) = build(), data()
    wrong = [states[:3], [*states, states[0]], [*states[:3], states[0][:, :2]], [*states[:3], states[0][0]]]
    for given in wrong:
        with pytest.raises(
            ValueError, match=r"flat list of 4 tensors of shape \(batch, width\), the widths being \[4, 4, 4"
        ):
            stack(x, given)
        with pytest.raises(ValueError, match=r"flat list of 4 tensors .*Received shapes"):
            stack.step(x[:, 0], given)


def two_directions(connection=None, **options):
    stack = RecurrentStack([GRU(UNITS), LSTM(UNITS, peephole=True)], connection, bidirectional=True, **options)
    stack.build((None, None, 2 * UNITS))
    rng = np.random.default_rng(0)
    stack.set_weights([rng.normal(size=weight.shape) * 0.5 for weight in stack.weights])
    return stack


@pytest.mark.parametrize("connection", CONNECTIONS)
def test_both_directions_are_two_layers_side_by_side(connection):
    stack, rng = two_directions(connection), np.random.default_rng(1)
    x = rng.normal(size=(BATCH, TIME, 2 * UNITS)).astype("float32")
    mask = np.arange(TIME) < rng.integers(1, TIME + 1, (BATCH, 1))
    names = ["layer_0_h", "layer_0_h_backwards", *(f"layer_1_{n}" for n in ("h", "c", "h_backwards", "c_backwards"))]
    assert stack.state_names == names and stack.state_widths == [UNITS] * 6
    one = RecurrentStack([LSTM(UNITS, use_cudnn=False)], bidirectional=True)
    assert one.backwards[0].use_cudnn is False and "use_cudnn" not in LSTM(UNITS).get_config()
    wanted, ends = x, []
    for k, (layer, back) in enumerate(zip(stack.layers, stack.backwards)):
        there, *states = layer(wanted, mask=mask)
        again, *ended = back(wanted, mask=mask)
        h = np.concatenate([numpy(there), numpy(again)[:, ::-1]], axis=-1)
        ends += [*states, *ended]
        if connection == "highway":
            gate = numpy(stack.gates[k](wanted))
            wanted = gate * h + (1 - gate) * wanted
        elif connection == "dense":
            wanted = np.concatenate([wanted, h], axis=-1)
        else:
            wanted = wanted + h if connection == "residual" else h
    output, states = stack(x, mask=mask)
    np.testing.assert_allclose(numpy(output), wanted, atol=1e-5)
    for got, want in zip(states, ends, strict=True):
        np.testing.assert_allclose(numpy(got), numpy(want), atol=1e-5)


def test_an_encoder_of_padded_tokens_is_saved_and_loaded(tmp_path):
    tokens = np.array([[3, 1, 2, 0, 0], [4, 4, 0, 0, 0]])
    inputs = keras.Input((None,), dtype="int32")
    stack = RecurrentStack([GRU(UNITS), LSTM(UNITS)], "residual", bidirectional=True)
    output, _ = stack(keras.layers.Embedding(5, 2 * UNITS, mask_zero=True)(inputs))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling1D()(output))
    whole = numpy(model(tokens))
    np.testing.assert_allclose(whole[:1], numpy(model(tokens[:1, :3])), atol=1e-6)  # padding changes nothing
    np.testing.assert_allclose(whole[1:], numpy(model(tokens[1:, :2])), atol=1e-6)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(numpy(keras.models.load_model(tmp_path / "model.keras")(tokens)), whole)


def test_what_sees_the_future_is_no_language_model():
    with pytest.raises(ValueError, match="has to see a sequence whole"):
        two_directions().step(np.zeros((1, 2 * UNITS)), [np.zeros((1, UNITS))] * 6)
    with pytest.raises(ValueError, match="made by `bidirectional=True`"):
        RecurrentStack([keras.layers.Bidirectional(LSTM(UNITS))])
    for layer in (keras.layers.Bidirectional(LSTM(UNITS)), two_directions()):
        with pytest.raises(ValueError, match="it would see the tokens that it has to predict"):
            LanguageModel(5, layers=[layer])


# What is compiled


def gradients_of(stack, x):
    """In a graph, as training takes them."""
    import tensorflow as tf

    @tf.function
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            output, _ = stack(x)
        return tape.gradient(output, [x, *(weight.value for weight in stack.trainable_variables)])

    return [numpy(gradient) for gradient in run(tf.constant(x))]


class Doubled(LSTMCell):
    """A cell that this package does not know."""

    def step(self, dot, x, states, p):
        return LSTMCell.step(self, dot, 2 * x, states, p)


@on_tensorflow
@pytest.mark.long
def test_equal_layers_share_what_is_compiled_and_no_others_do(monkeypatch):
    traced, step = [], LSTMCell.step
    monkeypatch.setattr(LSTMCell, "step", lambda cell, *args: traced.append(cell) or step(cell, *args))
    monkeypatch.setattr(recurrence, "shared", lambda key, make: make())  # not with the layers of other stacks
    x = data()[0]

    def traces(*layers):
        stack = RecurrentStack(layers)
        stack.build((None, None, UNITS))
        rng = np.random.default_rng(0)
        stack.set_weights([rng.normal(size=weight.shape) * 0.5 for weight in stack.weights])
        traced.clear()
        found, count = gradients_of(stack, x), len(traced)
        for layer in stack.layers:
            layer.loops = Programs()  # of its own
        for a, b in zip(found, gradients_of(stack, x)):
            np.testing.assert_array_equal(a, b)
        return count

    one = traces(LSTM(UNITS, peephole=True))
    assert one > 0
    same = [LSTM(UNITS, peephole=True, kernel_initializer="orthogonal", name=name) for name in ("below", "above")]
    assert traces(*same) == one
    assert traces(LSTM(UNITS, peephole=True), LSTM(UNITS, peephole="io")) == 2 * one
    assert traces(LSTM(UNITS), LSTM(UNITS, activation="relu")) == 2 * one
    assert traces(LSTM(UNITS, zoneout=0.1), LSTM(UNITS, zoneout=0.2)) == 2 * one
    assert traces(LSTM(UNITS, dtype="mixed_bfloat16"), LSTM(UNITS)) == 2 * one
    assert traces(LSTM(UNITS), LSTM(UNITS + 1)) == 2 * one
    assert traces(*(Recurrent(Doubled(UNITS)) for _ in range(2))) == one
    assert traces(Recurrent(Doubled(UNITS)), LSTM(UNITS)) == 2 * one
