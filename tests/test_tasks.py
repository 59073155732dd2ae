"""A task of one's own, `tests.majority`, goes the whole way by the same commands as a language model."""

import json
import random
import shutil
import subprocess
import sys

import numpy as np
import pytest

from keras_rnnlm import export, tasks
from keras_rnnlm.__main__ import main
from keras_rnnlm.export import runtime
from keras_rnnlm.export.manifest import read_manifest
from keras_rnnlm.training import tasks as learning
from keras_rnnlm.training.loop import loop as loop_module
from keras_rnnlm.training.loop.failures import decisive
from keras_rnnlm.training.recipes.recipe import Recipe
from keras_rnnlm.training.runs.run import RunFolder
from tests import majority
from tests.majority import answer as majority_answer
from tests.majority import learning as majority_learning
from tests.majority import model as majority_model
from tests.support import on_tensorflow

FORMATS = ("saved_model", "onnx", "litert")
SETTINGS = ["units=8", "batch=16", "epochs=3", "learning_rate=0.03", "checkpoint_every=5", "log_every=10"]


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    draw, path = random.Random(0), tmp_path_factory.mktemp("majority") / "text.txt"
    weights = [draw.choice([(6, 1, 1), (1, 6, 1), (1, 1, 6)]) for _ in range(600)]
    lines = ["".join(draw.choices("abc", weights=each, k=7)) for each in weights]
    path.write_text("\n".join(lines))
    return path


def train(text, run):
    changes = [word for setting in SETTINGS for word in ("--set", setting)]
    return main(["train", str(text), "--task", majority.NAME, "--out", str(run), "--quiet", *changes])


@pytest.fixture(scope="module")
def run(text):
    assert train(text, text.parent / "run") == 0
    return text.parent / "run"


def test_it_learns_and_its_score_says_which_model_is_best(run, capsys):
    records = [record for record in RunFolder(run).read_history() if record["kind"] == "valid"]
    accuracies = [record["accuracy"] for record in records]
    assert len(records) == 3 and max(accuracies) > 0.8
    best = [accuracy > max([0, *accuracies[:k]]) for k, accuracy in enumerate(accuracies)]
    assert [record["best"] for record in records] == best
    assert main(["evaluate", str(run), "valid", "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["model"]["accuracy"] == max(accuracies)
    found = json.loads(run_command(capsys, "info", run))[str(run)]
    assert found["result"]["best_step"] == records[accuracies.index(max(accuracies))]["step"]
    assert found["recipe"]["task"] == majority.NAME and found["recipe"]["task_settings"] == {"length": 7}


def run_command(capsys, *arguments):
    assert main([*map(str, arguments), "--json"]) == 0
    return capsys.readouterr().out


def test_a_run_that_was_killed_ends_as_one_that_was_not(run, text, monkeypatch):
    broken, after_step = text.parent / "broken", loop_module.Loop.after_step

    def dies(self):
        if self.progress.step == 48:  # the newest checkpoint is of step 45
            raise SystemExit
        return after_step(self)

    with monkeypatch.context() as patched:
        patched.setattr(loop_module.Loop, "after_step", dies)
        with pytest.raises(SystemExit):
            train(text, broken)
    assert main(["train", "--out", str(broken), "--resume", "--quiet"]) == 0
    (step, arrays, _), (same, others, _) = (RunFolder(path).checkpoints().read() for path in (run, broken))
    assert step == same and arrays.keys() == others.keys()
    assert [name for name in arrays if not np.array_equal(arrays[name], others[name])] == []
    for kept, other in zip(*(RunFolder(path).read_model().get_weights() for path in (run, broken))):
        np.testing.assert_array_equal(kept, other)


def test_what_a_task_does_not_have_is_told_in_a_line(run, text, tmp_path, capsys):
    new = ["train", str(text), "--out", str(tmp_path / "new"), "--quiet"]
    for arguments, message in (
        (["generate", str(run)], "is a run of the task tests.majority:TASK, which does not write"),
        (["evaluate", str(run), "valid", "--ngram", "3"], "`ngram` is for language models"),
        ([*new, "--task", "nonsense"], f"`task` is {', '.join(tasks.TASKS)}, or module:NAME"),
        ([*new, "--task", "tests.nowhere:TASK"], "There is no tests.nowhere:TASK: tests.nowhere cannot be imported"),
        ([*new, "--task", "tests.majority:NAME"], "A task's place holds its `keras_rnnlm.tasks.Parts`"),
        (
            [*new, "--task", majority.NAME, "--set", "task_settings.length=0"],
            "`task_settings.length` is a whole",
        ),
        ([*new, "--set", "task_settings.length=3"], "The task language_model has no setting 'length'"),
        (
            ["train", "--out", str(run), "--resume", "--set", "task_settings.length=3"],
            "`--resume` must not change task_settings",
        ),
    ):
        assert main(arguments) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line


@pytest.fixture(scope="module")
def exported(run):
    export.export_run(run, run.parent / "exported")
    return run.parent / "exported"


@on_tensorflow
def test_it_exports_with_parity_and_verifies(exported, capsys):
    manifest = read_manifest(exported, trusted=True)
    assert (manifest["format"], manifest["task"]) == (2, majority.NAME)
    assert [entry["format"] for entry in manifest["artifacts"]] == list(FORMATS)
    assert all(entry["parity"]["error"] < 1e-5 for entry in manifest["artifacts"])
    assert main(["verify", str(exported), "--trusted"]) == 0
    assert capsys.readouterr().out.count("equal to the Keras model") == 3
    path = exported / "manifest.json"
    written = path.read_text()
    manifest["check"]["outputs"]["logits"][0][0] += 0.1
    path.write_text(json.dumps(manifest))
    try:
        assert all("is off by" in report["problem"] for report in export.verify(exported, trusted=True).values())
        for damage in ({"outputs": {"logits": ["x"]}}, {"outputs": {}}):
            path.write_text(json.dumps({**manifest, "check": {**damage}}))
            with pytest.raises(ValueError, match="manifest.json is damaged"):
                export.verify(exported, trusted=True)
    finally:
        path.write_text(written)


@on_tensorflow
@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_answers_as_its_task_does(run, exported, kind, tmp_path):
    texts, tokenizer = ["aabab", "cbccc", "bbbbbab"], RunFolder(run).read_tokenizer()
    model = RunFolder(run).read_model()
    wanted = [tokenizer.decode([int(np.argmax(model(tokenizer.encode(text)[None])))]) for text in texts]
    assert runtime.load(exported, kind, trusted=True).majority(texts) == wanted
    name = {"saved_model": "saved_model", "onnx": "model.onnx", "litert": "model.tflite"}[kind]
    (shutil.copytree if kind == "saved_model" else shutil.copyfile)(exported / name, tmp_path / name)
    alone = runtime.load(tmp_path / name, trusted=True)
    assert list(alone.run({"tokens": np.ones((1, 3), "int32")})) == ["logits"]
    if kind == "onnx":  # which holds its tokenizer
        assert alone.majority(texts) == wanted
    else:
        with pytest.raises(ValueError, match="without its tokenizer.json"):
            alone.majority(texts)


@on_tensorflow
def test_what_a_file_names_is_imported_for_those_who_trust_it_alone(exported):
    for path in (exported, exported / "model.onnx"):
        with pytest.raises(ValueError, match="to answer, it would be imported.*trusted=True"):
            runtime.load(path)
    with pytest.raises(ValueError, match="to answer, it would be imported"):
        export.verify(exported)


@on_tensorflow
def test_a_run_and_each_of_its_files_predict_the_same_of_a_file(run, exported, tmp_path, capsys):
    (tmp_path / "texts.txt").write_text("aabab\ncbccc\n")
    wanted = [{"text": "aabab", "symbol": "a"}, {"text": "cbccc", "symbol": "c"}]
    for model in (run, exported, exported / "model.tflite"):
        given = ["predict", str(model), str(tmp_path / "texts.txt"), *(["--trusted"] if model != run else [])]
        assert main([*given, "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {"predictions": wanted}
        assert main(given) == 0
        assert capsys.readouterr().out == "aabab a\ncbccc c\n"
    for more, message in ((["--batch", "0"], "--batch is at least 1"), (["--format", "onnx"], "are of exports")):
        assert main(["predict", str(run), str(tmp_path / "texts.txt"), *more]) == 2
        assert message in capsys.readouterr().err


WITHOUT_KERAS = """
import sys
class Nowhere:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("keras", "tensorflow", "jax", "torch", "onnx"):
            raise ModuleNotFoundError(f"No module named {name!r}")
sys.meta_path.insert(0, Nowhere())
from keras_rnnlm.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


@on_tensorflow
def test_the_command_run_answers_without_keras(exported):
    command = [sys.executable, "-c", WITHOUT_KERAS, "run", str(exported), "--trusted", "--prompt", "bbbabbb"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "b\n"), done.stderr


@on_tensorflow
def test_what_an_answer_does_not_read_is_told(exported, capsys, monkeypatch):
    asked = ["run", str(exported), "--trusted", "--prompt", "b", "--score", "b", "--top-k", "3"]
    monkeypatch.setattr(majority_answer.Answer, "asked", ("beam",))
    assert main(asked) == 2
    told = f"--score and --top-k cannot be asked of {exported}, an export of the task {majority.NAME}: drop them"
    assert told in capsys.readouterr().err


def test_the_parts_of_every_task_are_what_they_should_be():
    from keras_rnnlm.export.runtime import ExportedModel

    for name, parts in {**tasks.TASKS, majority.NAME: majority.TASK}.items():
        assert tasks.parts_of(name) is parts
        model, task, answer = map(tasks.imported, (parts.model, parts.learning, parts.answer))
        assert issubclass(task, learning.Task) and issubclass(answer, ExportedModel)
        assert callable(model.tally) and callable(model.signatures)
        assert isinstance(learning.task_of(Recipe(task=name)), task)


@pytest.mark.parametrize("method", ["prepare", "restore", "stream", "build", "scorer"])
def test_a_task_without_a_method_is_told_before_it_begins(method, monkeypatch):
    monkeypatch.delattr(majority_learning.Learning, method)
    with pytest.raises(ValueError, match=f"needs a method `{method}`, which returns .*Received: .*majority.*Learning"):
        Recipe(task=majority.NAME)


@pytest.mark.parametrize(
    "part, method",
    [(majority_learning.Stream, "dataset"), (majority_learning.Accuracy, "score"), (majority_model.Majority, "tally")],
)
def test_a_part_without_a_method_is_told_in_a_line(part, method, text, tmp_path, monkeypatch, capsys):
    monkeypatch.delattr(part, method)
    assert train(text, tmp_path / "run") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"needs a method `{method}`, which returns" in line and part.__name__ in line
    assert not (tmp_path / "run").exists()


def test_a_score_without_what_decides_is_told():
    scorer = majority_learning.Accuracy(None)
    assert decisive({"loss": 2.0, "accuracy": 0.5}, scorer) == 0.5
    with pytest.raises(ValueError, match="`score` of Accuracy returns .*`accuracy`.*Received: loss"):
        decisive({"loss": 2.0}, scorer)


@pytest.mark.parametrize("part", ["learning", "answer"])
def test_a_part_of_another_kind_is_told(part, monkeypatch):
    parts = tasks.Parts(**{**vars(majority.TASK), part: "tests.majority.model:Majority"})
    monkeypatch.setitem(tasks.TASKS, "broken", parts)
    with pytest.raises(ValueError, match="How a task (learns is a Task|answers is an ExportedModel). Received"):
        if part == "learning":
            Recipe(task="broken")
        else:
            runtime.answers.answer_of({"task": "broken"})


@pytest.mark.parametrize("name", tasks.TASKS)
def test_what_a_run_that_begins_with_another_may_change_are_settings_of_its_task(name):
    task = learning.task_of(Recipe(task=name))
    assert {*task.text_settings, *task.free_settings} <= task.settings.keys()
    assert not {*task.text_settings} & {*task.free_settings}
