"""Of a table one column is the text, every row a document; or a line says why not."""

import csv
import gzip
import json
import sys

import pytest

from keras_rnnlm.__main__ import main
from keras_rnnlm.text import Tokenizer
from keras_rnnlm.training.corpora import table_files, text_files
from keras_rnnlm.training.corpora.encoded import encode_corpus
from keras_rnnlm.training.corpora.opening import open_corpus
from keras_rnnlm.training.runs.run import RunFolder

ROWS = [(n, f'Review {n}, "quoted"\nin two lines; ü', "good" if n % 2 else "bad") for n in range(100)]
NAMES = ("id", "review", "label")
OBJECTS = [dict(zip(NAMES, row)) for row in ROWS]


def separated(folder, ending, separator=",", header=NAMES, rows=ROWS):
    path = folder / f"reviews.{ending}"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=separator, lineterminator="\r\n")
        writer.writerows([header, *rows] if header else rows)
    return path


def lines(folder, ending="jsonl"):
    path = folder / f"reviews.{ending}"
    path.write_text("\n".join(map(json.dumps, OBJECTS)) + "\n\n")
    return path


def listed(folder, indent=None):
    path = folder / "reviews.json"
    path.write_text(json.dumps(OBJECTS, indent=indent))
    return path


def compressed(path):
    made = path.with_name(path.name + ".gz")
    made.write_bytes(gzip.compress(path.read_bytes()))
    return made


def parquet(folder):
    pyarrow, written = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    written.write_table(pyarrow.Table.from_pylist(OBJECTS), folder / "reviews.parquet", row_group_size=30)
    return folder / "reviews.parquet"


KINDS = {
    "csv": lambda folder: separated(folder, "csv"),
    "semicolons": lambda folder: separated(folder, "csv", ";"),
    "tsv": lambda folder: separated(folder, "tsv", "\t"),
    "csv.gz": lambda folder: compressed(separated(folder, "csv")),
    "jsonl": lines,
    "jsonl.gz": lambda folder: compressed(lines(folder)),
    "lines in json": lambda folder: lines(folder, "json"),
    "list": listed,
    "indented list": lambda folder: listed(folder, 2),
    "parquet": parquet,
}


def documents(corpus):
    return {name: ["".join(document) for document in split] for name, split in corpus.splits.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_every_row_of_the_text_is_a_document_and_no_cut_parts_one(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(text_files, "BLOCK", 50)  # rows lie across the blocks
    path = KINDS[kind](tmp_path)
    corpus = open_corpus(path)
    got = documents(corpus)
    assert sum(got.values(), []) == [f"{row[1]}\n" for row in ROWS]
    assert list(map(len, got.values())) == pytest.approx([90, 5, 5], abs=1)
    assert corpus.columns == {str(path): "review"}
    assert documents(corpus) == got
    whole = documents(open_corpus(path, split="100"))
    assert whole == {"train": sum(got.values(), [])}


def test_an_end_is_written_after_every_row(tmp_path):
    corpus = open_corpus(separated(tmp_path, "csv"))
    tokenizer = Tokenizer.train("bpe", corpus.splits["train"].chunks(), 300)
    train = encode_corpus(corpus, tokenizer, tmp_path / "data")["train"]
    assert train.documents == sum(train[:] == tokenizer.eos) == len(documents(corpus)["train"])


def test_a_line_that_is_longer_than_what_is_read_at_once_is_one_row(tmp_path, monkeypatch):
    monkeypatch.setattr(text_files, "BLOCK", 50)
    monkeypatch.setattr(text_files, "LONGEST_LINE", 300)
    rows = [(n, "words of a very long review " * 30, "good") for n in range(20)]
    assert len(documents(open_corpus(separated(tmp_path, "csv", rows=rows), split="100"))["train"]) == 20


@pytest.mark.parametrize(
    "header, row, wanted, column",
    [
        (("id", "TEXT", "title"), ("1", "one two", "t"), None, "TEXT"),
        (("", "words", "stars"), ("1", "one two", "3.5"), None, "words"),  # as pandas writes an index
        (None, ("1", "one two.", "-2"), None, "2"),
        (None, ("5", "A title.", "one two."), "3", "3"),
        (("2019", "words", "more"), ("1", "one two", "three"), "more", "more"),
        (("name", "words"), ("ann", "one two"), "2", "2"),
        (None, ("ann", "one two"), "2", "2"),  # of which the first row is none of names
    ],
)
def test_the_column_is_found_where_it_is_plain(tmp_path, header, row, wanted, column):
    path = separated(tmp_path, "csv", header=header, rows=[row] * 5)
    corpus = open_corpus(path, split="100", text_column=wanted)
    names = header or [str(number + 1) for number in range(len(row))]
    number = names.index(column) if column in names else int(column) - 1
    assert corpus.columns == {str(path): column}
    assert documents(corpus)["train"] == [f"{row[number]}\n"] * 5


def test_empty_cells_are_no_documents(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n{"text": ""}\n{"text": null}\n{"text": "two\\r\\n"}\n')
    assert documents(open_corpus(tmp_path / "a.jsonl", split="100")) == {"train": ["one\n", "two\n"]}


def test_a_folder_of_tables_brings_its_splits(tmp_path):
    for name in ("train", "valid"):
        (tmp_path / f"{name}.csv").write_text(f"text,label\n{name} one,1\n{name} two,2\n")
    (tmp_path / "settings.json").write_text('{"a": [1, 2]}\n')
    corpus = open_corpus(tmp_path)
    assert documents(corpus) == {name: [f"{name} one\n", f"{name} two\n"] for name in ("train", "valid")}
    assert [name.rpartition("/")[2] for name in corpus.skipped] == ["settings.json"]


def test_json_that_is_no_rows_stays_a_text(tmp_path):
    for text in ('{"a": 1}\n', "[1, 2]\n", '{\n  "a": 1\n}\n'):
        (tmp_path / "settings.json").write_text(text)
        corpus = open_corpus(tmp_path / "settings.json", split="100")
        assert corpus.splits["train"].text() == text and corpus.columns == {}


def test_the_fingerprint_knows_the_column(tmp_path):
    path = separated(tmp_path, "csv")
    prints = [open_corpus(path, text_column=name).fingerprint for name in (None, "review", "label")]
    assert prints[0] == prints[1] != prints[2]


@pytest.mark.parametrize(
    "name, content, wanted, message",
    [
        ("a.csv", "title,summary,stars\na,b,3\n", None, "no column is plainly.*'title', 'summary', 'stars' \\(no"),
        ("a.csv", "text,review\na,b\n", None, "no column is plainly.*--text-column NAME.*'text', 'review'"),
        ("a.csv", "text,stars\na,3\n", "words", "a.csv has no column 'words'. It has the columns 'text', 'stars'"),
        ("a.csv", "text,stars\na,3\nb,c,4\n", None, "a.csv, line 3: the row has 3 cells, and the first row has 2"),
        ("a.csv", "text,stars\na,3\nb\n", None, "a.csv, line 3: the row has 1 cells"),
        ("a.csv", 'text,stars\n"a\nb",3\n"c,4\nd,5\n', None, "a.csv, line 4: the row cannot be read"),
        ("a.csv", "text,stars\n", "text", "a.csv is empty"),
        ("a.jsonl", '{"text": "a"}\n\n{"test": "b"}\n', None, "a.jsonl, line 3: the object has no 'text'.*'test'"),
        ("a.jsonl", '{"text": "a"}\n{"text": "b}\n', None, "a.jsonl, line 2: this is no JSON that can be read"),
        ("a.jsonl", '{"text": "a"}\n["b"]\n', None, "a.jsonl, line 2: a row is a JSON object"),
        ("a.jsonl", '{"text": "a"}\n{"text": 3}\n', None, "a.jsonl, line 2: 'text' is a text in every row.*: '3'"),
        ("a.jsonl", '{"text": "a"}\n{"text": "\\ud800"}\n', None, "a.jsonl, line 2: 'text' is no text of Unicode"),
        ("a.jsonl", '{"text": "a"}\n' + "[" * 100_000, None, "a.jsonl, line 2: this is no JSON"),
        ("a.json", '[{"text": "a"},\n{"text": "b"}', None, "a.json, line 2: .*the end comes"),
        ("a.json", '[{"text": "a"},\n{"text": b}]', None, "a.json, line 2: this is no JSON"),
        ("a.json", '[{"text": "a"}]\nmore', None, "a.json, line 2: .*something follows"),
        ("a.parquet", "no such thing", None, "a.parquet is no whole Parquet file"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_read_is_told(tmp_path, name, content, wanted, message):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        open_corpus(tmp_path / name, split="100", text_column=wanted).splits["train"].text()
    assert "\n" not in str(caught.value)


def test_a_mark_that_is_never_closed_does_not_take_all_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(table_files, "LONGEST_LINE", 1000)
    before = csv.field_size_limit(0)
    try:
        (tmp_path / "a.csv").write_text('text,stars\n"a,3\n' + "b,4\n" * 1000)
        with pytest.raises(ValueError, match="a.csv, line 2: the row cannot be read.*limit"):
            open_corpus(tmp_path / "a.csv")
    finally:
        csv.field_size_limit(before)


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "a.parquet").write_text("PAR1")
    with pytest.raises(ValueError, match=r'a.parquet needs pyarrow: pip install "keras-rnnlm\[parquet\]"'):
        open_corpus(tmp_path / "a.parquet")


# The commands

SMALL = "units=4 layers=1 embedding_dim=2 tied=false batch=4 window=8 epochs=1 tokenizer=char".split()


def command(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_train_and_evaluate_read_a_column_and_say_which(tmp_path, capsys):
    path, run = separated(tmp_path, "csv"), tmp_path / "run"
    settings = [word for setting in SMALL for word in ("--set", setting)]
    code, _, said = command(capsys, "train", path, "--out", run, "--text-column", "label", *settings)
    assert code == 0 and f"reading the column 'label' of {path}\n" in said
    assert RunFolder(run).read_recipe().text_column == "label"
    assert set(RunFolder(run).read_tokenizer().symbols()) == {"<unk>", *"goodba\n"}
    code, out, _ = command(capsys, "evaluate", run, path, "--json", "--quiet")
    assert json.loads(out)["model"]["characters"] == sum(len(row[2]) + 1 for row in ROWS)
    code, out, _ = command(capsys, "evaluate", run, path, "--text-column", "review", "--json", "--quiet")
    assert json.loads(out)["model"]["characters"] == sum(len(row[1]) + 1 for row in ROWS)
    (tmp_path / "a.txt").write_text("good\nbad\n")
    assert command(capsys, "evaluate", run, tmp_path / "a.txt", "--quiet")[0] == 0
    for text in (tmp_path / "a.txt", "valid"):
        code, _, said = command(capsys, "evaluate", run, text, "--text-column", "label")
        assert code == 2 and "drop `text_column`" in said
    code, _, said = command(capsys, "train", "--out", run, "--resume", "--set", "text_column=review")
    assert code == 2 and "`--resume` must not change text_column:" in said


def test_a_column_of_a_text_without_columns_is_refused(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("good\nbad\n" * 100)
    code, _, said = command(capsys, "train", tmp_path / "a.txt", "--out", tmp_path / "run", "--text-column", "label")
    assert code == 2 and "holds none: drop `text_column`. Received: text_column='label'" in said
    assert not (tmp_path / "run").exists()


def test_train_takes_the_encoding_that_its_message_names(tmp_path, capsys):
    (tmp_path / "a.txt").write_bytes("fran\xe7ais\n".encode("latin-1") * 100)
    run = ("--out", tmp_path / "run", *[word for setting in SMALL for word in ("--set", setting)])
    code, _, said = command(capsys, "train", tmp_path / "a.txt", *run)
    assert code == 2 and "`--encoding latin-1`" in said
    assert command(capsys, "train", tmp_path / "a.txt", *run, "--encoding", "latin-1")[0] == 0
    assert "ç" in RunFolder(tmp_path / "run").read_tokenizer().symbols()
