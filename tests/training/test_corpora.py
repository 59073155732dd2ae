"""Texts are found, split and read as they are, or a line says why not."""

import gzip
import io
import os
import pathlib
import re
import subprocess
import sys
import time

import pytest

from keras_rnnlm.training.corpora import opening as corpora
from keras_rnnlm.training.corpora import standard_library, text_files
from keras_rnnlm.training.corpora.opening import open_corpus
from keras_rnnlm.training.runs.display import Display

DATA = pathlib.Path(os.environ.get("KERAS_RNNLM_DATA", "nowhere"))
LINES = "".join(f"line {n} of the text\n" for n in range(200))


def write(folder, **texts):
    """Files by their names, "__" for a dot."""
    for name, text in texts.items():
        path = folder / name.replace("__", ".")
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def texts(corpus):
    return {name: documents.text() for name, documents in corpus.splits.items()}


def names(corpus):
    splits = corpus.splits.items()
    return {name: [os.path.basename(document.name) for document in documents] for name, documents in splits}


# Splits.


def test_a_text_is_cut_90_5_5_at_line_ends(tmp_path):
    write(tmp_path, a__txt=LINES)
    got = texts(open_corpus(tmp_path / "a.txt"))
    assert list(got) == ["train", "valid", "test"]
    assert "".join(got.values()) == LINES
    assert [text.count("\n") for text in got.values()] == [181, 10, 9]
    assert all(text.endswith("\n") for text in got.values())


@pytest.mark.skipif(not DATA.is_dir(), reason="KERAS_RNNLM_DATA names no folder")
def test_tinyshakespeare_has_its_customary_parts():
    sizes = {name: len(text) for name, text in texts(open_corpus(DATA / "tinyshakespeare" / "input.txt")).items()}
    assert sum(sizes.values()) == 1_115_394
    assert [sizes[name] for name in corpora.SPLITS] == pytest.approx([1_003_854, 55_769, 55_771], abs=100)


@pytest.mark.parametrize(
    "split, parts", [("80/10/10", 3), ("95/5", 2), ("98.5/1/0.5", 3), (" 50 / 50 ", 2), ("100", 1)]
)
def test_percentages_say_where_the_text_is_cut(tmp_path, split, parts):
    write(tmp_path, a__txt=LINES)
    got = list(texts(open_corpus(tmp_path / "a.txt", split=split)).values())
    assert "".join(got) == LINES and len(got) == parts
    for text, share in zip(got, split.split("/")):
        assert abs(len(text) - len(LINES) * float(share) / 100) < 30


def test_a_text_without_line_ends_is_cut_at_the_character(tmp_path):
    write(tmp_path, text8="abcdefghij" * 10)
    assert [len(text) for text in texts(open_corpus(tmp_path / "text8")).values()] == [90, 5, 5]


def test_several_files_are_cut_as_one_text_whose_lines_do_not_run_together(tmp_path):
    write(tmp_path, b__txt="two\n" * 10 + "end", a__txt="one\n" * 9 + "one", c__txt="three\n" * 10 + "end")
    corpus = open_corpus(tmp_path, split="50/50")
    whole = "one\n" * 10 + "two\n" * 10 + "end\n" + "three\n" * 10 + "end"
    got = texts(corpus)
    assert got["train"] + got["valid"] == whole
    assert len(whole) / 2 <= len(got["train"]) < len(whole) / 2 + 4
    assert names(corpus) == {"train": ["a.txt", "b.txt"], "valid": ["b.txt", "c.txt"]}


@pytest.mark.parametrize(
    "train, valid, test",
    [
        ("wiki.train.tokens", "wiki.valid.tokens", "wiki.test.tokens"),
        ("ptb.train.txt", "ptb.valid.txt", "ptb.test.txt"),
        ("train.txt", "dev.txt", None),
        ("en-ud-train.txt", "en-ud-dev.txt", "en-ud-test.txt"),
        ("my_train.txt", "my_validation.txt", "my_test.txt"),
        ("train.txt.gz", "valid.txt", "test.txt"),
        ("train/a.txt", "validation/a.txt", "test/b.txt"),
    ],
)
def test_a_folder_brings_the_splits_that_its_files_are_named_after(tmp_path, train, valid, test):
    given = {"train": train, "valid": valid, "test": test}
    given = {split: name for split, name in given.items() if name}
    for split, name in given.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        text = f"{split} text\n".encode()
        path.write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    (tmp_path / "LICENSE").write_text("of the text\n")
    expected = {split: f"{split} text\n" for split in given}
    corpus = open_corpus(tmp_path)
    assert texts(corpus) == expected
    assert [os.path.basename(name) for name in corpus.skipped] == ["LICENSE"]
    # The same files named one by one, as a shell does with a pattern.
    if "/" not in train:
        assert texts(open_corpus([tmp_path / name for name in given.values()])) == expected
        with pytest.raises(ValueError, match="LICENSE belongs to no split.*`valid` and `test`"):
            open_corpus([tmp_path / name for name in [*given.values(), "LICENSE"]])


def test_train_and_test_alone_have_their_validation_cut_from_train(tmp_path):
    write(tmp_path, train__txt=LINES, test__txt="test\n")
    got = texts(open_corpus(tmp_path))
    assert got["train"] + got["valid"] == LINES and got["test"] == "test\n"
    assert got["valid"].count("\n") in (9, 10)


def test_programs_named_after_tests_and_training_are_no_splits(tmp_path):
    write(tmp_path, test_model__py=LINES, train_network__py=LINES)
    assert "".join(texts(open_corpus(tmp_path)).values()) == LINES * 2


def test_a_file_given_for_validation_is_not_trained_on(tmp_path):
    write(tmp_path, a__txt="a\n", b__txt="b\n", c__txt="c\n")
    assert texts(open_corpus(tmp_path, valid=tmp_path / "b.txt")) == {"train": "a\nc\n", "valid": "b\n"}
    got = texts(open_corpus(tmp_path, valid=tmp_path / "b.txt", test=tmp_path / "c.txt"))
    assert got == {"train": "a\n", "valid": "b\n", "test": "c\n"}
    write(tmp_path, a__txt=LINES)
    got = texts(open_corpus(tmp_path / "a.txt", test=tmp_path / "c.txt", split="50/50"))
    assert got["train"] + got["valid"] == LINES and got["test"] == "c\n"
    got = texts(open_corpus(tmp_path, valid=tmp_path / "b.txt", test=tmp_path / "b.txt"))  # of which one may be both
    assert got == {"train": LINES + "c\n", "valid": "b\n", "test": "b\n"}
    with pytest.raises(ValueError, match="is given as `valid` or `test`, and nothing is left to train on"):
        open_corpus(tmp_path / "b.txt", valid=tmp_path / "b.txt")
    got = texts(open_corpus(tmp_path / "a.txt", valid="stdlib:100k"))  # or what has a name
    assert got["train"] == LINES and len(got["valid"]) > 500


def test_a_file_that_is_found_twice_is_read_once(tmp_path):
    write(tmp_path, a__txt=LINES)
    corpus = open_corpus([str(tmp_path), str(tmp_path / "*.txt"), tmp_path / "a.txt"])
    assert "".join(texts(corpus).values()) == LINES


@pytest.mark.parametrize(
    "names", ["{}-0000{}-of-00002.txt", "{0}-0000{1}-of-00002-b42a775f407cee4{1}.txt", "{}.{}.txt", "wiki_{}_{}.tokens"]
)
def test_a_split_may_be_in_several_files(names, tmp_path, capsys):
    written = [("train", 0), ("train", 1), ("test", 0), ("validation", 0)]
    for split, number in written:
        (tmp_path / names.format(split, number)).write_text(f"{split} {number}\n")
    (tmp_path / "LICENSE").write_text("of the text\n")
    corpus = open_corpus(tmp_path)
    assert texts(corpus) == {"train": "train 0\ntrain 1\n", "valid": "validation 0\n", "test": "test 0\n"}
    corpora.tell_columns(corpus, None, Display())
    assert (
        f"left out, as binary or as none of the folder's own splits: {tmp_path / 'LICENSE'}" in capsys.readouterr().err
    )


def test_splits_of_several_sources_are_joined(tmp_path):
    (tmp_path / "named").mkdir()
    write(tmp_path / "named", train__txt="x", valid__txt="y\n", test__txt="z\n")
    got = texts(open_corpus([tmp_path / "named", "stdlib:100k"]))
    library = texts(open_corpus("stdlib:100k"))
    assert got == {
        "train": "x\n" + library["train"],
        "valid": "y\n" + library["valid"],
        "test": "z\n" + library["test"],
    }


# Reading.


def test_a_split_can_be_read_again_and_again(tmp_path):
    write(tmp_path, a__txt=LINES)
    train = open_corpus(tmp_path / "a.txt").splits["train"]
    assert list(train.chunks()) == list(train.chunks()) == [train.text()]


def test_chunks_end_where_lines_end(tmp_path, monkeypatch):
    monkeypatch.setattr(text_files, "BLOCK", 7)  # characters of several bytes lie across the blocks
    text = "é\n日本語の行\n\n" * 20 + "😀" * 12 + "\nend"
    write(tmp_path, a__txt=text)
    chunks = list(text_files.TextFile(tmp_path / "a.txt").chunks())
    assert "".join(chunks) == text and len(chunks) > 20
    assert all(chunk.endswith("\n") for chunk in chunks[:-1])


def test_a_line_beyond_measure_is_cut_before_a_space_or_anywhere(tmp_path, monkeypatch):
    monkeypatch.setattr(text_files, "BLOCK", 10)
    monkeypatch.setattr(text_files, "LONGEST_LINE", 30)
    for text in ("word " * 50, "x" * 200):
        write(tmp_path, a__txt=text)
        chunks = list(text_files.TextFile(tmp_path / "a.txt").chunks())
        assert "".join(chunks) == text and max(map(len, chunks)) <= 45
        assert all(chunk.startswith(" ") for chunk in chunks[1:]) or " " not in text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32-le"])
def test_line_ends_of_every_system_and_byte_order_marks_are_read(tmp_path, monkeypatch, encoding):
    monkeypatch.setattr(text_files, "BLOCK", 5)
    write(tmp_path, a__txt="ä\r\nb\rc\n\r\n".encode(encoding), b__txt="b".encode(encoding))
    given = "utf-8" if encoding == "utf-8-sig" else encoding
    got = texts(open_corpus(tmp_path / "a.txt", valid=tmp_path / "b.txt", encoding=given))
    assert got == {"train": "ä\nb\nc\n\n", "valid": "b"}


def test_a_compressed_file_is_read_as_its_text(tmp_path):
    write(tmp_path, a__txt__gz=gzip.compress(LINES.encode()))
    assert "".join(texts(open_corpus(tmp_path / "a.txt.gz")).values()) == LINES


def test_hidden_and_binary_files_of_a_folder_are_left_out(tmp_path):
    write(tmp_path, a__txt=LINES, __hidden=LINES, image__png=b"\x89PNG\0\0", empty__txt="")
    for name in (".git", "deep"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, b__txt="deep\n")
    corpus = open_corpus(tmp_path)
    assert "".join(texts(corpus).values()) == LINES + "deep\n"
    assert [os.path.basename(name) for name in corpus.skipped] == ["image.png"]


def test_patterns_reach_into_folders(tmp_path):
    (tmp_path / "deep").mkdir()
    write(tmp_path, a__txt=LINES, b__md="no")
    write(tmp_path / "deep", c__txt="deep\n")
    assert "".join(texts(open_corpus(f"{tmp_path}/**/*.txt")).values()) == LINES + "deep\n"


def test_standard_input_is_kept_in_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(LINES.encode())))
    corpus = open_corpus("-", spool=tmp_path / "stdin.txt")
    assert "".join(texts(corpus).values()) == LINES == (tmp_path / "stdin.txt").read_text()
    assert os.listdir(tmp_path) == ["stdin.txt"]
    assert {document.name for document in corpus.splits["train"]} == {"standard input"}


def test_the_fingerprint_knows_files_times_and_cuts(tmp_path):
    path = write(tmp_path, a__txt=LINES) / "a.txt"
    prints = [
        open_corpus(path).fingerprint,
        open_corpus(path).fingerprint,
        open_corpus(path, split="50/50").fingerprint,
    ]
    os.utime(path, (1, 1))
    prints.append(open_corpus(path).fingerprint)
    assert prints[0] == prints[1] and len(set(prints)) == 3


def test_nothing_slow_is_imported():
    code = (
        "import sys\n"
        "from keras_rnnlm.text import tokenizers\n"
        "from keras_rnnlm.training.corpora import encoded, opening as corpora\n"
        "print([name for name in ('keras', 'tensorflow', 'tensorflow_datasets') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Mistakes.


@pytest.mark.parametrize(
    "source, message",
    [
        ("missing.txt", "no file, folder or pattern .*missing.txt"),
        ("*.nothing", r"No file matches the pattern .*\*\.nothing"),
        ("empty.txt", "empty.txt is empty"),
        ("mark.txt", "mark.txt is empty"),
        ("empty.gz", "empty.gz is empty"),
        ("images", "The folder .*images holds no text"),
        ("wide.txt", r"wide.txt is not utf-8: the byte 0xff at offset 0 .*--encoding utf-16"),
        ("latin.txt", r"latin.txt is not utf-8: the byte 0xe9 at offset 9 .*--encoding latin-1"),
        ("cut.txt", r"cut.txt is not utf-8: the byte 0xc3 at offset 4 "),
        ("wrong.gz", "wrong.gz is no whole gzip file"),
        ("half.gz", "half.gz is no whole gzip file"),
        ("pipe", "pipe is no regular file.*`-`"),
        ("short.txt", "short.txt is too short to be cut 90/5/5"),
        ("stdlib:many", 'The standard library is "stdlib", or "stdlib:2M".*Received: \'stdlib:many\''),
        ("stdlib:1k", "too little Python source for the split"),
        ("tfds:", "A TensorFlow dataset is tfds:NAME"),
    ],
)
def test_a_source_that_is_no_text_is_told(tmp_path, monkeypatch, source, message):
    monkeypatch.chdir(tmp_path)
    write(
        tmp_path,
        empty__txt="",
        short__txt="a",
        latin__txt="abc\nd\nef \xe9".encode("latin-1"),
        wide__txt="abc".encode("utf-16"),
        cut__txt=b"abcd\xc3",
    )
    write(tmp_path, wrong__gz=LINES, half__gz=gzip.compress(LINES.encode())[:-20], empty__gz=gzip.compress(b""))
    write(tmp_path, mark__txt=b"\xef\xbb\xbf")
    (tmp_path / "images").mkdir()
    write(tmp_path / "images", a__png=b"\0\0")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match=message) as caught:
        open_corpus(source)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(split="90/5"), "sum to 100.*Received: split='90/5'"),
        (dict(split="100/0"), "above 0"),
        (dict(split="a/b"), "`split` is percentages above 0"),
        (dict(split=0.9), "`split` is percentages above 0"),
        (dict(split="25/25/25/25"), "`split` is percentages above 0"),
        (dict(split="90/5/5", valid="a.txt"), "Either `valid` or `split`"),
        (dict(split="90/5/5", test="a.txt"), 'as in "95/5"'),
        (dict(encoding="base64"), "text encoding .*Received: 'base64'"),
        (dict(encoding="utf-9"), "text encoding .*Received: 'utf-9'"),
        (dict(valid="-"), "`valid` is no standard input"),
        (dict(valid="missing.txt"), "no file, folder or pattern 'missing.txt'"),
        (dict(sources=[]), "at least one source"),
        (dict(sources="-"), "`spool` says where"),
        (dict(sources=["-", "-"], spool="x"), "given once"),
        (dict(sources="named", split="90/5/5"), r"named brings its own splits \(train, valid\): leave out `split`"),
    ],
)
def test_arguments_that_cannot_be_are_told(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, a__txt=LINES)
    (tmp_path / "named").mkdir()
    write(tmp_path / "named", train__txt=LINES, valid__txt=LINES)
    with pytest.raises(ValueError, match=message):
        open_corpus(**{"sources": "a.txt", **arguments})


def test_a_file_that_changes_while_it_is_read_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(text_files, "BLOCK", 100)
    path = write(tmp_path, a__txt=LINES) / "a.txt"
    corpus = open_corpus(path)
    reading = corpus.splits["train"].chunks()
    next(reading)
    with open(path, "a") as file:
        file.write("more\n")
    with pytest.raises(ValueError, match=r"a.txt changed while it was read: 4,\d+ bytes .* became 4,\d+ bytes"):
        list(reading)
    with pytest.raises(ValueError, match="a.txt changed"):
        next(corpus.splits["test"].chunks())


# The standard library.


def test_the_standard_library_is_split_by_file_and_holds_no_tests():
    corpus = open_corpus("stdlib")
    found = {name: set(files) for name, files in names(corpus).items()}
    described = [document.name for documents in corpus.splits.values() for document in documents]
    assert len(described) == len(set(described)) > 300
    assert not any(re.search(r"[ /](tests?|idle_test|site-packages|dist-packages)/", name) for name in described)
    assert len(found["train"]) > 5 * len(found["valid"]) and len(found["train"]) > 5 * len(found["test"])


def test_the_standard_library_is_as_long_as_is_asked():
    start = time.process_time()
    sizes = {name: len(text) for name, text in texts(open_corpus("stdlib:2M")).items()}
    assert time.process_time() - start < 2
    assert sum(sizes.values()) == pytest.approx(2e6, rel=0.1)
    assert 50_000 < sizes["valid"] <= 100_000 and 50_000 < sizes["test"] <= 100_000


def test_what_is_not_utf_8_is_no_part_of_the_library(tmp_path):
    for number in range(100):
        (tmp_path / f"m{number}.py").write_text("pass\n")
    (tmp_path / "latin.py").write_bytes(b"# -*- coding: latin-1 -*-\nx = '\xe9'\n")
    (tmp_path / "empty.py").write_text("")
    splits = standard_library.StandardLibrary("stdlib", tmp_path).own_splits()
    assert sum(map(len, splits.values())) == 100
    # A file's split depends on its name alone.
    (tmp_path / "m0.py").unlink()
    again = standard_library.StandardLibrary("stdlib", tmp_path).own_splits()
    for name, documents in splits.items():
        kept = {document.name for document in documents} - {"stdlib m0.py"}
        assert kept == {document.name for document in again[name]}


# TensorFlow datasets.


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """Two datasets that a builder made of local files, offline."""
    tfds = pytest.importorskip("tensorflow_datasets")
    folder = tmp_path_factory.mktemp("tfds")
    for split, count in (("train", 40), ("validation", 3), ("test", 2)):
        poems = "\n\n".join(f"{split} {n}\nüber" for n in range(count))
        (folder / f"{split}.txt").write_text(poems)

    class LocalPoems(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")
        MANUAL_DOWNLOAD_INSTRUCTIONS = "Written by the test."
        given = ("train", "validation", "test")

        def _info(self):
            features = {"text": tfds.features.Text(), **self.more()}
            # dataset_info_from_configs would look for files beside this one.
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features), disable_shuffling=True
            )

        def more(self):
            return {}

        def _split_generators(self, manager):
            return {split: self._generate_examples(manager.manual_dir / f"{split}.txt") for split in self.given}

        def _generate_examples(self, path):
            for number, poem in enumerate(path.read_text().split("\n\n")):
                yield number, {"text": poem, **dict.fromkeys(self.more(), "A title")}

    class TitledPoems(LocalPoems):
        given = ("train",)

        def more(self):
            return {"title": tfds.features.Text()}

    tfds.disable_progress_bar()
    for builder in (LocalPoems, TitledPoems):
        config = tfds.download.DownloadConfig(manual_dir=str(folder))
        builder(data_dir=str(folder / "data")).download_and_prepare(download_config=config)
    return str(folder / "data")


def test_a_tensorflow_dataset_brings_its_splits_in_order(datasets, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", datasets)
    corpus = open_corpus("tfds:local_poems")
    documents = {name: ["".join(document) for document in split] for name, split in corpus.splits.items()}
    assert documents["train"] == [f"train {n}\nüber\n" for n in range(40)]
    assert documents["valid"] == [f"validation {n}\nüber\n" for n in range(3)]
    assert documents["test"] == [f"test {n}\nüber\n" for n in range(2)]
    assert corpus.fingerprint == open_corpus("tfds:local_poems:1.0.0:text").fingerprint
    assert list(corpus.splits["test"].chunks()) == list(corpus.splits["test"].chunks())


def test_a_tensorflow_dataset_without_validation_is_cut_by_example(datasets, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", datasets)
    corpus = open_corpus("tfds:titled_poems:text")
    assert [len(list(split)) for split in corpus.splits.values()] == [36, 2, 2]
    assert "".join(texts(corpus).values()) == "".join(f"train {n}\nüber\n" for n in range(40))
    assert next(open_corpus("tfds:titled_poems:title", split="50/50").splits["valid"].chunks()) == "A title\n"


@pytest.mark.parametrize(
    "source, message",
    [
        ("tfds:titled_poems", r"tfds:titled_poems:FIELD names the text.*\['text', 'title'\]"),
        ("tfds:local_poems:title", r"Received: title; the texts are \['text'\]"),
        ("tfds:local_poems:2.0.0", "'local_poems:2.0.0' is not on disk"),
        ("tfds:lm1b", "'lm1b' is not on disk in .*TFDS_DATA_DIR"),
        ("tfds:no_such_set/config", "'no_such_set/config' is not on disk"),
    ],
)
def test_a_tensorflow_dataset_that_is_not_there_is_told_at_once(datasets, monkeypatch, source, message):
    monkeypatch.setenv("TFDS_DATA_DIR", datasets)
    start = time.perf_counter()
    with pytest.raises(ValueError, match=message) as caught:
        open_corpus(source)
    assert time.perf_counter() - start < 5 and "\n" not in str(caught.value)


def test_without_tensorflow_datasets_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(ValueError, match=r'tfds:lm1b needs tensorflow-datasets: pip install "keras-rnnlm\[tfds\]"'):
        open_corpus("tfds:lm1b")
