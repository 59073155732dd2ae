"""The gradient by earlier states, beside what can be computed by hand."""

import keras
import numpy as np
import pytest

from keras_rnnlm import layers, models
from keras_rnnlm.diagnostics import gradient_flow


def linear_network(matrix):
    """h' = x@W + h@U, whose gradient by h_(T-k) is a power of U."""
    units = len(matrix)
    layer = layers.SimpleRNN(units, activation=None, use_bias=False)
    layer.build((None, None, 3))
    layer.set_weights([np.random.default_rng(0).normal(size=(3, units)), matrix])
    return layer


def test_a_linear_network_decays_as_the_power_of_its_largest_eigenvalue():
    rng = np.random.default_rng(0)
    rotation = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    matrix = rotation @ np.diag([0.9, 0.5, 0.4, 0.3, 0.2, 0.1]) @ np.linalg.inv(rotation)
    flow = gradient_flow(linear_network(matrix), rng.normal(size=(2, 60, 3)))
    assert flow.fall(start=50, end=60) == pytest.approx(0.9**-10, rel=1e-3)


@pytest.mark.parametrize("scale", [0.8, 1.0, 1.2])
def test_an_orthogonal_network_keeps_every_direction(scale):
    orthogonal = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0]
    flow = gradient_flow(linear_network(scale * orthogonal), np.zeros((3, 40, 3)))
    np.testing.assert_allclose(flow.norms[0], scale ** np.arange(1, 41), rtol=1e-4)


def test_the_gradient_of_a_language_model_equals_finite_differences():
    model = models.LanguageModel(9, units=4, layers=2, cell_options={"peephole": True}, seed=1)
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(size=variable.shape) * 0.5)
    tokens, targets = rng.integers(0, 9, (1, 4)), np.array([3])
    states = [rng.normal(size=(1, 4)).astype("float32") for _ in range(4)]
    flow = gradient_flow(model, tokens, targets, states)
    assert flow.norms.shape == (4, 4) and flow.names[3] == "layer 1, c"

    def loss(states):
        logits, _ = model(tokens, [state.astype("float32") for state in states], return_states=True)
        logits = np.asarray(keras.ops.convert_to_numpy(logits), "float64")[0, -1]
        return np.log(np.exp(logits).sum()) - logits[targets[0]]

    for i in range(4):  # by the states that it begins with: four steps before the loss
        gradient = []
        for unit in range(4):
            change = np.zeros((1, 4))
            change[0, unit] = 1e-2
            above = [s + change if j == i else s for j, s in enumerate(states)]
            below = [s - change if j == i else s for j, s in enumerate(states)]
            gradient.append((loss(above) - loss(below)) / 2e-2)
        assert flow.norms[i, -1] == pytest.approx(np.linalg.norm(gradient), rel=2e-2, abs=1e-4)


def test_stacks_are_drawn():
    stack = layers.RecurrentStack([layers.GRU(4), layers.LSTM(4)], connection="residual")
    flow = gradient_flow(stack, np.random.default_rng(0).normal(size=(2, 10, 4)))
    assert flow.names == ["layer 0, h", "layer 1, h", "layer 1, c"]
    axes = flow.plot()
    assert [line.get_label() for line in axes.get_lines()] == flow.names
    gradient_flow(layers.SimpleRNN(4), np.ones((2, 10, 4))).plot(axes, label="plain")
    assert [line.get_label() for line in axes.get_lines()] == [*flow.names, "plain: layer 0, h"]


def test_a_chain_of_layers_gives_what_its_recurrent_layer_gives():
    rng = np.random.default_rng(0)
    recurrent, identity = layers.LSTM(4, peephole=True), keras.layers.Dense(3, kernel_initializer="identity")
    x = rng.normal(size=(2, 10, 3))
    wanted = gradient_flow(recurrent, x)
    chain = keras.Sequential([keras.Input((None, 3)), identity, recurrent, keras.layers.Dropout(0.5)])
    flow = gradient_flow(chain, x)
    assert flow.names == wanted.names
    np.testing.assert_allclose(flow.norms, wanted.norms, rtol=1e-5)


def test_what_does_not_fit_is_told():
    with pytest.raises(ValueError, match="Received: Dense"):
        gradient_flow(keras.layers.Dense(3), np.zeros((1, 2, 3)))
    with pytest.raises(ValueError, match="Only a LanguageModel has `targets`"):
        gradient_flow(layers.GRU(3), np.zeros((1, 2, 3)), targets=[1])
    model, tokens = models.LanguageModel(5, units=3, layers=1, cell="simple_rnn"), np.zeros((1, 2), "int32")
    with pytest.raises(ValueError, match="targets=None"):
        gradient_flow(model, tokens)
    with pytest.raises(ValueError, match="Targets are ids of the vocabulary, .*Received: 5"):
        gradient_flow(model, tokens, [5])
    with pytest.raises(ValueError, match="Tokens are ids of the vocabulary, .*Received: -1"):
        gradient_flow(model, tokens - 1, [1])
