"""Descriptions and transcriptions: lists of files, what is learned of them by the command line, and an export of it."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from keras_rnnlm import predict
from keras_rnnlm.__main__ import main
from keras_rnnlm.training.corpora.manifests import read_manifest
from tests.support import on_tensorflow
from tests.test_sources import tone, write_wav


def test_a_list_of_files_is_a_table_or_lines_of_json(tmp_path):
    (tmp_path / "a.tsv").write_text("one.png\ta seven\nin/two.png\ta three\n")
    wanted = [(str(tmp_path / "one.png"), "a seven"), (str(tmp_path / "in" / "two.png"), "a three")]
    assert read_manifest(tmp_path / "a.tsv") == wanted
    lines = [{"path": "one.png", "text": "a seven", "more": 1}, {"image": "in/two.png", "text": "a three"}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert read_manifest(tmp_path / "a.jsonl") == wanted
    for line in ('{"path": "one.png"}', '{"path": 1, "text": "a"}', "[1]", "no json", '{"text": "a"}'):
        (tmp_path / "b.jsonl").write_text(json.dumps(lines[0]) + "\n" + line)
        with pytest.raises(ValueError, match="b.jsonl, line 2: an object such as .* Received: "):
            read_manifest(tmp_path / "b.jsonl")


def train(folder, task, out, *more, split="80/20"):
    settings = "units=16 layers=1 tokenizer=word dropout=0 batch=20 epochs=8 learning_rate=0.03 warmup_steps=5".split()
    settings += ["tied=false", "eval_every=0", *more]
    options = [word for value in settings for word in ("--set", value)]
    given = ["train", str(folder / "list.tsv"), "--task", task, "--split", split, "--out", str(out)]
    return main([*given, *options, "--quiet"])


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder of pictures of a bright corner, and a run on them."""
    folder, rng, lines = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0), []
    for k in range(120):
        row, column = (k // 2) % 2, k % 2
        picture = np.zeros((16, 16), "uint8")
        picture[8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = rng.integers(100, 255)
        Image.fromarray(picture).save(folder / f"{k}.png")
        lines.append(f"{k}.png\t{('upper', 'lower')[row]} {('left', 'right')[column]}\n")
    (folder / "list.tsv").write_text("".join(lines))
    assert train(folder, "describe", folder / "run", "task_settings.filters=[4, 4]") == 0
    return folder


def test_a_run_on_pictures_is_resumed_and_evaluated(pictures, capsys):
    run = str(pictures / "run")
    assert main(["train", "--resume", "--out", run, "--set", "epochs=9", "--quiet"]) == 0
    (pictures / "two.tsv").write_text("0.png\tupper left\n0.png\tup left\n3.png\tnothing\n")
    assert main(["evaluate", run, str(pictures / "two.tsv"), "--beam", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["model"]
    assert (found["written"], found["exact"]) == (2, 0.5) and found["error_rate"] == 2 / 3


@on_tensorflow
def test_a_run_on_pictures_and_its_export_write_the_same(pictures, tmp_path, capsys):
    assert main(["export", str(pictures / "run"), "--out", str(tmp_path / "out"), "--format", "onnx"]) == 0
    assert main(["verify", str(tmp_path / "out")]) == 0
    (pictures / "files.txt").write_text("0.png\n\n3.png\n")
    capsys.readouterr()
    written = []
    for model in (pictures / "run", tmp_path / "out"):
        assert main(["predict", str(model), str(pictures / "files.txt"), "--json"]) == 0
        written.append(json.loads(capsys.readouterr().out)["predictions"])
    for one, other in zip(*written, strict=True):
        assert one["source"] == other["source"] and one["text"] == other["text"]
        assert one["score"] == pytest.approx(other["score"], abs=1e-4)
    assert [record["text"] for record in written[0]] == ["upper left", "lower right"]
    assert main(["predict", str(tmp_path / "out"), str(pictures / "3.png")]) == 0
    assert capsys.readouterr().out == "lower right\n"
    assert main(["run", str(tmp_path / "out"), "--prompt", "x"]) == 2
    assert "writes of files, and no prompt: keras-rnnlm predict" in capsys.readouterr().err


class Likes:
    """A language model that likes one text."""

    def score(self, text):
        return {"log_probability": 0.0 if text == "\nlow\n" else -1000.0}


def test_a_run_on_recordings_reads_them_and_a_language_model_has_its_say(tmp_path, capsys, monkeypatch):
    for k in range(40):
        write_wav(tmp_path / f"{k}.wav", tone((300, 2000)[k % 2], 0.05 + 0.01 * (k % 5)))
    (tmp_path / "list.tsv").write_text("".join(f"{k}.wav\t{('low', 'high')[k % 2]}\n" for k in range(40)))
    assert train(tmp_path, "transcribe", tmp_path / "run", "epochs=5", "task_settings.mels=8") == 0
    write_wav(tmp_path / "other.wav", tone(2000, 0.1, rate=16000), rate=16000)
    answer = predict.answer
    monkeypatch.setattr(
        predict, "answer", lambda path, *a, **k: Likes() if path.name == "lm" else answer(path, *a, **k)
    )
    given = ["predict", str(tmp_path / "run"), str(tmp_path / "other.wav"), "--beam", "6", "--json"]
    assert main([*given, "--language-model", "lm", "--lm-weight", "0", "--length-bonus", "0.7"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["predictions"]
    assert found["text"] == "high" and found["score"] > 0  # above any log-probability
    (tmp_path / "half.tsv").write_text("\n".join((tmp_path / "list.tsv").read_text().splitlines()[:8]))
    arguments = ["evaluate", str(tmp_path / "run"), str(tmp_path / "half.tsv"), "--beam", "6", "--json"]
    assert main([*arguments, "--language-model", "lm", "--lm-weight", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["model"]["exact"] == 0.5
    assert main([*given, "--lm-weight", "1"]) == 2
    assert "--lm-weight and --length-bonus go with --language-model" in capsys.readouterr().err


@pytest.mark.parametrize(
    "task, lines, settings, message",
    [
        ("describe", "none.png\ta\n", [], "There is no file .*none.png"),
        ("describe", "a.png\n", [], "list.tsv, line 1: a source and a target with one tab"),
        ("describe", "a.png\ta\n", ["task_settings.shape=[4, 4]"], "`task_settings.shape` is height, width and chan"),
        ("transcribe", "a.png\ta\n", [], "a.png is no WAV file of whole numbers"),
        ("transcribe", "a.wav\ta\n", ["units=5"], "one width, an even number"),
    ],
)
def test_what_cannot_be_read_is_told_in_a_line(task, lines, settings, message, tmp_path, capsys):
    Image.fromarray(np.zeros((4, 4), "uint8")).save(tmp_path / "a.png")
    (tmp_path / "list.tsv").write_text(lines * 20)
    assert train(tmp_path, task, tmp_path / "run", *settings, split="100/0") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(message, line)
