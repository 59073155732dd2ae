"""A user's mistake raises an error that names the argument, says what would be right, and shows what came in."""

import keras
import numpy as np
import pytest

from keras_rnnlm import cells, layers
from keras_rnnlm.recurrence import backend
from tests.cases import BATCH, FEATURES, TIME, UNITS

ANYTHING = r"(.|\n)*"


def in_order(*parts):
    """A pattern: these parts, one after another."""
    return ANYTHING.join(parts)


def inputs(*shape):
    return np.zeros(shape or (BATCH, TIME, FEATURES), "float32")


def symbols(*shape):
    return keras.Input(batch_shape=shape or (None, TIME, FEATURES))


eager_and_symbolic = pytest.mark.parametrize("given", [inputs, symbols], ids=["eager", "symbolic"])
layer_and_cell = pytest.mark.parametrize("kind", [layers.LSTM, cells.LSTMCell], ids=["layer", "cell"])


# Options of the cell

WRONG = [
    (dict(peephole="x"), ["`peephole`", '"ifo"', "peephole='x'"]),
    (dict(peephole="g"), ["`peephole`", '"ifo"', "peephole='g'"]),
    (dict(peephole="IO"), ["`peephole`", '"ifo"', "peephole='IO'"]),
    (dict(peephole="ii"), ["`peephole`", "each once", "peephole='ii'"]),
    (dict(peephole=["i", "o", "i"]), ["`peephole`", "each once", r"\['i', 'o', 'i'\]"]),
    (dict(peephole=3), ["`peephole`", '"ifo"', "peephole=3"]),
    (dict(peephole="io", coupled=True), ["coupled", "i = 1 - f", '`peephole="i"`', "coupled=False", "peephole='io'"]),
    (dict(peephole="fo", open_gates="f"), ["forget gate is held open", '"f"', "`open_gates`", "peephole='fo'"]),
    (dict(peephole="o", open_gates="o"), ["output gate is held open", '"o"', "`open_gates`", "peephole='o'"]),
    (dict(peephole_kind="dense"), ["`peephole_kind`", '"diagonal" or "full"', "peephole_kind='dense'"]),
    (dict(peephole_kind=None), ["`peephole_kind`", '"diagonal" or "full"', "peephole_kind=None"]),
    (dict(open_gates="g"), ["`open_gates`", '"ifo"', "open_gates='g'"]),
    (dict(open_gates="ff"), ["`open_gates`", "each once", "open_gates='ff'"]),
    (dict(open_gates=True), ["`open_gates`", '"ifo"', "open_gates=True"]),
    (dict(open_gates="i", coupled=True), ["i = 1 - f", "`open_gates`", "coupled=False", "open_gates='i'"]),
    (dict(open_gates="f", coupled=True), ["i = 1 - f", "`open_gates`", "coupled=False", "open_gates='f'"]),
    (dict(open_gates="ifo", gate_recurrence=True), ["`gate_recurrence`", "False", "ifo"]),
    (dict(units=0), ["`units`", "positive integer", "units=0"]),
    (dict(units=-3), ["`units`", "positive integer", "units=-3"]),
    (dict(units=4.0), ["`units`", "positive integer", r"units=4\.0"]),
    (dict(units=True), ["`units`", "positive integer", "units=True"]),
    (dict(units="4"), ["`units`", "positive integer", "units='4'"]),
    (dict(units=None), ["`units`", "positive integer", "units=None"]),
    (dict(dropout=-0.1), ["`dropout`", "from 0 to 1", r"dropout=-0\.1"]),
    (dict(dropout=1.5), ["`dropout`", "from 0 to 1", r"dropout=1\.5"]),
    (dict(dropout=float("nan")), ["`dropout`", "from 0 to 1", "dropout=nan"]),
    (dict(dropout="0.5"), ["`dropout`", "from 0 to 1", r"dropout='0\.5'"]),
    (dict(dropout=None), ["`dropout`", "from 0 to 1", "dropout=None"]),
    (dict(recurrent_dropout=-1), ["`recurrent_dropout`", "from 0 to 1", "recurrent_dropout=-1"]),
    (dict(recurrent_dropout=2), ["`recurrent_dropout`", "from 0 to 1", "recurrent_dropout=2"]),
]


@layer_and_cell
@pytest.mark.parametrize("options, message", WRONG, ids=[str(options) for options, _ in WRONG])
def test_an_option_that_cannot_be_is_named(kind, options, message):
    with pytest.raises(ValueError, match=in_order(*message)):
        kind(**{"units": UNITS, **options})


@pytest.mark.parametrize("kind", [layers.GRU, layers.SimpleRNN, cells.GRUCell, cells.SimpleRNNCell])
def test_units_and_dropout_are_checked_in_every_layer(kind):
    with pytest.raises(ValueError, match=in_order("`units`", "positive integer", "units=0")):
        kind(0)
    with pytest.raises(ValueError, match=in_order("`dropout`", "from 0 to 1", "dropout=7")):
        kind(UNITS, dropout=7)


@layer_and_cell
@pytest.mark.parametrize("options", [dict(peephol=True), dict(unit=3), dict(open_gate="i")], ids=str)
def test_an_unknown_argument_is_named(kind, options):
    (name,) = options
    with pytest.raises((ValueError, TypeError), match=rf"[Uu]nrecognized|unexpected{ANYTHING}'{name}'"):
        kind(UNITS, **options)
    with pytest.raises((ValueError, TypeError), match=name):
        kind(UNITS, **options)


@layer_and_cell
def test_a_missing_argument_is_named(kind):
    with pytest.raises(TypeError, match="units"):
        kind()


@pytest.mark.parametrize("of", [layers.LSTM, cells.LSTMCell], ids=["layer", "cell"])
def test_an_unknown_variant_is_named(of):
    with pytest.raises(ValueError, match=in_order("`name`", "V, NIG, NFG, NOG, NIAF, NOAF, CIFG, NP, FGR", "'XYZ'")):
        of.variant("XYZ", UNITS)


# The layer


@pytest.mark.parametrize(
    "cell, shown",
    [
        (keras.layers.LSTMCell(3), "LSTMCell"),
        (keras.layers.StackedRNNCells([cells.LSTMCell(3)]), "StackedRNNCells"),
        ([cells.LSTMCell(3), cells.LSTMCell(3)], "LSTMCell"),
        (5, "5"),
        ("lstm", "lstm"),
        (None, "None"),
        (cells.LSTMCell, "LSTMCell"),
        (layers.LSTM(3), "LSTM"),
    ],
    ids=["keras", "stacked", "list", "number", "name", "none", "class", "layer"],
)
def test_a_recurrent_takes_a_cell_of_ours_alone(cell, shown):
    with pytest.raises(ValueError, match=in_order("`cell`", "RecurrentCell", "Received: cell=", shown)):
        layers.Recurrent(cell)


def test_use_cudnn_is_one_of_three():
    with pytest.raises(ValueError, match=in_order("`use_cudnn`", 'True, False or "auto"', "use_cudnn='yes'")):
        layers.GRU(UNITS, use_cudnn="yes")


OBSTACLES = [
    (layers.LSTM, dict(peephole=True), "peephole"),
    (layers.LSTM, dict(coupled=True), "coupled"),
    (layers.LSTM, dict(activation="relu"), "an activation other than tanh"),
    (layers.GRU, dict(reset_after=False), "reset_after=False"),
    (layers.GRU, dict(recurrent_dropout=0.5), "recurrent_dropout"),
    (layers.GRU, dict(unroll=True), "unroll=True"),
    (layers.SimpleRNN, dict(), "cuDNN has no SimpleRNNCell"),
]


@eager_and_symbolic
@pytest.mark.parametrize("kind, options, why", OBSTACLES, ids=[why for *_, why in OBSTACLES])
def test_cudnn_that_cannot_be_used_says_why(kind, options, why, given):
    arguments = {"use_cudnn": True} if kind is not layers.SimpleRNN else {}
    layer = kind(UNITS, **arguments, **options)
    layer.use_cudnn = True
    with pytest.raises(ValueError, match=in_order("use_cudnn=True", why, 'Pass "auto"')):
        layer(given())


@eager_and_symbolic
def test_cudnn_without_a_gpu_says_so(given, monkeypatch):
    monkeypatch.setattr(backend, "has_gpu", lambda: False)
    with pytest.raises(ValueError, match=in_order("use_cudnn=True", "no GPU", 'Pass "auto"')):
        layers.LSTM(UNITS, use_cudnn=True)(given())


# Sequences, states and masks


@eager_and_symbolic
@pytest.mark.parametrize("shape", [(TIME, FEATURES), (BATCH, 2, TIME, FEATURES)], ids=["2", "4"])
def test_sequences_have_three_axes(shape, given):
    with pytest.raises(
        ValueError, match=in_order("expected ndim=3", f"found ndim={len(shape)}", rf"{TIME}, {FEATURES}")
    ):
        layers.LSTM(UNITS)(given(*shape))


@eager_and_symbolic
def test_sequences_have_a_step(given):
    with pytest.raises(ValueError, match=in_order("`sequences`", "no time step", rf"\({BATCH}, 0, {FEATURES}\)")):
        layers.GRU(UNITS)(given(BATCH, 0, FEATURES))


@eager_and_symbolic
def test_sequences_keep_the_number_of_features_that_the_layer_was_built_for(given):
    layer = layers.LSTM(UNITS)
    layer.build((None, None, FEATURES))
    with pytest.raises(ValueError, match=in_order(f"{FEATURES}", rf"\({BATCH}, {TIME}, {FEATURES + 2}\)")):
        layer(given(BATCH, TIME, FEATURES + 2))


@pytest.mark.parametrize("how, training", [("unroll", False), ("remat", True)])
def test_what_cuts_a_sequence_needs_to_know_the_number_of_steps(how, training):
    with pytest.raises(ValueError, match=in_order(f"`{how}=True`", "time dimension", r"\(None, None, 3\)")):
        layers.LSTM(UNITS, **{how: True})(symbols(None, None, FEATURES), training=training)


STATES = [
    (layers.LSTM, [(BATCH, UNITS)], "list of 2 tensors"),
    (layers.LSTM, [(BATCH, UNITS)] * 3, "list of 2 tensors"),
    (layers.LSTM, [(BATCH, UNITS), (BATCH, UNITS + 1)], "list of 2 tensors"),
    (layers.LSTM, [(BATCH + 1, UNITS)] * 2, "list of 2 tensors"),
    (layers.GRU, [(BATCH, UNITS)] * 2, "list of 1 tensor"),
    (layers.GRU, [(BATCH, 1, UNITS)], "list of 1 tensor"),
    (layers.GRU, [(UNITS,)], "list of 1 tensor"),
]


@eager_and_symbolic
@pytest.mark.parametrize(
    "kind, shapes, wanted", STATES, ids=[f"{kind.__name__}-{shapes}" for kind, shapes, _ in STATES]
)
def test_states_have_one_shape_and_number(kind, shapes, wanted, given):
    shown = r", ".join(rf"\({', '.join(map(str, shape))},?\)" for shape in shapes)
    message = in_order("`initial_state`", wanted, r"\(batch, width\)", rf"{BATCH}, {UNITS}\)", shown)
    with pytest.raises(ValueError, match=message):
        kind(UNITS)(given(BATCH, TIME, FEATURES), initial_state=[given(*shape) for shape in shapes])


@eager_and_symbolic
def test_one_tensor_is_not_the_states_of_an_lstm(given):
    message = in_order("`initial_state`", "list of 2 tensors", rf"\[\({BATCH}, {UNITS}\)\]")
    with pytest.raises(ValueError, match=message):
        layers.LSTM(UNITS)(given(BATCH, TIME, FEATURES), initial_state=given(BATCH, UNITS))


@eager_and_symbolic
def test_gates_that_read_gates_count_among_the_states(given):
    states = [given(BATCH, UNITS)] * 2
    with pytest.raises(ValueError, match=in_order("`initial_state`", "list of 5 tensors")):
        layers.LSTM(UNITS, gate_recurrence=True)(given(BATCH, TIME, FEATURES), initial_state=states)


def test_numbers_in_lists_are_not_states():
    with pytest.raises(ValueError, match=in_order("`initial_state`", "list of 1 tensor", "Received")):
        layers.GRU(UNITS)(inputs(2, TIME, FEATURES), initial_state=[[[0.0] * UNITS] * 2])


def test_a_cell_is_given_all_of_its_states():
    with pytest.raises(ValueError, match=in_order("`states`", "2", rf"\({BATCH}, {UNITS}\)")):
        cells.LSTMCell(UNITS)(inputs(BATCH, FEATURES), [inputs(BATCH, UNITS)])


MASKS = [(BATCH, TIME + 1), (BATCH + 1, TIME), (TIME,), (BATCH, TIME, FEATURES), (TIME, BATCH)]


@pytest.mark.parametrize("shape", MASKS, ids=str)
@eager_and_symbolic
def test_a_mask_has_a_boolean_for_each_step(shape, given):
    mask = np.ones(shape, "bool") if given is inputs else keras.Input(batch_shape=shape, dtype="bool")
    shown = rf"\({', '.join(map(str, shape))},?\)"
    message = in_order("`mask`", r"\(batch, time\)", rf"\({BATCH}, {TIME}\)", "Received", shown)
    with pytest.raises(ValueError, match=message):
        layers.LSTM(UNITS)(given(BATCH, TIME, FEATURES), mask=mask)


def test_a_mask_of_lists_is_an_array_or_an_error():
    mask = [[True] * TIME] * BATCH
    with pytest.raises(ValueError, match=in_order("`mask`", r"\(batch, time\)", "Received")):
        layers.LSTM(UNITS)(inputs(), mask=mask)


# Weights


@pytest.mark.parametrize(
    "kind, options, shapes",
    [
        (layers.LSTM, dict(peephole=True), [(FEATURES, 16), (UNITS, 16), (16,)]),
        (layers.LSTM, dict(coupled=True), [(FEATURES, 16), (UNITS, 16), (16,)]),
        (layers.LSTM, {}, [(16, FEATURES), (16, UNITS), (16,), (16,)]),
        (layers.GRU, {}, [(FEATURES, 12), (UNITS, 12), (12,)]),
        (layers.SimpleRNN, dict(use_bias=False), [(FEATURES, 4), (UNITS, 4), (4,)]),
    ],
)
def test_weights_of_another_layout_are_shown_beside_those_that_fit(kind, options, shapes):
    layer = kind(UNITS, name="mine", **options)
    layer.build((None, None, FEATURES))
    weights = [np.zeros(shape) for shape in shapes]
    own = tuple(layer.cell.kernel.shape)
    shown = r", ".join(rf"\({', '.join(map(str, shape))},?\)" for shape in shapes)
    expected = [
        rf"kernel \({own[0]}, {own[1]}\)",
        rf"recurrent_kernel \({UNITS}, {own[1]}\)",
        rf"Received shapes: \[{shown}",
    ]
    with pytest.raises(ValueError, match=in_order("`weights`", "'mine'", *expected)):
        layer.set_weights(weights)
    with pytest.raises(ValueError, match=in_order("`weights`", *expected)):
        layer.cell.set_weights(weights)


def test_weights_before_a_layer_is_built_are_an_error():
    with pytest.raises(ValueError, match=in_order("`weights`", "before it is built", "Received shapes")):
        layers.GRU(UNITS).set_weights([np.zeros((FEATURES, 12))])
