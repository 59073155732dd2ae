"""The first run."""

import argparse

import pytest

from keras_rnnlm import quickstart


def options(*given):
    parser = argparse.ArgumentParser()
    quickstart.arguments(parser)
    return parser.parse_args(list(given))


@pytest.fixture
def little_text(monkeypatch):
    monkeypatch.setattr(quickstart, "TEXT", "stdlib:200k")


def test_a_short_quickstart_learns_compares_writes_and_exports(tmp_path, capsys, little_text):
    out = tmp_path / "run"
    settings = ["units=32", "tokenizer=char", "vocabulary_size=none", "epochs=1", "eval_every=none", "batch=8"]
    quickstart.run(options("--out", str(out), *[word for s in settings for word in ("--set", s)]))
    printed = capsys.readouterr().out
    line = next(line for line in printed.splitlines() if line.startswith("bits per character"))
    model, ngram = map(float, line.split()[-2:])
    assert model < 6 and 1.5 < ngram < 4  # a uniform guess among a hundred characters takes 6.6
    sample = (out / "sample.txt").read_text()
    assert sample.startswith("def ") and len(sample) > 100 and sample in printed
    assert {"recipe.toml", "tokenizer.json", "history.jsonl", "model.keras"} <= {file.name for file in out.iterdir()}
    for file in ("saved_model", "model.onnx", "model.tflite"):
        line = next(line for line in printed.splitlines() if line.startswith(file))
        megabytes, error = map(float, line.split()[1:])
        assert (out / "exported" / file).exists() and megabytes > 0 and error < 1e-5


def test_a_setting_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(ValueError, match="unitz.*units"):
        quickstart.run(options("--out", str(tmp_path / "run"), "--set", "unitz=3"))
    assert not (tmp_path / "run").exists()
