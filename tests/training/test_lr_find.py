"""The learning-rate range test: its rates, what it suggests, its picture, and runs and texts that it takes."""

import json
import math

import numpy as np
import pytest

from keras_rnnlm.__main__ import main
from keras_rnnlm.training.commands import lr_find
from keras_rnnlm.training.loop.range_test import RangeTest, plot
from tests.training import killed_runs

SETTINGS = dict(tokenizer="char", units=12, layers=1, tied=False, embedding_dim=6, batch=8, window=12)


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("lr") / "text.txt"
    killed_runs.write_text(path, lines=150)
    return path


def test_a_text_tells_its_rate_and_leaves_a_picture(text, tmp_path, capsys):
    picture = tmp_path / "picture.png"
    options = [word for name, value in SETTINGS.items() for word in ("--set", f"{name}={str(value).lower()}")]
    code = main(["lr-find", str(text), *options, "--steps", "60", "--plot", str(picture), "--json", "--quiet"])
    found = json.loads(capsys.readouterr().out)
    assert code == 0 and found["plot"] == str(picture) and picture.read_bytes()[1:4] == b"PNG"
    rates = found["rates"]
    np.testing.assert_allclose(np.diff(np.log(rates)), math.log(1e5) / 59, rtol=1e-6)
    assert rates[0] == 1e-5 and len(rates) == len(found["losses"]) <= 60
    assert rates[0] < found["suggestion"] <= found["lowest"] < 1
    assert min(found["losses"]) < found["losses"][0]
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]


def curve(losses):
    rates = [10.0 ** (k - 6) for k in range(len(losses))]
    return RangeTest(rates, losses, losses)


def test_the_suggestion_is_below_the_rate_of_the_lowest_loss():
    assert curve([9.0, 9.0, 8.9, 7.0, 6.0, 5.9, 12.0]).suggestion == pytest.approx(0.01)
    assert curve([9.0, 9.1, 9.5]).suggestion is None
    assert curve([9.0, 8.0, 7.0]).still_falls and not curve([9.0, 7.0, 7.5]).still_falls
    assert plot(curve([9.0, math.inf]))[1:4] == b"PNG"


def test_a_run_is_taken_with_its_text_and_recipe_and_stays_as_it_was(text, tmp_path):
    run = tmp_path / "run"
    killed_runs.uninterrupted(text, run, [f"{k}={str(v).lower()}" for k, v in SETTINGS.items()] + ["epochs=1"])
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    found = lr_find.find(run, steps=10, high=1e-2)
    assert len(found.losses) == 10 and {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before
    with pytest.raises(ValueError, match="is encoded by its own vocabulary: drop `tokenizer`.*'byte', and the run has"):
        lr_find.find(run, changes=["tokenizer=byte"])


@pytest.mark.parametrize(
    "options, message",
    [
        (["--low", "1", "--high", "0.1"], "--low is above 0 and below --high. Received: 1 and 0.1"),
        (["--steps", "3"], "--steps is at least 10: fewer say nothing. Received: 3"),
        (["--plot", "nowhere/a.png"], "There is no folder for the picture nowhere/a.png"),
        (["--set", "unit=3"], "There is no setting 'unit': did you mean units?"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(options, message, text, capsys):
    assert main(["lr-find", str(text), *options]) == 2
    assert capsys.readouterr().err.strip() == f"keras-rnnlm lr-find: {message}"
