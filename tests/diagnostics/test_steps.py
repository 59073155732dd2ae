"""Models step by step."""

import keras
import numpy as np
import pytest

from keras_rnnlm import layers, models
from keras_rnnlm.diagnostics.steps import steps
from tests.support import numpy

UNIFORM = dict(recurrent_initializer="glorot_uniform")  # quicker to make than an orthogonal matrix


def chain(*above):
    """The layers of a tagger, or of a classifier: with every kind of layer that goes step by step."""
    return [
        keras.Input((None,), dtype="int32"),
        keras.layers.Embedding(9, 3),
        layers.SimpleRNN(3, return_sequences=True, **UNIFORM),
        keras.layers.LayerNormalization(),
        keras.layers.TimeDistributed(keras.layers.Dense(3)),
        keras.layers.Dropout(0.5),
        *above,
        keras.layers.Activation("tanh"),
        layers.VocabularyLogits(9),
    ]


def functional(parts):
    x = parts[0]
    for layer in parts[1:]:
        x = layer(x)
    return keras.Model(parts[0], x)


@pytest.mark.parametrize("make, every_step", [(keras.Sequential, False), (functional, True)])
def test_a_chain_gives_at_every_step_what_it_gives_at_once(make, every_step):
    model = make(chain(layers.LSTM(3, return_sequences=every_step, **UNIFORM)))
    tokens = np.random.default_rng(0).integers(0, 9, (2, 6))
    walk = steps(model, tokens)
    assert walk.state_names() == ["layer 0, h", "layer 1, h", "layer 1, c"]
    states, wanted = walk.states, numpy(model(tokens))
    for t in range(6):
        output, states = walk.step(walk.sequences[:, t], states)
        if every_step or t == 5:
            np.testing.assert_allclose(numpy(output), wanted[:, t] if every_step else wanted, atol=1e-5)


def test_a_walk_leaves_the_cells_as_they_were():
    model = models.LanguageModel(5, units=3, layers=2, cell_options=UNIFORM)
    assert len(list(steps(model, np.zeros((1, 4), "int32")).notes())) == 4
    assert not any("step" in vars(layer.cell) for layer in model.stack.layers)
    assert numpy(model(np.zeros((1, 2), "int32"))).shape == (1, 2, 5)


def residual():
    inputs = keras.Input((None, 3))
    return keras.Model(inputs, keras.layers.add([inputs, layers.LSTM(3, return_sequences=True)(inputs)]))


def masked():
    return keras.Sequential([keras.layers.Embedding(9, 3, mask_zero=True), layers.LSTM(3)])


def backwards():
    return keras.Sequential([keras.Input((None, 3)), layers.LSTM(3, go_backwards=True)])


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.recurrent = layers.LSTM(3)

    def call(self, x):
        return self.recurrent(x)


@pytest.mark.parametrize(
    "make, received",
    [
        (residual, "Functional"),
        (Subclassed, "Subclassed"),
        (lambda: keras.Sequential([keras.layers.Dense(3)]), "Sequential"),
        (lambda: keras.layers.LSTM(3), "LSTM"),
        (masked, "an? Embedding"),
        (backwards, "an? LSTM"),
        (lambda: keras.Sequential([layers.LSTM(3, return_sequences=True), keras.layers.Conv1D(3, 2)]), "a Conv1D"),
        (lambda: keras.Sequential([layers.LSTM(3, return_sequences=True), keras.layers.LSTM(3)]), "a LSTM"),
    ],
)
def test_what_does_not_go_step_by_step_is_told(make, received):
    with pytest.raises(ValueError, match=f"step by step.*Received:.*{received}"):
        steps(make(), np.zeros((2, 5, 3)))


@pytest.mark.parametrize("shape", [(2, 5), (2, 0, 3)])
def test_sequences_have_features_and_steps(shape):
    with pytest.raises(ValueError, match=r"`inputs` are \(batch, time, features\).*Received"):
        steps(layers.LSTM(3), np.zeros(shape))
