"""The first run."""

import argparse

import pytest

from keras_rnnlm import quickstart
from keras_rnnlm.export import page
from tests.support import on_tensorflow


def options(*given):
    parser = argparse.ArgumentParser()
    quickstart.arguments(parser)
    return parser.parse_args(list(given))


@pytest.fixture
def little_text(monkeypatch):
    monkeypatch.setattr(quickstart, "TEXT", "stdlib:200k")


@pytest.mark.long
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

    assert {"recipe.toml", "evaluations.jsonl"} <= {file.name for file in out.iterdir()}
    last = [line.strip() for line in printed.splitlines()[-3:]]
    assert last == [
        f'keras-rnnlm generate {out} --prompt "class "',
        f"keras-rnnlm evaluate {out} FILE.py --ngram 5",
        f'keras-rnnlm run {out / "exported"} --prompt "import "',
    ]
    assert "The 5-gram is ahead" in printed and model > ngram  # after one pass over little text


@on_tensorflow
def test_the_run_is_kept_beside_those_of_before(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kept = []
    monkeypatch.setattr(quickstart, "train", lambda text, out, recipe: kept.append(str(out)) or out.mkdir())
    for _ in range(3):
        assert quickstart.run(options()) == 130
    assert kept == ["keras-rnnlm-quickstart", "keras-rnnlm-quickstart-2", "keras-rnnlm-quickstart-3"]


@on_tensorflow
def test_the_time_to_train_is_what_the_rest_leaves(tmp_path, monkeypatch):
    assert quickstart.training_seconds(4) + 4 * (1 + quickstart.REST) == quickstart.SECONDS
    assert quickstart.training_seconds(60) == quickstart.SHORTEST
    recipes = []
    monkeypatch.setattr(quickstart, "train", lambda text, out, recipe: recipes.append(recipe))
    monkeypatch.setattr(quickstart, "training_seconds", lambda imports: 30.0)
    quickstart.run(options("--out", str(tmp_path / "run")))
    quickstart.run(options("--out", str(tmp_path / "run"), "--set", "max_minutes=0.2"))
    assert [recipe.max_minutes for recipe in recipes] == [0.5, 0.2]


def test_a_setting_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(ValueError, match="unitz.*units"):
        quickstart.run(options("--out", str(tmp_path / "run"), "--set", "unitz=3"))
    assert not (tmp_path / "run").exists()


def test_it_ends_with_a_page_where_nothing_has_to_be_downloaded(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(page, "make_page", lambda *where, **more: made.append(where))
    monkeypatch.setattr(page.onnxruntime_web, "cached", lambda: None)
    run = tmp_path / "run"
    assert quickstart.make_page(run / "exported", run / "page") is None and made == []
    assert f"keras-rnnlm demo {run / 'exported'} --serve " in quickstart.next_commands(run)
    monkeypatch.setattr(page.onnxruntime_web, "cached", lambda: {"file": b"bytes"})
    assert quickstart.make_page(run / "exported", run / "page") == run / "page"
    assert made == [(run / "exported", run / "page")]
    assert f"as in {run / 'page'} for any server" in quickstart.next_commands(run, run / "page")
