"""Gates that are known to be open or closed."""

import numpy as np
import pytest

from keras_rnnlm import layers, models
from keras_rnnlm.diagnostics import gate_use
from tests.cases import build, data, named

ZEROS = dict(kernel_initializer="zeros", recurrent_initializer="zeros")
GATED = named("lstm-coupled-peephole-fo", "mut1")


def two_units():
    """f is open; o is closed; i follows the sign of the input in unit 0 and is half open in unit 1."""
    layer = layers.LSTM(2, **ZEROS)
    layer.build((None, None, 1))
    kernel, recurrent_kernel, bias = layer.get_weights()
    kernel[0, 0] = 50.0
    bias[2:4], bias[6:8] = 50.0, -50.0
    layer.set_weights([kernel, recurrent_kernel, bias])
    return layer


def test_a_gate_is_open_and_closed_where_its_weights_say_so():
    use = gate_use(two_units(), np.array([[1, -1, -1, -1], [1, 1, -1, -1]])[:, :, None])
    assert use.names == ["layer 0, i", "layer 0, f", "layer 0, o"]
    np.testing.assert_allclose(use.mean, [[3 / 8, 0.5], [1, 1], [0, 0]], atol=1e-6)
    np.testing.assert_allclose(use.open, [[3 / 8, 0], [1, 1], [0, 0]])
    np.testing.assert_allclose(use.closed, [[5 / 8, 0], [0, 0], [1, 1]])
    assert str(use).splitlines()[1].split() == ["layer", "0,", "i", "0.438", "18.8%", "31.2%"]


@pytest.mark.parametrize("case", GATED, ids=str)
def test_the_gates_are_those_of_the_reference(case):
    layer, weights = build(case)
    x, states = data(layer)
    use = gate_use(layer, x.astype("float32"), [state.astype("float32") for state in states])
    trace = case.equations(x, weights, states)["trace"]
    assert sorted(use.gates) == sorted(set(trace) - set("cghn"))
    for gate, mean, opened, closed in zip(use.gates, use.mean, use.open, use.closed):
        np.testing.assert_allclose(mean, trace[gate].mean(axis=(0, 1)), atol=1e-5)
        np.testing.assert_allclose(opened, (trace[gate] > 0.9).mean(axis=(0, 1)))
        np.testing.assert_allclose(closed, (trace[gate] < 0.1).mean(axis=(0, 1)))


def test_a_point_for_each_unit_is_drawn():
    model = models.LanguageModel(7, layers=[layers.LSTM(4, open_gates="f", **ZEROS), layers.GRU(3, **ZEROS)])
    use = gate_use(model, np.zeros((2, 5), "int32"))
    assert use.names == ["layer 0, i", "layer 0, f", "layer 0, o", "layer 1, z", "layer 1, r"]
    axes = use.plot()
    assert [panel.get_title() for panel in axes] == ["i", "f", "o", "z", "r"]
    np.testing.assert_allclose(axes[1].collections[0].get_offsets(), [[0, 1]] * 4)
    assert len(axes[3].collections[0].get_offsets()) == 3
    with pytest.raises(ValueError, match="Received: 2 axes"):
        use.plot(axes[:2])


def test_a_network_without_gates_is_told():
    with pytest.raises(ValueError, match="Received: SimpleRNNCell"):
        gate_use(layers.SimpleRNN(3), np.zeros((1, 2, 3)))
