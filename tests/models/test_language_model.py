"""The language model: what it computes, where its gradient stops, how it trains, carries states, saves and fails."""

import copy
import os
import pathlib
import random
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_rnnlm import layers
from keras_rnnlm.models import LanguageModel
from keras_rnnlm.models.embedding import Embedding
from keras_rnnlm.optimizers import ClippedOptimizer
from tests import reference
from tests.cells.of_someone_else import LeakyCell
from tests.support import BACKEND, largest_relative_difference, numpy, on_tensorflow, value_and_gradients

VOCABULARY, UNITS, BATCH, TIME = 7, 5, 3, 4


def tiny(seed=0, **options):
    """A model with random weights, not one of them like another."""
    # Where the recurrence does not matter, a loop that is written out spares XLA's compiling of it.
    layer = {} if {"cell", "cell_options"} & set(options) else {"cell": "simple_rnn", "cell_options": {"unroll": True}}
    model = LanguageModel(VOCABULARY, **{"units": UNITS, "layers": 1, **layer, **options})
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(size=weight.shape) * 0.5 for weight in model.weights])
    return model


def text(windows=2, batch=BATCH, time=TIME, seed=1):
    """Tokens (batch, windows * time), and those that come one step later."""
    tokens = np.random.default_rng(seed).integers(0, VOCABULARY, (batch, windows * time + 1)).astype("int32")
    return tokens[:, :-1], tokens[:, 1:]


def windows(tokens, targets, time=TIME, start=True, weights=None):
    """A dataset of windows with carried states, the first of which begins anew if `start`."""
    arrays = [tokens, targets] + [weights] * (weights is not None)
    cut = [np.stack(np.split(array, array.shape[1] // time, axis=1)) for array in arrays]
    starts = np.zeros(cut[0].shape[:2], "bool")
    starts[0] = start
    return tf.data.Dataset.from_tensor_slices(({"tokens": cut[0], "start": starts}, *cut[1:]))


def one_batch(*arrays):
    return tf.data.Dataset.from_tensors(arrays)


def gradients_of_a_step(model, dataset, **compiled):
    """What a step of `fit` subtracts from each weight at a learning rate of 1, and the logs."""
    if not model.compiled:
        model.compile(keras.optimizers.SGD(1.0), **compiled)
    before = model.get_weights()
    logs = model.fit(dataset, verbose=0).history
    after = model.get_weights()
    model.set_weights(before)
    return [b - a for b, a in zip(before, after)], {name: values[0] for name, values in logs.items()}


def plain_loss(logits, targets, weights=None):
    """The mean cross-entropy per token, by the backend's own gradient."""
    chosen = ops.take_along_axis(ops.log_softmax(logits), ops.convert_to_tensor(targets)[..., None], axis=-1)[..., 0]
    weights = ops.ones_like(chosen) if weights is None else ops.convert_to_tensor(weights)
    return -ops.sum(chosen * weights) / ops.sum(weights)


def losses_in_numpy(logits, targets):
    logits = np.float64(numpy(logits))
    return np.log(np.sum(np.exp(logits), -1)) - np.take_along_axis(logits, targets[..., None], -1)[..., 0]


def equal(got, wanted, atol=1e-5):
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_allclose(numpy(a), numpy(b), atol=atol)


# What it computes


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
def test_logits_are_those_of_the_equations_and_a_step_is_the_call_once(tied):
    lstm = dict(cell="lstm", cell_options={"peephole": True})
    model = tiny(units=[UNITS, 4], layers=2, **lstm, tied=tied, embedding_dim=4 if tied else 3)
    tokens, targets = text()
    rng = np.random.default_rng(2)
    states = [rng.normal(size=(BATCH, width)).astype("float32") for width in (UNITS, UNITS, 4, 4)]
    table = numpy(model.embedding.embeddings)
    x, final = table[tokens], []
    for layer, (h, c) in zip(model.stack.layers, (states[:2], states[2:])):
        result = reference.lstm(x, {w.name: numpy(w) for w in layer.weights}, h, c, peephole="ifo")
        x, final = result["output"], [*final, result["h"], result["c"]]
    wanted = x @ (table if tied else numpy(model.head.kernel)).T + numpy(model.head.bias)

    logits, new = model(tokens, states, return_states=True)
    equal([logits, *new], [wanted, *final])
    losses, new = model.losses_of(ops.convert_to_tensor(tokens), ops.convert_to_tensor(targets), states)
    equal([losses, *new], [losses_in_numpy(wanted, targets), *final])
    for t in range(TIME):
        logits, states = model.step(tokens[:, t], states)
        equal([logits], [wanted[:, t]])
    with pytest.raises(ValueError, match=r"one token of each text, \(batch,\). Received: shape \(\d, 1\)"):
        model.step(tokens[:, :1], states)
    equal([model(tokens)], [model(tokens, model.initial_states(BATCH))], atol=0)
    equal([model.predict(tokens, verbose=0)], [model(tokens)])


def test_the_embedding_is_as_wide_as_asked_or_as_the_stack():
    assert LanguageModel(9, units=[4, 6]).embedding.output_dim == 4
    assert LanguageModel(9, units=[4, 6], tied=True).embedding.output_dim == 6
    assert LanguageModel(9, units=[4, 6], embedding_dim=3, connection="dense").stack.output_width == 13
    assert tuple(LanguageModel(9, 4, tied=True, connection="residual").embedding.embeddings.shape) == (9, 4)


def test_a_seed_decides_all_weights_and_leaves_python_s_generator_alone():
    options = dict(units=4, cell_options={"recurrent_dropout": 0.1}, connection="highway", dropout=0.5)
    for initial_range in (None, 0.1):
        before = random.getstate()
        one, same, other = [LanguageModel(9, **options, initial_range=initial_range, seed=s) for s in (1, 1, 2)]
        assert random.getstate() == before
        equal(one.get_weights(), same.get_weights(), atol=0)
        assert not np.allclose(one.head.kernel, other.head.kernel)
        matrices = [numpy(w) for w in one.weights if "bias" not in w.name and "highway" not in w.path]
        assert len({m.ravel()[0] for m in matrices}) == len(matrices)  # each has numbers of its own
        if initial_range:
            assert all(0.05 < np.abs(m).max() <= 0.1 for m in matrices)
    tokens, _ = text()
    if BACKEND != "torch":  # whose dropout draws from PyTorch's one generator
        equal([one(tokens, training=True)], [same(tokens, training=True)], atol=0)


# Windows, and where the gradient stops


def test_windows_with_carried_states_are_one_long_text():
    model = tiny(layers=2, cell="lstm")
    tokens, targets = text(windows=3)
    wanted, final = model(tokens, return_states=True)
    data = windows(tokens, targets)
    predicted = model.predict(data, verbose=0)
    equal([np.concatenate(np.split(predicted, 3), axis=1)], [wanted])
    # And once more, one window at a time, in the model itself.
    model.reset_states()
    for number, (inputs, _) in enumerate(data.as_numpy_iterator()):
        equal([model(inputs)], [wanted[:, number * TIME : (number + 1) * TIME]])
    equal(model.get_states(), final)
    losses = losses_in_numpy(wanted, targets)
    model.compile()
    logs = model.evaluate(data, verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(losses.mean(), rel=1e-5)
    assert logs["perplexity"] == pytest.approx(np.exp(losses.mean()), rel=1e-5)


def test_the_gradient_stops_at_the_start_of_a_window_and_the_states_pass():
    model = tiny(cell="lstm")
    model.reset_states(BATCH)
    tokens, targets = text()
    first, second, wanted = tokens[:, :TIME], tokens[:, TIME:], targets[:, TIME:]
    fresh, going_on = np.ones(BATCH, "bool"), np.zeros(BATCH, "bool")
    fixed = [variable.value for variable in model.non_trainable_variables]

    def of_carried_windows(weights):
        _, carried = model.stateless_call(weights, fixed, {"tokens": first, "start": fresh}, training=True)
        logits, _ = model.stateless_call(weights, carried, {"tokens": second, "start": going_on}, training=True)
        return plain_loss(logits, wanted)

    def of_one_text(weights):
        logits, _ = model.stateless_call(weights, fixed, tokens, training=True)
        return plain_loss(logits[:, TIME:], wanted)

    states = [numpy(state) for state in model(first, return_states=True)[1]]

    def of_constant_states(weights):
        logits, _ = model.stateless_call(weights, fixed, second, states=states, training=True)
        return plain_loss(logits, wanted)

    value, gradients = value_and_gradients(of_carried_windows, model.get_weights())
    constant_value, constant = value_and_gradients(of_constant_states, model.get_weights())
    long_value, long = value_and_gradients(of_one_text, model.get_weights())
    assert value == pytest.approx(constant_value, rel=1e-6) and value == pytest.approx(long_value, rel=1e-5)
    equal(gradients, constant, atol=1e-6)
    assert largest_relative_difference(gradients, long) > 0.05

    # And so in `fit`, whose second window goes on from the states that are set.
    model.set_states(states)
    got, logs = gradients_of_a_step(model, windows(second, wanted, start=False))
    equal(got, constant)
    assert logs["loss"] == pytest.approx(value, rel=1e-5)
    equal(model.get_states(), model(second, states, return_states=True)[1])


def test_start_forgets_the_rows_that_it_names():
    model = tiny(layers=2)
    model.reset_states(BATCH)
    tokens, _ = text()
    first, second = tokens[:, :TIME], tokens[:, TIME:]
    start = np.array([False, True, False])
    model({"tokens": first, "start": start})
    logits = numpy(model({"tokens": second, "start": start}))
    equal([logits[start]], [model(second[start])])
    equal([logits[~start]], [model(tokens[~start])[:, TIME:]])


# Training


def test_fit_learns_what_can_only_be_known_from_the_window_before():
    # What follows 0 stands two windows of one token back.
    cycle = np.array([0, 1, 0, 2, 0, 3] * 8, "int32")
    tokens = np.stack([np.roll(cycle, k) for k in range(BATCH)])
    data = windows(tokens, np.roll(tokens, -1, axis=1), time=2)
    model = LanguageModel(4, units=16, layers=1, seed=0)
    model.compile(ClippedOptimizer(keras.optimizers.Adam(0.05)))
    history = model.fit(data, epochs=8, verbose=0).history
    assert history["perplexity"][-1] < 1.1
    assert {"loss", "perplexity", "gradient_norm", "clip_rate"} <= set(history)
    forgetful = data.map(lambda inputs, targets: ({**inputs, "start": tf.ones(BATCH, "bool")}, targets))
    assert model.evaluate(forgetful, verbose=0, return_dict=True)["perplexity"] > 1.3


def test_dropout_and_half_precision_train_and_states_stay_in_full():
    tokens, targets = text()
    model = LanguageModel(VOCABULARY, units=8, layers=1, dropout=0.2, dtype="mixed_bfloat16", seed=0)
    model.compile(keras.optimizers.Adam(0.02))
    history = model.fit(windows(tokens, targets), epochs=30, verbose=0).history
    assert history["loss"][-1] < 0.9 * history["loss"][0]
    assert keras.backend.standardize_dtype(model(tokens).dtype) == "bfloat16"
    kinds = {keras.backend.standardize_dtype(v.dtype) for v in [*model.carried.variables, *model.weights]}
    assert kinds == {"float32"}
    assert model.get_states()[0].dtype == "float32"


def test_the_sum_over_time_is_the_mean_times_the_window():
    tokens, targets = text()
    mean, logs = gradients_of_a_step(tiny(), one_batch(tokens, targets))
    summed, sum_logs = gradients_of_a_step(tiny(), one_batch(tokens, targets), reduction="sum")
    equal(summed, [2 * TIME * gradient for gradient in mean], atol=1e-4)
    assert sum_logs["loss"] == pytest.approx(2 * TIME * logs["loss"], rel=1e-5)
    assert sum_logs["perplexity"] == pytest.approx(np.exp(logs["loss"]), rel=1e-5)


def test_padding_of_weight_0_changes_neither_loss_nor_gradient():
    model, (tokens, targets) = tiny(), text()
    wanted, logs = gradients_of_a_step(model, one_batch(tokens, targets))

    padding = ((0, 2), (0, 3))
    padded = [np.pad(array, padding) for array in (tokens, targets, np.ones(tokens.shape, "float32"))]
    got, padded_logs = gradients_of_a_step(model, one_batch(*padded))
    equal(got, wanted)
    assert padded_logs == pytest.approx(logs, rel=1e-5)

    assert model.evaluate(one_batch(*padded), verbose=0) == pytest.approx(list(logs.values()), rel=1e-5)

    nothing = [*padded[:2], np.zeros_like(padded[2])]
    got, logs = gradients_of_a_step(model, one_batch(*nothing))
    assert not any(gradient.any() for gradient in got)
    assert logs == {"loss": 0, "perplexity": 1}
    assert model.evaluate(one_batch(*nothing), verbose=0) == [0, 1]

    of_rows = [np.pad(tokens, ((0, 2), (0, 0))), np.pad(targets, ((0, 2), (0, 0))), np.pad(np.ones(BATCH), (0, 2))]
    got, _ = gradients_of_a_step(tiny(), one_batch(*of_rows))
    equal(got, wanted)


def test_weights_that_are_no_zeros_and_ones_weigh_the_mean():
    model, (tokens, targets) = tiny(), text()
    weights = np.random.default_rng(0).random(tokens.shape).astype("float32")
    losses = losses_in_numpy(model(tokens), targets)
    _, logs = gradients_of_a_step(model, one_batch(tokens, targets, weights))
    assert logs["loss"] == pytest.approx(np.average(losses, weights=weights), rel=1e-5)
    assert logs["perplexity"] == pytest.approx(np.exp(logs["loss"]), rel=1e-5)


def test_the_gradient_of_a_tied_table_is_the_sum_of_both_uses():
    tokens, targets = text()
    tied = tiny(tied=True)
    table, *rest, bias = tied.get_weights()
    apart = tiny()
    apart.set_weights([table, *rest, table, bias])
    got, _ = gradients_of_a_step(tied, one_batch(tokens, targets))
    (read, *others, written, of_bias), _ = gradients_of_a_step(apart, one_batch(tokens, targets))
    equal(got, [read + written, *others, of_bias])
    assert np.abs(read).max() > 0.01 and np.abs(written).max() > 0.01


def test_a_regularizer_is_a_part_of_the_loss():
    tokens, targets = text()
    model = tiny(cell="simple_rnn", cell_options={"kernel_regularizer": keras.regularizers.L2(0.1), "unroll": True})
    kernel = model.weights[1]
    assert kernel.name == "kernel"
    plain, logs = gradients_of_a_step(tiny(), one_batch(tokens, targets))
    got, more = gradients_of_a_step(model, one_batch(tokens, targets))
    assert more["loss"] == pytest.approx(logs["loss"] + 0.1 * np.sum(numpy(kernel) ** 2), rel=1e-5)
    assert more["perplexity"] == pytest.approx(logs["perplexity"], rel=1e-5)
    plain[1] = plain[1] + 0.2 * numpy(kernel)
    equal(got, plain)


def test_accumulated_gradients_are_those_of_both_batches():
    model, (tokens, targets) = tiny(), text()
    wanted, _ = gradients_of_a_step(model, one_batch(tokens, targets))
    model.compile(keras.optimizers.SGD(1.0, gradient_accumulation_steps=2 * BATCH))
    rows = tf.data.Dataset.from_tensor_slices((tokens, targets)).batch(1).repeat(2)
    got, _ = gradients_of_a_step(model, rows)
    equal(got, wanted)


def test_metrics_that_are_compiled_in_read_logits():
    model, (tokens, targets) = tiny(), text()
    metrics = [keras.metrics.SparseCategoricalAccuracy(name="accuracy"), keras.metrics.SparseTopKCategoricalAccuracy(2)]
    metrics.append(keras.metrics.SparseCategoricalCrossentropy(from_logits=True, name="loss_again"))
    model.compile(keras.optimizers.SGD(0.5), metrics=metrics, weighted_metrics=[])
    hits = np.argmax(numpy(model(tokens)), axis=-1) == targets
    data = windows(tokens, targets, weights=np.ones(tokens.shape, "float32"))
    logs = model.evaluate(data, verbose=0, return_dict=True)
    assert logs["accuracy"] == pytest.approx(hits.mean(), abs=1e-6)
    assert logs["loss_again"] == pytest.approx(logs["loss"], rel=1e-5)
    # In training they see what the loss sees: the weights before each update.
    history = model.fit(data, epochs=3, verbose=0).history
    assert history["loss_again"] == pytest.approx(history["loss"], rel=1e-5)
    assert history["loss"][2] < history["loss"][0]


@pytest.mark.parametrize("how", [dict(jit_compile=True), dict(run_eagerly=True), dict(steps_per_execution=2)], ids=str)
def test_however_keras_runs_a_step_it_is_the_same(how):
    if BACKEND == "torch" and "run_eagerly" not in how:
        pytest.skip("PyTorch compiles for minutes, and takes one step at a time")
    tokens, targets = text()
    plain, other = tiny(cell="gru", tied=True), tiny(cell="gru", tied=True)
    plain.compile(keras.optimizers.SGD(0.5))
    other.compile(keras.optimizers.SGD(0.5), **how)
    wanted = plain.fit(windows(tokens, targets), epochs=2, verbose=0).history
    got = other.fit(windows(tokens, targets), epochs=2, verbose=0).history
    assert got["loss"] == pytest.approx(wanted["loss"], rel=1e-4)
    equal(other.get_weights(), plain.get_weights())
    equal(other.get_states(), plain.get_states())


class Stop(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        self.model.stop_training = True


def test_arguments_of_fit_may_be_given_by_their_places():
    tokens, targets = text()
    model = tiny()
    model.compile(ClippedOptimizer(keras.optimizers.SGD(0.5)))
    history = model.fit(tokens, targets, BATCH, 3, 0, [Stop()], 0.0, (tokens, targets)).history
    assert len(history["loss"]) == 1 and {"clip_rate", "val_loss"} <= set(history)


@pytest.mark.parametrize(
    "loss", ["sparse_categorical_crossentropy", keras.losses.sparse_categorical_crossentropy], ids=["name", "function"]
)
def test_the_loss_that_the_model_has_may_be_named(loss, tmp_path):
    model = tiny()
    model.compile("sgd", loss, metrics=["accuracy"])
    assert model.get_compile_config()["loss"] is None
    with pytest.raises(ValueError, match="brings its loss, the cross-entropy: drop `loss`. Received: loss='mse'"):
        model.compile("sgd", "mse")


@on_tensorflow
@pytest.mark.parametrize("of_rows", [False, True], ids=["tokens", "rows"])
def test_weights_and_targets_of_unknown_rank_are_those_of_a_known_one(of_rows):
    tokens, targets = text()
    weights = np.random.default_rng(0).random(tokens.shape[: 1 if of_rows else 2]).astype("float32")
    known = one_batch(tokens, targets, weights)

    def without_shapes(x, y, w):
        y, w = tf.numpy_function(lambda y, w: (y, w), [y, w], (tf.int32, tf.float32))
        return x, y, w

    unknown = known.map(without_shapes)
    assert unknown.element_spec[2].shape.rank is None
    model = tiny()
    wanted, logs = gradients_of_a_step(model, known)
    got, same = gradients_of_a_step(model, unknown)
    equal(got, wanted, atol=1e-6)
    assert same == pytest.approx(logs, rel=1e-6)
    with pytest.raises(ValueError, match=r"one number a token or one a row, .*\(3, 8\) or \(3,\).*\(3, 8, 1\)"):
        model.evaluate(one_batch(tokens, targets, np.ones((*tokens.shape, 1), "float32")), verbose=0)


# The states that are carried


def test_another_batch_size_has_states_of_its_own_and_evaluation_leaves_them_alone():
    model = tiny()
    model.compile(keras.optimizers.SGD(0.1))
    data, smaller, single = [windows(*text(batch=batch)) for batch in (BATCH, 2, 1)]
    model.fit(data, validation_data=smaller, epochs=2, verbose=0)
    kept = model.get_states(BATCH)
    assert all(np.abs(state).min() > 0 for state in kept)
    wanted = [losses_in_numpy(model(text(batch=batch)[0]), text(batch=batch)[1]).mean() for batch in (BATCH, 2, 1)]
    for _ in range(2):
        for some, loss in zip((data, smaller, single), wanted):
            assert model.evaluate(some, verbose=0)[0] == pytest.approx(loss, rel=1e-5)
    equal(model.get_states(BATCH), kept, atol=0)
    model.predict(data, verbose=0)
    equal(model.get_states(BATCH), kept, atol=0)
    model.fit(smaller, verbose=0)
    equal(model.get_states(BATCH), kept, atol=0)
    model.fit(data, verbose=0)
    assert not np.allclose(model.get_states(BATCH)[0], kept[0])
    with pytest.raises(ValueError, match=r"carried for batches of \[1, 2, 3\]: say which"):
        model.get_states()


def test_windows_of_another_length_go_on_from_the_same_states():
    model, (tokens, targets) = tiny(cell="gru"), text()
    model.compile(keras.optimizers.SGD(0.0))
    model.fit(windows(tokens, targets), verbose=0)
    wanted = model.get_states()
    for time in (2, 2 * TIME):
        model.reset_states()
        model.fit(windows(tokens, targets, time=time, start=False), verbose=0)
        equal(model.get_states(), wanted)


def test_carried_states_are_no_weights_and_are_not_saved(tmp_path):
    model = tiny()
    number, parameters, names = len(model.get_weights()), model.count_params(), [w.path for w in model.weights]
    model.compile()
    model.fit(windows(*text()), verbose=0)
    assert (len(model.get_weights()), model.count_params(), [w.path for w in model.weights]) == (
        number,
        parameters,
        names,
    )
    assert {variable.name for variable in model.variables} >= {"carried_0"}
    model.save_weights(tmp_path / "of.weights.h5")
    new = tiny(seed=1)
    new.load_weights(tmp_path / "of.weights.h5")
    equal(new.get_weights(), model.get_weights(), atol=0)
    model.set_weights(new.get_weights())
    model.load_weights(tmp_path / "of.weights.h5")
    # What Keras does to a model with a layer that is not built: a batch is looked at before every `fit`.
    assert all(layer.built for layer in model._flatten_layers())


def test_states_are_set_got_and_reset():
    model = tiny(layers=2, cell="lstm")
    with pytest.raises(ValueError, match=r"No states .* any size: `reset_states\(batch_size\)` makes them"):
        model.get_states()
    states = [np.full((2, UNITS), k, "float32") for k in range(4)]
    model.set_states(states)
    equal(model.get_states(), states, atol=0)
    equal(model.get_states(2), states, atol=0)
    model.reset_states()
    assert not any(state.any() for state in model.get_states())
    for wrong in (states[:3], [*states[:3], states[0][:1]], [*states[:3], states[0][:, :2]], []):
        with pytest.raises(ValueError, match=r"`states` is a flat list of 4 arrays of shape \(batch, units\)"):
            model.set_states(wrong)


# Saving


def test_a_compiled_model_is_saved_and_loaded_with_everything(tmp_path):
    data = windows(*text())
    options = {"peephole": "io", "kernel_regularizer": keras.regularizers.L2(1e-3)}
    model = tiny(cell="lstm", cell_options=options)
    model.compile(ClippedOptimizer(keras.optimizers.Adam(0.01), max_norm=0.5), reduction="sum", metrics=["accuracy"])
    model.fit(data, epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert keras.saving.serialize_keras_object(loaded) == keras.saving.serialize_keras_object(model)
    assert loaded.get_compile_config() == model.get_compile_config()
    equal(loaded.get_weights(), model.get_weights(), atol=0)
    equal([v.value for v in loaded.optimizer.variables], [v.value for v in model.optimizer.variables], atol=0)
    for each in (model, loaded):
        each.fit(data, verbose=0)
    equal(loaded.get_weights(), model.get_weights(), atol=1e-6)

    # A process that knows the package alone.
    np.savez(tmp_path / "given.npz", tokens=text()[0], logits=numpy(loaded(text()[0])))
    loaded.save(tmp_path / "model.keras")
    code = (
        "import keras_rnnlm, keras, numpy as np; given = np.load('given.npz');"
        "logits = keras.models.load_model('model.keras').predict(given['tokens'], verbose=0);"
        "np.testing.assert_allclose(logits, given['logits'], atol=1e-5)"
    )
    path = os.pathsep.join([str(pathlib.Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, env={**os.environ, "PYTHONPATH": path})


def test_a_model_that_scales_its_loss_inside_the_clipping_is_saved_and_loaded(tmp_path):
    model = tiny(dtype="mixed_float16")
    optimizer = ClippedOptimizer(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=8.0))
    model.compile(optimizer, auto_scale_loss=False)
    model.fit(*text(), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_compile_config() == model.get_compile_config()
    equal([v.value for v in loaded.optimizer.variables], [v.value for v in optimizer.variables], atol=0)
    assert float(loaded.optimizer.loss_scale_factor) == 8.0


class MinimalGatedUnit(layers.SimpleRNN):
    """A recurrence of someone else's."""


@pytest.mark.parametrize(
    "options",
    [
        dict(layers=[layers.GRU(UNITS), layers.LSTM(4, coupled=True, dtype="mixed_bfloat16")], connection="dense"),
        dict(units=[4, 4], layers=2, cell=layers.GRU, cell_options={"reset_after": False}, tied=True),
        dict(layers=1, cell=MinimalGatedUnit, connection="residual"),
        dict(layers=2, units=4, cell="tests.cells.of_someone_else:LeakyCell", cell_options={"leak": 0.25}),
        dict(layers=1, cell=LeakyCell),
        dict(layers=1, cell="simple_rnn", embedding_dim=UNITS, connection="highway", initial_range=0.1),
    ],
    ids=["list", "class", "own class", "where to find it", "own cell", "name"],
)
def test_every_way_to_say_which_layers_is_saved_and_loaded(options, tmp_path):
    model = tiny(**options)
    model.save(tmp_path / "model.keras")
    own = {"MinimalGatedUnit": MinimalGatedUnit}
    loaded = keras.models.load_model(tmp_path / "model.keras", custom_objects=own)
    tokens, _ = text()
    equal([loaded(tokens)], [model(tokens)], atol=0)
    assert keras.saving.serialize_keras_object(loaded) == keras.saving.serialize_keras_object(model)
    with keras.saving.custom_object_scope(own):
        assert keras.models.clone_model(loaded).count_params() == model.count_params()


# Mistakes


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(vocabulary_size=1), "`vocabulary_size` is .* at least 2. Received: vocabulary_size=1"),
        (dict(vocabulary_size="ab"), "`vocabulary_size` is .*Received: vocabulary_size='ab'"),
        (dict(vocabulary_size=9.0), "`vocabulary_size` is .*Received: vocabulary_size=9.0"),
        (dict(units=[3, 4, 5]), r"`units` is one width, or a width for each of the 2 layers.*\[3, 4, 5\]"),
        (dict(units=0), "`units` is the width.*units=0"),
        (dict(layers=0), "`layers` is a number of layers, or a list of them.*layers=0"),
        (dict(layers=[]), r"`layers` is a list of recurrent layers.*\[\]"),
        (dict(layers=["lstm"]), "`layers` is a list of recurrent layers.*lstm"),
        (dict(cell="ltsm"), r"`cell` is one of \[.*'gru', 'lstm', .*'simple_rnn'.*\] or a class.*cell='ltsm'"),
        (dict(cell="nowhere.cells:Mine"), "no module 'nowhere': install it.*PYTHONPATH.*cell='nowhere.cells:Mine'"),
        (dict(cell="tests.nowhere:Mine"), "no module 'tests.nowhere'.*cell='tests.nowhere:Mine'"),
        (dict(cell="tests.cells.of_someone_else:Mine"), "which has no Mine. Received: cell='tests.*:Mine'"),
        (dict(cell="keras_rnnlm.layers:CausalAttention"), "`cell` is one of .*like .* of a cell.*CausalAttention'"),
        (dict(cell=keras.layers.LSTM), "`cell` is one of .*Received: cell=.*LSTM"),
        (dict(cell=layers.Recurrent), "`cell` is one of .*Received: cell=.*Recurrent"),
        (dict(cell_options={"peephol": True}), "`cell_options` is .*arguments of LSTM: .*peephole.*{'peephol': True}"),
        (dict(cell="gru", cell_options={"peephole": True}), "`cell_options` is .*arguments of GRU: .*reset_after"),
        (dict(cell_options={"units": 3}), "`cell_options` is .*{'units': 3}"),
        (dict(cell_options="peephole"), "`cell_options` is a dict.*cell_options='peephole'"),
        (dict(cell_options={"peephole": "x"}), "`peephole` is True.*peephole='x'"),
        (dict(cell_options={"go_backwards": True}), "runs forwards.*go_backwards=True"),
        (dict(cell_options={"stateful": True}), "is handed its states.*stateful=True"),
        (dict(embedding_dim=0), "`embedding_dim` is a positive integer, or None.*embedding_dim=0"),
        (dict(tied=True, embedding_dim=3), r"tied.*table must be .* = \(9, 650\). Received: an embedding of \(9, 3\)"),
        (dict(tied=True, connection="dense", units=4), r"tied.*= \(9, 12\). Received: an embedding of \(9, 4\)"),
        (dict(connection="skip"), "`connection` is one of .*connection='skip'"),
        (dict(connection="residual", units=[3, 4]), "A residual connection .*layer 1 .*width 3, 4 units"),
        (dict(dropout=1.5), "1.5"),
        (dict(initial_range=-1), "`initial_range` is positive, or None.*initial_range=-1"),
    ],
    ids=str,
)
def test_a_model_that_cannot_be_says_why(options, message):
    with pytest.raises(ValueError, match=message) as caught:
        LanguageModel(**{"vocabulary_size": 9, **options})
    assert "\n" not in str(caught.value)


def test_numpy_numbers_are_numbers(tmp_path):
    model = LanguageModel(np.int64(9), units=np.int32(4), layers=np.int64(1), seed=np.int64(0))
    model.save(tmp_path / "model.keras")
    assert keras.models.load_model(tmp_path / "model.keras").vocabulary_size == 9


def test_what_cannot_be_called_says_why():
    model, (tokens, _) = tiny(), text()
    start = np.zeros(BATCH, "bool")
    for given, message in [
        ((tokens[0],), r"Tokens are integers of shape \(batch, time\).*\(8,\)"),
        ((tokens[..., None],), r"Tokens are integers of shape \(batch, time\).*\(3, 8, 1\)"),
        (({"text": tokens},), "Inputs are `tokens`, or a dict of `tokens` and `start`.*'text'"),
        (({"tokens": tokens, "start": start},), r"No states .* a batch of 3: `reset_states\(3\)` makes them"),
        (({"tokens": tokens, "start": start}, model.initial_states(BATCH)), "states that are carried: drop `states`"),
        ((tokens, model.initial_states(BATCH) * 2), "`states` is a flat list of 1 tensor"),
    ]:
        with pytest.raises(ValueError, match=message):
            model(*given)
    equal([model({"tokens": tokens})], [model(tokens)], atol=0)


def test_what_cannot_be_compiled_or_learnt_from_says_why():
    model, (tokens, targets) = tiny(), text()
    with pytest.raises(ValueError, match="brings its loss, the cross-entropy: drop `loss`. Received: loss='mse'"):
        model.compile(loss="mse")
    with pytest.raises(ValueError, match='`reduction` is "mean" or "sum". Received: reduction=\'none\''):
        model.compile(reduction="none")
    one_hot = np.eye(VOCABULARY, dtype="float32")[targets]
    rows = {"tokens": tokens, "start": np.ones(BATCH, "bool")}
    for data, message in [
        (tf.data.Dataset.from_tensors(tokens), r"learns from \(tokens, next tokens\)"),
        (one_batch(tokens, one_hot), r"Targets .* in the shape of the tokens, \(3, 8\).*\(3, 8, 7\)"),
        (one_batch(tokens, targets[:, 0]), r"Targets .* in the shape of the tokens, \(3, 8\).*\(3,\)"),
        (tf.data.Dataset.from_tensor_slices((rows, targets)).batch(2), r"fixed number of rows.*\(None, 8\)"),
    ]:
        for use in ("fit", "evaluate"):
            model = tiny()  # a step that fails leaves Keras's model without its variables on JAX
            model.compile()
            with pytest.raises(ValueError, match=message):
                getattr(model, use)(data, verbose=0)
    model = tiny()
    model.compile()
    with pytest.raises(ValueError, match=r"fixed number of rows|No states .*`reset_states\(3\)` makes them"):
        model.fit(rows, targets, verbose=0)


def test_what_is_written_after_lora_is_of_its_weights():
    model = tiny(tied=False)
    prompts = [[1, 2], [3, 1]]
    before = model.generate(prompts, 5, seed=1)
    model.embedding.enable_lora(2)
    for weight in model.embedding.trainable_weights:
        weight.assign(np.random.default_rng(0).normal(size=weight.shape) * 3)
    fresh = copy.deepcopy(model)
    after = model.generate(prompts, 5, seed=1)
    assert [list(text) for text in after] == [list(text) for text in fresh.generate(prompts, 5, seed=1)]
    assert [list(text) for text in after] != [list(text) for text in before]


def test_a_model_is_quantised_as_it_is_exported():
    with pytest.raises(ValueError, match="`keras-rnnlm export RUN --quantize int8`. Received: quantize.'int8'."):
        tiny().quantize("int8")


# The embedding


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_the_embedding_is_that_of_keras(policy):
    tokens = np.array([[1, 0, 9], [3, 3, 2]])
    ours, kerass = (kind(10, 4, dtype=policy) for kind in (Embedding, keras.layers.Embedding))
    kerass(tokens)
    ours(tokens)
    ours.set_weights(kerass.get_weights())
    assert keras.backend.standardize_dtype(ours(tokens).dtype) == ours.compute_dtype
    np.testing.assert_array_equal(numpy(ours(tokens)), numpy(kerass(tokens)))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(ours))
    assert type(again) is Embedding


@on_tensorflow
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_of_the_embedding_no_more_is_read_and_updated_than_the_rows_asked_for(policy):
    embedding = Embedding(10, 4, dtype=policy)
    embedding.build((None, None))

    @tf.function
    def gradient(tokens):
        with tf.GradientTape() as tape:
            rows = embedding(tokens)
        return tape.gradient(rows, embedding.embeddings.value)

    tokens = tf.constant([[1, 0, 9], [3, 3, 2]])
    assert isinstance(gradient(tokens), tf.IndexedSlices)
    kinds = {operation.type for operation in gradient.get_concrete_function(tokens).graph.get_operations()}
    assert "ResourceGather" in kinds and "ReadVariableOp" not in kinds


@pytest.mark.parametrize("tied, kind", [(False, Embedding), (True, keras.layers.Embedding)])
def test_a_table_that_the_output_layer_reads_as_a_whole_is_read_as_a_whole(tied, kind):
    assert type(tiny(tied=tied).embedding) is kind
