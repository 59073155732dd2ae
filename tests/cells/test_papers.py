"""What the papers say of their networks, beside the equations."""

import keras
import numpy as np
import pytest

from keras_rnnlm import cells, layers, models
from keras_rnnlm.cell_list import CELLS
from tests import reference
from tests.support import numpy


def randomized(layer, features, seed=0):
    layer.build((None, None, features))
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.normal(size=weight.shape) * 0.5 for weight in layer.weights])
    return layer


def test_a_clockwork_group_changes_at_its_ticks_only():
    periods, units = (1, 2, 5), 6
    layer = randomized(layers.ClockworkRNN(units, periods=periods, return_sequences=True), 3)
    h = numpy(layer(np.random.default_rng(1).normal(size=(2, 23, 3))))
    changes = np.abs(np.diff(h, axis=1)).max(axis=0) > 0  # (22, units): at steps 1, 2, ...
    for group, period in enumerate(periods):
        wanted = np.arange(1, 23) % period == 0
        for unit in (2 * group, 2 * group + 1):
            np.testing.assert_array_equal(changes[:, unit], wanted)


def test_a_slow_clockwork_group_does_not_hear_a_fast_one():
    layer = randomized(layers.ClockworkRNN(4, periods=(1, 2), return_sequences=True), 3)
    x = np.random.default_rng(1).normal(size=(1, 9, 3))
    before = numpy(layer(x))
    kernel, *rest = layer.get_weights()
    kernel[:, :2] += 1  # what the fast group reads
    layer.set_weights([kernel, *rest])
    after = numpy(layer(x))
    assert np.abs(after - before)[..., :2].min() > 0
    np.testing.assert_array_equal(after[..., 2:], before[..., 2:])


def test_the_clock_is_carried_from_window_to_window():
    layer = randomized(layers.ClockworkRNN(4, periods=(2, 3), return_sequences=True, return_state=True), 3)
    x = np.random.default_rng(1).normal(size=(2, 11, 3))
    whole, *_ = layer(x)
    first, *states = layer(x[:, :5])
    second, *states = layer(x[:, 5:], initial_state=states)
    np.testing.assert_allclose(np.concatenate([numpy(first), numpy(second)], axis=1), numpy(whole), atol=1e-6)
    assert np.unique(numpy(states[1])).tolist() == [11 % 6]


@pytest.mark.parametrize("number", [1, 2])
def test_a_mutation_reads_its_input_as_it_comes(number):
    layer = randomized(getattr(layers, f"MUT{number}")(3, return_sequences=True), 3)
    assert layer.cell.kernel.shape == (3, 6)
    weights = {weight.name: numpy(weight) for weight in layer.weights}
    x = np.random.default_rng(1).normal(size=(2, 5, 3))
    wanted = reference.mutation(number, x, weights, np.zeros((2, 3)))["output"]
    np.testing.assert_allclose(numpy(layer(x.astype("float32"))), wanted, atol=1e-5)
    with pytest.raises(ValueError, match="must be equally wide.*projection=True"):
        getattr(layers, f"MUT{number}")(4)(x)


@pytest.mark.parametrize("periods", [(), (2, 1), (1, 1), (0, 1), (1, 2, 3), "12", (1.5, 2)])
def test_wrong_periods_are_told(periods):
    with pytest.raises(ValueError, match="periods"):
        layers.ClockworkRNN(4, periods=periods)


@pytest.mark.parametrize("cell", [name for name in CELLS if name not in ("lstm", "gru", "simple_rnn")])
def test_a_language_model_of_any_cell_steps_as_it_reads(cell):
    options = {"periods": (1, 2)} if cell == "clockwork_rnn" else None
    model = models.LanguageModel(11, units=4, layers=2, cell=cell, cell_options=options)
    tokens = np.random.default_rng(0).integers(0, 11, (2, 6))
    wanted = numpy(model(tokens))
    states = model.initial_states(2)
    for t in range(6):
        logits, states = model.step(tokens[:, t], states)
        np.testing.assert_allclose(numpy(logits), wanted[:, t], atol=1e-5)


def test_zoneout_at_rate_one_copies_the_states():
    layer = randomized(layers.LSTM(4, zoneout=1.0, zoneout_cell=1.0, return_sequences=True, return_state=True), 3)
    rng = np.random.default_rng(1)
    states = [rng.normal(size=(2, 4)).astype("float32") for _ in range(2)]
    for training in (True, False):
        output, *after = layer(rng.normal(size=(2, 5, 3)), initial_state=states, training=training)
        for got, wanted in zip(after, states):
            np.testing.assert_allclose(numpy(got), wanted, atol=1e-6)
        np.testing.assert_allclose(numpy(output), np.repeat(states[0][:, None], 5, axis=1), atol=1e-6)


def test_zoneout_holds_some_units_and_computes_the_others():
    layer = randomized(layers.LSTM(50, peephole=True, zoneout=0.3, zoneout_cell=0.6, return_state=True, seed=1), 3)
    plain = randomized(layers.LSTM(50, peephole=True, return_state=True), 3)
    rng = np.random.default_rng(1)
    x, states = rng.normal(size=(40, 1, 3)), [rng.normal(size=(40, 50)).astype("float32") for _ in range(2)]
    wanted = [numpy(state) for state in plain(x, initial_state=states)[1:]]
    got = [numpy(state) for state in layer(x, initial_state=states, training=True)[1:]]
    mean = [numpy(state) for state in layer(x, initial_state=states)[1:]]
    for rate, new, old, value, expected in zip((0.3, 0.6), wanted, states, got, mean):
        is_held = np.isclose(value, old, atol=1e-6)
        assert np.mean(is_held) == pytest.approx(rate, abs=0.05)
        np.testing.assert_allclose(value[~is_held], new[~is_held], atol=1e-6)
        np.testing.assert_allclose(expected, rate * old + (1 - rate) * new, atol=1e-6)


def test_zoneout_leaves_masked_steps_and_the_rest_of_keras_alone():
    layer = randomized(layers.GRU(4, zoneout=0.5, return_sequences=True, return_state=True), 3)
    x = np.random.default_rng(1).normal(size=(2, 6, 3))
    mask = np.array([[1, 1, 0, 0, 0, 0], [0] * 6], "bool")
    output, h = layer(x, mask=mask, training=True)
    np.testing.assert_array_equal(numpy(output)[0, 2:], np.repeat(numpy(h)[:1], 4, axis=0))
    assert not numpy(h)[1].any()
    cell = layer.cell  # alone, as keras.layers.RNN runs it
    stepped, (state,) = cell(x[:, 0], [np.ones((2, 4), "float32")])
    whole = layer(x[:, :1], initial_state=[np.ones((2, 4), "float32")])[0]
    np.testing.assert_allclose(numpy(stepped), numpy(whole)[:, 0], atol=1e-6)
    with pytest.raises(ValueError, match="`zoneout` is a fraction"):
        layers.GRU(4, zoneout=1.5)


def test_a_tied_grid_has_the_parameters_of_one_layer():
    def built(**options):
        layer = layers.GridLSTM(5, **options)
        layer.build((None, None, 3))
        return layer.count_params()

    assert built(depth=6, tied=True) == built(depth=1) < built(depth=6)


def test_a_depth_gate_that_is_closed_leaves_a_stack_of_lstms():
    layer = randomized(layers.DepthGatedLSTM(4, depth=2, return_sequences=True), 3)
    weights = {weight.name: numpy(weight) for weight in layer.weights}
    closed = weights["bias_1"].copy()
    closed[16:] = -1e4
    layer.set_weights([closed if name == "bias_1" else value for name, value in weights.items()])
    x = np.random.default_rng(1).normal(size=(2, 7, 3))
    zeros = np.zeros((2, 4))
    below = {name: weights[name] for name in ("kernel", "recurrent_kernel", "bias")}
    above = {name: weights[f"{name}_1"] for name in below}
    above = {name: value if "recurrent" in name else value[..., :16] for name, value in above.items()}
    h = reference.lstm(x, below, zeros, zeros)["output"]
    wanted = reference.lstm(h, above, zeros, zeros)["output"]
    np.testing.assert_allclose(numpy(layer(x.astype("float32"))), wanted, atol=1e-5)


def test_every_block_of_columns_has_a_dropout_of_its_own():
    layer = layers.DepthGatedLSTM(4, project_cell=True, dropout=0.5, recurrent_dropout=0.5, return_trace=True, seed=1)
    h, trace = layer(np.ones((2, 3, 5)), training=True)
    assert np.isfinite(numpy(h)).all() and trace["d_0"].shape == (2, 3, 4)


def test_a_mogrifier_of_zeros_changes_nothing():
    layer = randomized(layers.LSTM(4, mogrifier=4), 3)
    names = [weight.name for weight in layer.weights]
    assert names[3:] == ["mogrifier_1", "mogrifier_2", "mogrifier_3", "mogrifier_4"]
    layer.set_weights([numpy(w) * (0 if "mogrifier" in w.name else 1) for w in layer.weights])  # 2 s(0) = 1
    plain = layers.LSTM(4)
    plain.build((None, None, 3))
    plain.set_weights([numpy(weight) for weight in layer.weights[:3]])
    x = np.random.default_rng(1).normal(size=(2, 7, 3)).astype("float32")
    np.testing.assert_allclose(numpy(layer(x)), numpy(plain(x)), atol=1e-6)


def test_a_clipped_cell_stays_within():
    layer = randomized(layers.LSTM(4, cell_clip=0.3, return_sequences=True, return_trace=True), 3)
    _, trace = layer(np.random.default_rng(1).normal(size=(3, 9, 3)))
    assert np.abs(numpy(trace["c"])).max() == pytest.approx(0.3)


def test_a_projection_is_what_the_next_step_and_the_next_layer_read():
    stack = layers.RecurrentStack([layers.LSTM(8, projection_units=3), layers.LSTM(4)])
    output, states = stack(np.ones((2, 5, 6)))
    assert stack.state_widths == [3, 8, 4, 4] == [state.shape[1] for state in states]
    assert stack.layers[0].cell.recurrent_kernel.shape == (3, 32) and stack.layers[1].cell.kernel.shape == (3, 16)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: layers.LSTM(4, projection_units=0), "`projection_units` is the width.*projection_units=0"),
        (lambda: layers.LSTM(4, cell_clip=-1), "`cell_clip` is a positive number.*cell_clip=-1"),
        (lambda: layers.GRU(4, mogrifier=-1), "`mogrifier` is a number of rounds.*mogrifier=-1"),
        (lambda: layers.GRU(4, mogrifier_rank=2), "for a `mogrifier` of at least 1 round.*mogrifier=0"),
        (lambda: layers.GridLSTM(4, mogrifier=2), "GridLSTMCell is no such cell"),
        (lambda: layers.GridLSTM(4, depth=0), "`depth` is the number of layers. Received: depth=0"),
        (lambda: layers.DepthGatedLSTM(4, depth=True), "`depth` is the number of layers. Received: depth=True"),
        (lambda: layers.LSTM(4, learned_initial_state=True, stateful=True), "so there is none to learn"),
    ],
)
def test_options_that_do_not_fit_are_told(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("forget_gate", ["sigmoid", "exponential"])
def test_no_exponent_of_an_slstm_overflows(forget_gate):
    layer = randomized(layers.SLSTM(4, forget_gate=forget_gate, return_sequences=True, return_state=True), 3)
    x = np.random.default_rng(1).normal(size=(2, 9, 3)).astype("float32") * 1000
    for scaled in (x, -np.abs(x), 0 * x):
        output, _, _, n, _ = layer(scaled)
        assert np.all(np.abs(numpy(output)) <= 1) and np.all(numpy(n) >= 1)


def test_an_exponential_gate_rewrites_what_was_stored():
    """The first step writes 1; a later one whose input gate is a thousand times as open is all that is left."""
    layer = layers.SLSTM(1, return_sequences=True)
    layer.build((None, None, 2))
    kernel, recurrent = np.zeros((2, 4)), np.zeros((1, 4))
    kernel[0, 0], kernel[1, 2] = np.log(1e3), 10.0  # x is how far the gate opens, and what is written
    layer.set_weights([kernel, recurrent, np.array([0.0, 100.0, 0.0, 100.0])])  # forgets nothing, shows all
    found = numpy(layer(np.array([[[0.0, 1.0], [0.0, 1.0], [1.0, -1.0]]])))[0, :, 0]
    np.testing.assert_allclose(found, [1.0, 1.0, (2 - 1000) / 1002], atol=1e-4)


def test_a_wrong_forget_gate_is_told():
    with pytest.raises(ValueError, match="`forget_gate` is .*Received: forget_gate='tanh'"):
        layers.SLSTM(4, forget_gate="tanh")


@pytest.mark.parametrize("seed", [None, 3])
def test_weights_of_one_kind_begin_with_numbers_of_their_own(seed):
    draw = dict(kernel_initializer=keras.initializers.GlorotUniform(seed))
    draw |= dict(recurrent_initializer=keras.initializers.Orthogonal(seed=seed))
    draw |= dict(bias_initializer=keras.initializers.RandomNormal(seed=seed))
    drawn = [
        cells.GridLSTMCell(4, depth=2, **draw),
        cells.DepthGatedLSTMCell(4, depth=3, **draw),
        cells.LSTMCell(4, mogrifier=5, peephole=True, peephole_initializer=draw["kernel_initializer"], **draw),
    ]
    for cell in drawn:
        cell.build((None, 4))
        found = [(weight.shape, numpy(weight)) for weight in cell.weights if numpy(weight).min() < 0]
        alike = [
            (one, other)
            for k, (shape, one) in enumerate(found)
            for other_shape, other in found[:k]
            if shape == other_shape and np.allclose(one, other)
        ]
        assert len(found) > 4 and not alike
