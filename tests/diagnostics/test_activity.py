"""The text in the colours of a unit that was made to count brackets."""

import html
import re

import numpy as np
import pytest

from keras_rnnlm import layers, models
from keras_rnnlm.diagnostics import activity

TEXT = "a(<b>(&\n))"
DEPTH = [0, 1, 1, 1, 1, 2, 2, 2, 1, 0]


ZEROS = dict(kernel_initializer="zeros", recurrent_initializer="zeros")


def counter():
    """Unit 0 counts how many brackets are open, unit 1 how many below zero, unit 2 stays at rest."""
    model = models.LanguageModel(128, units=3, cell="simple_rnn", layers=1, cell_options={"activation": None, **ZEROS})
    table = np.zeros((128, 3))
    table[ord("(")], table[ord(")")] = [1, -1, 0], [-1, 1, 0]
    model.embedding.set_weights([table])
    model.stack.layers[0].set_weights([np.eye(3), np.eye(3), np.zeros(3)])
    return model


@pytest.fixture(scope="module")
def units():
    return activity(counter(), [ord(character) for character in TEXT])


def test_the_values_are_those_of_every_step(units):
    assert units.name == "layer 0, h"
    np.testing.assert_allclose(units.values, np.outer(DEPTH, [1, -1, 0]), atol=1e-6)


def test_the_unit_that_follows_a_signal_is_found(units):
    np.testing.assert_allclose(units.correlations(DEPTH), [1, -1, 0], atol=1e-6)
    np.testing.assert_allclose(units.correlations(np.ones(10)), 0)


def test_html_shows_the_text_in_the_colours(units):
    page = units.html(0, list(TEXT))
    spans = re.findall(r'<span style="background:rgb\((.*?)\)" title="(.*?)">(.*?)</span>', page, flags=re.S)
    assert "".join(html.unescape(text) for *_, text in spans) == TEXT.replace("\n", "↵\n")
    assert [float(value) for _, value, _ in spans] == DEPTH
    colour = {0: "255,255,255", 1: "172,210,255", 2: "89,166,255"}
    assert [rgb for rgb, *_ in spans] == [colour[depth] for depth in DEPTH]
    assert page.isascii() and "<b>" not in page


def test_the_plot_wraps_lines(units):
    tokens = ["a", "(", "<", "b", ">", "((", "&", "\n", ")", "é$"]  # a token may be of several characters
    axes = units.plot(0, tokens, width=4)
    shown = [(text.get_text(), *map(int, text.get_position()[::-1])) for text in axes.texts]
    assert [character for character, *_ in shown] == list("a(<b>((&↵)é$")
    assert [place for _, *place in shown[3:10]] == [[0, 3], [1, 0], [1, 1], [1, 2], [1, 3], [2, 0], [3, 0]]
    page = axes.images[0].get_array()
    assert page.shape == (4, 4, 3)
    np.testing.assert_allclose(page[1, 1], [0.35, 0.65, 1.0], atol=1e-6)
    np.testing.assert_allclose(page[1, 1], page[1, 2])
    np.testing.assert_allclose(page[3, 3], 1)


def test_every_layer_and_value_can_be_asked_for():
    stack = layers.RecurrentStack([layers.LSTM(3, coupled=True), layers.GRU(3)])
    x = np.random.default_rng(0).normal(size=(6, 2))
    above, below = activity(stack, x, value="z"), activity(stack, x, layer=0, value="i")
    assert (above.name, above.values.shape, below.name) == ("layer 1, z", (6, 3), "layer 0, i")
    forgotten = activity(stack, x, layer=-2, value="f")
    np.testing.assert_allclose(below.values, 1 - forgotten.values, atol=1e-6)
    assert below.values.std(axis=0).min() > 0


def test_the_text_may_go_on_from_where_another_one_ended():
    states = [np.array([[2, 0, 5]], "float32")]
    units = activity(counter(), [ord("(")] * 3, states=states)
    np.testing.assert_allclose(units.values, [[3, -1, 5], [4, -2, 5], [5, -3, 5]], atol=1e-6)


def test_what_does_not_fit_is_told(units):
    with pytest.raises(ValueError, match="'z', 'r', 'n', 'h'.*Received: value='c'"):
        activity(layers.GRU(3), np.zeros((5, 2)), value="c")
    with pytest.raises(ValueError, match="1 layers. Received: layer=1"):
        activity(layers.GRU(3), np.zeros((5, 2)), layer=1)
    with pytest.raises(ValueError, match="3 units. Received: unit=3"):
        units.html(3, list(TEXT))
    with pytest.raises(ValueError, match="10 steps read. Received: 2 strings"):
        units.plot(0, ["a", "b"])
    with pytest.raises(ValueError, match="`signal` is 10 numbers"):
        units.correlations([1, 2])


@pytest.mark.parametrize("shape", [(2, 5), (0,)], ids=str)
def test_one_text_is_read_and_no_batch(shape):
    with pytest.raises(ValueError, match=rf"one text, \(time,\), .*take one row. Received: .*{re.escape(str(shape))}"):
        activity(counter(), np.zeros(shape, "int32"))
    shape = (2, *shape[:1], 4)
    with pytest.raises(ValueError, match=rf"one text, \(time, features\), .*Received: .*{re.escape(str(shape))}"):
        activity(layers.GRU(3), np.zeros(shape))


def test_a_row_of_a_batch_is_a_text():
    model, batch = counter(), np.array([[ord(character) for character in TEXT]] * 2)
    np.testing.assert_array_equal(activity(model, batch[1]).values, activity(model, batch[0].tolist()).values)
