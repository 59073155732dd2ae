"""Cells for which no format has an operator, and states that a text begins with, in every format."""

import numpy as np
import pytest

from keras_rnnlm import export, layers
from tests.export import models


@pytest.fixture(scope="module")
def model():
    """One layer of each kind, and learned states that are not zeros."""
    made = [
        layers.LSTM(6, projection_units=4, cell_clip=0.5, mogrifier=2, learned_initial_state=True, peephole="o"),
        layers.GRU(4, mogrifier=1, mogrifier_rank=2),
        layers.GridLSTM(4, depth=2, tied=True),
        layers.ClockworkRNN(4, periods=(1, 2)),
        layers.MUT2(4),
        layers.DepthGatedLSTM(4, depth=2, learned_initial_state=True),
        layers.SLSTM(4),
    ]
    return models.randomized(models.models.LanguageModel(9, layers=made, embedding_dim=4), scale=0.5)


@pytest.mark.filterwarnings("ignore:.*becomes a Loop")
@pytest.mark.parametrize("write, file", [
    pytest.param(export.to_saved_model, "m", marks=pytest.mark.long),
    (export.to_onnx, "m.onnx"), (export.to_litert, "m.tflite"),
])  # fmt: skip
def test_the_whole_family_begins_and_goes_on_as_in_keras(model, write, file, tmp_path):
    made = write(model, tmp_path / file)
    assert made.parity.error < 1e-5 and made.parity.state_error < 1e-5
    loaded = export.runtime.load(tmp_path / file)
    tokens = np.array([[1, 2, 3, 4, 5, 6]])
    wanted = model(tokens)
    np.testing.assert_allclose(loaded.logits(tokens)[0], wanted, atol=1e-5)
    assert np.abs(wanted - model(tokens, [0 * state for state in model.initial_states(1)])).max() > 1e-3
    written = model.generate([[1, 2]], length=8, seed=3)
    assert loaded.generate([[1, 2]], length=8, seed=3) == written
