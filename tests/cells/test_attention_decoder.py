"""The decoder's step beside its equations, over time and with its gradient."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from keras_rnnlm import layers, recurrence
from keras_rnnlm.cells import AttentionDecoderCell, GRUCell, LSTMCell, MUT1Cell, SimpleRNNCell, SLSTMCell
from tests.support import largest_relative_difference, numpy, value_and_gradients

BATCH, TIME, LONG, UNITS, FEATURES, WIDTH = 3, 4, 5, 4, 3, 6


def decoder(score="general", width=None, **options):
    """Two layers, their weights random."""
    cells = [SimpleRNNCell(UNITS), LSTMCell(UNITS, peephole=True)]
    cell = AttentionDecoderCell(UNITS, cells=cells, score=score, encoded_units=width, **options)
    cell.build((None, FEATURES))
    rng = np.random.default_rng(0)
    for weight in cell.trainable_variables:
        weight.assign(rng.normal(size=weight.shape))
    return cell


def given(width=UNITS):
    """What is read: the encoder's states, of which the second row hides some and the third all."""
    rng = np.random.default_rng(1)
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0]], bool)
    reads = {"keys": rng.normal(size=(BATCH, LONG, UNITS)), "encoded": rng.normal(size=(BATCH, LONG, width))}
    x = rng.normal(size=(BATCH, TIME, FEATURES)).astype("float32")
    return x, {**{name: value.astype("float32") for name, value in reads.items()}, "encoded_mask": mask}


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def by_the_equations(cell, x, states, reads):
    """One step of a decoder with a plain layer below an LSTM with peepholes."""
    plain, lstm = [[numpy(weight) for weight in one.weights] for one in cell.cells]
    own = {name: numpy(getattr(cell, name)) for name in cell.declared}
    y, h1, h2, c2 = states
    h1 = np.tanh(np.concatenate([x, y], axis=-1) @ plain[0] + h1 @ plain[1] + plain[2])
    i, f, g, o = np.split(h1 @ lstm[0] + h2 @ lstm[1] + lstm[2], 4, axis=-1)
    new = sigmoid(f + lstm[4] * c2) * c2 + sigmoid(i + lstm[3] * c2) * np.tanh(g)
    h2 = sigmoid(o + lstm[5] * new) * np.tanh(new)
    h = h1 + h2 if cell.residual else h2
    c, a = np.zeros((BATCH, reads["encoded"].shape[-1])), np.zeros((BATCH, LONG))
    for row, mask in enumerate(reads["encoded_mask"]):
        keys, encoded = reads["keys"][row][mask], reads["encoded"][row][mask]
        if cell.score == "additive":
            scores = np.tanh(h[row] @ own["query_kernel"] + keys) @ own["score_vector"]
        else:
            scores = keys @ h[row]
        if mask.any():
            a[row, mask] = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
            c[row] = a[row, mask] @ encoded
    y = np.tanh(np.concatenate([c, h], axis=-1) @ own["combine_kernel"] + own["combine_bias"])
    return a, [y, h1, h2, new]


@pytest.mark.parametrize(
    "options", [{}, {"score": "dot", "residual": True}, {"score": "additive", "width": WIDTH}], ids=str
)
def test_a_step_is_its_equations_alone_and_over_time(options):
    cell = decoder(**options)
    x, reads = given(options.get("width", UNITS))
    rng = np.random.default_rng(2)
    begun = [rng.normal(size=(BATCH, width)).astype("float32") for width in cell.state_widths]
    layer = layers.Recurrent(cell, return_sequences=True, return_state=True, return_trace=["attention"])
    outputs, *ended, trace = layer(x, initial_state=begun, reads=reads)
    states, wanted = begun, [state.astype("float64") for state in begun]
    for t in range(TIME):
        notes = {}
        y, states = cell.call(ops.convert_to_tensor(x[:, t]), states, reads=reads, notes=notes)
        attention, wanted = by_the_equations(cell, x[:, t], wanted, reads)
        for got, want in zip(states, wanted, strict=True):
            np.testing.assert_allclose(numpy(got), want, atol=1e-5)
        np.testing.assert_allclose(numpy(notes["attention"]), attention, atol=1e-5)
        np.testing.assert_allclose(numpy(outputs)[:, t], numpy(y), atol=1e-5)
        np.testing.assert_allclose(numpy(trace["attention"])[:, t], attention, atol=1e-5)
    for got, want in zip(ended, wanted, strict=True):
        np.testing.assert_allclose(numpy(got), want, atol=1e-5)
    assert len(cell.state_names) == len(wanted) and cell.state_names[-1] == "layer_1_c"


@pytest.mark.parametrize("reset_after", [True, False])
def test_a_normalized_layer_above_another_computes_what_it_does_alone(reset_after):
    upper = GRUCell(UNITS, layer_norm=True, reset_after=reset_after)
    cell = AttentionDecoderCell(UNITS, cells=[SimpleRNNCell(UNITS), upper])
    cell.build((None, FEATURES))
    rng = np.random.default_rng(0)
    for weight in cell.trainable_variables:
        weight.assign(rng.normal(size=weight.shape))
    x, reads = given()
    begun = [rng.normal(size=(BATCH, width)).astype("float32") for width in cell.state_widths]
    _, (_, h1, h2) = cell.call(ops.convert_to_tensor(x[:, 0]), begun, reads=reads)
    alone, _ = upper(h1, begun[2])
    np.testing.assert_allclose(numpy(h2), numpy(alone), atol=1e-5)


def test_the_gradient_through_time_is_that_of_plain_autodiff():
    layer = layers.Recurrent(decoder("additive", residual=True), return_sequences=True, return_state=True)
    (x, reads), mask = given(), np.ones((BATCH, TIME), bool)
    mask[1, 2:] = False
    layer.build(x.shape)
    rng = np.random.default_rng(3)
    up = ops.convert_to_tensor(rng.normal(size=(BATCH, TIME, UNITS)), dtype="float32")

    def loss(tensors):
        x, keys, encoded, *weights = tensors
        fixed = [variable.value for variable in layer.non_trainable_variables]
        beside = {"keys": keys, "encoded": encoded, "encoded_mask": reads["encoded_mask"]}
        (output, *states), _ = layer.stateless_call(weights, fixed, x, reads=beside, mask=mask)
        return ops.sum(output * up) + sum(ops.sum(state * state) for state in states)

    arrays = [x, reads["keys"], reads["encoded"], *[numpy(weight) for weight in layer.trainable_weights]]
    value, gradients = value_and_gradients(loss, arrays)
    token = recurrence.plain_autodiff.set(True)
    try:
        wanted_value, wanted = value_and_gradients(loss, arrays)
    finally:
        recurrence.plain_autodiff.reset(token)
    assert value == pytest.approx(wanted_value, rel=1e-4)
    assert largest_relative_difference(gradients, wanted) < 1e-4
    assert all(np.abs(gradient).max() > 0 for gradient in gradients)
    assert not gradients[1][2].any() and not gradients[1][1, 2:].any()  # what is hidden


def test_layers_are_dropped_out_in_training_alone():
    cell, (x, reads) = decoder(layer_dropout=0.5, seed=1), given()
    states = cell.get_initial_state(BATCH)
    first, second = [numpy(cell(x[:, 0], states, training=True, reads=reads)[0]) for _ in range(2)]
    assert np.abs(first - second).max() > 1e-3
    np.testing.assert_array_equal(*[numpy(cell(x[:, 0], states, reads=reads)[0]) for _ in range(2)])


def test_it_comes_back_from_its_configuration():
    cell = decoder("additive", WIDTH, residual=True, layer_dropout=0.1)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(cell))
    again.set_weights(cell.get_weights())
    x, reads = given(WIDTH)
    states = cell.get_initial_state(BATCH)
    np.testing.assert_array_equal(*[numpy(one(x[:, 0], states, reads=reads)[0]) for one in (cell, again)])
    assert again.get_config() == cell.get_config()


def test_states_that_are_learned_begin_where_those_of_its_cells_do():
    cell = AttentionDecoderCell(UNITS, cells=[SLSTMCell(UNITS)], learned_initial_state=True)
    cell.build((None, FEATURES))
    begun = {name: numpy(state) for name, state in zip(cell.state_names, cell.initial_state)}
    assert begun["layer_0_n"].min() == 1 and begun["layer_0_c"].max() == 0


def test_a_layer_of_its_class_comes_back_from_its_configuration():
    class Decoder(layers.Recurrent):
        cell_class = AttentionDecoderCell

    layer = Decoder(UNITS, cells=[SimpleRNNCell(UNITS), LSTMCell(UNITS, peephole=True)], return_sequences=True)
    config = json.loads(json.dumps(layer.get_config()))
    assert Decoder.from_config(config).get_config() == config


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(cells=[]), "one at least"),
        (dict(cells=[GRUCell(5)]), "as wide as the decoder, 4. Received: .* of width 5"),
        (dict(cells=[GRUCell(4, dropout=0.1)]), "cannot be one for dropout"),
        (dict(cells=[MUT1Cell(4)]), "cannot be one for project"),
        (dict(cells=[GRUCell(4)], score="cosine"), "`score` is one of"),
        (dict(cells=[GRUCell(4)], recurrent_dropout=0.1), "by `layer_dropout`"),
        (dict(cells=[GRUCell(4)], zoneout=0.1), "cells have their own `zoneout`"),
    ],
)
def test_what_a_decoder_cannot_have_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        AttentionDecoderCell(4, **options)
