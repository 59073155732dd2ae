"""Matrices whose singular values are known."""

import numpy as np
import pytest

from keras_rnnlm import layers, models
from keras_rnnlm.diagnostics import singular_values

ZEROS = dict(kernel_initializer="zeros", recurrent_initializer="zeros")


def orthogonal(units, seed=0):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(units, units)))[0]


def test_an_orthogonal_matrix_stretches_nothing():
    model = models.LanguageModel(9, layers=[layers.SimpleRNN(units, **ZEROS) for units in (7, 3)])
    for layer in model.stack.layers:
        layer.cell.recurrent_kernel.assign(orthogonal(layer.units))
    found = singular_values(model)
    assert found.names == ["layer 0, recurrent_kernel, h", "layer 1, recurrent_kernel, h"]
    for values, number in zip(found.values, (5, 3)):
        np.testing.assert_allclose(values, np.ones(number), atol=1e-5)


def test_every_gate_has_columns_of_its_own():
    wanted = {"i": [5, 1, 1, 1], "f": [4, 3, 2, 1], "g": [6, 6, 0, 0], "o": [2, 2, 2, 2]}
    blocks = [orthogonal(4, 1) @ np.diag(values) @ orthogonal(4, 2) for values in wanted.values()]
    layer = layers.LSTM(4, **ZEROS)
    layer.build((None, None, 3))
    layer.cell.recurrent_kernel.assign(np.concatenate(blocks, axis=1))
    found = singular_values(layer, k=2)
    assert found.names == [f"layer 0, recurrent_kernel, {gate}" for gate in wanted]
    np.testing.assert_allclose(found.values, [values[:2] for values in wanted.values()], atol=1e-5)
    assert str(found).splitlines()[1].split() == ["layer", "0,", "recurrent_kernel,", "f", "4.000", "3.000"]
    lines = found.plot().get_lines()
    assert [line.get_label() for line in lines[:4]] == found.names
    np.testing.assert_allclose(lines[1].get_ydata(), [4, 3], atol=1e-5)


def test_matrices_that_no_gate_divides_come_whole():
    layer = layers.LSTM(4, peephole="o", peephole_kind="full", gate_recurrence=True, **ZEROS)
    layer.build((None, None, 3))
    found = dict(zip(*vars(singular_values(layer, k=20)).values()))
    assert [name.removeprefix("layer 0, ") for name in list(found)[4:]] == ["peephole_o", "gate_recurrent_kernel"]
    assert [len(values) for values in found.values()] == [4] * 5 + [12]


def test_both_directions_of_a_stack_are_told():
    stack = layers.RecurrentStack([layers.GRU(3)], bidirectional=True)
    stack.build((None, None, 2))
    names = singular_values(stack).names
    assert names[3:] == [name.replace("layer 0", "layer 0 backwards") for name in names[:3]]


def test_what_does_not_fit_is_told():
    with pytest.raises(ValueError, match="not built"):
        singular_values(layers.GRU(3))
    with pytest.raises(ValueError, match="k=0"):
        singular_values(layers.GRU(3), k=0)
