"""A corpus encoded in shards: the same tokens as in one go, one index, and trainings that read it where it lies."""

import gzip
import json
import os
import re
import shutil

import numpy as np
import pytest

from keras_rnnlm import training
from keras_rnnlm.__main__ import main
from keras_rnnlm.text.tokenizers import Tokenizer
from keras_rnnlm.training.corpora import encoded as module
from keras_rnnlm.training.corpora import text_files
from keras_rnnlm.training.corpora.encoded import COUNTS, encode_corpus, load_encoded
from keras_rnnlm.training.corpora.encoded_shards import encode_shard, merge_shards, shard_folder
from keras_rnnlm.training.corpora.opening import open_corpus
from keras_rnnlm.training.runs.run import RunFolder

LINES = [f"line {i} été 日本 the cat\n" * (i % 4 + 1) + "\n" * (i % 3) for i in range(60)]


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(text_files, "BLOCK", 70)
    monkeypatch.setattr(module, "SHARD", 97)


def folder_of_files(place):
    for k, name in enumerate(("train/a.txt", "train/b.txt", "train/c.txt", "valid/a.txt", "test/a.txt")):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text("".join(LINES[k * 7 : k * 7 + 20]).removesuffix("\n"))
    return [place]


def one_file(place):
    (place / "one.txt").write_text("".join(LINES))
    return [place / "one.txt"]


def packed(place):
    for k in range(4):
        (place / f"{k}.txt.gz").write_bytes(gzip.compress("".join(LINES[10 * k :]).encode()))
    (place / "valid.txt").write_text("the end\n")
    return [place / "*.gz"], place / "valid.txt"


def table(place):
    (place / "rows.csv").write_text("text,n\n" + "".join(f'"{line}",{k}\n' for k, line in enumerate(LINES)))
    return [place / "rows.csv"]


def opened(make, place):
    place.mkdir()
    found = make(place)
    return open_corpus(*found) if isinstance(found, tuple) else open_corpus(found)


def prepared(corpus, folder, kind="bpe"):
    tokenizer = Tokenizer.train(kind, corpus.splits["train"].chunks(), {"bpe": 280}.get(kind))
    folder.mkdir()
    tokenizer.save(folder)
    return tokenizer


@pytest.fixture
def merged(tmp_path, small_chunks):
    corpus = opened(folder_of_files, tmp_path / "texts")
    prepared(corpus, tmp_path / "data")
    for index in (2, 0, 1):
        assert encode_shard(corpus, tmp_path / "data", index, 3)
    return corpus, tmp_path / "data"


@pytest.mark.parametrize("kind", ["word", "bpe"])
@pytest.mark.parametrize("make", [folder_of_files, one_file, packed, table])
def test_shards_are_token_for_token_what_one_process_writes(tmp_path, small_chunks, make, kind):
    corpus = opened(make, tmp_path / "texts")
    tokenizer = prepared(corpus, tmp_path / "data", kind)
    whole = encode_corpus(corpus, tokenizer, tmp_path / "whole")
    for index in range(4):
        encode_shard(corpus, tmp_path / "data", index, 4)
    joined = merge_shards(tmp_path / "data")
    assert list(joined) == list(whole) and joined.corpus == whole.corpus
    for name, split in whole.splits.items():
        np.testing.assert_array_equal(joined[name][:], split[:])
        assert [getattr(joined[name], count) for count in COUNTS] == [getattr(split, count) for count in COUNTS]
    train, wanted = joined["train"], whole["train"][:]
    assert len({path.split("/")[0] for path, *_ in train.shards}) > 1, "all of the text is in one shard"
    for a in range(0, len(train), 31):
        np.testing.assert_array_equal(train[a : a + 150], wanted[a : a + 150])
    assert load_encoded(tmp_path / "data") == joined


def test_a_shard_reads_its_own_files_alone(tmp_path, monkeypatch):
    corpus = opened(folder_of_files, tmp_path / "texts")
    prepared(corpus, tmp_path / "data")
    read, chunks = set(), text_files.TextFile.chunks

    def noted(file):
        read.add(os.path.relpath(file.path, tmp_path / "texts"))
        return chunks(file)

    monkeypatch.setattr(text_files.TextFile, "chunks", noted)
    every = []
    for index in range(5):
        read.clear()
        encode_shard(corpus, tmp_path / "data", index, 5)
        every.append(set(read))
    assert max(map(len, every)) <= 2 and len(set.union(*every)) == 5


def test_a_shard_that_is_there_stays_and_a_damaged_one_is_written_again(merged, monkeypatch):
    corpus, data = merged
    own = shard_folder(data, 1, 3)
    before = (own / "index.json").stat().st_mtime_ns
    assert not encode_shard(corpus, data, 1, 3)
    assert (own / "index.json").stat().st_mtime_ns == before
    (own / "train-00000.bin").write_bytes(b"")
    assert encode_shard(corpus, data, 1, 3) and merge_shards(data)["train"].tokens
    # Two processes write one shard: the second finds it when it is done.
    write, twin = module.written_folder, []

    def slow(folder, what, keeps):
        if not twin:
            twin.append(True)
            assert encode_shard(corpus, data, 1, 3)
            twin.append((own / "index.json").stat().st_ino)
        return write(folder, what, keeps)

    shutil.rmtree(own)
    monkeypatch.setattr(module, "written_folder", slow)
    assert encode_shard(corpus, data, 1, 3)
    assert (own / "index.json").stat().st_ino == twin[1]
    assert sorted(path.name for path in data.iterdir() if path.name.startswith(".")) == []


@pytest.mark.parametrize(
    "how, message",
    [
        ("none", "holds no shards: write them with `keras-rnnlm encode CORPUS"),
        ("missing", "lacks 1 of 3 shards, which are to be written first: 1"),
        ("twice", "shard-00001-of-00003 is no such shard, by its index.json"),
        ("other count", "holds shards of 3 and of 4"),
        ("other text", "shard-00001-of-00003 is of another text"),
        ("other tokenizer", "shard-00000-of-00003 was not written with the tokenizer.json beside it"),
        ("damaged", "shard-00001-of-00003/train-00000.bin is damaged: its content is not what was written. Remove"),
        ("no tokenizer", "holds shards, and not the tokenizer.json"),
    ],
)
def test_shards_that_do_not_belong_together_are_told(merged, tmp_path, how, message):
    corpus, data = merged
    own = shard_folder(data, 1, 3)
    if how == "none":
        data = tmp_path / "texts"
    elif how == "missing":
        shutil.rmtree(own)
    elif how == "twice":
        shutil.rmtree(own)
        shutil.copytree(shard_folder(data, 0, 3), own)
    elif how == "other count":
        shutil.copytree(own, shard_folder(data, 1, 4))
    elif how == "other text":
        shutil.rmtree(own)
        (tmp_path / "texts/test/a.txt").write_text("changed\n")
        encode_shard(open_corpus(tmp_path / "texts"), data, 1, 3)
    elif how == "other tokenizer":
        Tokenizer.train("byte", []).save(data)
    elif how == "damaged":
        content = bytearray((own / "train-00000.bin").read_bytes())
        content[0] ^= 1
        (own / "train-00000.bin").write_bytes(content)
    else:
        (data / "tokenizer.json").unlink()
    with pytest.raises(ValueError, match=message) as caught:
        merge_shards(data)
    assert "\n" not in str(caught.value) and not (data / "index.json").exists()


def test_a_shard_that_would_not_belong_to_the_others_is_refused(merged, tmp_path):
    corpus, data = merged
    with pytest.raises(ValueError, match="one of 3: the number of shards is the same for all.*Received: 0/4"):
        encode_shard(corpus, data, 0, 4)
    with pytest.raises(ValueError, match="i from 0 to N - 1, such as 0/8. Received: 3/3"):
        encode_shard(corpus, data, 3, 3)
    with pytest.raises(ValueError, match="holds no tokenizer.json: write it first"):
        encode_shard(corpus, tmp_path / "new", 0, 2)
    (tmp_path / "texts/test/a.txt").write_text("changed\n")
    with pytest.raises(ValueError, match="shard-00000-of-00003 is of another text"):
        encode_shard(open_corpus(tmp_path / "texts"), data, 0, 3)


# The command


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """What the command writes in two shards."""
    place = tmp_path_factory.mktemp("shards")
    folder_of_files(place / "texts")
    texts, out = str(place / "texts"), str(place / "data")
    assert main(["encode", texts, "--out", out, "--tokenizer", "char", "--vocabulary-only"]) == 0
    assert os.listdir(out) == ["tokenizer.json"]
    for shard in ("1/2", "0/2"):
        assert main(["encode", texts, "--out", out, "--shard", shard]) == 0
    assert main(["encode", "--merge", out]) == 0
    return place / "data"


SMALL = {"units": 8, "layers": 1, "batch": 4, "window": 16, "epochs": 1, "checkpoint_every": 10}


@pytest.fixture
def loops(monkeypatch):
    """The loops that are about to begin. They do not: what they would read is all that matters here."""
    found = []
    monkeypatch.setattr("keras_rnnlm.training.commands.train._go", lambda loop: found.append(loop) or True)
    return found


@pytest.fixture
def run(data, loops):
    if not (data.parent / "run").exists():
        assert training.train(data, data.parent / "run", changes=SMALL, quiet=True)
    return data.parent / "run"


def test_the_command_encodes_in_one_go_what_it_encodes_in_shards(data, capsys):
    texts, whole = str(data.parent / "texts"), data.parent / "whole"
    assert main(["encode", texts, "--out", str(whole), "--tokenizer", "char", "--json"]) == 0
    one, two = load_encoded(whole), load_encoded(data)
    assert json.loads(capsys.readouterr().out) == {"tokens": {name: len(one[name]) for name in one}}
    for name in one:
        np.testing.assert_array_equal(one[name][:], two[name][:])


def test_an_interrupt_leaves_what_was_there(data, monkeypatch):
    def interrupted(folder):
        raise KeyboardInterrupt

    monkeypatch.setattr("keras_rnnlm.training.commands.encode.merge_shards", interrupted)
    words = ["encode", str(data.parent / "texts"), "--out"]
    assert main([*words, str(data.parent / "new"), "--tokenizer", "char"]) == 130
    assert not (data.parent / "new").exists()
    (data.parent / "vocabulary").mkdir()
    shutil.copy(data / "tokenizer.json", data.parent / "vocabulary")
    assert main([*words, str(data.parent / "vocabulary")]) == 130
    assert os.listdir(data.parent / "vocabulary") == ["tokenizer.json"]
    monkeypatch.undo()
    (data.parent / "vocabulary" / ".shard-00000-of-00001.host.99.partial").mkdir()  # as one that is killed leaves it
    encode_shard(open_corpus(str(data.parent / "texts")), data.parent / "vocabulary", 0, 1)
    with monkeypatch.context() as patched:  # a shard that is there stays, whatever happens
        patched.setattr("keras_rnnlm.training.commands.encode.merge_shards", interrupted)
        assert main([*words, str(data.parent / "vocabulary")]) == 130
    assert (data.parent / "vocabulary" / "shard-00000-of-00001").is_dir()
    assert main([*words, str(data.parent / "vocabulary")]) == 0


def test_a_training_reads_encoded_text_where_it_lies(data, run, loops):
    assert os.listdir(run / "data") == ["index.json"]
    assert (run / "tokenizer.json").read_bytes() == (data / "tokenizer.json").read_bytes()
    assert RunFolder(run).read_recipe().tokenizer == str(data / "tokenizer.json")
    assert training.resume(run, quiet=True)
    there = load_encoded(data)
    for loop in loops:
        assert (loop.stream.tokens, loop.valid) == (there["train"], there["valid"])
        assert loop.stream.tokens.folder == str(data)


def test_a_run_whose_encoded_text_has_changed_is_not_resumed(data, run):
    away = data.parent / "away"
    data.rename(away)
    try:
        with pytest.raises(ValueError, match="holds no encoded text.*The run reads it there: put it back as it was"):
            training.resume(run, quiet=True)
        assert main(["encode", str(data.parent / "texts/train"), "--out", str(data), "--tokenizer", "char"]) == 0
        with pytest.raises(ValueError, match="is another text by now. The run reads it there"):
            training.resume(run, quiet=True)
        shutil.rmtree(data)
    finally:
        away.rename(data)
    assert training.resume(run, quiet=True)


@pytest.mark.parametrize(
    "words, message",
    [
        ("encode", "Name texts and, by --out, a folder to write to; or --merge and a folder of shards"),
        ("encode --merge {0} --shard 0/2", "--merge takes a folder of shards and nothing else. Received: shard"),
        ("encode {0}/../texts --out {0}/../new --shard 2", "--shard is i/N, with i from 0 to N - 1"),
        ("encode {0}/../texts --out {0} --shard 0/2 --tokenizer bpe", "All shards are written with .*: drop tokenizer"),
        ("encode {0}/../texts --out {0}", "exists already, and nothing is written over"),
        ("encode - --out {0}/../new", "write the standard input to a file"),
        ("encode {0}/../texts --out {0}/../new --tokenizer none", "`tokenizer` is"),
        ("train {0} --out {0}/../new --set tokenizer=bpe", "its splits and its vocabulary are made: drop tokenizer"),
        ("train {0} --out {0}/../new --split 90/10", "drop split, or encode again"),
        ("lr-find {0} --set tokenizer=bpe", "its splits and its vocabulary are made: drop tokenizer"),
        ("train {0} --out {0}/../new --valid {0}/../texts/valid", "drop valid, or encode again"),
        ("train {0} {0}/../texts --out {0}/../new", "has to be the only one: encode all texts together"),
        ("encode {0} --out {0}/../new", "is what `encode` writes, and no folder of texts: `train` takes it alone"),
        ("train {0}/../texts/train --valid {0} --out {0}/../new", "is what `encode` writes, and no folder of texts"),
        (
            "train {0}/../words --out {0}/../new",
            "holds a vocabulary, and no text in it yet: keras-rnnlm encode CORPUS --out",
        ),
        ("train {0}/../begun --out {0}/../new", "holds shards that are not merged yet: keras-rnnlm encode --merge"),
    ],
)
def test_the_user_s_mistakes_are_told_in_one_line(data, capsys, words, message):
    begun = data.parent / "begun"
    if "begun" in words and not begun.exists():
        shutil.copytree(data, begun)
        (begun / "index.json").unlink()
    if "words" in words:
        (data.parent / "words").mkdir()
        shutil.copy(data / "tokenizer.json", data.parent / "words")
    assert main(words.format(data).split()) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"keras-rnnlm {words.split()[0]}: ")
    assert re.search(message, last), last
    assert not (data.parent / "new").exists()
