"""The search over settings: what it tries, for how long, what it keeps, and how it resumes."""

import json
import math
import sys

import pytest

from keras_rnnlm.__main__ import main
from keras_rnnlm.training.commands import search as command
from keras_rnnlm.training.recipes import space
from keras_rnnlm.training.recipes.recipe import Recipe
from tests.training import killed_runs

TOLD = dict(corpus=["text.txt"], over=["learning_rate=1e-4..1e-1", "cell=lstm,gru"], minutes=10.0, trial_minutes=1.0)
TOLD["seed"] = 3


@pytest.fixture
def trained(monkeypatch):
    """What was trained, without training: a network of GRUs at a rate of 1e-2 is best."""
    pytest.importorskip("optuna")
    tried = []

    def train(self, number, values, minutes):
        tried.append((number, values, minutes))
        if len(tried) == trained.interrupted_at:
            return None, None
        return abs(math.log10(values["learning_rate"]) + 2) + (values["cell"] == "lstm"), 1.0

    trained = type("Trained", (), {"tried": tried, "interrupted_at": None})
    monkeypatch.setattr(command.Search, "_train", train)
    return trained


def test_it_tries_until_its_minutes_are_over_and_leaves_the_best_as_a_recipe(trained, tmp_path):
    search = command.Search.new(tmp_path / "search", TOLD, Recipe(units=16), quiet=True)
    assert search.run()
    assert [number for number, *_ in trained.tried] == list(range(10))
    assert {minutes for *_, minutes in trained.tried} == {1.0}
    told = search.told()
    losses = [row["loss"] for row in told["trials"]]
    assert losses == sorted(losses) and len(losses) == 10
    best = Recipe.load(told["best"])
    assert best.units == 16 and (best.cell, best.learning_rate) == (
        told["trials"][0]["cell"],
        told["trials"][0]["learning_rate"],
    )
    lines = search.table().splitlines()
    assert lines[0].split() == ["trial", "loss", "learning_rate", "cell"] and len(lines) == 13
    assert lines[-1].startswith("The best as a recipe: keras-rnnlm train text.txt --recipe ")


def test_a_search_that_was_interrupted_tries_what_it_would_have_tried(trained, tmp_path):
    command.Search.new(tmp_path / "whole", TOLD, Recipe(), quiet=True).run()
    whole = list(trained.tried)
    trained.tried.clear()
    trained.interrupted_at = 4
    assert not command.Search.new(tmp_path / "broken", TOLD, Recipe(), quiet=True).run()
    assert command.Search.resumed(tmp_path / "broken", quiet=True).run()
    assert trained.tried[3] == trained.tried[4]
    assert trained.tried[:3] + trained.tried[4:] == whole
    assert command.Search.resumed(tmp_path / "broken", minutes=12.0, quiet=True).run()
    assert len(trained.tried) == 13


def test_a_trial_that_would_be_shorter_than_the_others_is_not_compared_with_them(trained, tmp_path):
    assert command.Search.new(tmp_path / "search", TOLD | {"minutes": 3.5}, Recipe(), quiet=True).run()
    assert [minutes for *_, minutes in trained.tried] == [1.0] * 3
    trained.tried.clear()
    assert command.Search.new(tmp_path / "short", TOLD | {"minutes": 0.5}, Recipe(), quiet=True).run()
    assert [minutes for *_, minutes in trained.tried] == [0.5]


def test_a_search_whose_first_trial_fails_leaves_its_folder_to_the_next(tmp_path, capfd):
    pytest.importorskip("optuna")
    assert main(["search", str(tmp_path / "absent.txt"), "--out", str(tmp_path / "search"), "--quiet"]) == 2
    assert "The first trial could not be trained" in capfd.readouterr().err
    command.Search.new(tmp_path / "search", TOLD, Recipe(), quiet=True)


@pytest.mark.long
def test_trials_are_runs(tmp_path, capfd, monkeypatch):
    pytest.importorskip("optuna")
    monkeypatch.chdir(tmp_path)
    text, out = tmp_path / "text.txt", tmp_path / "search"
    killed_runs.write_text(text, lines=150)
    settings = "tokenizer=char units=12 layers=1 tied=false embedding_dim=6 window=12 epochs=1".split()
    words = [str(text), "--out", str(out), *[word for setting in settings for word in ("--set", setting)]]
    words += [
        "--valid",
        text.name,
        "--over",
        "batch=4,8",
        "--minutes",
        "0.2",
        "--trial-minutes",
        "0.2",
        "--json",
        "--quiet",
    ]
    assert main(["search", *words]) == 0
    told = json.loads(capfd.readouterr().out)
    assert told["trials"] and all(math.isfinite(row["loss"]) for row in told["trials"])
    for row in told["trials"]:
        assert Recipe.load(out / f"trial-{row['trial']}" / "recipe.toml").batch == row["batch"]
    assert json.loads((out / "trial-0" / "data" / "index.json").read_text())["given"]["valid"] == [str(text)]
    assert main(["search", "--out", str(out), "--resume", "--json"]) == 0  # nothing is left to try
    assert json.loads(capfd.readouterr().out) == told


def test_without_optuna_one_line_says_what_is_missing(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert main(["search", "text.txt", "--out", str(tmp_path / "search")]) == 2
    told = capsys.readouterr().err.strip()
    assert told == "keras-rnnlm search: `search` needs Optuna: pip install 'keras-rnnlm[search]'"


@pytest.mark.parametrize(
    "over, message",
    [
        ("units", "What is searched is given as KEY=LOW..HIGH or KEY=ONE,TWO,THREE. Received: 'units'"),
        ("units=9..3", "A range is two numbers, the lower one first, such as 1e-4..1e-2. Received: 'units=9..3'"),
        ("cell=lstm", "A choice is two different values or more, with commas between them. Received: 'cell=lstm'"),
        ("units=[200],[300]", "A choice is of numbers, texts or true and false; of an option in a table, name that"),
        ("cell=lstm,lstm", "A choice is two different values or more, with commas between them. Received: "),
        ("unit=3..9", "There is no setting 'unit': did you mean units?"),
        ("dropout=0..1", "`dropout` is a number, 0 or above and below 1. Received: dropout=1"),
    ],
)
def test_what_cannot_be_searched_is_told(over, message):
    with pytest.raises(ValueError) as error:
        space.check(space.parse([over]), Recipe())
    assert str(error.value).startswith(message)


def test_what_a_range_and_a_choice_are_is_seen_from_their_values():
    found = space.parse(["a=1e-4..1e-1", "b=100..800", "c=0.0..0.6", "d=true,false,none"])
    assert found["a"].by_logarithm and not found["a"].is_whole
    assert found["b"].is_whole and not found["b"].by_logarithm and not found["c"].by_logarithm
    assert found["d"].values == (True, False, "none")


@pytest.mark.parametrize(
    "words, message",
    [
        ([], "No text to search for: name files or folders, or stdlib, Python's own library"),
        (["--resume"], "There is no search to resume in search: it holds no search.json"),
        (["a.txt", "--resume"], "--resume takes all but --minutes from the search that it resumes: drop the rest"),
        (["-"], "A search reads its text in each trial, and standard input can be read once: name a file"),
        (["a.txt", "--minutes", "0"], "--minutes is a number above 0. Received: 0.0"),
        (["a.txt", "--set", "eval_every=0"], "A search compares validation losses, and eval_every=0 turns validation"),
    ],
)
def test_what_is_called_wrongly_is_told_in_one_line(words, message, tmp_path, monkeypatch, capsys):
    pytest.importorskip("optuna")
    monkeypatch.chdir(tmp_path)
    assert main(["search", *words, "--out", "search"]) == 2
    assert capsys.readouterr().err.startswith(f"keras-rnnlm search: {message}")
    assert not (tmp_path / "search").exists()
