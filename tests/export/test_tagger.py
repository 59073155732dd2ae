"""A tagger's file gives what the model gives, and is decoded without Keras."""

import numpy as np

from keras_rnnlm import export
from keras_rnnlm.layers import allowed_transitions
from keras_rnnlm.models import Tagger
from keras_rnnlm.viterbi import best_tags
from tests.export import models


def test_a_tagger_is_exported_and_its_files_are_decoded_in_numpy(tmp_path):
    allowed = allowed_transitions(["O", "B-x", "I-x"])
    small = dict(units=4, layers=1, word_dim=3, character_dim=3, filters=3, cell_options={"peephole": True})
    model = models.randomized(Tagger(20, 9, 3, allowed=allowed, **small), 1.0)
    rng = np.random.default_rng(0)
    words, characters = rng.integers(1, 20, (3, 6)), rng.integers(0, 9, (3, 6, 4))
    words[1, 4:], words[2, 1:] = 0, 0
    inputs = {"words": words.astype("int32"), "characters": characters.astype("int32")}
    wanted = model.tag(inputs)
    for write, file, more in (
        (export.to_saved_model, "m", {}),
        (export.to_onnx, "m.onnx", {"padding": "right"}),
        (export.to_litert, "m.tflite", {}),
    ):
        made = write(model, tmp_path / file, **more)
        assert made.parity.error < 1e-5
        assert file != "m.onnx" or made.operators["LSTM"] == 2
        loaded = export.runtime.load(tmp_path / file)
        found = best_tags(loaded.run(inputs)["logits"], words != 0, **loaded.about["chain"])
        np.testing.assert_array_equal(found, wanted)
