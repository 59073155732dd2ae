"""A cell of someone else is as good as ours."""

import types

import numpy as np
import pytest

from keras_rnnlm import cells, layers, models, recurrence
from keras_rnnlm.cells import RecurrentCell
from keras_rnnlm.layers import fused
from keras_rnnlm.training.recipes import recipe
from keras_rnnlm.training.runs import run
from tests.cells.of_someone_else import QuasiRecurrentCell
from tests.support import largest_relative_difference, loss_of, numpy, value_and_gradients


def test_a_cell_without_a_recurrent_kernel_needs_no_build_of_its_own():
    layer = layers.Recurrent(QuasiRecurrentCell(4), return_sequences=True, return_state=True)
    layer.build((None, None, 3))
    assert [weight.name for weight in layer.weights] == ["kernel", "bias"]
    rng = np.random.default_rng(0)
    shapes = [(2, 5, 3), (2, 4), (3, 8), (8,)]
    arrays = x, h, kernel, bias = [rng.normal(size=shape).astype("float32") for shape in shapes]
    layer.set_weights([kernel, bias])
    z = x @ kernel + bias
    for t in range(5):
        f = 1 / (1 + np.exp(-z[:, t, :4]))
        h = f * h + (1 - f) * np.tanh(z[:, t, 4:])
    np.testing.assert_allclose(numpy(layer(x, initial_state=[arrays[1]])[1]), h, atol=1e-5)
    value, gradients = value_and_gradients(loss_of(layer), arrays)
    token = recurrence.plain_autodiff.set(True)
    try:
        wanted_value, wanted = value_and_gradients(loss_of(layer), arrays)
    finally:
        recurrence.plain_autodiff.reset(token)
    np.testing.assert_allclose(value, wanted_value, rtol=1e-4)
    assert largest_relative_difference(gradients, wanted) < 1e-4


def test_a_recipe_builds_a_model_of_a_cell_of_someone_else():
    settings = dict(cell="tests.cells.of_someone_else:LeakyCell", units=4, layers=2, cell_options={"leak": 0.25})
    model = run.build_model(recipe.Recipe(**settings), types.SimpleNamespace(vocabulary_size=11))
    assert [type(layer.cell).__name__ for layer in model.stack.layers] == ["LeakyCell"] * 2
    assert model.stack.layers[0].leak == 0.25
    assert isinstance(models.LanguageModel.from_config(model.get_config()), models.LanguageModel)


class DoubledCell(cells.LSTMCell):
    def step(self, dot, x, states, p):
        return super().step(dot, 2 * x, states, p)


def test_a_subclass_of_ours_runs_its_own_equations():
    """PyTorch and cuDNN have a kernel for the LSTM, and not for what is made of it."""
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    doubled = layers.Recurrent(DoubledCell(4), return_sequences=True)
    plain = layers.Recurrent(doubled.cell, return_sequences=True, return_trace=True)
    np.testing.assert_allclose(numpy(doubled(x)), numpy(plain(x)[0]), atol=1e-5)
    assert "DoubledCell may have equations of its own" in fused.obstacles(doubled)
    again = layers.Recurrent(doubled.cell, return_sequences=True, remat=True)  # which projects x within the loop
    np.testing.assert_allclose(numpy(again(x)), numpy(doubled(x)), atol=1e-5)
    assert cells.LSTMCell(4).only_adds_x and not doubled.cell.only_adds_x


@pytest.mark.parametrize(
    "step, message",
    [
        (
            lambda self, dot, x, states, p: dot(states[0], "recurrent_kernel", x),
            "`step` of .* a tuple of h, .*Received",
        ),
        (lambda self, dot, x, states, p: (x, x), r"of widths \[4\]. Received: shapes \[\(2, 4\), \(2, 4\)\]"),
        (lambda self, dot, x, states, p: (x[:, :3],), r"of widths \[4\]. Received: shapes \[\(2, 3\)\]"),
        (
            lambda self, dot, x, states, p: (dot(states[0], "kernel", x),),
            "multiplies by recurrent_kernel here. Received",
        ),
    ],
)
def test_a_step_that_is_wrong_is_told_what_it_has_to_be(step, message):
    cell = type("Cell", (RecurrentCell,), {"gates": "n", "step": step})
    with pytest.raises(ValueError, match=message):
        layers.Recurrent(cell(4))(np.ones((2, 3, 5), "float32"))


def test_a_weight_of_no_kind_is_told_the_kinds():
    class Cell(RecurrentCell):
        gates = "n"

        def build(self, input_shape):
            super().build(input_shape)
            assert self.declare("decay", (self.units,), "bias") is self.decay
            self.declare("other", (self.units,), "zeros")

    with pytest.raises(ValueError, match="one of kernel, recurrent, bias. Received: kind='zeros', of 'other'"):
        Cell(4).build((2, 3))
