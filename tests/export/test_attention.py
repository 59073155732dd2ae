"""Attention needs no operator of its own in any format."""

import keras

from keras_rnnlm import export, layers
from tests.export import models


def test_a_language_model_that_attends_and_carries_its_memory_is_exported(tmp_path):
    model = models.randomized(models.models.LanguageModel(9, layers=[layers.CausalAttention(4, memory=5, heads=2)]))
    for write, file in ((export.to_onnx, "m.onnx"), (export.to_litert, "m.tflite")):
        made = write(model, tmp_path / file)
        assert made.parity.error < 1e-5 and made.parity.state_error < 1e-5


def test_a_decoder_and_masks_are_exported(tmp_path):
    words = keras.Input((None,), dtype="int32", name="words")
    x = keras.layers.Embedding(models.VOCABULARY, 4, mask_zero=True)(words)
    x = layers.EncoderAttention(4, "additive")(layers.CausalAttention(4, memory=2)(x), x)
    model = models.randomized(keras.Model(words, x))
    for write, file in ((export.to_saved_model, "m"), (export.to_onnx, "m.onnx"), (export.to_litert, "m.tflite")):
        assert write(model, tmp_path / file).parity.error < 1e-5
