"""Studies: the framework with a study of its own, the helpers, and each study in a form of seconds."""

import doctest
import importlib
import json
import math

import pytest
from keras_rnnlm.training import studies
from keras_rnnlm.training.display import Display
from keras_rnnlm.training.studies import running

from keras_rnnlm.__main__ import main


class Toy:
    """Do even seeds win?"""

    SETTINGS = dict(full=dict(seeds=3, size=4), short=dict(seeds=1, size=2))

    def __init__(self):
        self.made, self.interrupt_after = [], math.inf

    def trials(self, settings):
        return [dict(model=m, seed=s) for s in range(settings["seeds"]) for m in ("a", "b")]

    def measure(self, settings, model, seed):
        if len(self.made) == self.interrupt_after:
            raise KeyboardInterrupt
        self.made.append((model, seed))
        return dict(score=seed + settings["size"] if model == "a" else math.nan, losses=(1.0, 2.0))

    def table(self, settings, results):
        return [{"model": r["model"], "score": r["score"], "losses": len(r["losses"])} for r in results]

    def draw(self, settings, results, figure):
        figure.subplots().plot([r["seed"] for r in results])

    def claims(self, settings, results):
        return [f"found: {len(results)} results"]


ALL = [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 2)]


@pytest.fixture
def toy():
    return Toy()


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_study_leaves_its_results_its_table_and_its_picture(toy, tmp_path):
    found = running.run_study(toy, "toy", tmp_path)
    files = contents(tmp_path)
    assert toy.made == ALL and set(files) == {"toy.jsonl", "toy.json", "toy.md", "toy.png"}
    assert json.loads(files["toy.json"]) == found and files["toy.png"].startswith(b"\x89PNG")
    assert (found["runs"], found["seeds"], found["settings"]) == (6, 3, Toy.SETTINGS["full"])
    assert found["command"] == "keras-rnnlm study toy" and found["claims"] == ["found: 6 results"]
    text = files["toy.md"].decode()
    assert "Do even seeds win?" in text and "| a     |     5 |      2 |\n| b     |     - |      2 |" in text
    assert "`keras-rnnlm study toy`: 6 runs, 3 of each kind" in text and "cores; keras_rnnlm " in text


def test_an_interrupted_study_goes_on_where_it_was(toy, tmp_path, capsys):
    toy.interrupt_after = 3
    with pytest.raises(KeyboardInterrupt):
        running.run_study(toy, "toy", tmp_path)
    told = capsys.readouterr().err
    assert f"interrupted: 3 of 6 runs are kept. Go on with: keras-rnnlm study toy --out {tmp_path}" in told
    with open(tmp_path / "toy.jsonl", "a") as file:
        file.write('{"trial": {"mo')  # as a process leaves it that is killed while it writes
    toy.interrupt_after = math.inf
    found = running.run_study(toy, "toy", tmp_path, display=Display())
    assert toy.made == ALL
    assert f"going on: 3 of 6 runs are in {tmp_path / 'toy.jsonl'} already" in capsys.readouterr().err
    (tmp_path / "whole").mkdir()
    assert found["rows"] == running.run_study(Toy(), "toy", tmp_path / "whole")["rows"]


def test_more_seeds_add_to_what_is_there(toy, tmp_path):
    assert running.run_study(toy, "toy", tmp_path, seeds=1)["seeds"] == 1
    assert running.run_study(toy, "toy", tmp_path)["runs"] == 6
    assert toy.made == ALL


def test_no_run_is_begun_after_the_time_is_over(toy, tmp_path, capsys):
    found = running.run_study(toy, "toy", tmp_path, minutes=1e-9)
    assert (found["runs"], found["of_runs"], found["rows"], found["claims"]) == (0, 6, [], [])
    assert "the time is over: 0 of 6 runs were made" in capsys.readouterr().err
    assert "0 of 6 runs were made" in (tmp_path / "toy.md").read_text() and not (tmp_path / "toy.png").exists()


def test_results_of_other_settings_are_refused(toy, tmp_path):
    running.run_study(toy, "toy", tmp_path, short=True)
    before = contents(tmp_path)
    with pytest.raises(ValueError, match="toy.jsonl holds results of other settings.*It has size=2; received: size=4"):
        running.run_study(toy, "toy", tmp_path)
    assert contents(tmp_path) == before


def test_what_is_no_file_of_results_is_left_alone(toy, tmp_path):
    (tmp_path / "toy.jsonl").write_text('{"loss": 1}\n{"lo')
    with pytest.raises(ValueError, match="holds results of other study"):
        running.run_study(toy, "toy", tmp_path)
    assert (tmp_path / "toy.jsonl").read_text() == '{"loss": 1}\n{"lo'


@pytest.mark.parametrize("argument", ["seeds", "minutes"])
def test_a_budget_is_positive(argument, toy, tmp_path):
    with pytest.raises(ValueError, match=f"`{argument}` is positive. Received: {argument}=0"):
        running.run_study(toy, "toy", tmp_path, **{argument: 0})


@pytest.mark.parametrize("name", ["fitting", "running", "statistics"])
def test_the_examples_of_the_helpers_are_true(name):
    module = importlib.import_module(f"keras_rnnlm.training.studies.{name}")
    import numpy as np

    assert doctest.testmod(module, extraglobs={"np": np}).failed == 0


# The command


def test_the_command_lists_the_studies(capsys):
    assert main(["study"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(studies.NAMES) and all(len(line) > 20 for line in lines)


def test_a_study_that_does_not_exist_ends_in_one_line(capsys):
    assert main(["study", "nothing"]) == 2
    assert capsys.readouterr().err.startswith("keras-rnnlm study: There is a study of the name vanishing")


def test_the_command_prints_the_table_or_json(toy, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(studies, "load", lambda name: toy)
    assert main(["study", "vanishing", "--short", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("| model | score | losses |")
    assert main(["study", "vanishing", "--short", "--out", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["command"] == "keras-rnnlm study vanishing --short" and len(found["rows"]) == 2
