"""Classification goes the whole way by the commands: labelled files in, classes out, of runs and of exported files."""

import json
import random
import shutil

import keras
import numpy as np
import pytest

from keras_rnnlm import export
from keras_rnnlm.__main__ import main
from keras_rnnlm.export import runtime
from keras_rnnlm.models import Classifier
from keras_rnnlm.text import Vocabulary
from keras_rnnlm.training.loop import loop as loop_module
from keras_rnnlm.training.recipes.recipe import Recipe
from keras_rnnlm.training.runs.run import RunFolder
from keras_rnnlm.training.tasks import classification, task_of
from keras_rnnlm.training.tasks.classification import Texts, encoded, macro_f1
from tests.support import numpy, on_tensorflow

SMALL = {"units": 6, "embedding_dim": 6, "batch": 16, "epochs": 2, "learning_rate": 0.03, "dropout": 0.1}
SMALL |= {"checkpoint_every": 4, "log_every": 10, "warmup_steps": 1}
FILLING = "the a of film it this was and more"


@pytest.fixture(scope="module")
def reviews(tmp_path_factory):
    folder, draw = tmp_path_factory.mktemp("reviews"), random.Random(0)
    for name, words in (("bad", "dull bland bad awful"), ("good", "fine good warm great")):
        lines = [draw.choices(FILLING.split(), k=draw.randint(2, 9)) + [draw.choice(words.split())] for _ in range(80)]
        (folder / f"{name}.txt").write_text("\n".join(" ".join(draw.sample(line, len(line))) for line in lines))
    return folder


def train(out, *arguments, **settings):
    changes = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    return main(["train", *map(str, arguments), "--out", str(out), "--quiet", *changes])


OWN = {"characters": "true", "filters": 4, "character_dim": 4, "bidirectional": "true"}
OWN |= {"layer_factor": 0.8, "unfreeze_every": 3}


def train_all(reviews, out):
    settings = {**SMALL, **{f"task_settings.{name}": value for name, value in OWN.items()}}
    return train(out, reviews, "--task", "classify", "--split", "80/10/10", **settings)


@pytest.fixture(scope="module")
def run(reviews):
    assert train_all(reviews, reviews.parent / "classes") == 0
    return reviews.parent / "classes"


def test_it_learns_and_accuracy_decides(run, capsys):
    records = [record for record in RunFolder(run).read_history() if record["kind"] == "valid"]
    accuracies = [record["accuracy"] for record in records]
    assert max(accuracies) > 0.8 and {"loss", "macro_f1"} <= set(records[0])
    assert [record["best"] for record in records] == [a > max([0, *accuracies[:k]]) for k, a in enumerate(accuracies)]
    assert main(["evaluate", str(run), "valid", "--json", "--quiet"]) == 0
    found = json.loads(capsys.readouterr().out)["model"]
    assert found["accuracy"] == max(accuracies) and found["texts"] == 16


@pytest.mark.parametrize("words, batch", [([], 16), (["--batch", "5"], 5)])
def test_texts_are_side_by_side_as_told(run, monkeypatch, words, batch):
    seen = []
    monkeypatch.setattr(classification.Accuracy, "score", lambda self, split, progress: seen.append(self.batch) or {})
    assert main(["evaluate", str(run), "valid", "--quiet", *words]) == 0
    assert seen == [batch]


def test_a_file_with_labels_is_evaluated_and_an_unknown_label_is_told(run, tmp_path, capsys):
    table = tmp_path / "test.csv"
    table.write_text("text,label\nthe film was great,good\nawful film,bad\n,bad\n")
    assert main(["evaluate", str(run), str(table), "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["model"]["texts"] == 2
    table.write_text("text,plot,label\n,the film was great,good\n,awful film,bad\n")
    assert main(["evaluate", str(run), str(table), "--text-column", "plot", "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["model"]["texts"] == 2
    assert main(["evaluate", str(run), "valid", "--text-column", "plot", "--quiet"]) == 2
    assert "The valid split is of one text: drop `text_column`" in capsys.readouterr().err
    table.write_text("text,label\nthe film was great,good\nso so,mixed\n")
    assert main(["evaluate", str(run), str(table), "--quiet"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "line 3: the label 'mixed' is none that was learned: bad, good" in line


def test_a_run_that_was_killed_ends_as_one_that_was_not(run, reviews, tmp_path, monkeypatch):
    broken, after_step = tmp_path / "broken", loop_module.Loop.after_step

    def dies(self):
        if self.progress.step == 6:  # the newest checkpoint is of step 4
            raise SystemExit
        return after_step(self)

    with monkeypatch.context() as patched:
        patched.setattr(loop_module.Loop, "after_step", dies)
        with pytest.raises(SystemExit):
            train_all(reviews, broken)
    assert main(["train", "--out", str(broken), "--resume", "--quiet"]) == 0
    (step, arrays, _), (same, others, _) = (RunFolder(path).checkpoints().read() for path in (run, broken))
    assert step == same and arrays.keys() == others.keys()
    assert [name for name in arrays if not np.array_equal(arrays[name], others[name])] == []


def test_a_run_begins_with_a_language_model(reviews, tmp_path, capsys):
    text = tmp_path / "text.txt"
    text.write_text("\n".join((reviews / "good.txt").read_text().splitlines()[:40]) + "\nword of its own\n")
    model = {"tokenizer": "word", "units": 6, "layers": 1, "window": 8, "batch": 4, "epochs": 1}
    assert train(tmp_path / "model", text, "--split", "100", **model) == 0
    begins = ["--task", "classify", "--init-from", tmp_path / "model"]
    assert train(tmp_path / "run", reviews, *begins, **{"epochs": 1, "batch": 16, "learning_rate": 1e-9}) == 0
    folder, first = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "model")
    made, vocabulary, tokenizer = folder.read_model(), folder.read_vocabulary(Vocabulary), first.read_tokenizer()
    assert "own" in vocabulary.words and "bland" in vocabulary.words
    tables = [numpy(model.embedding.embeddings) for model in (made, first.read_model())]
    for word, id in (("own", tokenizer.symbols()["own"]), ("nowhere", tokenizer.unknown)):
        np.testing.assert_allclose(tables[0][vocabulary.word_ids([word])[0]], tables[1][id], atol=1e-5)
    np.testing.assert_allclose(tables[0][vocabulary.word_ids(["bland"])[0]], tables[1].mean(axis=0), atol=1e-5)
    for kept, other in zip(made.stack.get_weights(), first.read_model().stack.get_weights()):
        np.testing.assert_allclose(kept, other, atol=1e-5)
    assert not made.get_config()["bidirectional"]
    capsys.readouterr()
    assert train(tmp_path / "other", reviews, *begins, units=7) == 2
    assert "has its network: drop `units`. Received: units=7, and it takes 6" in capsys.readouterr().err


def test_what_cannot_be_is_told_in_a_line(reviews, run, tmp_path, capsys):
    one = tmp_path / "one.csv"
    one.write_text("text,label\n" + "good film,good\n" * 40)
    for arguments, message in (
        ([one], "There are two labels to learn, at least. Received: good"),
        ([reviews, "--set", "head=mixture"], "The task classify does not read `head`: drop it"),
        ([reviews, "--set", "task_settings.pooling=first"], "`task_settings.pooling` is"),
        ([reviews, "--set", "ema=0.9", "--set", "task_settings.layer_factor=0.5"], "An average of weights is of whole"),
        ([reviews, "--set", "task_settings.label_column=y"], "A column is one of a table"),
        ([tmp_path / "nowhere"], "There is no file, folder or pattern"),
    ):
        assert main(["train", *map(str, arguments), "--task", "classify", "--out", str(tmp_path / "x"), "--quiet"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line


def test_damaged_data_is_told_in_a_line(run, tmp_path, capsys):
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "data" / "train.npz").write_bytes(b"PK nothing")
    assert main(["train", "--out", str(tmp_path / "run"), "--resume", "--quiet"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "data is damaged: start a new run with another --out" in line


def test_macro_f1_is_a_mean_over_classes():
    assert macro_f1([0, 0, 1, 2], [0, 1, 1, 0]) == pytest.approx((0.5 + 2 / 3 + 0) / 3)
    assert macro_f1([1, 1], [1, 1]) == 1


def test_texts_of_one_and_of_two_thousand_words_go_into_batches(tmp_path):
    rows = [("word " * 2000, "a", ""), ("word", "b", "")]
    vocabulary = Vocabulary.learn([text.split() for text, *_ in rows], ["a", "b"])
    texts = encoded(rows, vocabulary, characters=True)
    texts.save(tmp_path / "texts.npz")
    ((inputs, labels, weights),) = Texts.load(tmp_path / "texts.npz").stream(3).batches()
    assert inputs["words"].shape == (3, 2048) and inputs["characters"].shape == (3, 2048, 20)
    np.testing.assert_array_equal((inputs["words"] > 0).sum(axis=1), [2000, 1, 0])
    np.testing.assert_array_equal([*labels, *weights], [0, 1, 0, 1, 1, 0])


# Exported


@pytest.fixture(scope="module")
def exported(run):
    export.export_run(run, run.parent / "exported")
    return run.parent / "exported"


TEXTS = ["a great film", "this was dull and awful and more of it", "", "film unheard-of"]


@on_tensorflow
def test_files_classify_texts_as_the_run_does(run, exported, tmp_path, capsys):
    lines = tmp_path / "lines.txt"
    lines.write_text("\n".join(TEXTS) + "\n")
    assert main(["predict", str(run), str(lines)]) == 0
    wanted = capsys.readouterr().out
    labels = [line.partition("\t")[0] for line in wanted.splitlines()]
    assert labels[:3] == ["good", "bad", ""]
    assert main(["verify", str(exported)]) == 0
    capsys.readouterr()
    for kind in ("saved_model", "onnx", "litert"):
        loaded = runtime.load(exported, kind)
        together = loaded.classify(TEXTS)
        for answer, text in zip(together, TEXTS):
            (alone,) = loaded.classify([text])
            assert alone.label == answer.label and sum(alone.probabilities.values()) == pytest.approx(1)
            assert alone.probabilities == pytest.approx(answer.probabilities, abs=1e-5)
        assert main(["predict", str(exported), str(lines), "--format", kind]) == 0
        assert capsys.readouterr().out == wanted
    assert main(["run", str(exported), "--prompt", TEXTS[0]]) == 0
    assert capsys.readouterr().out.startswith("good\t")
    (tmp_path / "t.csv").write_text("text\n")
    assert main(["predict", str(exported), str(tmp_path / "t.csv")]) == 2
    assert "is a table: `predict` reads a text in every line" in capsys.readouterr().err


@on_tensorflow
def test_another_vocabulary_is_refused(exported, tmp_path):
    shutil.copytree(exported, tmp_path / "copy")
    (tmp_path / "copy" / "manifest.json").unlink()
    Vocabulary.learn([["word"]], ["a", "b"]).save(tmp_path / "copy" / "vocabulary.json")
    with pytest.raises(ValueError, match="they do not belong together"):
        runtime.load(tmp_path / "copy" / "model.tflite").classify(["word"])


@pytest.mark.parametrize(
    "settings, width",
    [
        ({"units": [300, 200], "layers": 2}, 200),
        ({"units": [300, 200], "layers": 2, "tied": False}, 300),
        ({"units": 300, "cell_options": {"projection_units": 128}}, 128),
        ({"units": 300, "embedding_dim": 50, "tied": False}, 50),
    ],
)
def test_words_are_as_wide_as_in_the_language_model_that_a_run_begins_with(settings, width):
    begun = Recipe().override(settings)
    assert task_of(Recipe(task="classify")).settings_from(begun)["embedding_dim"] == width


def test_a_recipe_of_a_classifier_builds_one():
    vocabulary = Vocabulary.learn([["a", "film"]], ["bad", "good"])
    recipe = Recipe.load("classify").override(["units=[4, 3]", "layers=2", "embedding_dim=none", "forget_bias=2.0"])
    model = task_of(recipe).build(recipe, vocabulary)
    assert isinstance(model, Classifier) and model.get_config()["word_dim"] == 4
    assert keras.ops.convert_to_numpy(model.stack.backwards[1].cell.bias)[3:6].tolist() == [2, 2, 2]
