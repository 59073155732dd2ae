"""Every argument of Keras's recurrent layers keeps its meaning in ours."""

import inspect

import keras
import numpy as np
import pytest
from keras import ops

from keras_rnnlm import cells, layers
from keras_rnnlm.cells.lstm import VARIANTS
from tests.cases import BATCH, FEATURES, TIME, UNITS
from tests.support import BACKEND, numpy

NAMES = ["LSTM", "GRU", "SimpleRNN"]
every_layer = pytest.mark.parametrize("name", NAMES)
WEIGHTS = ("kernel", "recurrent", "bias")
RETURN_ALL = dict(return_sequences=True, return_state=True)
MASK = np.array([[True] * k + [False] * (TIME - k) for k in (5, 3, 1, 4, 2, 5)])


def inputs(batch=BATCH, time=TIME, seed=1):
    return np.random.default_rng(seed).normal(size=(batch, time, FEATURES)).astype("float32")


def ours(name, units=UNITS, /, **options):
    return getattr(layers, name)(units, **options)


def keras_s(name, units=UNITS, /, **options):
    return getattr(keras.layers, name)(units, **options)


def pair(name, /, batch=None, **options):
    """One layer of ours and one of Keras's, with the same random weights."""
    rng = np.random.default_rng(0)
    both = ours(name, **options), keras_s(name, **options)
    for layer in both:
        layer.build((batch, TIME, FEATURES))
    weights = [rng.normal(size=weight.shape) * 0.5 for weight in both[1].get_weights()]
    for layer in both:
        layer.set_weights(weights)
    return both


def same(got, wanted, atol=1e-5):
    got, wanted = keras.tree.flatten(got), keras.tree.flatten(wanted)
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_allclose(numpy(a), numpy(b), atol=atol)


def as_float32(tensor):
    return numpy(ops.cast(tensor, "float32"))


# Signatures and configuration


@every_layer
@pytest.mark.parametrize("kind", ["layer", "cell"])
def test_the_signature_begins_with_that_of_keras(name, kind):
    if kind == "layer":
        mine, theirs = getattr(layers, name), getattr(keras.layers, name)
    else:
        mine, theirs = getattr(cells, f"{name}Cell"), getattr(keras.layers, f"{name}Cell")
    wanted = [p for p in inspect.signature(theirs).parameters.values() if p.kind is not p.VAR_KEYWORD]
    got = list(inspect.signature(mine).parameters.values())
    assert [(p.name, p.default, p.kind) for p in got[: len(wanted)]] == [(p.name, p.default, p.kind) for p in wanted]
    assert {p.kind for p in got[len(wanted) : -1]} <= {inspect.Parameter.KEYWORD_ONLY}
    assert got[-1].kind is inspect.Parameter.VAR_KEYWORD


@every_layer
def test_positional_arguments_go_where_keras_puts_them(name):
    values = {
        "activation": "relu",
        "recurrent_activation": "hard_sigmoid",
        "use_bias": False,
        "kernel_initializer": "he_normal",
        "recurrent_initializer": "zeros",
        "bias_initializer": "ones",
        "unit_forget_bias": False,
        "dropout": 0.25,
        "recurrent_dropout": 0.125,
        "seed": 3,
        "return_sequences": True,
        "go_backwards": True,
    }
    parameters = [p for p in inspect.signature(getattr(keras.layers, name)).parameters.values() if p.name != "kwargs"]
    positional = [7 if p.name == "units" else values.get(p.name, p.default) for p in parameters]
    got, wanted = getattr(layers, name)(*positional), getattr(keras.layers, name)(*positional)
    theirs = wanted.get_config()
    got = got.get_config()
    assert {key: got[key] for key in theirs if key != "name"} == {key: theirs[key] for key in theirs if key != "name"}


@every_layer
def test_a_configuration_of_keras_makes_one_of_ours(name):
    theirs = keras_s(name, activation="relu", kernel_regularizer="l2", bias_constraint="non_neg", dtype="float16")
    layer = getattr(layers, name).from_config(theirs.get_config())
    assert layer.activation is keras.activations.relu and layer.name == theirs.name
    assert layer.dtype_policy.name == "float16"
    assert isinstance(layer.bias_constraint, keras.constraints.NonNeg)


@every_layer
def test_a_configuration_is_enough_to_make_the_layer_again(name):
    options = dict(
        activation="softsign",
        use_bias=False,
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.3, seed=1),
        recurrent_regularizer=keras.regularizers.L1L2(0.1, 0.2),
        kernel_constraint=keras.constraints.MaxNorm(2),
        activity_regularizer="l1",
        dropout=0.1,
        recurrent_dropout=0.2,
        seed=7,
        go_backwards=True,
        stateful=True,
        unroll=True,
        zero_output_for_mask=True,
        return_trace=True,
        name="mine",
        trainable=False,
        dtype="mixed_bfloat16",
        **RETURN_ALL,
    )
    if name == "LSTM":
        options |= dict(peephole="io", peephole_kind="full", open_gates="f", output_activation=None, coupled=False)
        options |= dict(gate_recurrence=True, peephole_initializer="ones", peephole_regularizer="l2")
    if name == "GRU":
        options |= dict(reset_after=False)
    layer = ours(name, **options)
    config = layer.get_config()
    again = type(layer).from_config(config)
    assert again.get_config() == config
    for key, value in options.items():
        if isinstance(value, (bool, int, float)) or key in ("name", "peephole", "peephole_kind", "open_gates"):
            assert getattr(again, key, None) == value or getattr(again.cell, key) == value, key
    for key in ("kernel_initializer", "recurrent_regularizer", "kernel_constraint", "activity_regularizer"):
        assert type(getattr(again, key)) is type(getattr(layer, key)), key
    cell = type(layer.cell).from_config(layer.cell.get_config())
    assert cell.get_config() == layer.cell.get_config()


def test_a_recurrent_of_a_cell_is_made_again_with_its_cell():
    layer = layers.Recurrent(cells.LSTMCell(3, peephole="o"), return_sequences=True, return_trace=True)
    config = layer.get_config()
    again = layers.Recurrent.from_config(layer.get_config())
    assert again.get_config() == config
    assert again.cell.peephole == "o" and again.return_trace and again.return_sequences


@every_layer
def test_name_trainable_and_dtype_reach_the_layer(name):
    layer = ours(name, name="mine", trainable=False, dtype="float16")
    layer.build((None, TIME, FEATURES))
    assert layer.name == "mine" and all("mine/" in weight.path for weight in layer.weights)
    assert not layer.trainable_weights and len(layer.non_trainable_weights) == 3
    assert layer(inputs()).dtype == layer.cell.kernel.value.dtype
    layer.trainable = True
    assert len(layer.trainable_weights) == 3


@every_layer
def test_a_layer_that_is_not_trainable_is_not_trained(name):
    layer = ours(name, trainable=False)
    model = keras.Sequential([keras.Input((TIME, FEATURES)), layer, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    before = model.get_weights()
    model.fit(inputs(), np.ones((BATCH, 1)), verbose=0)
    after = model.get_weights()
    for a, b in zip(before[:3], after[:3], strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.any(before[3] != after[3])


# Weights


@every_layer
@pytest.mark.parametrize("options", [{}, dict(use_bias=False)], ids=["bias", "no-bias"])
@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "mask"])
def test_weights_move_both_ways_with_equal_outputs(name, options, mask):
    mine, theirs = ours(name, **RETURN_ALL, **options), keras_s(name, **RETURN_ALL, **options)
    x = inputs()
    for source, target in ((theirs, mine), (mine, theirs)):
        source(x), target(x)
        rng = np.random.default_rng(3)
        source.set_weights([rng.normal(size=weight.shape) * 0.5 for weight in source.get_weights()])
        target.set_weights(source.get_weights())
        assert [w.name for w in mine.weights] == [w.name for w in theirs.weights]
        same(mine(x, mask=mask)[1:], theirs(x, mask=mask)[1:])
        same(mine(x, mask=mask)[0], theirs(x, mask=mask)[0])


def test_weights_of_a_gru_with_the_reset_gate_before_the_product_move_too():
    mine, theirs = pair("GRU", reset_after=False)
    same(mine(inputs()), theirs(inputs()))


@every_layer
@pytest.mark.parametrize("how", [dict(go_backwards=True), dict(unroll=True), dict(activation="relu")], ids=str)
def test_the_way_through_time_is_that_of_keras(name, how):
    mine, theirs = pair(name, **RETURN_ALL, **how)
    same(mine(inputs()), theirs(inputs()))


@every_layer
def test_a_masked_step_shows_zeros_where_asked(name):
    mine, _ = pair(name, return_sequences=True, zero_output_for_mask=True)
    plain, _ = pair(name, return_sequences=True)
    shown, repeated = numpy(mine(inputs(), mask=MASK)), numpy(plain(inputs(), mask=MASK))
    np.testing.assert_array_equal(shown[~MASK], 0)
    np.testing.assert_allclose(shown[MASK], repeated[MASK], atol=1e-6)
    np.testing.assert_allclose(repeated[1, 3:], np.stack([repeated[1, 2]] * 2), atol=1e-6)
    assert np.all(np.abs(repeated[~MASK]) > 0)


@every_layer
def test_an_initial_state_begins_where_keras_begins(name):
    mine, theirs = pair(name, **RETURN_ALL)
    rng = np.random.default_rng(5)
    states = [rng.normal(size=(BATCH, UNITS)).astype("float32") for _ in range(mine.cell.number_of_states)]
    same(mine(inputs(), initial_state=states), theirs(inputs(), initial_state=states))
    same(mine(inputs(), initial_state=tuple(states)), mine(inputs(), states))
    assert not np.allclose(numpy(mine(inputs())[0]), numpy(mine(inputs(), initial_state=states)[0]))


@every_layer
def test_what_is_returned_is_what_was_asked_for(name):
    number = {"LSTM": 2, "GRU": 1, "SimpleRNN": 1}[name]
    steps, last = (BATCH, TIME, UNITS), (BATCH, UNITS)
    assert tuple(ours(name)(inputs()).shape) == last
    assert tuple(ours(name, return_sequences=True)(inputs()).shape) == steps
    output, *states = ours(name, return_state=True)(inputs())
    assert [tuple(state.shape) for state in states] == [last] * number
    np.testing.assert_array_equal(numpy(output), numpy(states[0]))
    output, *states = ours(name, **RETURN_ALL)(inputs())
    np.testing.assert_array_equal(numpy(output)[:, -1], numpy(states[0]))


# Initializers


@every_layer
def test_seeded_initializers_give_the_weights_of_keras(name):
    options = {f"{kind}_initializer": keras.initializers.RandomNormal(seed=k) for k, kind in enumerate(WEIGHTS)}
    mine, theirs = ours(name, **options), keras_s(name, **options)
    for layer in (mine, theirs):
        layer.build((None, TIME, FEATURES))
    same(mine.get_weights(), theirs.get_weights(), atol=0)


@pytest.mark.parametrize("options", [dict(unit_forget_bias=False), dict(unit_forget_bias=False, coupled=True)], ids=str)
def test_each_gate_draws_its_own_bias(options):
    layer = layers.LSTM(UNITS, bias_initializer="random_normal", **options)
    layer.build((None, TIME, FEATURES))
    bias = numpy(layer.cell.bias.value)
    assert len(set(bias.tolist())) == len(bias)


def test_the_forget_gate_s_bias_is_one_unless_asked_otherwise():
    for options, wanted in (
        ({}, [0, 1, 0, 0]),
        (dict(unit_forget_bias=False), [0, 0, 0, 0]),
        (dict(unit_forget_bias=False, bias_initializer="ones"), [1, 1, 1, 1]),
        (dict(coupled=True), [1, 0, 0]),
        (dict(open_gates="i"), [1, 0, 0]),
        (dict(open_gates="f"), [0, 0, 0]),
    ):
        layer = layers.LSTM(UNITS, **options)
        layer.build((None, TIME, FEATURES))
        np.testing.assert_array_equal(numpy(layer.cell.bias.value), np.repeat(wanted, UNITS))


@every_layer
def test_recurrent_kernels_are_orthogonal_in_every_dtype(name):
    for dtype, bound in (("float32", 1e-5), ("bfloat16", 2e-2), ("float16", 5e-3)):
        layer = ours(name, dtype=dtype)
        layer.build((None, TIME, FEATURES))
        assert keras.backend.standardize_dtype(layer.cell.recurrent_kernel.dtype) == dtype
        rows = as_float32(layer.cell.recurrent_kernel.value)
        np.testing.assert_allclose(rows @ rows.T, np.eye(UNITS), atol=bound)


def test_peepholes_have_an_initializer_a_regularizer_and_a_constraint_of_their_own():
    layer = layers.LSTM(
        UNITS, peephole=True, peephole_initializer="ones", peephole_regularizer="l1", peephole_constraint="unit_norm"
    )
    layer.build((None, TIME, FEATURES))
    for gate in "ifo":
        peephole = getattr(layer.cell, f"peephole_{gate}")
        np.testing.assert_array_equal(numpy(peephole.value), np.ones(UNITS))
        assert isinstance(peephole.constraint, keras.constraints.UnitNorm)
    assert float(sum(numpy(loss) for loss in layer.losses)) == pytest.approx(0.01 * 3 * UNITS)


# Regularizers and constraints


@every_layer
def test_regularizers_add_the_losses_of_keras(name):
    options = {f"{kind}_regularizer": keras.regularizers.L2(0.1 * (k + 1)) for k, kind in enumerate(WEIGHTS)}
    mine, theirs = pair(name, **options)
    got, wanted = [sorted(float(numpy(loss)) for loss in layer.losses) for layer in (mine, theirs)]
    assert len(got) == 3
    np.testing.assert_allclose(got, wanted, rtol=1e-6)


@every_layer
@pytest.mark.parametrize("more", [{}, RETURN_ALL], ids=["output", "all"])
def test_an_activity_regularizer_adds_the_loss_of_keras(name, more):
    mine, theirs = pair(name, activity_regularizer="l2", **more)
    outputs = mine(inputs())
    # Keras's own SimpleRNN takes the argument and drops it; its LSTM and GRU weigh all that they return.
    wanted = sum(0.01 * np.sum(numpy(output) ** 2) / BATCH for output in keras.tree.flatten(outputs))
    assert float(sum(numpy(loss) for loss in mine.losses)) == pytest.approx(wanted, rel=1e-5)
    if name != "SimpleRNN":
        theirs(inputs())
        assert float(sum(numpy(loss) for loss in theirs.losses)) == pytest.approx(wanted, rel=1e-5)


@every_layer
def test_constraints_hold_after_training(name):
    options = {f"{kind}_constraint": keras.constraints.NonNeg() for kind in WEIGHTS}
    layer = ours(name, **options)
    model = keras.Sequential([keras.Input((TIME, FEATURES)), layer])
    model.compile(keras.optimizers.SGD(0.5), "mse")
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=weight.shape) for weight in model.get_weights()])
    model.fit(inputs(), -np.ones((BATCH, UNITS)), verbose=0)
    for weight in model.get_weights():
        assert np.all(weight >= 0) and np.any(weight > 0)


# Dropout

RATES = [dict(dropout=0.5), dict(recurrent_dropout=0.5), dict(dropout=0.3, recurrent_dropout=0.4)]
every_rate = pytest.mark.parametrize("rates", RATES, ids=["inputs", "states", "both"])


@every_layer
@every_rate
def test_nothing_drops_out_of_inference(name, rates):
    mine, theirs = pair(name, **rates)
    plain, _ = pair(name)
    same(mine(inputs(), training=False), theirs(inputs()))
    mine.use_cudnn = plain.use_cudnn = False  # the same loop, to the last bit
    same(mine(inputs()), plain(inputs()), atol=0)


@every_layer
def test_a_rate_of_zero_changes_nothing_in_training(name):
    mine, _ = pair(name, dropout=0.0, recurrent_dropout=0.0)
    same(mine(inputs(), training=True), mine(inputs()), atol=0)


@every_layer
@every_rate
def test_one_seed_drops_out_what_keras_drops_out(name, rates):
    mine, theirs = pair(name, seed=3, return_sequences=True, **rates)
    outputs = []
    for layer in (mine, theirs):
        keras.utils.set_random_seed(1)  # PyTorch draws from the global generator
        outputs.append(layer(inputs(), training=True))
    same(*outputs)
    assert not np.allclose(numpy(outputs[0]), numpy(mine(inputs())))


@every_layer
def test_a_seed_makes_dropout_reproducible_and_each_call_draws_anew(name):
    calls = []
    for _ in range(2):
        keras.utils.set_random_seed(1)
        layer, _ = pair(name, seed=3, dropout=0.5, recurrent_dropout=0.5)
        calls.append([numpy(layer(inputs(), training=True)) for _ in range(2)])
    same(calls[0], calls[1], atol=0)
    assert not np.allclose(calls[0][0], calls[0][1])


def open_lstm(**rates):
    """An LSTM whose gates and functions are open, so that its masks can be read in its trace."""
    units = 3
    options = dict(open_gates="ifo", activation="linear", use_bias=False, return_sequences=True, return_trace=True)
    layer = layers.LSTM(units, **options, **rates)
    layer.build((None, TIME, units))
    return layer, np.eye(units)


def test_one_mask_of_inputs_serves_every_step():
    layer, eye = open_lstm(dropout=0.4)
    layer.set_weights([eye, 0 * eye])
    _, trace = layer(np.ones((50, TIME, 3), "float32"), training=True)
    mask = numpy(trace["g"])  # g = x * mask
    np.testing.assert_allclose(mask, np.repeat(mask[:, :1], TIME, axis=1))
    assert set(np.round(np.unique(mask), 5)) == {0, np.float32(np.round(1 / 0.6, 5))}
    assert len(np.unique(mask[:, 0], axis=0)) > 4  # each row has its own


def test_one_mask_of_states_serves_every_step():
    layer, eye = open_lstm(recurrent_dropout=0.4)
    layer.set_weights([0 * eye, eye])
    ones = np.ones((50, 3), "float32")
    _, trace = layer(np.zeros((50, TIME, 3), "float32"), initial_state=[ones, ones], training=True)
    g, h = numpy(trace["g"]), numpy(trace["h"])
    before = np.concatenate([ones[:, None], h[:, :-1]], axis=1)
    mask = g / before  # g = h * mask
    np.testing.assert_allclose(mask, np.repeat(mask[:, :1], TIME, axis=1), rtol=1e-5)
    assert set(np.round(np.unique(mask[:, 0]), 5)) == {0, np.float32(np.round(1 / 0.6, 5))}


@pytest.mark.parametrize("name, gates", [("LSTM", "ifgo"), ("GRU", "zrn")])
@pytest.mark.parametrize("what", ["inputs", "states"])
def test_each_gate_has_a_mask_of_its_own(name, gates, what):
    units, batch = 3, 200
    rates = dict(dropout=0.5, recurrent_dropout=1e-6) if what == "inputs" else dict(recurrent_dropout=0.5)
    how = dict(activation="linear", recurrent_activation="linear", use_bias=False, return_trace=True)
    layer = ours(name, units, **how, **rates)
    layer.build((None, 1, units))
    eye, zeros = np.concatenate([np.eye(units)] * len(gates), axis=1), np.zeros((units, len(gates) * units))
    layer.set_weights([eye, zeros] if what == "inputs" else [zeros, eye])
    ones = np.ones((batch, units), "float32")
    states = [ones] * layer.cell.number_of_states
    x = np.ones((batch, 1, units), "float32")
    _, trace = layer(x, initial_state=states, training=True)
    masks = {gate: numpy(trace[gate])[:, 0] for gate in gates}
    if name == "GRU" and what == "states":
        masks["n"] = np.where(masks["r"] > 0, masks["n"] / np.maximum(masks["r"], 1), np.nan)
    for gate in gates:
        known = masks[gate][~np.isnan(masks[gate])]
        np.testing.assert_allclose(np.unique(np.round(known, 3)), [0, 2], atol=1e-3)
        for other in gates[: gates.index(gate)]:
            assert np.mean(masks[gate] == masks[other]) < 0.7


@pytest.mark.parametrize("rates", RATES[:2], ids=["inputs", "states"])
def test_dropout_keeps_the_expectation(rates):
    layer = layers.SimpleRNN(3, activation="linear", use_bias=False, **rates)
    batch = 20000
    x, h = np.ones((batch, 1, 3), "float32"), np.ones((batch, 3), "float32")
    layer.build(x.shape)
    rng = np.random.default_rng(0)
    layer.set_weights([rng.normal(size=(3, 3)), rng.normal(size=(3, 3))])
    wanted, got = numpy(layer(x, initial_state=[h])), numpy(layer(x, initial_state=[h], training=True))
    np.testing.assert_allclose(got.mean(axis=0), wanted[0], atol=6 * got.std() / np.sqrt(batch))
    assert got.std(axis=0).min() > 0.1


# Stateful layers


@every_layer
def test_a_stateful_layer_goes_on_where_it_ended(name):
    layer, _ = pair(name, batch=BATCH, stateful=True, return_sequences=True)
    whole, _ = pair(name, return_sequences=True)
    x = inputs(time=2 * TIME)
    first, second = layer(x[:, :TIME]), layer(x[:, TIME:])
    same(np.concatenate([numpy(first), numpy(second)], axis=1), whole(x))
    layer.reset_state()
    assert not any(np.any(numpy(state)) for state in layer.states)
    same(layer(x[:, :TIME]), first, atol=0)


@every_layer
def test_a_stateful_layer_says_which_batch_it_takes(name):
    layer = ours(name, stateful=True)
    layer(inputs())
    with pytest.raises(ValueError, match=rf"stateful.*{BATCH} rows(.|\n)*\({BATCH - 1}, {TIME}, {FEATURES}\)"):
        layer(inputs(batch=BATCH - 1))
    with pytest.raises(ValueError, match=r"batch.*static(.|\n)*None"):
        ours(name, stateful=True)(keras.Input((TIME, FEATURES)))


@every_layer
def test_a_stateful_model_predicts_batch_after_batch(name):
    layer, theirs = pair(name, batch=2, stateful=True)
    whole, _ = pair(name, return_sequences=True)
    x = inputs(batch=6)
    got = keras.Sequential([keras.Input(batch_shape=(2, TIME, FEATURES)), layer]).predict(x, batch_size=2, verbose=0)
    ends = numpy(whole(np.concatenate(np.split(x, 3), axis=1)))[:, TIME - 1 :: TIME]
    same(got, np.concatenate(list(ends.swapaxes(0, 1))))
    if keras.backend.backend() != "jax":  # where Keras's own begin each batch with zeros
        theirs = keras.Sequential([keras.Input(batch_shape=(2, TIME, FEATURES)), theirs])
        same(got, theirs.predict(x, batch_size=2, verbose=0))


@pytest.mark.parametrize("policy", ["bfloat16", "mixed_bfloat16", "mixed_float16"])
def test_a_stateful_layer_of_half_precision_keeps_its_states_in_float32(policy):
    layer = layers.LSTM(UNITS, dtype=policy, stateful=True, return_state=True)
    _, *states = layer(inputs())
    assert {keras.backend.standardize_dtype(state.dtype) for state in layer.states} == {"float32"}
    same(layer.states, states, atol=0)
    _, *held = layer(inputs(), mask=np.zeros((BATCH, TIME), "bool"))
    same(held, states, atol=0)
    assert any(np.any(numpy(s) != as_float32(ops.cast(s, layer.compute_dtype))) for s in states)


@pytest.mark.parametrize("policy", ["bfloat16", "mixed_bfloat16", "mixed_float16"])
def test_an_initial_state_in_float32_is_carried_in_full(policy):
    layer = layers.LSTM(UNITS, dtype=policy, return_state=True)
    _, *states = layer(inputs())
    _, *held = layer(inputs(), initial_state=states, mask=np.zeros((BATCH, TIME), "bool"))
    same(held, states, atol=0)


@every_layer
def test_dtype_policies_give_their_dtypes(name):
    # Elsewhere than on TensorFlow, Keras multiplies float64 in float32.
    for policy, variables, output in (
        ("float32", "float32", "float32"),
        ("bfloat16", "bfloat16", "bfloat16"),
        ("mixed_float16", "float32", "float16"),
        *([("float64", "float64", "float64")] if BACKEND == "tensorflow" else []),
    ):
        layer = ours(name, dtype=policy)
        y = layer(inputs())
        assert keras.backend.standardize_dtype(y.dtype) == output
        assert {keras.backend.standardize_dtype(weight.dtype) for weight in layer.weights} == {variables}
        assert np.all(np.isfinite(as_float32(y)))


# Variants


@pytest.mark.parametrize("name", ["V", "NIG", "NFG", "NOG", "NIAF", "NOAF", "CIFG", "NP", "FGR"])
def test_every_variant_has_its_gates_and_peepholes(name):
    gates = {"NIG": "fgo", "NFG": "igo", "NOG": "ifg", "CIFG": "fgo"}.get(name, "ifgo")
    peepholes = "" if name == "NP" else gates.replace("g", "")
    layer = layers.LSTM.variant(name, UNITS, return_sequences=True, seed=3)
    layer.build((None, TIME, FEATURES))
    assert isinstance(layer, layers.LSTM) and layer.return_sequences
    extra = ["gate_recurrent_kernel"] if name == "FGR" else []
    assert [w.name for w in layer.weights] == [
        "kernel", "recurrent_kernel", "bias", *[f"peephole_{gate}" for gate in peepholes], *extra
    ]  # fmt: skip
    assert tuple(layer.cell.kernel.shape) == (FEATURES, len(gates) * UNITS)
    linear, tanh = keras.activations.linear, keras.activations.tanh
    assert layer.activation is (linear if name == "NIAF" else tanh)
    assert layer.cell.squash is (linear if name == "NOAF" else tanh)
    cell = cells.LSTMCell.variant(name, UNITS)
    assert isinstance(cell, cells.LSTMCell) and cell.gates == gates
    assert list(VARIANTS) == ["V", "NIG", "NFG", "NOG", "NIAF", "NOAF", "CIFG", "NP", "FGR"]


def test_an_argument_beside_a_variant_has_the_last_word():
    assert layers.LSTM.variant("V", UNITS, peephole="o").cell.peepholes == "o"
