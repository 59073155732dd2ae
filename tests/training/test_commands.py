"""The commands train, evaluate, generate and info: what they leave, what they print, how they refuse."""

import contextlib
import dataclasses
import inspect
import io
import json
import os
import re
import resource
import shutil
import subprocess
import sys

import numpy as np
import pytest

from keras_rnnlm import training
from keras_rnnlm.__main__ import main
from keras_rnnlm.training.commands import train as train_module
from keras_rnnlm.training.runs.kept_evaluations import keep_evaluation
from keras_rnnlm.training.runs.run import RunFolder
from keras_rnnlm.training.streams import Contiguous
from tests.training.test_checkpoints import file_size_limit

LINE = "the quick brown fox jumps over the lazy dog\n"
SETTINGS = "units=8 layers=1 embedding_dim=4 tied=false batch=4 window=16 epochs=2 log_every=10 checkpoint_every=5"
SETTINGS = SETTINGS.split()
WORDS = [*SETTINGS, "tokenizer=word"]


def settings(*changes):
    return [word for setting in changes for word in ("--set", setting)]


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return tmp_path_factory.mktemp("commands")


@pytest.fixture(scope="module")
def text(shared):
    path = shared / "text.txt"
    path.write_text("".join(LINE[i % 20 :] for i in range(120)))
    return path


@pytest.fixture(scope="module")
def command(shared, text):
    """A run, and what the command that made it printed: its standard output, and the lines of its standard error."""
    run, out, err = shared / "trained", io.StringIO(), io.StringIO()
    arguments = ["train", str(text), "--out", str(run), "--json", *settings("tokenizer=char", *SETTINGS)]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        assert main(arguments) == 0
    return run, out.getvalue(), err.getvalue().splitlines()


@pytest.fixture(scope="module")
def trained(command):
    """A run of its own for this file; it is only read."""
    return command[0]


@pytest.fixture
def untrained(monkeypatch):
    """Leaves the training out of `train`: the first checkpoint is the last."""
    monkeypatch.setattr("keras_rnnlm.training.commands.train._go", lambda loop: True)


@pytest.fixture
def told(capsys):
    """`told(*arguments)`: the exit code, the standard output and the lines of the standard error of a command."""

    def told(*arguments):
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err.splitlines()

    return told


@pytest.fixture
def refused(told):
    """`refused(*arguments)`: the one line of a command that ends in exit code 2."""

    def refused(*arguments):
        code, out, lines = told(*arguments)
        assert code == 2 and out == "" and lines
        line = lines[-1]
        assert line.startswith(f"keras-rnnlm {arguments[0]}: ") and "Traceback" not in "".join(lines)
        assert all(other.startswith(("learning a vocabulary", "encoding", "building")) for other in lines[:-1])
        return line

    return refused


def contents(folder):
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


# What a run leaves


def test_a_run_leaves_what_the_next_commands_need_and_nothing_else(trained):
    names = {"recipe.toml", "tokenizer.json", "history.jsonl", "checkpoints", "data", "model.keras", "plots"}
    assert set(os.listdir(trained)) - {"tensorboard"} == names
    assert os.listdir(trained / "plots") == ["curves.png"]
    assert len(os.listdir(trained / "checkpoints")) == 3


def test_load_run_gives_model_tokenizer_recipe_and_history(trained):
    run = training.load_run(trained)
    assert run.recipe.units == 8 and run.tokenizer.kind == "char"
    assert [record["epoch"] for record in run.history if record["kind"] == "valid"] == [1, 2]
    logits = run.model(run.tokenizer.encode("the fox")[None])
    assert logits.shape == (1, 7, run.tokenizer.vocabulary_size)


def test_the_package_gives_functions_and_classes_by_name(trained):
    assert training.Recipe().batch and callable(training.train) and callable(training.evaluate)
    with pytest.raises(ValueError, match="There is no run"):
        training.evaluate("nowhere", "test")
    assert training.resume(trained, quiet=True)
    assert inspect.isfunction(training.train) and inspect.isfunction(training.evaluate)  # as no module has their names
    with pytest.raises(AttributeError, match="no attribute 'trian'. It has .*train"):
        _ = training.trian


# What is printed


def test_train_prints_one_object_as_json_and_progress_elsewhere(command):
    _, out, lines = command
    found = json.loads(out)
    assert found["result"]["epochs"] == 2 and found["recipe"]["tokenizer"] == "char"
    assert lines[0] == "learning a vocabulary (char)" and lines[-1].startswith("2 epochs are done, in 0:0")
    assert sum("validation loss" in line for line in lines) == 2


def test_evaluate_tells_the_same_of_a_split_and_of_its_text(told, trained, text, tmp_path):
    code, out, _ = told("evaluate", trained, "test", "--json", "--ngram", 3, "--quiet")
    found = json.loads(out)
    assert code == 0 and list(found) == ["model", "3-gram"]
    own = training.load_run(trained)
    ids = training.load_encoded(trained / "data")["test"][:]
    (tmp_path / "test.txt").write_text(own.tokenizer.decode(ids))
    file = tmp_path / "each.tsv"
    code, out, lines = told(
        "evaluate", trained, tmp_path / "test.txt", "--json", "--log-probabilities", file, "--quiet"
    )
    again = json.loads(out)
    assert again["model"] == pytest.approx(found["model"]) and lines == []
    pieces, logs = zip(*(line.split("\t") for line in file.read_text().splitlines()))
    assert "".join(map(json.loads, pieces)).replace("\\n", "\n") == own.tokenizer.decode(ids)
    assert -np.mean([float(log) for log in logs]) == pytest.approx(found["model"]["nats_per_token"], abs=1e-5)
    _, out, lines = told("evaluate", trained, "test", "--ngram", 3)
    table = out.splitlines()
    assert any(line.startswith("evaluation  ") for line in lines) and "validation  " not in "".join(lines)
    assert any("the model is behind the 3-gram" in line for line in lines)
    assert table[0].split() == ["model", "3-gram"] and table[1].split()[0] == "tokens"


def test_rows_side_by_side_are_scored_in_the_order_of_the_text(trained):
    own = training.load_run(trained)
    ids = training.load_encoded(trained / "data")["valid"][:]
    one, many = (training.Scorer(own.model, start=own.tokenizer.start, batch=b, window=9).losses(ids) for b in (1, 7))
    assert len(one) == len(many) == len(ids)
    assert np.corrcoef(one, many)[0, 1] > 0.95  # the rows but the first begin without a memory


def test_sentences_are_scored_by_themselves_and_in_the_order_of_the_text(told, tmp_path, text):
    run = tmp_path / "run"
    training.train(text, run, changes=[*WORDS, "mode=sentences", "window=8", "epochs=1"], quiet=True)
    own, ids = training.load_run(run), training.load_encoded(run / "data")["valid"][:]
    scorer = training.Scorer(own.model, start=own.tokenizer.start, batch=3, window=8, end=own.tokenizer.eos)
    losses = scorer.losses(ids)
    ends = np.flatnonzero(ids == own.tokenizer.eos)
    begin, end = next((a + 1, b + 1) for a, b in zip(ends, ends[1:]) if b - a <= 8)
    alone, _ = own.model.losses_of(np.append(own.tokenizer.start, ids[begin : end - 1])[None], ids[None, begin:end])
    np.testing.assert_allclose(losses[begin:end], alone[0], rtol=1e-4)
    assert told("evaluate", run, "valid", "--json")[0] == 0


def test_generate_writes_the_prompt_and_what_follows(told, trained):
    code, out, lines = told("generate", trained, "--prompt", "the ", "--length", 12, "--seed", 3)
    assert code == 0 and out.startswith("the ") and len(out) == 4 + 12 + 1 and lines == []
    found = json.loads(told("generate", trained, "--prompt", "the ", "--length", 12, "--seed", 3, "--json")[1])
    assert found["prompts"][0] + found["texts"][0] + "\n" == out
    assert len(told("generate", trained, "--beam", 2, "--length", 5)[1]) == 6


def test_before_the_first_validation_the_newest_checkpoint_is_the_model(told, trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    (run / "model.keras").unlink()
    step, arrays, _ = RunFolder(run).checkpoints().read()
    code, out, lines = told("generate", run, "--prompt", "the ", "--length", 5)
    assert code == 0 and out.startswith("the ")
    assert lines == [
        f"{run} has no model.keras yet, which the first validation writes: this is its newest checkpoint, "
        f"of step {step:,}"
    ]
    model = training.load_run(run).model
    kept = [array for name, array in arrays.items() if name.startswith("model ")]
    for weight in model.get_weights():
        assert any(weight.shape == array.shape and np.array_equal(weight, array) for array in kept)
    code, out, lines = told("evaluate", run, "test", "--json", "--quiet")
    assert code == 0 and json.loads(out)["model"]["perplexity"] > 1 and "newest checkpoint" in lines[0]
    assert not (run / "model.keras").exists()


def test_info_remembers_what_evaluate_found_of_the_model_that_is_there(told, trained, tmp_path, text, monkeypatch):
    run = shutil.copytree(trained, tmp_path / "run")
    (run / "evaluations.jsonl").unlink(missing_ok=True)
    (tmp_path / "test").write_text("another text, which is ./test")
    monkeypatch.chdir(tmp_path)
    found = json.loads(told("evaluate", run, "test", "--ngram", 3, "--json", "--quiet")[1])
    evaluated = json.loads(told("evaluate", run, text, "--json", "--quiet")[1])
    kept = json.loads(told("info", run, "--json")[1])[str(run)]["evaluations"]
    assert kept == {"test": found, str(text): evaluated}
    table = told("info", run, trained)[1]
    (line,) = [line for line in table.splitlines() if line.startswith("test: perplexity of a 3-gram")]
    assert line.split()[-2] == f"{round(found['3-gram']['perplexity'], 3)}"
    (run / "model.keras").unlink()  # another model is nothing that it was found of
    assert json.loads(told("info", run, "--json")[1])[str(run)]["evaluations"] == {}


def test_an_evaluation_that_cannot_be_kept_is_told_all_the_same(told, trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    (run / "evaluations.jsonl").unlink(missing_ok=True)
    (run / "evaluations.jsonl").mkdir()
    code, out, lines = told("evaluate", run, "test", "--json", "--quiet")
    assert code == 0 and json.loads(out) and len(lines) == 1 and "is not kept for `info`" in lines[0]


def test_half_a_line_of_an_evaluation_is_taken_back(tmp_path):
    folder, warned = RunFolder(tmp_path), []
    keep_evaluation(folder, "test", "of a model", {"model": {"loss": 1.0}}, json.dumps, warned.append)
    whole = folder.evaluations.read_bytes()
    with file_size_limit(len(whole) + 10):
        keep_evaluation(folder, "valid", "of a model", {"model": {"loss": 2.0}}, json.dumps, warned.append)
    assert folder.evaluations.read_bytes() == whole and "is not kept for `info`" in warned[0]


def test_what_a_checkpoint_came_to_is_not_kept_as_the_runs_own(tmp_path):
    keep_evaluation(RunFolder(tmp_path), "test", None, {"model": {"loss": 1.0}}, json.dumps, print)
    assert not RunFolder(tmp_path).evaluations.exists()


def test_a_file_of_log_probabilities_is_no_folder(refused, trained, tmp_path):
    line = refused("evaluate", trained, "test", "--log-probabilities", tmp_path, "--quiet")
    assert line.endswith(f"{tmp_path} is a folder, and log-probabilities go to a file")


def test_recipes_and_changes_are_names_and_dicts_too(text, tmp_path, untrained):
    assert training.train(text, tmp_path / "a", "char", changes={"units": 8, "batch": 4}, quiet=True)
    made = RunFolder(tmp_path / "a").read_recipe()
    assert made == training.Recipe.load("char").override(["units=8", "batch=4"])
    begun = {**dict(setting.split("=") for setting in SETTINGS), "units": 8, "layers": 1, "embedding_dim": 4}
    begun |= {"tied": False, "batch": 4, "window": 16, "epochs": 2, "log_every": 10, "checkpoint_every": 5}
    assert training.train(text, tmp_path / "b", begun, quiet=True)
    assert RunFolder(tmp_path / "b").read_recipe() == training.Recipe().override(SETTINGS)
    for wrong, message in (({"unitz": 3}, "did you mean units"), (3, "Received: 3"), ("chars", "no recipe 'chars'")):
        with pytest.raises(ValueError, match=message):
            training.train(text, tmp_path / "c", wrong, quiet=True)
    with pytest.raises(ValueError, match="key=value.*Received: 3"):
        training.train(text, tmp_path / "c", changes=[3], quiet=True)


def test_help_lists_the_tasks_and_the_settings_of_one(refused, capsys):
    def shown(*options):
        with pytest.raises(SystemExit):
            main(["train", *options])
        return capsys.readouterr().out

    text = shown("--help")
    assert "--task tag" in text and "language_model, tag, classify" in " ".join(text.split())
    of_tag = shown("--help-settings", "--task", "tag")
    assert of_tag == shown("--task", "tag", "--help-settings")
    assert 'tag_column = "none" ' in of_tag and "batch = 10 " in of_tag
    assert "--help-settings --task NAME, of language_model, tag" in shown("--help-settings")
    assert "`task` is language_model, tag" in refused("train", "--help-settings", "--task", "nonsense")


def test_info_sets_runs_side_by_side(told, trained, tmp_path):
    found = json.loads(told("info", trained, "--json")[1])[str(trained)]
    assert found["result"]["epochs"] == 2 and found["recipe"]["units"] == 8
    (tmp_path / "same").symlink_to(trained)
    table = told("info", trained, tmp_path / "same")[1]
    assert [line.split()[1:] for line in table.splitlines() if line.startswith("units")] == [["8", "8"]]


@pytest.mark.parametrize(
    "option, told",
    [("--help", ["zaremba-small", "--init-from", "examples:"]), ("--help-settings", ["max_norm = 1.0", "gru"])],
)
def test_help_of_train_lists_recipes_and_settings_without_tensorflow(option, told):
    code = f"import sys; sys.argv[1:] = ['train', '{option}']; from keras_rnnlm.__main__ import main\n"
    code += "try: main()\nexcept SystemExit: print('tensorflow' in sys.modules, 'keras' in sys.modules)"
    began = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - began < 1.5
    assert out.splitlines()[-1] == "False False"
    assert all(words in out for words in told)


# A full disk


def test_a_disk_that_is_full_at_the_beginning_leaves_no_run(told, tmp_path, text):
    with file_size_limit(8_000):  # enough for all but a checkpoint
        code, _, lines = told("train", text, "--out", tmp_path / "run", *settings(*WORDS))
    assert code == 2 and "The checkpoint of step 0 could not be written" in lines[-1]
    assert os.listdir(tmp_path) == []


def test_a_disk_that_fills_up_loses_nothing(told, tmp_path, trained):
    run = shutil.copytree(trained, tmp_path / "run")
    checkpoints = contents(run / "checkpoints")
    more = ("train", "--out", run, "--resume", "--quiet", "--set", "epochs=3")
    with file_size_limit(20_000):
        code, out, lines = told(*more)
    assert code == 2 and len(lines) == 1 and "could not be written" in lines[0] and out == ""
    assert lines[0].endswith(f"resume with: keras-rnnlm train --out {run} --resume")
    assert contents(run / "checkpoints") == checkpoints
    assert not list(run.rglob("partial-*"))
    assert told(*more)[0] == 0
    assert RunFolder(run).read_history()[-1]["epoch"] == 3


def test_a_history_that_cannot_be_written_is_told(refused, tmp_path, trained):
    run = shutil.copytree(trained, tmp_path / "run")
    (run / "history.jsonl").unlink()
    (run / "history.jsonl").mkdir()
    line = refused("train", "--out", run, "--resume", "--quiet", "--set", "epochs=3")
    assert "history.jsonl could not be written" in line


# Going on, and beginning elsewhere


def test_a_finished_run_goes_on_for_more_epochs(told, trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    code, _, lines = told("train", "--out", run, "--resume", "--set", "epochs=3")
    assert code == 0 and lines[1].startswith("resuming at step ") and lines[-1].startswith("3 epochs are done")
    assert RunFolder(run).read_recipe().epochs == 3
    history = RunFolder(run).read_history()
    assert [record["epoch"] for record in history if record["kind"] == "valid"] == [1, 2, 3]
    steps = [(record["kind"], record["step"]) for record in history]
    assert len(steps) == len(set(steps))


def test_a_run_may_begin_with_the_weights_of_another(told, trained, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text("a lazy fox\n" * 300)
    run = tmp_path / "run"
    changes = ["epochs=1", "learning_rate=1e-9", "max_minutes=1"]
    code, _, _ = told("train", other, "--out", run, "--init-from", trained, *settings(*changes))
    assert code == 0
    first, second = training.load_run(trained), training.load_run(run)
    assert second.tokenizer.fingerprint == first.tokenizer.fingerprint
    assert second.recipe.units == 8 and second.recipe.learning_rate == 1e-9
    for before, after in zip(first.model.get_weights(), second.model.get_weights()):
        np.testing.assert_allclose(before, after, atol=1e-5)
    assert json.loads(told("info", run, "--json")[1])[str(run)]["result"]["began_with"] == str(trained)
    assert told("train", "--out", run, "--resume", "--quiet")[0] == 0
    origins = [record for record in RunFolder(run).read_history() if record["kind"] == "origin"]
    assert [record["run"] for record in origins] == [str(trained)]


def test_what_a_run_was_told_of_its_text_is_not_taken_over(trained, monkeypatch):
    own = dataclasses.replace(RunFolder(trained).read_recipe(), encoding="latin-1", split="95/5", text_column="plot")
    monkeypatch.setattr(RunFolder, "read_recipe", lambda self: own)
    begun = train_module._fine_tuning(None, RunFolder(trained), [], None)
    assert begun == dataclasses.replace(own, encoding="utf-8", split=None, text_column=None)


def test_the_devices_are_those_of_before_the_precision_was_measured(monkeypatch):
    import keras

    from keras_rnnlm.training.recipes import precision

    monkeypatch.setattr(precision, "build_model", lambda recipe, vocabulary: None)
    monkeypatch.setattr(precision, "interleaved", lambda trains, **counts: dict.fromkeys(trains, 1.0))
    devices = object()
    keras.distribution.set_distribution(devices)
    try:
        precision.faster(training.Recipe(), None, Contiguous(np.zeros(9, "int32"), 1, 2, start=0))
        assert keras.distribution.distribution() is devices
    finally:
        keras.distribution.set_distribution(None)


def test_the_precision_is_chosen_by_measuring_and_stays(told, refused, text, tmp_path, untrained):
    run = tmp_path / "run"
    code, _, lines = told("train", text, "--out", run, *settings("tokenizer=char", *SETTINGS, "precision=auto"))
    (line,) = [line for line in lines if line.startswith("precision=")]
    times = dict(re.findall(r"(\w+) (\d+) ms", line))
    chosen = RunFolder(run).read_recipe().precision
    assert code == 0 and chosen == line.split("=")[1].split(",")[0]
    assert int(times[chosen]) == min(map(int, times.values())) and set(times) == {"float32", "mixed_bfloat16"}
    told_so = refused("train", "--out", run, "--resume", "--set", "precision=auto")
    assert f"precision='auto' after '{chosen}'" in told_so


def test_what_a_recipe_leaves_open_is_the_first_runs(told, trained, text, tmp_path, untrained):
    recipe = tmp_path / "mine.toml"
    recipe.write_text("epochs = 1\nlearning_rate = 1e-2\n")
    run = RunFolder(tmp_path / "run")
    options = ("--recipe", recipe, "--split", "80/20")
    assert told("train", text, "--out", run, "--init-from", trained, *options)[0] == 0
    made = run.read_recipe()
    assert made.split == "80/20"
    assert (made.units, made.tokenizer, made.learning_rate, made.batch) == (8, "char", 1e-2, training.Recipe().batch)


def test_beginning_with_a_run_that_does_not_fit_is_refused(refused, trained, text, tmp_path):
    run = ("--out", tmp_path / "run")
    line = refused("train", text, *run, "--init-from", trained, "--set", "tokenizer=word")
    assert "drop `tokenizer`. Received: tokenizer='word', and" in line
    assert "drop `units`" in refused("train", text, *run, "--init-from", trained, "--set", "units=9")
    assert "There is no run" in refused("train", text, *run, "--init-from", tmp_path / "nowhere")
    assert "is no run: it holds no recipe.toml" in refused("train", text, *run, "--init-from", tmp_path)
    assert not (tmp_path / "run").exists()


def test_weights_that_are_no_numbers_are_nothing_to_begin_with(told, trained, text, tmp_path):
    first = shutil.copytree(trained, tmp_path / "first")
    model = RunFolder(first).read_model()
    model.trainable_variables[0].assign(np.full(model.trainable_variables[0].shape, np.nan, "float32"))
    model.save(first / "model.keras")
    code, _, lines = told("train", text, "--out", tmp_path / "run", "--quiet", "--init-from", first)
    assert code == 1 and lines[-1].endswith("model.keras are NaN or infinite") and "Traceback" not in "".join(lines)
    assert not (tmp_path / "run").exists()


# Mistakes that leave nothing behind


def test_what_follows_validation_needs_a_text_to_validate_on(refused, text, tmp_path):
    words = settings(*WORDS, "schedule=plateau", "split=100")  # a whole number is a text where one is meant
    line = refused("train", text, "--out", tmp_path / "run", *words)
    assert "schedule=plateau follows the validation loss, and there is no text to validate on" in line
    assert not (tmp_path / "run").exists()
    assert main(["train", str(text), "--out", str(tmp_path / "run"), "--quiet", *settings(*WORDS, "split=100")]) == 0
    line = refused("train", "--resume", "--out", tmp_path / "run", "--set", "stop_after=3")
    assert "stop_after=3 follows the validation loss" in line


@pytest.mark.parametrize(
    "content, changes, message",
    [
        ("fran\xe7ais\n".encode("latin-1") * 50, [], "is not utf-8: the byte 0xe7 at offset 4"),
        (b"", [], "empty"),
        (b"a" * 500, [], "needs two symbols to choose between"),
        (LINE.encode(), ["batch=400"], "lower `batch`"),
        (LINE.encode() * 20, ["cell_options.peehole=true"], "`cell_options` is a dict of arguments of LSTM"),
        (LINE.encode() * 20, ["mode=sentences"], "mode=sentences needs a symbol that ends a sentence"),
        (LINE.encode() * 20, ["cell=gru", "forget_bias=0"], "`forget_bias` needs a forget gate"),
        (LINE.encode() * 20, ["optimizer_options.beta_3=1"], "are arguments of Keras's adam"),
        (LINE.encode() * 20, ["unitz=3"], "no setting 'unitz': did you mean units"),
        (LINE.encode() * 20, ["units"], "A setting is given as key=value"),
        (LINE.encode() * 20, ["units=-1"], "`units` is a whole number, at least 1"),
        (LINE.encode() * 20, ["split=50/40"], "sum to 100"),
        (LINE.encode() * 20, ["encoding=utf-99"], "`encoding` names a text encoding"),
        (LINE.encode() * 20, ["tokenizer=nowhere.json"], "nowhere.json"),
    ],
)
def test_a_mistake_ends_in_a_line_and_leaves_no_run(refused, tmp_path, content, changes, message):
    (tmp_path / "text.txt").write_bytes(content)
    run = tmp_path / "deep" / "run"
    line = refused("train", tmp_path / "text.txt", "--out", run, *settings("tokenizer=char", *SETTINGS, *changes))
    assert message in line
    assert not run.exists()


def test_a_text_that_changes_while_it_is_read_is_told(refused, tmp_path, monkeypatch):
    path = tmp_path / "text.txt"
    path.write_text(LINE * 20)
    encode = training.encode_corpus

    def changed(*arguments):
        path.write_text(LINE * 21)
        return encode(*arguments)

    monkeypatch.setattr("keras_rnnlm.training.corpora.encoded.encode_corpus", changed)
    line = refused("train", path, "--out", tmp_path / "run", *settings(*WORDS))
    assert "text.txt changed while it was read" in line
    assert not (tmp_path / "run").exists()


def test_a_missing_text_recipe_or_argument_is_told(refused, tmp_path, text):
    run = ("--out", tmp_path / "run")
    assert "no file, folder or pattern" in refused("train", tmp_path / "nothing.txt", *run)
    assert "There is no recipe 'zaremba-tiny'" in refused("train", text, *run, "--recipe", "zaremba-tiny")
    assert "No text to learn from" in refused("train", *run)
    assert "sum to 100" in refused("train", text, *run, "--split", "1/2/3")
    assert os.listdir(tmp_path) == []


def test_a_folder_with_something_in_it_is_left_alone(refused, tmp_path, text, trained):
    mine = tmp_path / "mine"
    (mine / "data").mkdir(parents=True)
    (mine / "data" / "precious.txt").write_text("mine")
    (mine / "recipe.toml").write_text("[cake]\n")
    before = contents(mine)
    assert "exists already, and nothing is written over: choose another --out" in refused("train", text, "--out", mine)
    assert contents(mine) == before
    before = contents(trained)
    assert "resume it with --resume, or choose another" in refused("train", text, "--out", trained)
    assert contents(trained) == before
    assert "exists already" in refused("train", text, "--out", text)


def test_an_empty_folder_that_was_there_stays(refused, tmp_path, text):
    (tmp_path / "run").mkdir()
    assert "lower `batch`" in refused("train", text, "--out", tmp_path / "run", *settings(*WORDS, "batch=100000"))
    assert os.listdir(tmp_path / "run") == []


def test_what_was_killed_before_its_first_checkpoint_is_begun_anew(told, tmp_path, text, untrained):
    folder = RunFolder(tmp_path / "run")
    code = "import os, sys; from keras_rnnlm.training.runs.run import RunFolder; folder = RunFolder(sys.argv[1])\n"
    code += "with folder.new(): folder.recipe.write_text('x'); folder.data.mkdir(); os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", code, str(folder)]).returncode == -9
    assert folder.recipe.is_file() and folder.beginning.is_file()
    code, _, lines = told("train", "--out", folder, "--resume")
    assert code == 2 and "nothing to resume" in lines[0]
    (folder.path / "mine.txt").write_text("mine")
    code, _, lines = told("train", text, "--out", folder, *settings(*WORDS))
    assert code == 2 and "exists already" in lines[0] and folder.recipe.is_file()
    (folder.path / "mine.txt").unlink()
    assert told("train", text, "--out", folder, *settings(*WORDS, "epochs=1"))[0] == 0
    assert not folder.beginning.exists()


# Mistakes in going on


def test_a_resume_that_cannot_be_is_refused(refused, tmp_path, trained, text):
    run = shutil.copytree(trained, tmp_path / "run")
    before = contents(run)
    assert "There is nothing to resume in" in refused("train", "--out", tmp_path / "nowhere", "--resume")
    assert "There is nothing to resume in" in refused("train", "--out", tmp_path, "--resume")
    assert "only --set may change a setting" in refused("train", text, "--out", run, "--resume")
    assert "Received: --recipe" in refused("train", "--out", run, "--resume", "--recipe", "char")
    for setting in ("tokenizer=word", "vocabulary_size=20", "window=5", "units=9", "seed=3", "ema=0.9"):
        line = refused("train", "--out", run, "--resume", "--set", setting)
        assert f"`--resume` must not change {setting.partition('=')[0]}:" in line
    assert "no setting 'unitz'" in refused("train", "--out", run, "--resume", "--set", "unitz=1")
    with RunFolder(run).held():
        assert "Another process is training the run" in refused("train", "--out", run, "--resume")
    assert contents(run) == before


def test_a_run_whose_files_are_no_longer_its_own_is_refused(refused, tmp_path, trained, text):
    run = shutil.copytree(trained, tmp_path / "run")
    (run / "tokenizer.json").unlink()
    assert "it holds no tokenizer.json" in refused("train", "--out", run, "--resume")
    training.Tokenizer.train("char", "abcdef").save(run / "tokenizer.json")
    assert "is not the vocabulary that" in refused("train", "--out", run, "--resume")
    shutil.copy(trained / "tokenizer.json", run)
    shutil.rmtree(run / "data")
    tokenizer = training.Tokenizer.load(run / "tokenizer.json")
    training.encode_corpus(training.open_corpus(text, split="80/10/10"), tokenizer, run / "data")
    lines = refused("train", "--out", run, "--resume", "--quiet")
    assert "were written with another text" in lines
    shutil.rmtree(run / "data")
    assert "holds no encoded text" in refused("train", "--out", run, "--resume")


def test_a_run_without_a_whole_checkpoint_cannot_be_resumed(told, tmp_path, trained):
    run = shutil.copytree(trained, tmp_path / "run")
    for path in (run / "checkpoints").iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    code, _, lines = told("train", "--out", run, "--resume", "--quiet")
    assert code == 2 and len(lines) == 4 and all("is damaged" in line for line in lines[:3])
    assert lines[3].startswith(f"keras-rnnlm train: No checkpoint in {run} is whole")


# Mistakes in the other commands


@pytest.mark.parametrize("command", [["evaluate", "test"], ["generate"], ["info"]])
def test_a_folder_that_is_no_run_is_told(refused, tmp_path, command):
    name, *more = command
    assert "There is no run" in refused(name, tmp_path / "nowhere", *more)
    assert "is no run: it holds no recipe.toml" in refused(name, tmp_path, *more)


def test_a_run_without_its_model_is_told(refused, tmp_path, trained):
    run = shutil.copytree(trained, tmp_path / "run")
    (run / "model.keras").write_bytes((trained / "model.keras").read_bytes()[:-300])
    assert "model.keras cannot be read as a model" in refused("generate", run)
    (run / "model.keras").unlink()
    shutil.rmtree(run / "checkpoints")
    assert "holds no model.keras: it is written at the first validation" in refused("generate", run)
    assert "keras-rnnlm train --out" in refused("evaluate", run, "test")


def test_a_text_that_cannot_be_evaluated_is_told(refused, tmp_path, trained):
    (tmp_path / "empty.txt").touch()
    assert "empty" in refused("evaluate", trained, tmp_path / "empty.txt")
    assert "no file, folder or pattern" in refused("evaluate", trained, tmp_path / "nothing.txt")
    (tmp_path / "latin.txt").write_bytes(b"\xe7a va\n")
    assert "is not utf-8" in refused("evaluate", trained, tmp_path / "latin.txt")
    assert "`batch` is at least 1. Received: batch=0" in refused("evaluate", trained, "test", "--batch", 0)
    line = refused("evaluate", trained, "test", "--log-probabilities", tmp_path / "no" / "where")
    assert "There is no folder for the file" in line


def test_a_split_that_is_not_there_is_told(refused, tmp_path, trained, text):
    run = shutil.copytree(trained, tmp_path / "run")
    shutil.rmtree(run / "data")
    tokenizer = training.Tokenizer.load(run / "tokenizer.json")
    training.encode_corpus(training.open_corpus(text, split="90/10"), tokenizer, run / "data")
    line = refused("evaluate", run, "test")
    assert "has no test split, but train, valid: name one, or a file" in line and "trained without --test" in line


@pytest.mark.parametrize(
    "options, message",
    [
        (["--temperature", "-1"], "temperature"),
        (["--top-p", "1.5"], "top_p"),
        (["--top-k", "0"], "top_k"),
        (["--beam", "3", "--top-k", "2"], "`beam` goes without"),
        (["--length", "-1"], "`length` counts the tokens"),
        (["--seed", "-1"], "seed"),
        (["--repetition-penalty", "0"], "`repetition_penalty` is a finite number above 0"),
        (["--stop"], "A char tokenizer has no <eos> to stop at"),
    ],
)
def test_bad_options_of_sampling_are_told(refused, trained, options, message):
    assert message in refused("generate", trained, *options)
