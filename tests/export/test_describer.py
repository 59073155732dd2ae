"""What an export of a translator of recordings gives: it reads the files itself."""

import numpy as np
import pytest

from keras_rnnlm import export
from keras_rnnlm.export import parity
from keras_rnnlm.export.interface import interface_of
from keras_rnnlm.models import Translator
from tests.export import models

FORMATS = {"saved_model": "m", "onnx": "m.onnx", "litert": "m.tflite"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The model, its interface and its three files."""
    folder, options = tmp_path_factory.mktemp("describer"), {"rate": 8000, "mels": 3, "layers": 1}
    model = models.randomized(Translator(None, 9, units=4, encoder="sound", encoder_options=options), 0.8)
    interface = interface_of(model)
    write = {"saved_model": export.to_saved_model, "onnx": export.to_onnx, "litert": export.to_litert}
    return model, interface, {kind: write[kind](interface, folder / name) for kind, name in FORMATS.items()}


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_writes_of_recordings_as_the_model_does(made, kind):
    model, interface, written = made
    assert written[kind].parity.error < 1e-5 and written[kind].parity.state_error < 1e-5
    loaded, rng = export.runtime.load(written[kind].path), np.random.default_rng(0)
    sources = [rng.normal(size=(size, 3)).astype("float32") for size in (9, 1, 4)]
    options = dict(beam=2, max_length=6, attention=True)
    wanted, found = model.translate(sources, **options), loaded.translate(sources, **options)
    for source, ours, theirs in zip(sources, wanted, found, strict=True):
        assert [one.ids for one in theirs] == [one.ids for one in ours]
        np.testing.assert_allclose([one.score for one in theirs], [one.score for one in ours], atol=1e-5)
        np.testing.assert_allclose(theirs[0].attention, ours[0].attention, atol=1e-5)
        (alone,) = loaded.translate([source], **options)
        assert [one.ids for one in alone] == [one.ids for one in theirs]
    check = parity.answer(interface, interface.numpy).check_of(np.random.default_rng(0), interface.example)
    assert loaded.error_of(check) < 1e-5
    check["log_probabilities"][3] += 0.1
    assert loaded.error_of(check) > 1e-3


def test_the_layers_of_the_pyramid_are_native_in_onnx(made):
    operators = made[2]["onnx"].operators
    assert operators["LSTM"] == 2 and "Loop" not in operators
