"""Data sets of Hugging Face's and TensorFlow's libraries, on disk: texts, and examples of every task."""

import dataclasses
import pathlib
import re
import sys

import numpy as np
import pytest

from keras_rnnlm.training.corpora.file_sources import check_splits
from keras_rnnlm.training.corpora.labelled import open_labelled
from keras_rnnlm.training.corpora.named_sources import to_evaluate
from keras_rnnlm.training.corpora.opening import open_corpus
from keras_rnnlm.training.recipes.recipe import Recipe
from keras_rnnlm.training.runs.display import Display
from keras_rnnlm.training.runs.run import RunFolder
from keras_rnnlm.training.tasks import Given, task_of

CONTEXT = "Rain fell. The river rose by two feet."


def rows(count):
    """The columns of a data set that has something for every task."""
    return {
        "text": [f"text {n}\nüber" for n in range(count)],
        "title": ["A title"] * count,
        "label": [n % 2 for n in range(count)],
        "tokens": [["Ann", "runs"]] * count,
        "ner_tags": [[1, 0]] * count,
        "translation": [{"en": f"one  {n}", "de": f"eins {n}"} for n in range(count)],
        "question": [f"How far did it rise {n}?" for n in range(count)],
        "context": [CONTEXT] * count,
        "answers": [{"text": ["two feet"], "answer_start": [CONTEXT.index("two")]}] * count,
    }


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A data set that `save_to_disk` wrote."""
    datasets = pytest.importorskip("datasets", reason='needs the library datasets: pip install "keras-rnnlm[hf]"')
    features = datasets.Features(
        {
            **{name: datasets.Value("string") for name in ("text", "title", "question", "context")},
            "label": datasets.ClassLabel(names=["bad", "good"]),
            "tokens": datasets.Sequence(datasets.Value("string")),
            "ner_tags": datasets.Sequence(datasets.ClassLabel(names=["O", "B-PER"])),
            "translation": datasets.Translation(languages=["en", "de"]),
            "answers": {
                "text": datasets.Sequence(datasets.Value("string")),
                "answer_start": datasets.Sequence(datasets.Value("int32")),
            },
        }
    )
    counts = {"train": 20, "validation": 3}
    splits = {name: datasets.Dataset.from_dict(rows(count), features=features) for name, count in counts.items()}
    path = tmp_path_factory.mktemp("hf") / "saved"
    datasets.DatasetDict(splits).save_to_disk(path)
    return path


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The same as a builder of TensorFlow's library made it."""
    tfds = pytest.importorskip("tensorflow_datasets", reason='needs tfds: pip install "keras-rnnlm[tfds]"')
    folder, features = tmp_path_factory.mktemp("tfds"), tfds.features

    class ForEveryTask(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            found = {
                **{name: features.Text() for name in ("text", "title", "question", "context")},
                "label": features.ClassLabel(names=["bad", "good"]),
                "tokens": features.Sequence(features.Text()),
                "ner_tags": features.Sequence(features.ClassLabel(names=["O", "B-PER"])),
                "translation": features.Translation(languages=["en", "de"]),
                "answers": features.Sequence({"text": features.Text(), "answer_start": np.int32}),
            }
            return tfds.core.DatasetInfo(builder=self, features=features.FeaturesDict(found), disable_shuffling=True)

        def _split_generators(self, manager):
            return {"train": self._generate_examples(20), "validation": self._generate_examples(3)}

        def _generate_examples(self, count):
            yield from enumerate(dict(zip(rows(count), cells)) for cells in zip(*rows(count).values()))

    tfds.disable_progress_bar()
    ForEveryTask(data_dir=str(folder)).download_and_prepare()
    return folder


@pytest.fixture(params=["hf", "tfds"])
def source(request, monkeypatch):
    if request.param == "hf":
        return f"hf:{request.getfixturevalue('saved')}"
    monkeypatch.setenv("TFDS_DATA_DIR", str(request.getfixturevalue("built")))
    return "tfds:for_every_task"


def prepared(source, folder, task, **settings):
    recipe = Recipe(task=task).override({f"task_settings.{name}": value for name, value in settings.items()})
    run = RunFolder(folder)
    pathlib.Path(folder).mkdir()
    return task_of(recipe).prepare(Given([source]), recipe, run, Display(quiet=True))


def test_a_data_set_on_disk_brings_its_splits_and_its_column(saved):
    corpus = open_corpus(f"hf:{saved}", text_column="text")
    documents = {name: ["".join(document) for document in split] for name, split in corpus.splits.items()}
    assert documents == {
        "train": [f"text {n}\nüber\n" for n in range(20)],
        "valid": [f"text {n}\nüber\n" for n in range(3)],
    }
    assert corpus.fingerprint == open_corpus(f"hf:{saved}", text_column="text").fingerprint
    assert list(corpus.columns.values()) == ["text", "text"]
    assert next(open_corpus(f"hf:{saved}", text_column="title").splits["valid"].chunks()) == "A title\n"


def test_a_folder_of_parquet_is_read_and_cut(saved, tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()
    datasets.load_from_disk(saved)["train"].select_columns(["text"]).to_parquet(tmp_path / "data" / "some.parquet")
    corpus = open_corpus(f"hf:{tmp_path / 'data'}", split="80/20")  # of the characters
    assert [len(list(split)) for split in corpus.splits.values()] == [17, 3]


def test_texts_have_the_names_of_their_labels(source):
    found = open_labelled(source, text_column="text")
    assert {name: len(split) for name, split in found.splits.items()} == {"train": 20, "valid": 3}
    assert [row[:2] for row in found.splits["valid"]] == [(f"text {n}\nüber", ["bad", "good"][n % 2]) for n in range(3)]


def test_sentences_have_the_names_of_their_tags(source, tmp_path):
    data = prepared(source, tmp_path / "run", "tag")
    assert data.vocabulary.labels == ["B-PER", "O"] and len(data.splits["train"]) == 20
    assert data.splits["valid"].labels.tolist() == [0, 1] * 3
    with pytest.raises(ValueError, match="has no column 'words'. It has the columns '"):
        prepared(source, tmp_path / "other", "tag", word_column="words")


def test_pairs_are_of_the_languages_that_are_named(source, tmp_path):
    named = {"source_column": "de", "target_column": "en"}
    data = prepared(source, tmp_path / "run", "translate", source_tokenizer="word", **named)
    assert len(data.splits["train"]) == 20
    assert data.vocabulary.source.decode(data.splits["valid"].sequence("source", 2) - 3).split() == ["eins", "2"]
    with pytest.raises(ValueError, match="plainly that of the sources: name one by `--set task_settings.source_column"):
        prepared(source, tmp_path / "other", "translate")


def test_questions_have_their_right_sentence(source, tmp_path):
    data = prepared(source, tmp_path / "run", "match")
    assert data.splits["valid"].right.tolist() == [1, 1, 1] and len(data.splits["train"]) == 20
    assert [len(words) for words in data.splits["valid"].question(2)[1]] == [3, 7]
    with pytest.raises(ValueError, match="has no column 'passage'"):
        prepared(source, tmp_path / "other", "match", context_column="passage")


def test_one_split_is_meant_by_its_name(source, tmp_path):
    assert to_evaluate(source) == f"{source}@valid" and to_evaluate(f"{source}@train") == f"{source}@train"
    text = open_corpus(f"{source}@dev" if source.startswith("hf:") else "tfds:for_every_task:text@dev", split="100")
    assert list(text.splits) == ["train"] and len(list(text.splits["train"])) == 3
    ours = {"test": None}
    check_splits(ours, ["test"], "hf:some", learns=False)  # as `evaluate` does
    for found, learns, message in (
        (ours, True, "to train on. Received"),
        ({}, False, "or the like: name one, hf:some@"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            check_splits(found, ["test"], "hf:some", learns)
    if source.startswith("hf:"):  # of language models, too, a split validates
        text = open_corpus(f"{source}@train", valid=f"{source}@validation")
        assert [len(list(text.splits[name])) for name in ("train", "valid")] == [20, 3]


@pytest.mark.parametrize("task", ["classify", "tag", "match", "translate"])
def test_a_split_of_a_data_set_is_evaluated_as_the_run_reads_it(saved, task, tmp_path):
    named = {"source_column": "de", "target_column": "en", "source_tokenizer": "word"} if task == "translate" else {}
    columns = {"text_column": "text"} if task == "classify" else {}
    recipe = Recipe(task=task).override(columns | {f"task_settings.{name}": value for name, value in named.items()})
    run, room, display = RunFolder(tmp_path / "run"), task_of(recipe), Display(quiet=True)
    run.path.mkdir()
    data = room.prepare(Given([f"hf:{saved}"]), recipe, run, display)
    source = f"hf:{saved}@validation"
    if task == "translate":
        found = room.read_split(source, "utf-8", recipe, data.vocabulary)
    else:
        found = room.read(source, data, recipe, "utf-8", display)
    given = dataclasses.replace(data, splits={"valid": found})
    assert str(list(room.stream(given, "valid", recipe).batches())) == str(
        list(room.stream(data, "valid", recipe).batches())
    )


def test_what_cannot_be_opened_is_told_in_a_line(saved, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    for wrong, message in (
        ("hf:", r"is hf:NAME\[:CONFIG\] or hf:FOLDER\[:CONFIG\], and @SPLIT if one split is meant. Received: 'hf:'"),
        (f"hf:{saved}@test", r"no split 'test' of hf:.*/saved. Received: the splits \['train', 'validation'\]"),
        (f"hf:{saved}:en", "was saved to disk, and has no configurations: drop :en"),
        (f"hf:{tmp_path / 'empty'}", "cannot be opened: name a folder, or a data set of huggingface.co"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            open_corpus(wrong)
        assert "\n" not in str(caught.value)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ValueError, match=r'needs the library datasets: pip install "keras-rnnlm\[hf\]"'):
        open_corpus("hf:poems")
