"""Studies: the framework with a study of its own, the helpers, and each study in a form of seconds."""

import doctest
import importlib
import json
import math

import keras
import numpy as np
import pytest
from matplotlib.figure import Figure

from keras_rnnlm.__main__ import main
from keras_rnnlm.training import studies
from keras_rnnlm.training.runs.display import Display
from keras_rnnlm.training.studies import (
    adding,
    copy_memory,
    depth,
    fitting,
    running,
    summaries,
    timing,
    vanishing,
    variants,
)


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
    assert "`keras-rnnlm study toy`: 6 runs, 3 seeds of each kind" in text and "cores; keras_rnnlm " in text


def test_an_interrupted_study_goes_on_where_it_was(toy, tmp_path, capsys):
    toy.interrupt_after = 3
    with pytest.raises(KeyboardInterrupt):
        running.run_study(toy, "toy", tmp_path)
    told = capsys.readouterr().err
    assert f"interrupted: 3 of 6 runs are kept. Resume with: keras-rnnlm study toy --out {tmp_path}" in told
    with open(tmp_path / "toy.jsonl", "a") as file:
        file.write('{"trial": {"mo')  # as a process leaves it that is killed while it writes
    toy.interrupt_after = math.inf
    found = running.run_study(toy, "toy", tmp_path, display=Display())
    assert toy.made == ALL
    assert f"resuming: 3 of 6 runs are in {tmp_path / 'toy.jsonl'} already" in capsys.readouterr().err
    (tmp_path / "whole").mkdir()
    assert found["rows"] == running.run_study(Toy(), "toy", tmp_path / "whole")["rows"]


def test_further_runs_depend_on_what_was_found(toy, tmp_path):
    def further_trials(settings, results):
        assert [result["seed"] for result in results] == [0, 0]
        return [dict(model="a", seed=round(max(result["score"] or 0 for result in results)))]

    toy.further_trials = further_trials
    toy.interrupt_after = 2
    with pytest.raises(KeyboardInterrupt):
        running.run_study(toy, "toy", tmp_path, seeds=1)
    toy.interrupt_after = math.inf
    found = running.run_study(toy, "toy", tmp_path, seeds=1)
    assert toy.made == [("a", 0), ("b", 0), ("a", 4)] and found["runs"] == found["of_runs"] == 3


def test_further_runs_that_are_there_already_are_not_made_again(toy, tmp_path):
    toy.further_trials = lambda settings, results: [dict(model="a", seed=7)]
    whole = running.run_study(toy, "toy", tmp_path, seeds=1)
    lines = (tmp_path / "toy.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "toy.jsonl").write_text("".join(lines[:1] + lines[2:]))  # without the first run
    toy.made.clear()
    assert running.run_study(toy, "toy", tmp_path, seeds=1)["rows"] == whole["rows"]
    assert toy.made == [("a", 0)] and whole["runs"] == 3


def test_more_seeds_add_to_what_is_there(toy, tmp_path):
    assert running.run_study(toy, "toy", tmp_path, seeds=1)["seeds"] == 1
    assert running.run_study(toy, "toy", tmp_path)["runs"] == 6
    assert toy.made == ALL


def test_no_run_is_begun_after_the_time_is_over(toy, tmp_path, capsys):
    found = running.run_study(toy, "toy", tmp_path, minutes=1e-9)
    assert (found["runs"], found["of_runs"], found["rows"], found["claims"]) == (0, 6, [], [])
    assert "the time is over: 0 of 6 runs were made" in capsys.readouterr().err
    assert "of each kind" not in (tmp_path / "toy.md").read_text()
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


# The command


def test_the_command_lists_the_studies(capsys):
    assert main(["study"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(studies.NAMES) and all(len(line) > 20 for line in lines)


def test_a_study_that_does_not_exist_ends_in_one_line(capsys):
    assert main(["study", "nothing"]) == 2
    assert capsys.readouterr().err.startswith("keras-rnnlm study: There is no study 'nothing': ")


def test_the_command_prints_the_table_or_json(toy, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(studies, "load", lambda name: toy)
    assert main(["study", "vanishing", "--short", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("| model | score | losses |")
    assert main(["study", "vanishing", "--short", "--out", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["command"] == "keras-rnnlm study vanishing --short" and len(found["rows"]) == 2


# The helpers


@pytest.mark.parametrize("name", ["fitting", "running", "summaries"])
def test_the_examples_of_the_helpers_are_true(name):
    module = importlib.import_module(f"keras_rnnlm.training.studies.{name}")
    assert doctest.testmod(module, extraglobs={"np": np}).failed == 0


def test_runs_that_diverged_are_counted_and_no_part_of_the_mean():
    assert summaries.mean([1.0, None, 3.0]) == summaries.mean([1.0, 3.0]) | {"diverged": 1}
    assert summaries.cell(summaries.mean([None, 3.0])) == "3, 1 diverged"
    assert summaries.cell(summaries.mean([None])) == "-, 1 diverged"


def test_steps_are_whole_chunks():
    with pytest.raises(ValueError, match="steps=150, every=100"):
        fitting.fit(None, None, seed=0, steps=150, batch=1, loss="mse")


# The studies

# What makes each one's short form a matter of seconds.
TINY = {
    "vanishing": dict(units=4, sequences=2, time=4, steps=50),
    "adding": dict(units=4, time=8, batch=2, steps=100, tested=4),
    "copy": dict(units=4, gaps=[2], batch=2, steps=100, tested=4),
    "timing": dict(window=4, steps=4, check=2, tested=4),
    "depth": dict(layers=1, units=4, window=4, batch=2, steps=50),
    "reber": dict(parameters=70, window=5, steps=50, tested=12),
    "clockwork": dict(parameters=70, time=10, steps=50),
    "variants": dict(corpus="stdlib:20k", parameters=3_000, embedding=2, batch=64),
}


def without_numbers(value):
    """The same, as if everything had diverged."""
    if isinstance(value, (dict, list)):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        changed = {key: without_numbers(part) for key, part in pairs}
        return changed if isinstance(value, dict) else list(changed.values())
    return None if isinstance(value, float) else value


@pytest.mark.parametrize("name", studies.NAMES)
def test_every_study_makes_a_run_its_row_and_its_picture(name):
    study = studies.load(name)
    settings = study.SETTINGS["short"] | TINY[name]
    trial = study.trials(settings)[-1]
    measured = study.measure(settings, **trial)
    assert json.loads(json.dumps(measured)) == measured
    for numbers in (measured, without_numbers(measured)):
        results = [{**trial, "seconds": 1.0, **numbers}]
        (row,) = study.table(settings, results)
        assert running.markdown([row]).count("\n") == 2
        figure = Figure()
        study.draw(settings, results, figure)
        assert figure.axes[0].get_legend_handles_labels()[1]
    assert {len(trial) for trial in study.trials(settings)} == {len(trial)}
    full = study.trials(study.SETTINGS["full"])
    seeds = [trial.get("seeds", trial.get("seed")) for trial in full]  # some make the runs of many seeds at once
    assert seeds == sorted(seeds)


def test_a_run_is_made_from_its_seed_alone():
    settings = vanishing.SETTINGS["short"] | TINY["vanishing"]
    first, other, again = (vanishing.measure(settings, "GRU", "fresh", seed)["norms"]["h"] for seed in (1, 2, 1))
    assert first == again != other


def test_a_network_that_is_trained_again_begins_from_its_seed_alone():
    settings = variants.SETTINGS["short"] | TINY["variants"]
    first, other, again = (
        variants.measure(settings, "GRU", rate, seed)["history"] for rate, seed in ((1e-2, 1), (3e-2, 2), (1e-2, 1))
    )
    assert first == again != other


def test_the_gradients_fall_as_the_literature_has_it(tmp_path):
    found = running.run_study(studies.load("vanishing"), "vanishing", tmp_path, short=True)
    assert len(found["claims"]) == 5 and all(claim.startswith("found: ") for claim in found["claims"])


def test_the_adding_problem_asks_for_the_sum_of_two_marked_numbers():
    inputs, sums = adding.examples(np.random.default_rng(0), 2000, time=10)
    numbers, marks = inputs[..., 0], inputs[..., 1]
    assert (marks[:, :5].sum(axis=1) == 1).all() and (marks[:, 5:].sum(axis=1) == 1).all()
    assert marks.any(axis=0).all()
    np.testing.assert_allclose(sums[:, 0], (numbers * marks).sum(axis=1), rtol=1e-6)
    assert np.mean((sums - 1) ** 2) == pytest.approx(adding.BASELINE, rel=0.1)


def test_copies_come_after_the_gap():
    read, written = copy_memory.examples(np.random.default_rng(0), 3, gap=4)
    symbols = read.argmax(axis=-1)
    assert read.shape == (3, 24, 10) and (read.sum(axis=-1) == 1).all()
    assert (symbols[:, 10:13] == 0).all() and (symbols[:, 13] == 9).all() and (symbols[:, 14:] == 0).all()
    assert (written[:, :14] == 0).all() and (written[:, 14:] == symbols[:, :10]).all()
    assert set(np.unique(symbols[:, :10])) <= set(range(1, 9))
    assert copy_memory.baseline(20) == pytest.approx(0.5199, abs=1e-4)


def test_periodic_functions_are_generated_at_the_period_that_a_seed_has_reached():
    spikes = timing.sequences("spikes", [2, 3], 6)[:, 0, :, 0]
    assert spikes.tolist() == [[0, 1, 0, 1, 0, 1], [0, 0, 1, 0, 0, 1]]
    assert timing.values("square wave", 4, 5).tolist() == [1, 1, 0, 0, 1]
    assert timing.values("cosine", 4, 5).tolist() == pytest.approx([0, 0.5, 1, 0.5, 0])
    # What follows the first step that is far off is not learned from.
    written = np.array([0.1, 0.6, 0.7, 0.1], "float32").reshape(1, 1, 4, 1)
    losses = keras.ops.convert_to_numpy(timing.loss(np.zeros_like(written), written)).ravel()
    np.testing.assert_allclose(losses, [0.01, 0.36, 0, 0], atol=1e-6)


def test_windows_ask_for_the_next_character():
    text = np.arange(50)
    read, following = depth.windows(np.random.default_rng(0), 200, text, 8)
    assert (following == read + 1).all() and read.min() == 0 and following.max() == 49
    train, valid = depth.texts(20)
    assert len(train) > 10_000 and 0 < len(valid) < 2_000 and max(train) < depth.CHARACTERS


@pytest.mark.parametrize(
    "name, results, found",
    [
        ("adding", [("lstm", 0.01), ("gru", 0.03), ("simple_rnn", 0.17)], "found found found"),
        ("adding", [("lstm", 0.05), ("gru", None), ("simple_rnn", 0.03)], "NOT NOT NOT"),
        ("copy", [("lstm", 0.1), ("lstm, forget bias 3", 0.8), ("gru", 0.6), ("simple_rnn", 0.3)], "found found"),
        ("copy", [("lstm", 0.9), ("lstm, forget bias 3", 0.8), ("gru", 0.5), ("simple_rnn", 0.3)], "NOT NOT"),
        ("depth", [("one layer", 2.0), ("none", 3.0), ("residual", 1.9), ("dense", 1.9), ("highway", 2.9)], "found"),
        ("depth", [("one layer", 2.0), ("none", 3.0), ("residual", None), ("dense", 1.9), ("highway", 1.9)], "NOT"),
    ],
)
def test_a_claim_says_whether_it_was_found(name, results, found):
    keys = {"adding": ("model", "error"), "copy": ("model", "accuracy"), "depth": ("connection", "loss")}[name]
    others = dict(gap=5, seed=0, learning_rate=0.01, seconds=1.0, weights=1, losses=[1.0])
    study = studies.load(name)
    claims = study.claims(study.SETTINGS["short"], [{**others, **dict(zip(keys, values))} for values in results])
    assert " ".join(claim.split()[0].rstrip(":") for claim in claims) == found
