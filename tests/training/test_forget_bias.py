"""Forget biases of layers that are built, wherever their gates are."""

import numpy as np
import pytest
from keras import ops

from keras_rnnlm import layers
from keras_rnnlm.training.tasks.language_model import set_forget_bias


@pytest.mark.parametrize("layer", [
    layers.LSTM(2), layers.LSTM(2, coupled=True), layers.GridLSTM(2, depth=2), layers.DepthGatedLSTM(2, depth=2),
], ids=lambda layer: layer.name)  # fmt: skip
def test_every_forget_gate_gets_it(layer):
    layer.build((None, None, 3))
    set_forget_bias(layer, 3.0)
    biases = {w.name: ops.convert_to_numpy(w) for w in layer.weights if "bias" in w.name}
    at = layer.cell.gates.index("f") * 2
    for name, bias in biases.items():
        wanted = np.zeros(len(bias))
        wanted[at : at + 2] = 3
        np.testing.assert_array_equal(bias, wanted, err_msg=name)


@pytest.mark.parametrize("layer", [layers.GRU(2), layers.LSTM(2, open_gates="f"), layers.LSTM(2, use_bias=False)])
def test_where_there_is_none_it_is_told(layer):
    layer.build((None, None, 3))
    with pytest.raises(ValueError, match="needs a forget gate with a bias"):
        set_forget_bias(layer, 1.0)
