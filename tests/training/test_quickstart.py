"""The first run."""

import argparse

import keras
import numpy as np
import pytest
from keras_rnnlm.training import quickstart


def options(**given):
    parser = argparse.ArgumentParser()
    quickstart.arguments(parser)
    return argparse.Namespace(**{**vars(parser.parse_args([])), **given})


def test_a_short_quickstart_learns_and_saves_a_model(tmp_path, capsys):
    quickstart.run(options(steps=30, units=16, out=tmp_path))
    printed = capsys.readouterr().out
    bits = float(printed.split("held-out text      bits per character")[1].split()[0])
    assert bits < np.log2(96) - 1
    assert "XLA" in printed or "scan" in printed or "Python loop" in printed
    model = keras.models.load_model(tmp_path / "model.keras")
    assert model(np.zeros((1, 3), "int32")).shape == (1, 3, model.layers[-1].units)
    assert (tmp_path / "sample.txt").read_text().startswith("def ")


def test_bigrams_are_counted_with_one_added():
    train, valid = np.array([0, 1, 0, 1, 0]), np.array([0, 1, 0])
    # After 0: 1 twice, so 3/4 for 1. After 1: 0 twice, so 3/4 for 0.
    assert quickstart.bigram_bits(train, valid, 2) == pytest.approx(-np.log2(3 / 4))


def test_a_folder_without_source_is_named(tmp_path):
    with pytest.raises(ValueError, match=f"{tmp_path.name}.*too few"):
        quickstart.read_source(tmp_path)
