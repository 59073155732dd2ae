"""Texts on disk as ids: whole, counted, found again, and never half written."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest

from keras_rnnlm.text.tokenizers import Tokenizer
from keras_rnnlm.training.corpora import encoded as module
from keras_rnnlm.training.corpora import text_files
from keras_rnnlm.training.corpora.encoded import encode_corpus, load_encoded
from keras_rnnlm.training.corpora.opening import open_corpus

DATA = pathlib.Path(os.environ.get("KERAS_RNNLM_DATA", "nowhere"))
TEXTS = {"train": "the cat <unk>\n\nthe été 日本\n" * 30, "valid": "the dog\nthe", "test": "the end\n"}
KINDS = {"word": None, "char": None, "byte": None, "bpe": 280}


@pytest.fixture
def corpus(tmp_path):
    return write(tmp_path)


def write(tmp_path, **changed):
    folder = tmp_path / "texts"
    folder.mkdir(exist_ok=True)
    for name, text in {**TEXTS, **changed}.items():
        (folder / f"{name}.txt").write_text(text)
    return open_corpus(folder)


def trained(corpus, kind="word"):
    return Tokenizer.train(kind, corpus.splits["train"].chunks(), KINDS[kind])


@pytest.fixture
def encoded(corpus, tmp_path):
    encode_corpus(corpus, trained(corpus), tmp_path / "ids")
    return tmp_path / "ids"


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_read_is_what_was_encoded(corpus, tmp_path, monkeypatch, kind):
    monkeypatch.setattr(module, "SHARD", 37)
    monkeypatch.setattr(module, "BATCH", 50)
    monkeypatch.setattr(text_files, "BLOCK", 20)
    tokenizer = trained(corpus, kind)
    encoded = encode_corpus(corpus, tokenizer, tmp_path / "ids")
    assert list(encoded) == ["train", "valid", "test"] and encoded.vocabulary_size == tokenizer.vocabulary_size
    for name, text in TEXTS.items():
        text += "\n" if kind == "word" and name == "valid" else ""
        whole = tokenizer.encode(text).tolist() + ([tokenizer.eos] if kind == "bpe" else [])
        split = encoded[name]
        assert len(split) == split.tokens == len(whole)
        for a, b in [(None, None), (0, 37), (36, 38), (5, 200), (74, 74), (-3, None), (30, 10), (0, 10**9)]:
            got = split[a:b]
            assert got.dtype == np.int32 and got.tolist() == whole[a:b]
        assert (split[0], split[-1]) == (whole[0], whole[-1])


@pytest.mark.parametrize("kind", KINDS)
def test_a_split_counts_what_its_text_holds(corpus, tmp_path, kind):
    tokenizer = trained(corpus, kind)
    encoded = encode_corpus(corpus, tokenizer, tmp_path / "ids")
    for name, text in TEXTS.items():
        split = encoded[name]
        assert split.characters == len(text) and split.bytes == len(text.encode())
        assert split.lines == len(text.splitlines()) and split.documents == 1
        assert split.words == len(text.split()) + split.lines
        unknown = {"word": {"train": 30, "valid": 1, "test": 1}, "char": {"valid": 2}}  # dog, end; o, g
        if kind == "word":
            assert split.tokens == split.words
        assert split.unknown == (unknown.get(kind, {}).get(name, 0) if kind != "char" else split.unknown)
        if kind == "char":
            assert split.unknown == len([c for c in text if c not in TEXTS["train"]])


def test_large_vocabularies_take_four_bytes(tmp_path):
    text = " ".join(f"w{n}" for n in range(70_000)) + "\n"
    corpus = write(tmp_path, train=text)
    encoded = encode_corpus(corpus, trained(corpus), tmp_path / "ids")
    assert encoded["train"].dtype == "<u4"
    assert sorted(encoded["train"][:].tolist()) == list(range(1, 70_002))
    small = write(tmp_path)
    assert encode_corpus(small, trained(small), tmp_path / "ids")["train"].dtype == "<u2"


@pytest.mark.skipif(not DATA.is_dir(), reason="KERAS_RNNLM_DATA names no folder")
def test_wikitext_2_has_its_published_sizes(tmp_path):
    corpus = open_corpus(DATA / "wikitext-2")
    encoded = encode_corpus(corpus, trained(corpus), tmp_path / "ids")
    sizes = [len(encoded[name]) for name in ("train", "valid", "test")]
    assert sizes == [2_088_628, 217_646, 245_569] == [encoded[name].words for name in encoded]
    assert encoded.vocabulary_size == 33_278


def test_progress_is_told_for_each_split(corpus, tmp_path):
    told = []
    encode_corpus(corpus, trained(corpus), tmp_path / "ids", lambda *news: told.append(news))
    assert told == [(name, len(text)) for name, text in TEXTS.items()]


# Found again.


def test_an_encoded_corpus_is_used_again(corpus, encoded):
    before = (encoded / "index.json").stat().st_mtime_ns
    told = []
    again = encode_corpus(corpus, trained(corpus), encoded, lambda *news: told.append(news))
    assert not told and (encoded / "index.json").stat().st_mtime_ns == before
    assert again == load_encoded(encoded)
    assert again.tokenizer == trained(corpus).fingerprint and again.corpus == corpus.fingerprint


def test_another_text_tokenizer_or_damage_is_encoded_anew(tmp_path, corpus, encoded):
    changed = write(tmp_path, valid="changed\n")
    assert len(encode_corpus(changed, trained(changed), encoded)["valid"]) == 2
    assert len(encode_corpus(changed, trained(changed, "byte"), encoded)["valid"]) == 8
    (encoded / "valid-00000.bin").write_bytes(b"")
    assert len(encode_corpus(changed, trained(changed, "byte"), encoded)["valid"]) == 8
    assert sorted(os.listdir(tmp_path)) == ["ids", "texts"]


def test_a_folder_of_something_else_is_left_alone(corpus, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for folder in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(ValueError, match="holds something else than encoded text"):
            encode_corpus(corpus, trained(corpus), folder)
    assert (tmp_path / "notes.txt").read_text() == "mine"


# Damage.


def damage(path, how):
    data = bytearray(path.read_bytes())
    if how == "flipped":
        data[len(data) // 2] ^= 1
    path.write_bytes(data[:-2] if how == "shorter" else data)


@pytest.mark.parametrize(
    "how, message", [("flipped", "content is not what was written"), ("shorter", "has .* bytes in")]
)
def test_a_damaged_shard_is_told(encoded, how, message):
    damage(encoded / "train-00000.bin", how)
    with pytest.raises(ValueError, match=f"train-00000.bin is damaged: .*{message}.*Delete the folder"):
        load_encoded(encoded)


def test_a_missing_shard_is_told(encoded):
    (encoded / "test-00000.bin").unlink()
    with pytest.raises(ValueError, match="test-00000.bin is damaged: it is missing"):
        load_encoded(encoded, verify=False)


def test_a_shard_that_is_cut_while_it_is_in_use_is_told(encoded):
    train = load_encoded(encoded)["train"]
    damage(encoded / "train-00000.bin", "shorter")
    assert len(train[: len(train) - 1]) == len(train) - 1
    with pytest.raises(ValueError, match="it ends too early"):
        train[:]


@pytest.mark.skipif(not hasattr(os, "pread"), reason="files are opened by name each time")
def test_a_file_stays_open_from_slice_to_slice_and_few_are(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SHARD", 37)
    monkeypatch.setattr(module, "OPEN", 2)
    train = encode_corpus(corpus, trained(corpus), tmp_path / "ids")["train"]
    opened, kind = [], module._File
    monkeypatch.setattr(module, "_File", lambda path: opened.append(path) or kind(path))
    whole = [train[a : a + 5].tolist() for a in range(0, len(train), 5)]
    assert len(train.shards) > 3 and len(opened) < len(train.shards) + len(train) // 37
    before = len(opened)
    assert [train[a : a + 5].tolist() for _ in range(9) for a in (0, 5)] == 9 * whole[:2]
    assert len(opened) == before + 1
    if sys.platform == "linux":
        handles = [os.readlink(link) for link in pathlib.Path("/proc/self/fd").iterdir() if link.is_symlink()]
        assert sum(str(tmp_path) in handle for handle in handles) == 2


@pytest.mark.parametrize("content", ["", "[]", '{"format": 1}', '{"format": 9}', "{", "shards"])
def test_a_damaged_index_is_told(encoded, content):
    index = json.loads((encoded / "index.json").read_text())
    if content == "shards":
        index["splits"]["train"]["tokens"] += 1
        content = json.dumps(index)
    (encoded / "index.json").write_text(content)
    with pytest.raises(ValueError, match="index.json is damaged"):
        load_encoded(encoded)


def test_a_folder_without_encoded_text_is_told(tmp_path):
    with pytest.raises(ValueError, match="holds no encoded text: its index.json is missing"):
        load_encoded(tmp_path)


def test_a_split_or_place_that_is_not_there_is_told(encoded):
    encoded = load_encoded(encoded)
    assert "train" in encoded and "extra" not in encoded
    with pytest.raises(ValueError, match="has the splits train, valid, test. Received: 'extra'"):
        encoded["extra"]
    with pytest.raises(ValueError, match="step 1"):
        encoded["train"][::2]
    with pytest.raises(IndexError):
        encoded["train"][len(encoded["train"])]


# Nothing half made.


@pytest.mark.parametrize("there", [True, False])
def test_an_interrupt_leaves_what_was_there(tmp_path, corpus, there):
    if there:
        encode_corpus(corpus, trained(corpus), tmp_path / "ids")
    changed = write(tmp_path, valid="changed\n")

    def interrupt(name, characters):
        if name == "valid":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode_corpus(changed, trained(changed), tmp_path / "ids", interrupt)
    assert sorted(os.listdir(tmp_path)) == (["ids", "texts"] if there else ["texts"])
    if there:
        assert load_encoded(tmp_path / "ids").corpus == corpus.fingerprint


def test_a_text_that_cannot_be_read_leaves_nothing(tmp_path):
    corpus = write(tmp_path, test="later\n")
    (tmp_path / "texts" / "test.txt").write_text("changed\n")
    with pytest.raises(ValueError, match="test.txt changed while it was read"):
        encode_corpus(corpus, trained(corpus), tmp_path / "ids")
    assert os.listdir(tmp_path) == ["texts"]


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path):
    # A limit on the size of files stands for a full disk.
    pytest.importorskip("resource")
    write(tmp_path, train="a b c d\n" * 5000)
    code = (
        "import resource, sys\n"
        "from keras_rnnlm.text import tokenizers\n"
        "from keras_rnnlm.training.corpora import encoded, opening as corpora\n"
        "corpus = corpora.open_corpus(sys.argv[1])\n"
        "tokenizer = tokenizers.Tokenizer.train('char', 'abcd\\n')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        "try:\n"
        "    encoded.encode_corpus(corpus, tokenizer, sys.argv[2])\n"
        "except OSError as error:\n"
        "    print(error)\n"
    )
    arguments = [sys.executable, "-c", code, tmp_path / "texts", tmp_path / "ids"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert f"could not be written to {tmp_path / 'ids'} after" in done.stdout
    assert "Nothing of it was kept; make room there" in done.stdout and done.stdout.count("\n") == 1
    assert os.listdir(tmp_path) == ["texts"]


def test_what_a_killed_process_left_is_removed(tmp_path, corpus):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    parent = os.getppid()
    for process in (dead.pid, parent):
        (tmp_path / f".ids.{socket.gethostname()}.{process}.partial").mkdir()
    encode_corpus(corpus, trained(corpus), tmp_path / "ids")
    assert sorted(os.listdir(tmp_path)) == [f".ids.{socket.gethostname()}.{parent}.partial", "ids", "texts"]


def test_an_end_of_line_that_the_text_spells_out_is_one_word(tmp_path):
    (tmp_path / "text.txt").write_text("a b <eos>\na <eos>\n")
    corpus, tokenizer = open_corpus(tmp_path / "text.txt", split="100"), Tokenizer.train("word", ["a b"])
    split = encode_corpus(corpus, tokenizer, tmp_path / "data")["train"]
    assert split.words == split.tokens == 5
