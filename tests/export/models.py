"""Models to export, their weights random: zeros would hide swapped gates."""

import keras
import numpy as np
import pytest

from keras_rnnlm import layers, models

LSTMS = {
    "plain": {},
    **{f"peephole {gates}": {"peephole": gates} for gates in ("i", "f", "o", "if", "io", "fo", "ifo")},
    "coupled": {"coupled": True},
    "coupled, peephole": {"coupled": True, "peephole": True},
    "open": {"open_gates": "io", "peephole": True},
    "other functions": {"activation": "softsign", "recurrent_activation": "hard_sigmoid", "output_activation": None},
    "no bias": {"use_bias": False, "peephole": True},
}
NATIVE = {
    **{f"lstm {name}": ("lstm", options) for name, options in LSTMS.items()},
    "gru after": ("gru", {}),
    "gru before": ("gru", {"reset_after": False}),
    "gru no bias": ("gru", {"use_bias": False}),
    "simple_rnn": ("simple_rnn", {}),
}
VOCABULARY = 30


def randomized(model, scale=0.3, seed=0):
    rng = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(size=variable.shape) * scale)
    return model


def language_model(cell="lstm", options=None, layers=2, units=16, scale=0.3, vocabulary=VOCABULARY, **more):
    model = models.LanguageModel(vocabulary, units=units, layers=layers, cell=cell, cell_options=options, **more)
    return randomized(model, scale)


def run_directory(run, tokenizer, **options):
    """What a training leaves behind, as far as every export reads it; returns the model."""
    run.mkdir()
    tokenizer.save(run / "tokenizer.json")
    model = language_model(vocabulary=tokenizer.vocabulary_size, **options)
    model.save(run / "model.keras")
    return model


def assert_small_and_near(write, path, model, quantize, share):
    """A quantized file has less than a share of the whole one's bytes, and nearly its perplexity."""
    text = np.random.default_rng(1).integers(0, VOCABULARY, 200)
    whole = write(model, path, tokens=text)
    small = write(model, path, tokens=text, quantize=quantize)
    assert small.bytes < share * whole.bytes
    assert 1e-7 < small.parity.error < 3e-2
    assert small.parity.perplexity == pytest.approx(whole.parity.perplexity, rel=0.02)


def stack_of(names, units=12, seed=0):
    """A language model with a layer for each of these cells."""
    kinds = {"lstm": layers.LSTM, "gru": layers.GRU, "simple_rnn": layers.SimpleRNN}
    made = [kinds[NATIVE[name][0]](units, **NATIVE[name][1]) for name in names]
    return randomized(models.LanguageModel(VOCABULARY, layers=made), seed=seed)


def tagger():
    """Two bidirectional peephole LSTMs and a mask."""

    def both(**options):
        return keras.layers.Bidirectional(layers.LSTM(6, peephole=True, return_sequences=True, **options))

    words = keras.Input((None,), dtype="int32", name="words")
    x = both(coupled=True)(both()(keras.layers.Embedding(VOCABULARY, 5, mask_zero=True)(words)))
    return randomized(keras.Model(words, keras.layers.Dense(4, name="tags")(x)))


def regressor():
    """A GRU in the middle of a graph with two inputs."""
    series = keras.Input((12, 3), name="series")
    extra = keras.Input((2,), name="extra")
    x = keras.layers.Conv1D(4, 3, padding="same")(series)
    x = layers.GRU(7, reset_after=False)(x)
    x = keras.layers.Dense(4, "tanh")(keras.layers.Concatenate()([x, extra]))
    return randomized(keras.Model([series, extra], keras.layers.Dense(1, name="value")(x)))


def oddly_named():
    """Inputs in a dict, with names that are no Python names."""
    inputs = {"a": keras.Input((5, 3), name="first one"), "b": keras.Input((5, 3), name="first-one")}
    outputs = {"y": layers.GRU(4)(inputs["a"]), "z": layers.LSTM(3, coupled=True)(inputs["b"])}
    return randomized(keras.Model(inputs, outputs))


class Written(keras.Model):
    """A model that is no graph: what it takes is known once it was called."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.recurrent, self.dense = layers.GRU(4), keras.layers.Dense(2)

    def call(self, x):
        return self.dense(self.recurrent(x))


def subclassed():
    model = Written()
    model(np.zeros((1, 5, 3), "float32"))
    return randomized(model)
