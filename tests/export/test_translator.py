"""A translator's files give what the model gives, and write it without Keras."""

import numpy as np
import pytest

from keras_rnnlm import export
from keras_rnnlm.export import parity
from keras_rnnlm.export.interface import interface_of
from keras_rnnlm.models import Translator
from tests.export import models

SOURCES = [[3, 4, 5, 6, 7, 8, 9, 3, 4], [5], [6, 7, 8]]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The model, its interface and its three files."""
    folder = tmp_path_factory.mktemp("translator")
    options = dict(units=6, decoder_layers=2, connection="residual", score="additive", cell_options={"peephole": True})
    model = models.randomized(Translator(12, 9, **options), 0.8)
    interface = interface_of(model)
    written = {
        "saved_model": export.to_saved_model(interface, folder / "m"),
        "onnx": export.to_onnx(interface, folder / "m.onnx"),
        "litert": export.to_litert(interface, folder / "m.tflite"),
    }
    return model, interface, written


@pytest.mark.parametrize("kind", ["saved_model", "onnx", "litert"])
def test_every_format_encodes_and_steps_and_writes_as_the_model_does(made, kind):
    model, _, written = made
    assert written[kind].parity.error < 1e-5 and written[kind].parity.state_error < 1e-5
    loaded = export.runtime.load(written[kind].path)
    for beam in (1, 3):
        options = dict(beam=beam, max_length=8, attention=True)
        wanted, found = model.translate(SOURCES, **options), loaded.translate(SOURCES, **options)
        for source, ours, theirs in zip(SOURCES, wanted, found, strict=True):
            assert [one.ids for one in theirs] == [one.ids for one in ours]
            np.testing.assert_allclose([one.score for one in theirs], [one.score for one in ours], atol=1e-5)
            np.testing.assert_allclose(theirs[0].attention, ours[0].attention, atol=1e-5)
            (alone,) = loaded.translate([source], **options)
            assert [one.ids for one in alone] == [one.ids for one in theirs]
    total = sum(loaded.log_probabilities(SOURCES[1], [*wanted[1][0].ids, model.get_config()["end"]][:8]))
    assert total / min(len(wanted[1][0].ids) + 1, 8) == pytest.approx(wanted[1][0].score, abs=1e-5)


def test_the_encoder_is_native_in_onnx_and_a_source_may_be_empty(made):
    model, _, written = made
    assert written["onnx"].operators["LSTM"] == 2 and "Loop" not in written["onnx"].operators
    loaded = export.runtime.load(written["onnx"].path)
    assert loaded.translate([[]], max_length=3)[0][0].ids == model.translate([[]], max_length=3)[0][0].ids
    with pytest.raises(ValueError, match="Ids are from 0 to 11. Received: ids from 12 to 12"):
        loaded.translate([[12]])


def test_what_is_checked_of_an_export_is_what_keras_gives(made):
    _, interface, written = made
    answer = parity.answer(interface, interface.numpy)
    check = answer.check_of(np.random.default_rng(0), interface.example)
    for kind in written:
        assert export.runtime.load(written[kind].path).error_of(check) < 1e-5
    check["log_probabilities"][3] += 0.1
    assert export.runtime.load(written["onnx"].path).error_of(check) > 1e-3
