"""A conditional random field and its decoding need no operator of their own in any format."""

import keras

from keras_rnnlm import export, layers
from tests.export import models


def test_tags_and_their_probability_are_exported(tmp_path):
    words = keras.Input((None,), dtype="int32", name="words")
    x = keras.layers.Embedding(models.VOCABULARY, 4, mask_zero=True)(words)
    allowed = layers.allowed_transitions(["O", "B-x", "I-x"])
    x = layers.CRF(3, allowed=allowed)(keras.layers.Dense(3)(x))
    model = models.randomized(keras.Model(words, layers.Viterbi(return_scores=True)(x)), 1.0)
    for write, file in ((export.to_saved_model, "m"), (export.to_onnx, "m.onnx"), (export.to_litert, "m.tflite")):
        assert write(model, tmp_path / file).parity.error < 1e-5
