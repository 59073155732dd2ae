"""States that a sequence begins with, learned."""

import keras
import numpy as np
import pytest

from keras_rnnlm import layers, models
from tests.support import BACKEND, numpy, value_and_gradients


def with_states(layer, features=3, seed=0):
    layer.build((None, None, features))
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.normal(size=weight.shape) * 0.5 for weight in layer.weights])
    return layer, {weight.name: numpy(weight) for weight in layer.weights}


@pytest.mark.parametrize("projection_units", [None, 2])
def test_a_sequence_begins_with_what_was_learned(projection_units):
    layer = layers.LSTM(4, learned_initial_state=True, projection_units=projection_units, return_sequences=True)
    layer, weights = with_states(layer)
    assert weights["initial_h"].shape == (projection_units or 4,) and weights["initial_c"].shape == (4,)
    x = np.random.default_rng(1).normal(size=(5, 6, 3)).astype("float32")
    given = [np.repeat(weights[f"initial_{name}"][None], 5, axis=0) for name in "hc"]
    np.testing.assert_array_equal(numpy(layer(x)), numpy(layer(x, initial_state=given)))
    assert np.abs(numpy(layer(x)) - numpy(layer(x, initial_state=[np.zeros_like(s) for s in given]))).max() > 1e-3
    alone = keras.layers.RNN(layer.cell, return_sequences=True)
    np.testing.assert_allclose(numpy(alone(x)), numpy(layer(x)), atol=1e-5)


def test_the_states_learn():
    layer, weights = with_states(layers.GRU(4, learned_initial_state=True))
    x = np.random.default_rng(1).normal(size=(5, 6, 3)).astype("float32")
    start = np.repeat(weights["initial_h"][None], 5, axis=0)

    def loss_of_weights(tensors):
        output, _ = layer.stateless_call(tensors, [v.value for v in layer.non_trainable_variables], x)
        return keras.ops.sum(output * output)

    def loss_of_states(tensors):
        output = layer(x, initial_state=tensors)
        return keras.ops.sum(output * output)

    _, gradients = value_and_gradients(loss_of_weights, list(weights.values()))
    _, (wanted,) = value_and_gradients(loss_of_states, [start])
    np.testing.assert_allclose(gradients[list(weights).index("initial_h")], wanted.sum(axis=0), rtol=1e-4, atol=1e-6)


def test_windows_of_a_language_model_begin_with_them(tmp_path):
    model = models.LanguageModel(7, units=4, layers=2, cell="gru", cell_options={"learned_initial_state": True}, seed=1)
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(size=variable.shape) * 0.5)
    learned = [numpy(layer.cell.initial_state[0]) for layer in model.stack.layers]
    for state, wanted in zip(model.initial_states(3), learned):
        np.testing.assert_array_equal(numpy(state), np.repeat(wanted[None], 3, axis=0))
    tokens = rng.integers(0, 7, (2, 5))
    model.reset_states(2)
    for state, wanted in zip(model.get_states(2), learned):
        np.testing.assert_array_equal(state, np.repeat(wanted[None], 2, axis=0))
    model(tokens)
    ended = [rng.normal(size=(2, 4)).astype("float32") for _ in learned]
    model.set_states(ended)
    logits = numpy(model({"tokens": tokens, "start": np.array([True, False])}))
    np.testing.assert_allclose(logits[0], numpy(model(tokens))[0], atol=1e-5)
    np.testing.assert_allclose(logits[1], numpy(model(tokens, states=ended))[1], atol=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(numpy(loaded(tokens)), numpy(model(tokens)))


@pytest.mark.skipif(BACKEND == "torch", reason="training is the same code on each backend; two of them suffice")
def test_fit_moves_them():
    model = models.LanguageModel(7, units=4, layers=1, cell_options={"learned_initial_state": True}, seed=1)
    model.compile(keras.optimizers.SGD(1.0))
    tokens = np.random.default_rng(0).integers(0, 7, (4, 6))
    model.fit(tokens[:, :-1], tokens[:, 1:], verbose=0)
    assert all(np.abs(numpy(state)).max() > 0 for state in model.stack.layers[0].cell.initial_state)
