"""A classifier's file gives what the model gives."""

import numpy as np
import pytest

from keras_rnnlm import export
from keras_rnnlm.models import Classifier
from tests.export import models


def test_a_classifier_is_exported_with_every_pooling(tmp_path):
    rng, small = np.random.default_rng(0), dict(units=4, word_dim=3, cell_options={"peephole": True})
    words = rng.integers(1, 20, (3, 6)).astype("int32")
    words[1, 4:], words[2, 1:] = 0, 0
    # The first has all that "last", "mean" and "max" have.
    for pooling, write, file in (
        ("all", export.to_onnx, "m.onnx"),
        ("all", export.to_litert, "m.tflite"),
        ("attention", export.to_onnx, "a.onnx"),
        ("attention", export.to_litert, "a.tflite"),
    ):
        model = models.randomized(Classifier(20, 3, pooling=pooling, **small), 1.0)
        made = write(model, tmp_path / file)
        assert made.parity.error < 1e-5
        assert not file.endswith(".onnx") or made.operators["LSTM"] == 2  # one a direction
        found = export.runtime.load(tmp_path / file).run({"words": words})["logits"]
        np.testing.assert_allclose(found, model.predict(words, verbose=0), atol=1e-5)
    loaded = export.runtime.load(tmp_path / "m.onnx")
    np.testing.assert_array_equal(
        loaded.run({"words": words.astype("int64")})["logits"], loaded.run({"words": words})["logits"]
    )
    with pytest.raises(ValueError, match="'words' are ids, from 0 on. Received: -1"):
        loaded.run({"words": words - 1})
