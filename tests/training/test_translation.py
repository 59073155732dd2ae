"""Translation: pairs from files, what is learned of them by the command line, and what comes of an export."""

import dataclasses
import gzip
import itertools
import json
import sys

import numpy as np
import pytest

from keras_rnnlm import export
from keras_rnnlm.__main__ import main
from keras_rnnlm.generation.beam import Hypothesis
from keras_rnnlm.models import Translator
from keras_rnnlm.text import PairVocabulary, Tokenizer
from keras_rnnlm.training.corpora import encoded_pairs
from keras_rnnlm.training.corpora.pairs import read_pairs, split_pairs, without_stress
from keras_rnnlm.training.evaluation.edits import distance, errors
from keras_rnnlm.training.evaluation.translations import Scorer
from keras_rnnlm.training.recipes.recipe import Recipe
from keras_rnnlm.training.runs.display import Display
from keras_rnnlm.training.runs.run import RunFolder
from keras_rnnlm.training.tasks import Given, task_of, translation
from keras_rnnlm.training.tasks.translation import read_splits
from tests.pages import opened
from tests.support import numpy, on_tensorflow

DICTIONARY = """;;; a comment of old
'bout B AW1 T
read R EH1 D # past
read(2) R IY1 D
tomato T AH0 M EY1 T OW2
tomato(2) T AH0 M AA1 T OW2
"""


def test_a_dictionary_has_variants_and_comments(tmp_path):
    (tmp_path / "words.dict").write_text(DICTIONARY)
    pairs = read_pairs(tmp_path / "words.dict", "cmudict")
    assert pairs[:3] == [("'bout", "B AW1 T"), ("read", "R EH1 D"), ("read", "R IY1 D")]
    assert [source for source, _ in pairs[3:]] == ["tomato"] * 2
    assert without_stress([*pairs, ("'bout", "B AW2 T")])[:2] == [("'bout", "B AW T"), ("read", "R EH D")]
    assert len(without_stress([*pairs, ("'bout", "B AW2 T")])) == 5
    assert read_pairs([tmp_path / "words.dict"]) == pairs
    assert read_pairs([tmp_path / "words.dict"], stress=False) == without_stress(pairs) != pairs


def test_two_files_belong_together_line_by_line_and_a_table_has_a_tab(tmp_path):
    with gzip.open(tmp_path / "a.en.gz", "wt") as file:
        file.write("a house\n\na cat \n")
    (tmp_path / "a.de").write_text("ein Haus\nnichts\neine Katze\n")
    wanted = [("a house", "ein Haus"), ("a cat", "eine Katze")]
    assert read_pairs([tmp_path / "a.en.gz", tmp_path / "a.de"]) == wanted
    (tmp_path / "a.tsv").write_text("a house\tein Haus\r\n\r\na cat\teine Katze\r\n")
    assert read_pairs(tmp_path / "a.tsv") == wanted


@pytest.mark.parametrize(
    "name, text, columns",
    [
        ("a.csv", 'target,source\nein Haus 2,"a house"\n,none\n', {}),
        ("a.csv", "id,x,y\n1,a house,ein Haus 2\n", {"source_column": "x", "target_column": "y"}),
        ("a.jsonl", '{"source": "a house", "target": "ein Haus 2"}\n', {}),
        ("a.tsv", "en\tde\na house\tein Haus 2\n", {"source_column": "en", "target_column": "de"}),
    ],
)
def test_pairs_are_two_columns_of_a_table(name, text, columns, tmp_path):
    (tmp_path / name).write_text(text)
    recipe = Recipe(task="translate").override({f"task_settings.{key}": value for key, value in columns.items()})
    found = {"train": [("a house", "ein Haus 2")]}
    assert translation._of_columns([str(tmp_path / name)], recipe) == found
    (tmp_path / "b.txt").write_text("tomato T AH0\n")
    assert translation._of_columns([str(tmp_path / "b.txt")], recipe) is None  # what names no column of it may be read
    (tmp_path / "c.tsv").write_text("a cat\teine Katze\n")
    assert translation._of_columns([str(tmp_path / "c.tsv")], recipe) is None
    (tmp_path / "d.tsv").write_text('"a cat\tso-called "Katze"\n')  # no marks around a cell, and none that is closed
    assert translation._of_columns([str(tmp_path / "d.tsv")], recipe) is None


def test_columns_that_the_text_does_not_have_are_refused(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("a house\tein Haus\n" * 20)
    words = ["--task", "translate", "--set", "task_settings.source_column=en", "--out", str(tmp_path / "run")]
    assert main(["train", str(tmp_path / "a.txt"), *words]) == 2
    assert "`source_column` and `target_column` are of a table that has them" in capsys.readouterr().err


def test_what_is_too_long_to_be_learned_from_is_told(tmp_path, capsys):
    (tmp_path / "a.tsv").write_text("".join(f"{'ab' * k}\tba\n" for k in range(1, 41)))
    (tmp_path / "run").mkdir()
    recipe = Recipe(task="translate").override(["tokenizer=char", "task_settings.longest=9", "split=95/5/0"])
    given = Given([str(tmp_path / "a.tsv")], None, None)
    task_of(recipe).prepare(given, recipe, RunFolder(tmp_path / "run"), Display())
    assert "33 of 37 are longer than task_settings.longest=9 allows, and are not" in capsys.readouterr().err


@pytest.mark.parametrize(
    "files, form, message",
    [
        (["one.tsv"], "tsv", "one.tsv, line 2: a source and a target with one tab between .* Received: 0 tabs in 'c'"),
        (["one.tsv", "two.txt"], "auto", "2 lines in .*one.tsv, 1 in .*two.txt"),
        (["one.tsv", "two.txt", "two.txt"], "auto", "Received: 3 files"),
        (["two.txt"], "cmudict", "two.txt, line 1: a word and its phonemes. Received: 'd'"),
        (["none.txt"], "auto", "There is no file .*none.txt"),
        (["plain.de"], "auto", "does not look like a pronouncing dictionary.*or set task_settings.format=cmudict"),
        (["some.tsv", "others.tsv"], "auto", "tables of pairs, a tab in each line: put them together into one"),
    ],
)
def test_files_that_hold_no_pairs_are_told_by_their_line(files, form, message, tmp_path):
    (tmp_path / "one.tsv").write_text("a\tb\nc\n")
    (tmp_path / "two.txt").write_text("d\n")
    (tmp_path / "plain.de").write_text("ein Haus\nDer Hund bellt\n")
    for name in ("some", "others"):
        (tmp_path / f"{name}.tsv").write_text("a\tb\nc\td\n")
    with pytest.raises(ValueError, match=message):
        read_pairs([tmp_path / file for file in files], form)


def test_sources_are_one_where_their_texts_are():
    vocabulary = PairVocabulary(*(Tokenizer.train(kind, ["a cat"]) for kind in ("word", "word")))
    split = encoded_pairs.encoded([("a yak", "a"), ("a gnu", "a"), ("a yak", "cat")], vocabulary)
    assert split.grouped() == [[0, 2], [1]]  # neither is known
    assert encoded_pairs.EncodedPairs(split.ids, split.ends).grouped() == [[0, 1, 2]]  # as in older runs


def test_beside_a_test_split_the_rest_is_cut_to_validate_on(tmp_path):
    (tmp_path / "train.tsv").write_text("".join(f"s{k}\tt{k}\n" for k in range(100)))
    (tmp_path / "test.tsv").write_text("x\ty\n")
    recipe = Recipe(task="translate")
    given = Given([str(tmp_path / "train.tsv")], None, [str(tmp_path / "test.tsv")])
    found = read_splits(given, recipe, lambda paths: read_pairs(paths if isinstance(paths, list) else [paths]))
    assert {name: len(pairs) for name, pairs in found.items()} == {"train": 95, "valid": 5, "test": 1}
    whole = dataclasses.replace(given, test=None), dataclasses.replace(recipe, split="100")
    assert {name: len(pairs) for name, pairs in read_splits(*whole, lambda paths: read_pairs(paths)).items()} == {
        "train": 100
    }
    few = dataclasses.replace(given, corpus=[str(tmp_path / "test.tsv")], test=None)
    with pytest.raises(ValueError, match="1 different sources are too few to be cut 90/5/5: give more, other perc"):
        read_splits(few, recipe, lambda paths: read_pairs(paths))
    with pytest.raises(ValueError, match="or have files of their own.*split='90/5/5'"):
        read_splits(given, dataclasses.replace(recipe, split="90/5/5"), lambda paths: read_pairs(paths))


@pytest.mark.parametrize("there, here", [(0.0, 0.25), (0.25, 0.0)])
def test_scheduled_sampling_may_begin_or_end_where_a_run_begins_with_another(there, here):
    def model_of(rate):
        return Translator(9, 7, units=4, layers=1, scheduled_sampling=rate, seed=int(10 * rate))

    other, model = model_of(there), model_of(here)
    task_of(Recipe(task="translate")).begin_with(model, other, None, None)
    mine, theirs = ([v for v in one.weights if v.name != "trained_steps"] for one in (model, other))
    assert len(mine) == len(theirs) > 5
    for one, two in zip(mine, theirs):
        np.testing.assert_array_equal(numpy(one), numpy(two))
    with pytest.raises(ValueError, match="the shapes differ"):
        task_of(Recipe(task="translate")).begin_with(model, Translator(9, 8, units=4, layers=1), None, None)


def test_all_targets_of_a_source_are_in_one_part():
    pairs = [(f"source {k // 2}", f"target {k}") for k in range(400)]
    parts = split_pairs(pairs, (80, 15, 5))
    assert [len(part) for part in parts] == [320, 60, 20] and sorted(sum(parts, [])) == sorted(pairs)
    sources = [{source for source, _ in part} for part in parts]
    assert not any(one & other for one, other in itertools.combinations(sources, 2))


def test_the_distance_is_the_fewest_edits():
    rng = np.random.default_rng(0)

    def by_recursion(one, other):
        if not one or not other:
            return len(one) + len(other)
        kept = by_recursion(one[1:], other[1:]) + (one[0] != other[0])
        return min(kept, 1 + by_recursion(one[1:], other), 1 + by_recursion(one, other[1:]))

    for _ in range(40):
        one, other = ("".join(rng.choice(list("ab"), size)) for size in rng.integers(0, 5, 2))
        assert distance(one, other) == by_recursion(one, other)
    assert errors([[1, 2], [3]], [[[1, 2, 3], [1, 2]], [[4, 5]]]) == {"exact": 0.5, "error_rate": 0.5}


def test_what_is_encoded_comes_back_in_batches(tmp_path):
    letters, words = Tokenizer.train("char", ["abc"]), Tokenizer.train("word", ["B A C"])
    vocabulary = PairVocabulary(letters, words)
    pairs = [("ab", "A B"), ("c", "C"), ("ab", "B"), ("abcabcabcabc", "C")]
    encoded_pairs.write(tmp_path, {"train": pairs, "valid": pairs[:1]}, vocabulary)
    splits, fingerprints = encoded_pairs.read(tmp_path)
    assert fingerprints["vocabulary"] == vocabulary.fingerprint and list(splits) == ["train", "valid"]
    split = splits["train"]
    assert split.grouped() == [[0, 2], [1], [3]]
    assert [split.kept(longest).tolist() for longest in (None, 12, 11, 1)] == [[0, 1, 2, 3]] * 2 + [[0, 1, 2], [1]]
    (batch,) = split.stream(4, longest=10, shuffle=False).batches()
    inputs, wanted = batch
    assert inputs["source"].shape == inputs["target"].shape == wanted.shape == (4, 8)
    for source, given, target in zip(inputs["source"][:3], inputs["target"], wanted):
        assert given[0] == 1 and given[1 : np.count_nonzero(given)].tolist() == target[target > 2].tolist()
        assert target[np.count_nonzero(given) - 1] == 2
        assert (vocabulary.write(target), source[source > 0].tolist()) in [
            (target, vocabulary.source_ids(source).tolist()) for source, target in pairs
        ]
    assert not wanted[3].any()
    inputs, wanted = split.collate([0, 1], 3, 32)  # as if targets were long
    assert inputs["source"].shape == (3, 8) and inputs["target"].shape == wanted.shape == (3, 32)
    assert [split.collate([3], 1, time)[0]["source"].shape[1] for time in (12, 48)] == [12, 16]
    vocabulary.save(tmp_path)
    loaded = PairVocabulary.load(tmp_path)
    assert loaded.fingerprint == vocabulary.fingerprint == PairVocabulary.of(vocabulary.definitions).fingerprint
    assert vocabulary.pieces("target", [1, *vocabulary.target_ids("A B"), 2]) == ["<start>", "A", "B", "<end>"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on strings and the same from behind, with a dot between their letters."""
    folder, rng = tmp_path_factory.mktemp("translation"), np.random.default_rng(0)
    texts = ["".join(rng.choice(list("abcd"), 1 + k % 4)) for k in range(300)]
    (folder / "pairs.tsv").write_text("".join(f"{text}\t{' '.join(text[::-1].upper())}\n" for text in texts))
    settings = "units=16 layers=1 tokenizer=word dropout=0 batch=20 epochs=1 learning_rate=0.02 warmup_steps=5".split()
    settings += ["task_settings.source_tokenizer=char", "task_settings.decode=10", "tied=false"]
    options = [word for value in settings for word in ("--set", value)]
    given = [
        "train",
        str(folder / "pairs.tsv"),
        "--task",
        "translate",
        "--split",
        "90/10",
        "--out",
        str(folder / "run"),
    ]
    assert main([*given, *options, "--quiet"]) == 0
    return folder / "run"


def test_a_run_is_trained_resumed_and_evaluated(run, capsys):
    assert sorted(file.name for file in run.glob("*.json")) == ["source.json", "target.json"]
    assert main(["train", "--resume", "--out", str(run), "--set", "epochs=2", "--quiet"]) == 0
    assert main(["evaluate", str(run), "valid", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["model"]
    assert found["perplexity"] == pytest.approx(np.exp(found["loss"])) and 0 <= found["exact"] <= 1
    assert found["loss"] < np.log(8) and found["written"] > 10
    (run.parent / "more.tsv").write_text("ab\tB A\nab\tA\n")
    assert main(["evaluate", str(run), str(run.parent / "more.tsv"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"]["written"] == 1


def test_bleu_is_of_all_references_and_what_is_unknown_is_right_for_nobody():
    import sacrebleu

    class Writer:
        """Writes the same of any source."""

        def translate(self, sources, **options):
            return [[Hypothesis(ids=vocabulary.target_ids("a cat sat on a Z"), score=0.0)] for _ in sources]

    vocabulary = PairVocabulary(*(Tokenizer.train(kind, ["a cat sat on the mat"]) for kind in ("char", "word")))
    pairs = [("a", "the cat sat on a mat"), ("a", "a cat sat on the mat"), ("c", "a cat sat on a Z")]
    scorer = Scorer(Writer(), decode=2, bleu=True, vocabulary=vocabulary)
    written, unwritten = "a cat sat on a <unk>", "a cat sat on a x"
    first, second = ["the cat sat on a mat", unwritten], ["a cat sat on the mat", None]
    split = encoded_pairs.encoded(pairs, vocabulary)
    found = scorer._written(split, scorer._chosen(split), lambda part: None)
    assert found["exact"] == 0 and found["written"] == 2  # what is unknown is not right, though both are <unk>
    wanted = sacrebleu.corpus_bleu([written] * 2, [first, second]).score
    assert found["bleu"] == pytest.approx(wanted, abs=1e-3) and 0 < found["chrf"] < 100
    assert wanted < sacrebleu.corpus_bleu([written] * 2, [[first[0], written], second]).score - 1


def test_a_run_is_evaluated_by_bleu_or_a_line_says_what_is_missing(run, monkeypatch, capsys):
    assert main(["evaluate", str(run), "valid", "--bleu", "--json", "--quiet"]) == 0
    assert 0 <= json.loads(capsys.readouterr().out)["model"]["bleu"] <= 100
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    assert main(["evaluate", str(run), "valid", "--bleu"]) == 2
    told = capsys.readouterr().err.strip()
    assert told == "keras-rnnlm evaluate: `--bleu` needs sacrebleu: pip install 'keras-rnnlm[bleu]'"


@on_tensorflow
def test_a_run_and_its_export_write_the_same(run, tmp_path, capsys):
    assert main(["export", str(run), "--out", str(tmp_path / "out"), "--format", "onnx"]) == 0
    assert main(["verify", str(tmp_path / "out")]) == 0
    (tmp_path / "sources.txt").write_text("abc\n\nd\n")
    capsys.readouterr()
    written = []
    for model in (run, tmp_path / "out"):
        assert main(["predict", str(model), str(tmp_path / "sources.txt"), "--json"]) == 0
        written.append(json.loads(capsys.readouterr().out)["predictions"])
    for one, other in zip(*written, strict=True):
        assert one["source"] == other["source"] and one["text"] == other["text"]
        assert one["score"] == pytest.approx(other["score"], abs=1e-4)
    assert [record["source"] for record in written[0]] == ["abc", "", "d"]
    assert main(["predict", str(run), str(tmp_path / "sources.txt")]) == 0
    assert capsys.readouterr().out.splitlines() == [record["text"] for record in written[0]]
    assert main(["run", str(tmp_path / "out"), "--prompt", "abc"]) == 0
    assert capsys.readouterr().out.strip() == written[0][0]["text"]
    loaded = export.runtime.load(tmp_path / "out")
    [[best]] = loaded.translate(["abc"], attention=True)
    assert best.text == written[0][0]["text"] and best.attention.shape == (len(best.ids), 3)
    with opened(tmp_path / "out", tmp_path / "page") as page:
        page.set(prompt="abc")
        page.run("document.getElementById('ask').click()")
        page.wait("!document.getElementById('attention').hidden")
        assert page.text("#answer") == best.text
        assert page.texts("th") == [*"abc", *loaded.tokenizer.pieces("target", best.ids)]
        weights = page.weights("td[title]")
        np.testing.assert_allclose(weights, best.attention.ravel(), atol=1e-3)
        assert page.said == []


@pytest.mark.parametrize(
    "settings, message",
    [
        (["units=5"], "one width, an even number"),
        (["connection=dense"], '`connection` is "residual", or none'),
        (["ar=2"], "does not read `ar`"),
        (["embedding_dim=4"], "Tied weights need an embedding as wide as the decoder"),
        (["task_settings.score=cosine"], "`task_settings.score` is"),
    ],
)
def test_settings_that_do_not_fit_are_named(settings, message, tmp_path, capsys):
    (tmp_path / "a.tsv").write_text("a\tb\n")
    given = ["train", str(tmp_path / "a.tsv"), "--task", "translate", "--out", str(tmp_path / "run")]
    assert main([*given, *(word for value in settings for word in ("--set", value))]) == 2
    assert message in capsys.readouterr().err
