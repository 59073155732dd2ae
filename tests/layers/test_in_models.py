"""Our layers and cells inside Keras's models and wrappers."""

import copy
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

from keras_rnnlm import cells, layers, recurrence
from tests import reference
from tests.cases import BATCH, FEATURES, FEWER, TIME, UNITS, build, data, named
from tests.support import BACKEND, numpy, on_tensorflow

a_few_cases = pytest.mark.parametrize("case", named("lstm-fgr", "gru"), ids=str)

TOKENS = np.array(
    [[3, 1, 2, 4, 1], [1, 2, 0, 0, 0], [4, 0, 0, 0, 0], [2, 2, 3, 1, 0], [1, 4, 2, 3, 3], [2, 1, 4, 0, 0]]
)


def equal(got, wanted, atol=1e-6):
    np.testing.assert_allclose(numpy(got), numpy(wanted), atol=atol)


def inputs(time=TIME):
    return np.random.default_rng(1).normal(size=(BATCH, time, FEATURES)).astype("float32")


# Kinds of models


class Subclassed(keras.Model):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer
        self.head = keras.layers.Dense(2)

    def call(self, x, training=False):
        return self.head(self.layer(x, training=training))


def a_model(kind, layer):
    if kind == "sequential":
        return keras.Sequential([keras.Input((None, FEATURES)), layer, keras.layers.Dense(2)])
    if kind == "functional":
        x = keras.Input((None, FEATURES))
        return keras.Model(x, keras.layers.Dense(2)(layer(x)))
    return Subclassed(layer)


@pytest.mark.parametrize("kind", ["sequential", "functional", "subclassed"])
@a_few_cases
def test_a_layer_in_a_model_gives_what_it_gives_alone(case, kind):
    layer, _ = build(case)
    x = inputs()
    alone = numpy(layer(x))
    model = a_model(kind, layer)
    head = model.layers[-1]
    together = numpy(model(x))
    np.testing.assert_allclose(together, alone @ numpy(head.kernel) + numpy(head.bias), atol=1e-6)
    np.testing.assert_allclose(model.predict(x, verbose=0), together, atol=1e-6)
    assert len(model.trainable_weights) == len(layer.weights) + 2


@a_few_cases
def test_states_go_from_layer_to_layer_in_a_functional_model(case):
    first, _ = build(case, return_state=True)
    second, _ = build(case, return_sequences=True, seed=1)
    x = keras.Input((None, FEATURES))
    _, *states = first(x)
    assert [tuple(state.shape) for state in states] == [(None, UNITS)] * first.cell.number_of_states
    model = keras.Model(x, second(x, initial_state=states))
    _, *carried = first(inputs())
    equal(model(inputs()), second(inputs(), initial_state=carried))


def test_the_mask_of_an_embedding_reaches_a_layer_that_gets_states_too():
    embedding, layer = keras.layers.Embedding(5, FEATURES, mask_zero=True), layers.LSTM(UNITS, return_sequences=True)
    states = [np.full((BATCH, UNITS), 0.5, "float32")] * 2
    wanted = layer(embedding(TOKENS), initial_state=states, mask=TOKENS != 0)
    equal(layer(embedding(TOKENS), initial_state=states), wanted)
    tokens = keras.Input((None,), dtype="int32")
    start = [keras.Input((UNITS,)) for _ in states]
    model = keras.Model([tokens, *start], layer(embedding(tokens), initial_state=start))
    equal(model([TOKENS, *states]), wanted)
    equal(model.predict([TOKENS, *states], verbose=0), wanted)


def test_symbolic_shapes_and_dtypes_are_those_of_the_results():
    x = keras.Input((None, FEATURES))
    for more in ({}, dict(return_sequences=True), dict(return_state=True), dict(return_state=True, return_trace=True)):
        layer = layers.LSTM(UNITS, dtype="mixed_bfloat16", peephole=True, **more)
        symbolic, real = keras.tree.flatten(layer(x)), keras.tree.flatten(layer(inputs()))
        for got, want in zip(real, symbolic, strict=True):
            assert keras.backend.standardize_dtype(got.dtype) == keras.backend.standardize_dtype(want.dtype)
            assert all(b is None or a == b for a, b in zip(tuple(got.shape), tuple(want.shape), strict=True))


# Wrappers


@pytest.mark.parametrize("merge_mode", ["sum", "mul", "ave", "concat", None])
def test_both_directions_merge_as_they_say(merge_mode):
    embedding = keras.layers.Embedding(5, FEATURES, mask_zero=True)
    layer = layers.LSTM(UNITS, peephole=True, return_sequences=True)
    both = keras.layers.Bidirectional(layer, merge_mode=merge_mode)
    got = both(embedding(TOKENS))
    rng = np.random.default_rng(0)
    both.set_weights([rng.normal(size=weight.shape) for weight in both.weights])
    got = both(embedding(TOKENS))

    x, mask, zeros = numpy(embedding(TOKENS)), TOKENS > 0, np.zeros((BATCH, UNITS))
    results = []
    for part, reverse in ((both.forward_layer, False), (both.backward_layer, True)):
        w = {variable.name: numpy(variable.value) for variable in part.weights}
        how = dict(mask=mask, reverse=reverse, zero_output_for_mask=True, peephole="ifo")
        results.append(reference.lstm(x, w, zeros, zeros, **how)["output"])
    forward, backward = results[0], results[1][:, ::-1]
    if merge_mode is None:
        equal(got[0], forward, atol=1e-5)
        equal(got[1], backward, atol=1e-5)
        return
    merged = {
        "sum": forward + backward,
        "mul": forward * backward,
        "ave": (forward + backward) / 2,
        "concat": np.concatenate([forward, backward], axis=-1),
    }
    equal(got, merged[merge_mode], atol=1e-5)


@a_few_cases
@pytest.mark.parametrize("sequences", [True, False])
def test_both_directions_equal_two_layers_and_return_the_states_of_both(case, sequences):
    layer, _ = build(case, return_sequences=sequences, return_state=True)
    symbol = keras.Input((TIME,), dtype="int32")
    embedding = keras.layers.Embedding(5, FEATURES, mask_zero=True)
    both = keras.layers.Bidirectional(layer)
    model = keras.Model(symbol, both(embedding(symbol)))
    output, *states = model(TOKENS)
    assert len(states) == 2 * layer.cell.number_of_states
    x = embedding(TOKENS)
    there, *first = both.forward_layer(x)
    back, *second = both.backward_layer(x)
    back = numpy(back)[:, ::-1] if sequences else numpy(back)
    equal(output, np.concatenate([numpy(there), back], axis=-1))
    for got, want in zip(states, [*first, *second], strict=True):
        equal(got, want)
    assert not np.allclose(numpy(first[0]), numpy(second[0]))


def test_both_directions_start_from_their_own_states():
    both = keras.layers.Bidirectional(layers.GRU(UNITS, return_state=True))
    x, states = inputs(), [np.full((BATCH, UNITS), value, "float32") for value in (0.5, -0.5)]
    output, *_ = both(x, initial_state=states)
    parts = [both.forward_layer(x, initial_state=states[0])[0], both.backward_layer(x, initial_state=states[1])[0]]
    equal(output, np.concatenate([numpy(part) for part in parts], axis=-1))


@a_few_cases
def test_a_bidirectional_model_is_saved(case, tmp_path):
    layer, _ = build(case, return_sequences=True)
    model = keras.Sequential([keras.Input((None, FEATURES)), keras.layers.Bidirectional(layer, merge_mode="sum")])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(numpy(loaded(inputs())), numpy(model(inputs())))


@a_few_cases
def test_a_layer_runs_over_each_slice_of_time(case):
    layer, _ = build(case)
    x = np.stack([inputs(), 2 * inputs(), -inputs()], axis=1)
    slices = keras.layers.TimeDistributed(layer)(x)
    assert tuple(slices.shape) == (BATCH, 3, UNITS)
    for k in range(3):
        equal(slices[:, k], layer(x[:, k]))
    model = keras.Sequential([keras.Input((3, None, FEATURES)), keras.layers.TimeDistributed(layer)])
    equal(model.predict(x, verbose=0), slices)


@on_tensorflow  # of the others JAX knows gradients of one's own there, and PyTorch refuses
@a_few_cases
def test_a_mapped_layer_has_its_gradients(case):
    import tensorflow as tf

    layer, _ = build(case)
    x = tf.constant(np.stack([inputs(), 2 * inputs()]))

    def gradients(call):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(call() ** 2)
        return tape.gradient(loss, [x, *[v.value for v in layer.trainable_variables]])

    mapped = gradients(lambda: keras.ops.vectorized_map(lambda one: layer(one), x))
    for got, want in zip(mapped, gradients(lambda: tf.stack([layer(one) for one in x])), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-5)


# Cells in Keras's own loop


@a_few_cases
def test_keras_runs_our_cell_with_masks_and_states(case):
    layer, weights = build(case, return_sequences=True, return_state=True)
    cell = type(layer.cell).from_config(layer.cell.get_config())
    loop = keras.layers.RNN(cell, return_sequences=True, return_state=True)
    x, states = data(layer)
    x, states = x.astype("float32"), [state.astype("float32") for state in states]
    # PyTorch's and JAX's own loops repeat something else than the last output at a masked step before the first.
    mask = np.array([[True] * (TIME - k) + [False] * k for k in (0, 1, 2, 3, 4, 0)])
    loop(x)
    cell.set_weights(list(weights.values()))
    for got, want in zip(loop(x, initial_state=states), layer(x, initial_state=states), strict=True):
        equal(got, want, atol=1e-5)
    for got, want in zip(loop(x, mask=mask)[1:], layer(x, mask=mask)[1:], strict=True):
        equal(got, want, atol=1e-5)


def test_stacked_cells_equal_stacked_layers():
    stack = [cells.LSTMCell(4, peephole=True), cells.GRUCell(5), cells.SimpleRNNCell(3)]
    loop = keras.layers.RNN(stack, return_sequences=True, return_state=True)
    output, *states = loop(inputs())
    assert [[tuple(s.shape) for s in keras.tree.flatten(state)] for state in states] == [
        [(BATCH, 4), (BATCH, 4)],
        [(BATCH, 5)],
        [(BATCH, 3)],
    ]
    y = inputs()
    for cell, layer in zip(stack, (layers.LSTM(4, peephole=True), layers.GRU(5), layers.SimpleRNN(3)), strict=True):
        layer.return_sequences = True
        layer.build(y.shape)
        layer.set_weights(cell.get_weights())
        y = layer(y)
    equal(output, y, atol=1e-5)
    again = keras.layers.RNN.from_config(loop.get_config())
    assert [type(cell) for cell in again.cell.cells] == [type(cell) for cell in stack]


@pytest.mark.parametrize(
    "rates", [dict(dropout=0.5), dict(recurrent_dropout=0.5), dict(dropout=0.3, recurrent_dropout=0.3)]
)
def test_stacked_cells_drop_out_in_training_alone(rates):
    stack = [cells.LSTMCell(8, peephole=True, **rates), cells.GRUCell(8, **rates)]
    loop = keras.layers.RNN(stack, return_sequences=True)
    x = np.random.default_rng(1).normal(size=(BATCH, TIME, 8)).astype("float32")
    still = numpy(loop(x))
    np.testing.assert_array_equal(numpy(loop(x)), still)
    first, second = numpy(loop(x, training=True)), numpy(loop(x, training=True))
    assert np.all(np.isfinite(first))
    assert not np.allclose(first, still) and not np.allclose(first, second)
    np.testing.assert_array_equal(numpy(loop(x)), still)


# Training


def question(batch=32, time=6):
    """Sequences, and whether their sum is positive."""
    x = np.random.default_rng(3).normal(size=(batch, time, FEATURES)).astype("float32")
    return x, (x.sum(axis=(1, 2)) > 0).astype("float32")[:, None]


def classifier(*stack, jit="auto", shape=(None, FEATURES)):
    model = keras.Sequential([keras.Input(shape), *stack, keras.layers.Dense(1)])
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(0.02), loss=loss, jit_compile=jit)
    return model


def lowers_the_loss(model, x, y, epochs=2, **how):
    before = model.evaluate(x, y, batch_size=len(x), verbose=0)
    model.fit(x, y, batch_size=8, epochs=epochs, verbose=0, **how)
    after = model.evaluate(x, y, batch_size=len(x), verbose=0)
    assert np.isfinite(after) and after < before


# On PyTorch a compiled step takes a minute: once.
HOW_COMPILED = [("lstm", True), ("gru", "auto")]
if not FEWER:
    HOW_COMPILED += [("lstm", "auto"), ("lstm", False), ("gru", False)] + [("gru", True)] * (BACKEND != "torch")


@pytest.mark.parametrize("name, jit", HOW_COMPILED)
def test_fit_lowers_the_loss(name, jit):
    keras.utils.set_random_seed(0)
    how = dict(dropout=0.1, recurrent_dropout=0.1, seed=1)
    layer = layers.LSTM(8, peephole=True, coupled=True, **how) if name == "lstm" else layers.GRU(8, **how)
    lowers_the_loss(classifier(layer, jit=jit), *question())


@pytest.mark.long
def test_fit_lowers_the_loss_with_masks_and_both_directions():
    keras.utils.set_random_seed(0)
    mask = keras.layers.Masking()
    both = keras.layers.Bidirectional(layers.LSTM(6, peephole="o", return_sequences=True))
    x, y = question()
    x[:10, 3:] = 0
    lowers_the_loss(classifier(mask, both, layers.SimpleRNN(6)), x, y)


@pytest.mark.long
def test_fit_lowers_the_loss_of_keras_s_loop_over_our_cells():
    keras.utils.set_random_seed(0)
    stack = [cells.LSTMCell(6, peephole=True, dropout=0.1), cells.GRUCell(6, recurrent_dropout=0.1)]
    lowers_the_loss(classifier(keras.layers.RNN(stack), shape=(6, FEATURES)), *question())


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "bfloat16"])
def test_fit_lowers_the_loss_in_half_precision(policy):
    keras.utils.set_random_seed(0)
    model = classifier(layers.LSTM(8, peephole=True, dtype=policy))
    # With Adam on PyTorch, Keras trains nothing where some variables are in bfloat16 and some are not.
    model.compile(optimizer=keras.optimizers.SGD(0.3), loss=model.loss)
    lowers_the_loss(model, *question())


def test_fit_keeps_states_between_batches():
    x = np.random.default_rng(3).normal(size=(8, 4, FEATURES)).astype("float32")
    layer = layers.LSTM(4, peephole=True, stateful=True)
    model = keras.Sequential([keras.Input(batch_shape=(4, 4, FEATURES)), layer, keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss="mse")
    model.fit(x, x[:, 0, :1], batch_size=4, epochs=2, shuffle=False, verbose=0)
    after = [numpy(state) for state in layer.states]
    layer.reset_state()
    layer(np.concatenate([*np.split(x, 2)] * 2, axis=1))
    for state, wanted in zip(after, layer.states):
        np.testing.assert_allclose(state, numpy(wanted), atol=1e-5)


@pytest.mark.skipif(BACKEND == "jax", reason="Keras's own layers begin each batch with zeros there")
def test_fit_with_states_kept_between_batches_equals_keras():
    x = np.random.default_rng(3).normal(size=(8, 4, FEATURES)).astype("float32")
    y = np.sign(x.sum(axis=(1, 2)))[:, None]
    ends = []
    for kind in (layers.LSTM, keras.layers.LSTM):
        keras.utils.set_random_seed(0)
        recurrent = kind(4, stateful=True, use_cudnn=False)
        model = keras.Sequential([keras.Input(batch_shape=(4, 4, FEATURES)), recurrent, keras.layers.Dense(1)])
        model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
        rng = np.random.default_rng(0)
        model.set_weights([rng.normal(size=w.shape) * 0.5 for w in model.get_weights()])
        model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
        ends.append(([numpy(state) for state in recurrent.states], model.get_weights()))
    for got, want in zip(ends[0][0] + ends[0][1], ends[1][0] + ends[1][1], strict=True):
        np.testing.assert_allclose(got, want, atol=1e-5)


class OfManyLengths(keras.utils.PyDataset):
    def __init__(self, lengths):
        super().__init__()
        self.lengths = lengths

    def __len__(self):
        return len(self.lengths)

    def __getitem__(self, index):
        return question(batch=4, time=self.lengths[index])


@pytest.mark.parametrize("jit", [False] if BACKEND == "torch" else [True, False])
def test_fit_takes_batches_of_many_lengths(jit):
    keras.utils.set_random_seed(0)
    model = classifier(layers.LSTM(4, peephole=True), jit=jit)
    history = model.fit(OfManyLengths([3, 7, 1, 5, 7, 3, 20]), epochs=1, verbose=0, shuffle=False)
    assert np.isfinite(history.history["loss"][0])
    for time in (1, 4, 33):  # not one of them seen in training
        x = question(batch=4, time=time)[0]
        equal(model.predict(x, verbose=0), model(x), atol=1e-5)


@on_tensorflow
def test_lengths_are_rounded_up_to_a_few_programs(monkeypatch):
    layer = layers.LSTM(UNITS, peephole=True, return_sequences=True)
    x, traced, step = inputs(time=104), [], cells.LSTMCell.step
    monkeypatch.setattr(cells.LSTMCell, "step", lambda *args: traced.append(1) or step(*args))
    monkeypatch.setattr(recurrence, "shared", lambda key, make: make())  # no test before it compiled the same
    whole = numpy(layer(x))
    for time in range(65, 105):
        output = layer(x[:, :time])
        assert output.shape[1] == time
        equal(output, whole[:, :time], atol=1e-5)
    assert 1 <= len(traced) <= 2 * 8  # twice for each program: the first time for what the step returns


# In a process of its own, as XLA tells what it compiled by writing it to files.
COUNTED = """
import numpy as np, tensorflow as tf
from keras_rnnlm import layers
layer = layers.LSTM(4, peephole=True)
layer.build((None, None, 3))
spec = tf.TensorSpec((None, None, 3))
unknown = tf.function(lambda x: layer(x), input_signature=[spec], autograph=False)
for time in range(65, 105):
    x = np.ones((2, time, 3), "float32")
    np.testing.assert_allclose(unknown(x), layer(x), atol=1e-5)
assert unknown.experimental_get_tracing_count() == 1

@tf.function(jit_compile=True, autograph=False)
def descend(x):
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x) ** 2)
    weights = [weight.value for weight in layer.trainable_weights]
    for weight, gradient in zip(weights, tape.gradient(loss, weights)):
        weight.assign_sub(0.1 * gradient)

for _ in range(4):
    descend(np.ones((2, 6, 3), "float32"))
"""


def run(code, **environment):
    root = str(pathlib.Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root, "TF_CPP_MIN_LOG_LEVEL": "3", **environment}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def compiled_modules(tmp_path_factory):
    """The names of what XLA compiled."""
    path = tmp_path_factory.mktemp("xla")
    run(
        COUNTED,
        XLA_FLAGS=f"--xla_dump_to={path} --xla_dump_hlo_as_text --xla_dump_hlo_module_re=.*(loop_forward|descend).*",
    )
    return [file.name for file in path.glob("*before_optimizations.txt")]


@on_tensorflow
@pytest.mark.long
def test_lengths_unknown_to_the_graph_are_rounded_up_to_a_few_programs(compiled_modules):
    # At most eight for the graph, and eight for the calls outside of it.
    assert 1 <= sum("loop_forward" in name for name in compiled_modules) <= 16


@on_tensorflow
def test_a_compiled_training_step_is_compiled_once(compiled_modules):
    assert sum("descend" in name for name in compiled_modules) == 1


# Saving, exporting, copying


@pytest.mark.parametrize("imports", ["import keras_rnnlm, keras", "import keras, keras_rnnlm"][FEWER:])
def test_a_saved_model_loads_after_our_import_alone(imports, tmp_path):
    lstm = layers.LSTM(UNITS, peephole="io", open_gates="f", return_sequences=True)
    both = keras.layers.Bidirectional(layers.GRU(UNITS, reset_after=False, return_sequences=True))
    model = keras.Sequential(
        [keras.Input((None, FEATURES)), lstm, both, layers.Recurrent(cells.SimpleRNNCell(UNITS, activation="relu"))]
    )
    model.save(tmp_path / "model.keras")
    x = inputs()
    np.savez(tmp_path / "data.npz", x=x, y=numpy(model(x)))
    run(
        f"{imports}\nimport numpy as np\n"
        f"model = keras.models.load_model({str(tmp_path / 'model.keras')!r})\n"
        f"data = np.load({str(tmp_path / 'data.npz')!r})\n"
        "np.testing.assert_allclose(model.predict(data['x'], verbose=0), data['y'], atol=1e-6)\n",
        KERAS_BACKEND=BACKEND,
    )


@on_tensorflow
@a_few_cases
def test_an_exported_model_gives_the_same(case, tmp_path):
    import tensorflow as tf

    layer, _ = build(case, return_sequences=True)
    embedding = keras.layers.Embedding(5, FEATURES, mask_zero=True)
    model = keras.Sequential([keras.Input((None,), dtype="int32"), embedding, layer])
    model.export(tmp_path / "model", format="tf_saved_model", verbose=False)
    reloaded = tf.saved_model.load(tmp_path / "model")
    for time in (1, 3, 19):
        tokens = np.random.default_rng(time).integers(0, 5, size=(2, time)).astype("int32")
        equal(reloaded.serve(tokens), model(tokens), atol=1e-5)


@a_few_cases
def test_a_clone_has_the_same_layers_and_weights_of_its_own(case):
    layer, _ = build(case)
    model = a_model("functional", layer)
    clone = keras.models.clone_model(model)
    assert clone.layers[1].get_config() == layer.get_config()
    clone.set_weights(model.get_weights())
    before = numpy(model(inputs()))
    equal(clone(inputs()), before)
    clone.set_weights([0 * weight for weight in model.get_weights()])
    equal(model(inputs()), before)


@a_few_cases
def test_a_deep_copy_has_weights_of_its_own(case):
    layer, weights = build(case)
    before = numpy(layer(inputs()))
    twin = copy.deepcopy(layer)
    equal(twin(inputs()), before)
    twin.set_weights([0 * weight for weight in weights.values()])
    assert not np.any(numpy(twin(inputs())))
    equal(layer(inputs()), before)


def test_a_deep_copy_of_a_layer_that_ran_does_not_run_the_first_one_s_program():
    layer = layers.LSTM(UNITS, peephole=True)
    x = ops.convert_to_tensor(inputs())
    layer(x)
    twin = copy.deepcopy(layer)
    assert twin.cell is not layer.cell
    twin.cell.activation = keras.activations.linear
    twin.cell.squash = keras.activations.linear
    assert not np.allclose(numpy(twin(x)), numpy(layer(x)))
