"""The task `tag`, from files in columns to files that tag."""

import dataclasses
import json
import random

import numpy as np
import pytest

from keras_rnnlm import export
from keras_rnnlm.__main__ import main
from keras_rnnlm.export import runtime
from keras_rnnlm.text import Vocabulary
from keras_rnnlm.training.commands import train as train_module
from keras_rnnlm.training.corpora import examples
from keras_rnnlm.training.evaluation.spans import span_scores, spans
from keras_rnnlm.training.loop import loop as loop_module
from keras_rnnlm.training.recipes.recipe import Recipe
from keras_rnnlm.training.runs.display import Display
from keras_rnnlm.training.runs.run import RunFolder, load_run
from keras_rnnlm.training.tasks import Data, Given, task_of
from tests.pages import opened
from tests.support import on_tensorflow

FILES = {"onnx": "model.onnx", "litert": "model.tflite", "saved_model": "saved_model"}
SMALL = ["units=12", "layers=1", "embedding_dim=8", "batch=16", "epochs=4", "learning_rate=0.03", "min_count=1"]
SMALL += [
    "checkpoint_every=5",
    "warmup_steps=5",
    "dropout=0.1",
    "task_settings.filters=8",
    "task_settings.longest_word=6",
]


def sentences(count, seed):
    """Names and places among other words; of two names in a row the second goes on."""
    draw, found = random.Random(seed), []
    for _ in range(count):
        words, tags = [], []
        for _ in range(draw.randint(1, 8)):
            kind = draw.choices(["who", "where", "what"], [2, 2, 6])[0]
            if kind == "who":
                words += [draw.choice(["Ann", "Ben", "Cora"]), draw.choice(["Smith", "Jones"])][: draw.randint(1, 2)]
                tags += ["B-who", "I-who"][: len(words) - len(tags)]
            else:
                words.append(draw.choice(["Rome", "Oslo"] if kind == "where" else ["sees", "the", "#tag", "1-2", "."]))
                tags.append("B-where" if kind == "where" else "O")
        found.append((words, tags))
    return found


def write(path, found):
    path.write_text("\n".join("".join(f"{w}\t{t}\n" for w, t in zip(*sentence)) for sentence in found))
    return path


def train(folder, run, *more):
    changes = [word for setting in SMALL for word in ("--set", setting)]
    return main(["train", str(folder / "texts"), "--task", "tag", "--out", str(run), "--quiet", *changes, *more])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tagging")
    (folder / "texts").mkdir()
    write(folder / "texts" / "train.tsv", sentences(300, 0))
    write(folder / "texts" / "dev.tsv", sentences(60, 1))
    assert train(folder, folder / "run") == 0
    return folder


def told(capsys, *arguments):
    code = main([*map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err.splitlines()


def test_it_learns_and_f1_says_which_model_is_best(folder, capsys):
    trained = load_run(folder / "run")
    records = [record for record in trained.history if record["kind"] == "valid"]
    best = max(records, key=lambda record: record["f1"])
    assert best["f1"] > 0.9 and best["best"] and best["accuracy"] > 0.9
    assert trained.recipe.cell_options == {"peephole": True}  # of the recipe `tagger`
    assert trained.vocabulary.labels == ["B-where", "B-who", "I-who", "O"]
    code, out, _ = told(capsys, "evaluate", folder / "run", "valid", "--json", "--quiet")
    found = json.loads(out)["model"]
    assert code == 0 and found["f1"] == best["f1"] and not any(name.startswith("f1_of") for name in best)
    assert min(found["f1_of_who"], found["f1_of_where"]) <= found["f1"] <= max(found["f1_of_who"], found["f1_of_where"])


@pytest.mark.long  # the stream is that of test_classification.py
def test_a_run_that_was_killed_ends_as_one_that_was_not(folder, monkeypatch):
    after_step = loop_module.Loop.after_step

    def dies(self):
        if self.progress.step == 28:  # in the second epoch, the newest checkpoint is of step 25
            raise SystemExit
        return after_step(self)

    with monkeypatch.context() as patched:
        patched.setattr(loop_module.Loop, "after_step", dies)
        with pytest.raises(SystemExit):
            train(folder, folder / "broken")
    assert main(["train", "--out", str(folder / "broken"), "--resume", "--quiet"]) == 0
    runs = [RunFolder(folder / name) for name in ("run", "broken")]
    (_, arrays, _), (_, others, _) = (run.checkpoints().read() for run in runs)
    assert [name for name in arrays if not np.array_equal(arrays[name], others[name])] == []
    for kept, other in zip(*(run.read_model().get_weights() for run in runs), strict=True):
        np.testing.assert_array_equal(kept, other)


def test_a_tag_that_was_never_seen_counts_as_wrong_and_is_told_once(folder, capsys):
    found = sentences(20, 5)
    words = sum(len(words) for words, _ in found)
    path = write(folder / "new.tsv", found)
    known = json.loads(told(capsys, "evaluate", folder / "run", path, "--json")[1])["model"]
    found[3][1][0] = "B-when"
    write(path, found)
    code, out, lines = told(capsys, "evaluate", folder / "run", path, "--json")
    new = json.loads(out)["model"]
    assert code == 0 and new["accuracy"] in (known["accuracy"], pytest.approx(known["accuracy"] - 1 / words))
    told_of = "1 word has a tag that the training text lacks: B-when "
    assert (
        new["f1"] < known["f1"] and new.keys() == known.keys() and len([line for line in lines if told_of in line]) == 1
    )
    number = sum(len(words) + 1 for words, _ in found[:3]) + 1
    assert f"B-when ({path}, line {number}); it counts as wrong" in "".join(lines)


@pytest.mark.parametrize(
    "text, more, message",
    [
        ("a\tO\nb\n", [], "train.tsv, line 2: 1 column, and the lines before have 2"),
        ("\n\n", [], "There is no example to learn from"),
        ("a\tO\n" * 30, ["--valid", "blank.tsv"], "There is no example in blank.tsv, given as `valid`"),
        ("a\tO\n", ["--set", "head=adaptive"], "The task tag does not read `head`: drop it"),
        ("a\tO\n", ["--set", "task_settings.tag_column=0"], "`task_settings.tag_column` is a whole number"),
        ("a\tO\n", [], "too few examples to be cut 90/5/5, 1"),
        (
            "".join(f"a\t{k}\n\n" for k in range(400)),
            [],
            "360 different tags in 360 words, '0', '1', '10' and the like",
        ),
    ],
)
def test_a_mistake_is_told_in_a_line_and_leaves_nothing(text, more, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.tsv").write_text(text)
    (tmp_path / "blank.tsv").write_text("\n\n")
    given = ["train", tmp_path / "train.tsv", "--task", "tag", "--out", tmp_path / "run", "--quiet", *more]
    code, _, (line,) = told(capsys, *given)
    assert code == 2 and message in line and not (tmp_path / "run").exists()


def test_columns_that_are_mixed_up_are_told_before_anything_is_learnt(folder, tmp_path, capsys):
    write(tmp_path / "train.tsv", [(tags, words) for words, tags in sentences(30, 3)])
    given = ["train", tmp_path / "train.tsv", "--valid", folder / "texts" / "dev.tsv", "--task", "tag", "--quiet"]
    code, _, (line,) = told(capsys, *given, "--out", tmp_path / "run")
    assert code == 2 and "Which column holds the tags?" in line and "task_settings.tag_column" in line
    assert f"lacks, first {sentences(1, 1)[0][1][0]} (" in line and "dev.tsv, line 1); that text has" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("valid", ["dev.tsv", "kept.tsv"])
def test_what_is_given_to_validate_on_is_not_trained_on(valid, tmp_path):
    for name in ("train.tsv", "dev.tsv", "kept.tsv"):
        (tmp_path / name).write_text(f"{name}\n")
    sources = tmp_path if valid == "dev.tsv" else tmp_path / "*.tsv"  # of which the names tell splits
    given = Given([str(sources)], [str(tmp_path / valid)], None)
    found = examples.read_examples(given, Recipe(task="tag"), RunFolder(tmp_path / "run"), lambda lines, name: lines)
    assert found["valid"] == [valid] and valid not in found["train"] and "train.tsv" in found["train"]


def test_where_no_span_is_there_to_validate_on_the_loss_says_which_model_is_best(tmp_path, capsys):
    write(tmp_path / "train.tsv", sentences(30, 3))
    write(tmp_path / "dev.tsv", [(["sees", "the", "."], ["O", "O", "O"])] * 3)
    recipe, folder = Recipe(task="tag", units=4, layers=1), RunFolder(tmp_path / "run")
    folder.path.mkdir()
    task, given = task_of(recipe), Given([str(tmp_path / "train.tsv")], str(tmp_path / "dev.tsv"), None)
    data = task.prepare(given, recipe, folder, Display())
    assert "valid: no sentence has a span, so the loss says" in capsys.readouterr().err
    scorer = task.scorer(task.build(recipe, data.vocabulary), data, recipe)
    assert (scorer.decides, scorer.larger_is_better) == ("loss", False)
    data.splits["valid"] = data.splits["train"]
    scorer = task.scorer(task.build(recipe, data.vocabulary), data, recipe)
    assert (scorer.decides, scorer.larger_is_better) == ("f1", True)


def test_spans_that_begin_with_i_are_read_as_those_that_begin_with_b(tmp_path, capsys):
    older = []  # with a B only where two spans of a kind meet
    for words, tags in sentences(30, 0):
        before = ["O", *tags]
        meet = [tag[:2] == "B-" and tag[2:] == other[2:] for tag, other in zip(tags, before)]
        older.append((words, [tag if met else tag.replace("B-", "I-") for tag, met in zip(tags, meet)]))
    write(tmp_path / "train.tsv", older)
    recipe, folder = Recipe(task="tag", split="90/10", task_settings={"word_column": 1}), RunFolder(tmp_path / "run")
    folder.path.mkdir()
    data = task_of(recipe).prepare(Given([str(tmp_path / "train.tsv")], None, None), recipe, folder, Display())
    assert "train: " in (told := capsys.readouterr().err) and "begin with I-, which is read as B-" in told
    named = [data.vocabulary.labels[k] for k in data.splits["train"].labels]
    wanted = [tag for _, tags in sentences(27, 0) for tag in tags]
    assert data.vocabulary.word_column == 1  # which an export takes along
    assert {"B-who", "I-who", "B-where"} < set(data.vocabulary.labels) and named == wanted


def test_what_belongs_together_is_in_one_split_wherever_it_stands():
    shuffled = [(k % 100, k) for k in range(600)]
    found = examples._cut(shuffled, None, False, ["x"], lambda example: example[0])
    passages = {name: {passage for passage, _ in split} for name, split in found.items()}
    assert sum(map(len, passages.values())) == 100 and sum(map(len, found.values())) == 600


def test_what_may_go_on_in_a_tag_that_was_not_learned_is_not_found():
    wanted, got = [["B-x", "I-?", "O", "B-x"]], [["B-x", "O", "O", "B-x"]]
    assert span_scores(wanted, got)["recall"] == pytest.approx(2 / 3)
    assert span_scores(wanted, got, "I-?")["recall"] == pytest.approx(1 / 3)


def test_a_run_that_begins_with_another_reads_other_columns_with_its_network(folder, monkeypatch):
    own = {"tag_column": 3, "filters": 8}
    begun = dataclasses.replace(RunFolder(folder / "run").read_recipe(), task_settings=own)
    monkeypatch.setattr(RunFolder, "read_recipe", lambda self: begun)
    found = train_module._fine_tuning(None, RunFolder(folder / "run"), ["task_settings.word_column=2"], None)
    assert (found.task_settings["tag_column"], found.task_settings["word_column"]) == (None, 2)
    assert found.task_settings["filters"] == 8
    found = train_module._fine_tuning(Recipe(task="tag", batch=7), RunFolder(folder / "run"), {}, None)
    assert (found.batch, found.task_settings["filters"]) == (7, 8)  # what it leaves at its default is that run's
    with pytest.raises(ValueError, match="drop `task_settings`"):
        train_module._fine_tuning(None, RunFolder(folder / "run"), ["task_settings.crf=false"], None)


def test_columns_with_names_are_those_of_a_data_set_and_of_no_file(tmp_path):
    (tmp_path / "a.conll").write_text("cats N\nsleep V\n")
    vocabulary = Vocabulary.learn([["cats", "sleep"]], ["N", "V"])
    names = {"task_settings.word_column": "tokens", "task_settings.tag_column": "upos"}
    recipe = Recipe(task="tag").override(names)
    split = task_of(recipe).read(tmp_path / "a.conll", Data({}, vocabulary, {}), recipe, "utf-8", Display(quiet=True))
    assert split.labels.tolist() == vocabulary.label_ids(["N", "V"]).tolist()


def test_a_split_that_the_run_lacks_is_told_with_the_option_that_brings_it(folder, capsys):
    code, _, (line,) = told(capsys, "evaluate", folder / "run", "test", "--quiet")
    assert code == 2 and "has no test split" in line and "(it was trained without --test)" in line


@pytest.fixture(scope="module")
def exported(folder):
    export.export_run(folder / "run", folder / "exported")
    return folder / "exported"


@on_tensorflow
@pytest.mark.parametrize("kind", list(FILES))
def test_sentences_of_any_length_are_tagged_as_each_alone(folder, exported, kind):
    trained, loaded = load_run(folder / "run"), runtime.load(exported, kind)
    found = [["Ann"], [], *(words for words, _ in sentences(12, 9)), ["Ben", "unheard-of", "#"] * (2000 // 3)]
    wanted = []
    for words in found:
        tags = trained.model.tag(trained.vocabulary.encode([words]))[0].tolist() if words else []
        wanted.append([trained.vocabulary.labels[tag] for tag in tags])
    assert loaded.tag(found) == wanted
    assert [loaded.tag([words])[0] for words in found[:4]] == wanted[:4]
    for tags in wanted:
        assert all(tag != "I-who" or before in ("B-who", "I-who") for before, tag in zip(["O", *tags], tags))
    with pytest.raises(ValueError, match="A sentence is a list of words"):
        loaded.tag(["Ann sees"])


@on_tensorflow
def test_it_exports_natively_verifies_and_keeps_its_vocabulary(exported, capsys):
    manifest = json.loads((exported / "manifest.json").read_text())
    assert manifest["task"] == "tag" and [entry["file"] for entry in manifest["vocabulary"]] == ["vocabulary.json"]
    assert {entry["format"]: entry["operators"] for entry in manifest["artifacts"]}["onnx"][
        "LSTM"
    ] == 2  # one a direction
    assert told(capsys, "verify", exported)[0] == 0
    (exported / "vocabulary.json").write_text("{}")
    try:
        assert "vocabulary.json is not the one that was exported" in told(capsys, "verify", exported)[2][0]
    finally:
        (exported / "vocabulary.json").write_text((exported.parent / "run" / "vocabulary.json").read_text())


@on_tensorflow
def test_a_run_and_its_files_predict_the_same_of_a_file(folder, exported, capsys):
    path = folder / "words.txt"
    path.write_text("Ann\nsees\nRome\n\nOslo\n")
    wanted = "Ann\tB-who\nsees\tO\nRome\tB-where\n\nOslo\tB-where\n\n"
    for model in (folder / "run", exported):
        assert told(capsys, "predict", model, path)[:2] == (0, wanted)
    records = json.loads(told(capsys, "predict", exported, path, "--json")[1])["predictions"]
    assert records[1] == {"words": ["Oslo"], "tags": ["B-where"]}
    # Of several columns the one that is named, or that the run was trained on.
    path.write_text("1 Ann\n2 sees\n3 Rome\n\n1 Oslo\n")
    for given in ([exported, "--word-column", "2"], [folder / "run", "--word-column", "2"]):
        assert told(capsys, "predict", *given, path)[:2] == (0, wanted)
    code, out, (line,) = told(capsys, "predict", exported, path, "--word-column", "3")
    assert code == 2 and "2 columns, and words are read from the column 3" in line
    loaded = runtime.load(exported)
    loaded.tokenizer = loaded.tokenizer.of_column(2)
    assert "".join(line + "\n" for line, _ in loaded.predict(path)) == wanted
    path.write_text("Ann sees Rome .\n")
    code, out, (line,) = told(capsys, "predict", exported, path)
    assert code == 2 and out == "" and "put one word a line, and an empty line between sentences" in line
    assert told(capsys, "run", exported, "--prompt", "Ann sees")[1] == "Ann\tB-who\nsees\tO\n\n"
    assert told(capsys, "run", exported)[2][0].endswith("--prompt TEXT; a file is for the command `predict`")


@on_tensorflow
def test_a_page_tags_as_python_does(exported, tmp_path):
    found = [words for words, _ in sentences(12, 9)]
    with opened(exported, tmp_path / "page") as page:
        page.set(prompt="\n\n".join("  ".join(words) for words in found))
        page.run("document.getElementById('ask').click()")
        page.wait("document.getElementById('status').textContent.includes('words in')")
        assert page.texts(".tagged > span") == [word for words in found for word in words]
        assert page.texts(".tagged small") == [tag for tags in runtime.load(exported).tag(found) for tag in tags]
        assert page.said == []


def test_spans_are_counted_as_conlleval_counts_them():
    tags = ["I-A", "I-A", "B-A", "I-B", "O", "B-B", "I-B"]
    assert spans(tags) == {("A", 0, 2), ("A", 2, 3), ("B", 3, 4), ("B", 5, 7)}
    found = span_scores([tags, ["O"]], [["I-A", "I-A", "O", "I-B", "O", "B-B", "O"], ["B-A"]])
    assert found == {"precision": 0.5, "recall": 0.5, "f1": 0.5}  # (A, 0, 2) and (B, 3, 4), of four and of four
    assert span_scores([["O"]], [["O"]])["f1"] == 0
