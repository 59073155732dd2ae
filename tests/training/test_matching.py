"""Question encoding goes the whole way by the commands: questions in, ranked sentences out, of runs and of files."""

import json
import random

import numpy as np
import pytest

from keras_rnnlm import export
from keras_rnnlm.__main__ import main
from keras_rnnlm.export import runtime
from keras_rnnlm.text import WeightedVocabulary
from keras_rnnlm.text.questions import Question
from keras_rnnlm.training.corpora.encoded_questions import encoded
from keras_rnnlm.training.evaluation.ranks import of_ranks, shared_words, tf_idf
from keras_rnnlm.training.runs.run import RunFolder
from tests.support import on_tensorflow

SMALL = {
    "units": 6,
    "embedding_dim": 6,
    "batch": 16,
    "epochs": 3,
    "learning_rate": 0.03,
    "dropout": 0.1,
    "min_count": 1,
}
SMALL |= {"checkpoint_every": 4, "log_every": 10, "warmup_steps": 1, "task_settings.longest": 8}
THINGS = "river hill lake road tower bridge".split()


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """Two questions on each passage. What shares most words with the question is not what answers it."""
    path, draw = tmp_path_factory.mktemp("asked") / "asked.jsonl", random.Random(0)
    with open(path, "w") as file:
        for _ in range(60):
            there = draw.sample(THINGS, 3)
            passage = " ".join(f"The {name} is {draw.choice(['long', 'high'])}." for name in there[:2])
            passage += f" Where is the {there[2]}?"
            for k in range(2):
                row = {"question": f"How is the {there[k]}?", "context": passage}
                start = passage.index(f"The {there[k]}")
                file.write(json.dumps(row | {"answers": [{"text": "The", "answer_start": start}]}) + "\n")
    return path


def train(asked, out):
    changes = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
    arguments = ["train", str(asked), "--task", "match", "--split", "80/20", "--out", str(out), "--quiet"]
    return main([*arguments, *changes])


@pytest.fixture(scope="module")
def run(asked):
    assert train(asked, asked.parent / "run") == 0
    return asked.parent / "run"


def test_it_learns_and_the_reciprocal_rank_decides_beside_tf_idf(run, capsys):
    records = [record for record in RunFolder(run).read_history() if record["kind"] == "valid"]
    ranks = [record["mrr"] for record in records]
    assert [record["best"] for record in records] == [rank > max([0, *ranks[:k]]) for k, rank in enumerate(ranks)]
    assert main(["evaluate", str(run), "valid", "--json", "--quiet"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["model"]["mrr"] == max(ranks) > 0.7 and found["model"]["questions"] == 24
    assert found["tf-idf"].keys() == found["shared words"].keys() == {"mrr", "accuracy"}


def test_what_cannot_be_is_told_in_a_line(run, asked, tmp_path, capsys):
    unanswered = tmp_path / "unanswered.jsonl"
    unanswered.write_text("".join(f'{{"question": "Why?", "context": "So {k}."}}\n' for k in range(9)))
    begins = ["--init-from", str(run), "--set", "units=3"]
    for arguments, message in (
        ([unanswered, "--split", "80/20"], "train: no question tells its right sentence"),
        ([asked, "--set", "head=mixture"], "The task match does not read `head`: drop it"),
        ([asked, *begins], "has its vocabulary and its network, too: drop `units`"),
    ):
        assert main(["train", *map(str, arguments), "--task", "match", "--out", str(tmp_path / "x"), "--quiet"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
    assert main(["evaluate", str(run), str(tmp_path / "nowhere.json"), "--quiet"]) == 2
    assert "There is no file" in capsys.readouterr().err


def test_no_cut_parts_the_questions_on_a_passage(run):
    found = RunFolder(run)
    data = np.load(found.data / "questions.npz")
    assert [len(data[f"{name}.of"]) for name in ("train", "valid")] == [96, 24]
    assert all((np.bincount(data[f"{name}.of"]) % 2 == 0).all() for name in ("train", "valid"))


def test_batches_hold_the_sentences_and_each_question_comes_once():
    rows = [Question("who is a?", ("a " * 70, "b is", "who"), 1), Question("b?", ("a b",) * 5, 4)]
    rows += [Question("where is the b of a?", ("a",), 0)]
    split = encoded(rows, WeightedVocabulary.learn([["a", "is"]]))
    assert [text.tolist() for text in split.question(1)[1]] == [split.text(0)[:1].tolist() + [1]] * 5
    shapes, seen = [], []
    for inputs, right, weights in split.stream(2, longest=9).batches():
        shapes.append(inputs["sentences"].shape)
        seen += list(zip(right[weights > 0].tolist(), (inputs["question"][weights > 0] > 0).sum(axis=1).tolist()))
    assert sorted(shapes)[-1] == (2, 8, 12) and {shape[2] for shape in shapes} == {12}
    assert sorted(seen) == [(0, 7), (1, 4), (4, 2)]
    ((inputs, _, _),) = split.stream(3, shuffle=False).batches()
    assert inputs["sentences"].shape == (3, 8, 96) and (inputs["sentences"] > 0).sum() == 70 + 2 + 1 + 10 + 1


def test_ranks_are_reciprocal_and_ways_without_a_model_are_what_they_are_called():
    assert of_ranks([[1, 2, 3], [0, 5], [1, 1]], [0, 1, 1]) == pytest.approx(
        {"mrr": (1 / 3 + 1 + 1 / 2) / 3, "accuracy": 1 / 3}
    )
    assert of_ranks([[np.nan, np.nan]], [0]) == {"mrr": 0.5, "accuracy": 0}
    weights = np.array([0.5, 1.0, 0.25])
    question, sentences = (
        np.array([0, 1, 1]),
        [np.array([1, 2]), np.array([0, 0, 2, 2]), np.array([2]), np.array([], int)],
    )
    wanted = [2 / np.hypot(0.5, 2) / np.hypot(1, 0.25), 0.5 / np.hypot(0.5, 2) / np.hypot(1, 0.5), 0, 0]
    np.testing.assert_allclose(tf_idf(question, sentences, weights), wanted)
    np.testing.assert_allclose(shared_words(question, sentences, weights), [1, 0.5, 0, 0])


@on_tensorflow
def test_files_rank_as_the_run_does(run, tmp_path, capsys):
    export.export_run(run, tmp_path / "exported")
    sentences = [
        "The hill is high.",
        "",
        "Where is the lake of all the lakes that are long?",
        "The unheard-of is long.",
    ]
    rows = [{"question": "How is the hill?", "sentences": sentences}, {"question": "Why?", "sentences": ["One."]}]
    file = tmp_path / "asked.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    assert main(["predict", str(run), str(file)]) == 0  # by Keras
    wanted = capsys.readouterr().out
    assert [line.split("\t")[1:] for line in wanted.splitlines()] == [
        ["How is the hill?", "The hill is high."],
        ["Why?", "One."],
    ]
    for kind in ("saved_model", "onnx", "litert"):
        loaded = runtime.load(tmp_path / "exported", kind)
        (together, _) = loaded.rank_all([(row["question"], row["sentences"]) for row in rows])
        alone = loaded.rank("How is the hill?", sentences)
        assert [one.number for one in alone] == [one.number for one in together] and alone[-1] == (1, "", 0)
        np.testing.assert_allclose([one.probability for one in alone], [one.probability for one in together], atol=1e-5)
        assert sum(one.probability for one in alone) == pytest.approx(1)
        assert main(["predict", str(tmp_path / "exported"), str(file), "--format", kind]) == 0
        assert capsys.readouterr().out == wanted
