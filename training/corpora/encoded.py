"""Texts as numbers on disk: encoded once, then read in slices, however large."""

import bisect
import dataclasses
import functools
import itertools
import json
import os
import pathlib
import zlib

import numpy as np

from keras_rnnlm.schema import (
    COUNT,
    FILE,
    TEXT,
    Each,
    Optional,
    Rule,
    check,
    choice,
    or_null,
    parse_json,
    read_regular,
    whole,
)
from keras_rnnlm.text.pipelines import split_words
from keras_rnnlm.training.corpora.encoded_folder import INDEX
from keras_rnnlm.training.corpora.whole_folders import told, write_synced, written_folder

FORMAT = 1
PARTED = 2  # a format whose files may be of any length and lie in folders of this one, or all in another folder
SHARD = 64 << 20  # tokens
OPEN = 64  # files of a split, at most
BATCH = 4 << 20  # characters handed to the tokenizer at once
WHAT = "The encoded text"


def _is_given(value):
    """Whether `open_corpus` can be called with it."""
    texts = Rule("", lambda paths: isinstance(paths, list) and all(isinstance(path, str) for path in paths))
    try:
        check(value, {"sources": texts, "valid": or_null(texts), "test": or_null(texts)})
    except ValueError:
        return value is None
    return len(value) == 3


WITHIN = Rule(
    "the name of a file, or FOLDER/FILE",
    lambda value: isinstance(value, str) and value.count("/") < 2 and all(map(FILE.fits, value.split("/"))),
)
COUNTS = ("tokens", "characters", "bytes", "words", "lines", "documents", "unknown")
SCHEMA = {
    "sources": [TEXT],
    "given": Optional(Rule("an object of lists of texts, or null", _is_given)),
    "corpus": TEXT,
    "tokenizer": TEXT,
    "vocabulary_size": whole(2, 2**31 - 1),
    "dtype": choice("<u2", "<u4"),
    "splits": Each({**dict.fromkeys(COUNTS, COUNT), "shards": [(FILE, COUNT, whole(1, 2**63 - 1), COUNT)]}),
}

SCHEMAS = {FORMAT: SCHEMA}
SCHEMAS[PARTED] = {
    **SCHEMA,
    "folder": Optional(TEXT),
    "splits": Each({**dict.fromkeys(COUNTS, COUNT), "shards": [(WITHIN, COUNT, whole(1, 2**63 - 1), COUNT)]}),
}

ENCODE = "Encode it again; a run does so by --resume, where its text is still there"


class DamagedError(ValueError):
    """Encoded text that is not what was written. `what` says so without the way out."""

    def __init__(self, path, why, way="Delete the folder, and the text is encoded again."):
        self.what = f"The encoded text in {path} is damaged: {why}"
        super().__init__(f"{self.what}. {way}")


class _File:
    """A file that stays open while somebody uses it: to open one takes longer than to read a sentence."""

    def __init__(self, path):
        self.path, self.handle = path, None
        if hasattr(os, "pread"):  # else by name each time: a place to read from is shared by all threads
            self.handle = os.open(path, os.O_RDONLY)

    def read(self, start, size):
        if self.handle is not None:
            return os.pread(self.handle, size, start)
        with open(self.path, "rb", buffering=0) as file:
            file.seek(start)
            return file.read(size)

    def __del__(self):
        if getattr(self, "handle", None) is not None:
            os.close(self.handle)


@dataclasses.dataclass(frozen=True)
class EncodedSplit:
    """A split's ids, read from disk by slices: `split[a:b]` is an int32 array. Its length is its number of tokens.

    Attributes:
        tokens: ids, `<eos>` included.
        characters, bytes: of the text, in Unicode characters and in UTF-8.
        words: what stands between white space, and one for each line's end: the published tables' count.
        lines, documents: as their names say.
        unknown: tokens that are the tokenizer's unknown symbol.
    """

    folder: str
    dtype: str
    shards: tuple  # (file name, tokens before it, tokens, CRC-32)
    tokens: int
    characters: int
    bytes: int
    words: int
    lines: int
    documents: int
    unknown: int
    vocabulary_size: int = 1 << 32

    def __len__(self):
        return self.tokens

    def __getitem__(self, key):
        if not isinstance(key, slice):
            index = range(self.tokens)[key]
            return self[index : index + 1][0]
        start, stop, step = key.indices(self.tokens)
        if step != 1:
            raise ValueError(f"A slice of encoded text has the step 1. Received: {key}")
        if start >= stop:
            return np.empty(0, np.int32)
        first = bisect.bisect_right(self._begins, start) - 1
        name, before, tokens, _ = self.shards[first]
        if stop <= before + tokens:
            return self._read(name, start - before, stop - before).astype(np.int32)
        out = np.empty(stop - start, np.int32)
        for name, before, tokens, _ in self.shards[first : bisect.bisect_left(self._begins, stop)]:
            a, b = max(start - before, 0), min(stop - before, tokens)
            out[before + a - start : before + b - start] = self._read(name, a, b)
        return out

    @functools.cached_property
    def _begins(self):
        return [before for _, before, _, _ in self.shards]

    @functools.cached_property
    def _file(self):
        folder = self.folder
        return functools.lru_cache(OPEN)(lambda name: _File(os.path.join(folder, name)))

    @functools.cached_property
    def _type(self):
        return np.dtype(self.dtype)

    def _read(self, name, start, stop):
        # Not by a memory map: its pages would count as memory in use, and a file cut short would end the process.
        width = self._type.itemsize
        file = self._file(name)
        data = file.read(start * width, (stop - start) * width)
        if len(data) < (stop - start) * width:
            raise DamagedError(file.path, "it ends too early", ENCODE)
        ids = np.frombuffer(data, self._type)
        if len(ids) and ids.max() >= self.vocabulary_size:  # a model would read anything there
            raise DamagedError(file.path, _beyond(ids.max(), self.vocabulary_size), ENCODE)
        return ids


@dataclasses.dataclass(frozen=True)
class Encoded:
    """A corpus in ids: `encoded["train"]` is an `EncodedSplit`.

    >>> load_encoded("run/data")["valid"].characters > 0
    True
    """

    folder: str
    sources: list
    vocabulary_size: int
    tokenizer: str  # the tokenizer's fingerprint
    corpus: str  # the corpus's fingerprint
    splits: dict

    def __getitem__(self, name):
        if name not in self.splits:
            raise ValueError(f"This corpus has the splits {', '.join(self.splits)}. Received: {name!r}")
        return self.splits[name]

    def __contains__(self, name):
        return name in self.splits

    def __iter__(self):
        return iter(self.splits)


def encode_corpus(corpus, tokenizer, folder, progress=None, given=None):
    """Writes a corpus's splits in ids to a folder and returns them, an `Encoded`.

    What the folder holds already stays when it is whole and comes from the same files and the same tokenizer; else it
    is replaced, at once and as a whole.

    Args:
        corpus: from `open_corpus`.
        tokenizer: a `Tokenizer`.
        folder: where to write.
        progress: called as `progress(split, characters)`, with the characters encoded so far.
        given: what the corpus can be opened by again, kept beside the ids.

    >>> from keras_rnnlm import training
    >>> tokenizer = training.Tokenizer.train("byte", ["any"])
    >>> encoded = encode_corpus(training.open_corpus("stdlib:20k"), tokenizer, "encoded")
    >>> len(encoded["train"]) > encoded["train"].lines > 0
    True
    """
    folder = pathlib.Path(folder)
    if (folder / INDEX).is_file():
        try:
            encoded = load_encoded(folder)
            if (encoded.corpus, encoded.tokenizer) == (corpus.fingerprint, tokenizer.fingerprint):
                return encoded
        except ValueError:
            pass  # damaged, so written again
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} holds something else than encoded text: name a folder that is new or empty.")
    splits = {name: chunks_of(documents) for name, documents in corpus.splits.items()}
    write_encoded(splits, tokenizer, folder, head_of(corpus, tokenizer) | {"given": given}, progress)
    return load_encoded(folder, verify=False)


def head_of(corpus, tokenizer):
    """What an index says of a corpus in the ids of a tokenizer, beside its splits."""
    return {
        "format": FORMAT,
        "sources": corpus.sources,
        "corpus": corpus.fingerprint,
        "tokenizer": tokenizer.fingerprint,
        "vocabulary_size": tokenizer.vocabulary_size,
        "dtype": "<u2" if tokenizer.vocabulary_size <= 1 << 16 else "<u4",
    }


def write_encoded(splits, tokenizer, folder, head, progress=None, keeps=None):
    """Writes splits, each as `chunks_of` yields them, and their index to a folder, at once and as a whole.

    `keeps()` says at the end whether what is there by now stays.
    """
    index = {**head, "splits": {}}
    with written_folder(folder, WHAT, keeps) as partial:
        for name, chunks in splits.items():
            with _Writer(partial, folder, name, index["dtype"]) as writer:
                counts = _encode_split(chunks, tokenizer, writer, name, progress)
            index["splits"][name] = {**counts, "tokens": writer.tokens, "shards": writer.shards}
        with told(folder, WHAT):
            write_synced(partial / INDEX, json.dumps(index, indent=1).encode())


def load_encoded(folder, verify=True):
    """The splits that `encode_corpus` wrote to a folder.

    Args:
        folder: where they are.
        verify: whether all of it is read once and compared with its check sums (about a second for each gigabyte); or
            the names of the splits that are. The others are then not looked at.

    >>> load_encoded("run/data")["train"][:4].dtype
    dtype('int32')
    """
    folder = pathlib.Path(folder)
    index = read_index(folder)
    folder = pathlib.Path(index.get("folder", folder))
    known = {name: index[name] for name in ("sources", "vocabulary_size", "tokenizer", "corpus")}
    try:
        splits = {name: _split(folder, index, entry) for name, entry in index["splits"].items()}
    except ValueError as error:
        raise DamagedError(folder / INDEX, f"it cannot be read ({error})") from error
    for name, split in splits.items():
        if isinstance(verify, bool) or name in verify:
            for shard in split.shards:
                _check_shard(folder, split, shard, bool(verify))
    return Encoded(str(folder), splits=splits, **known)


def read_index(folder):
    """What a folder of encoded text says about itself."""
    path = pathlib.Path(folder) / INDEX
    try:
        index = parse_json(read_regular(path))
        version = index["format"]
        if version in SCHEMAS:
            check(index, SCHEMAS[version])
    except FileNotFoundError as error:
        raise ValueError(f"The folder {folder} holds no encoded text: its {INDEX} is missing.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedError(path, f"it cannot be read ({error})") from error
    if version not in SCHEMAS:
        raise DamagedError(
            path, f"it has the format {version!r}, and this version reads {', '.join(map(str, SCHEMAS))}"
        )
    return index


def _encode_split(chunks, tokenizer, writer, name, progress):
    counts = dict(characters=0, bytes=0, words=0, lines=0, documents=0, unknown=0)
    words = tokenizer.kind == "word"
    end = np.array([] if words or tokenizer.eos is None else [tokenizer.eos], np.int32)
    for batch in _batches(chunks):
        # A last line without its end has one for a word tokenizer: <eos> is part of every line.
        texts = [text + "\n" if words and last and not text.endswith("\n") else text for text, last in batch]
        found = []  # written at once: documents may be as short as a word
        for (text, last), ids in zip(batch, tokenizer.encode_batch(texts)):
            lines = text.count("\n") + (last and not text.endswith("\n"))
            counts["characters"] += len(text)
            counts["bytes"] += len(text) if text.isascii() else len(text.encode())
            counts["words"] += len(ids) if words else len(split_words(text)) + lines
            counts["lines"] += lines
            counts["documents"] += last
            if tokenizer.unknown is not None:
                counts["unknown"] += int(np.count_nonzero(ids == tokenizer.unknown))
            found += [ids, end] if last else [ids]
        writer.write(np.concatenate(found))
        if progress is not None:
            progress(name, counts["characters"])
    return counts


def chunks_of(documents):
    """Yields (chunk, whether its document ends with it)."""
    for document in documents:
        before = None
        for chunk in document:
            if before is not None:
                yield before, False
            before = chunk
        if before is not None:
            yield before, True


def _batches(chunks):
    batch, size = [], 0
    for chunk, last in chunks:
        batch.append((chunk, last))
        size += len(chunk)
        if size >= BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class _Writer:
    """Writes ids to shards, each known by its length and check sum."""

    def __init__(self, partial, folder, split, dtype):
        self.partial, self.folder, self.split, self.dtype = partial, folder, split, dtype
        self.shards, self.tokens = [], 0
        self._file, self._length = None, 0

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self._file is not None:
            try:
                self._close(sync=kind is None)
            except OSError:
                if kind is None:
                    raise

    def write(self, ids):
        while len(ids):
            with told(self.folder, WHAT, self._length * np.dtype(self.dtype).itemsize):
                if self._file is None:
                    self._name = f"{self.split}-{len(self.shards):05}.bin"
                    self._file = open(self.partial / self._name, "wb", buffering=0)
                    self._checksum = 0
                part, ids = ids[: SHARD - self._length], ids[SHARD - self._length :]
                data = memoryview(part.astype(self.dtype).tobytes())
                self._checksum = zlib.crc32(data, self._checksum)
                while data:  # a raw write may take a part only
                    data = data[self._file.write(data) :]
            self._length += len(part)
            self.tokens += len(part)
            if self._length == SHARD:
                self._close()

    def _close(self, sync=True):
        file, self._file = self._file, None
        with file, told(self.folder, WHAT):
            if sync:
                os.fsync(file.fileno())
        self.shards.append([self._name, self.tokens - self._length, self._length, self._checksum])
        self._length = 0


def _split(folder, index, entry):
    shards = tuple(tuple(shard) for shard in entry["shards"])
    befores = list(itertools.accumulate((tokens for _, _, tokens, _ in shards), initial=0))
    if befores != [*(before for _, before, _, _ in shards), entry["tokens"]]:
        raise ValueError("its shards do not add up")
    if index["format"] == FORMAT and (
        any(tokens != shards[0][2] for _, _, tokens, _ in shards[:-1]) or any(s[2] > shards[0][2] for s in shards)
    ):
        raise ValueError("its shards are not of one size")
    counts = {name: entry[name] for name in COUNTS}
    size = index["vocabulary_size"]
    return EncodedSplit(folder=str(folder), dtype=index["dtype"], shards=shards, vocabulary_size=size, **counts)


def _check_shard(folder, split, shard, whole):
    name, _, tokens, checksum = shard
    path, size = folder / name, tokens * np.dtype(split.dtype).itemsize
    if not path.is_file():
        raise DamagedError(path, "it is missing")
    found = path.stat().st_size
    if found != size:
        raise DamagedError(path, f"it has {found:,} bytes instead of {size:,}")
    if not whole:
        return
    sum_ = largest = 0
    with open(path, "rb", buffering=0) as file:
        while block := file.read(1 << 20):
            sum_ = zlib.crc32(block, sum_)
            if len(block) % 4 == 0:  # else it is damaged, as the sum will say
                largest = max(largest, int(np.frombuffer(block, split.dtype).max()))
    if sum_ != checksum:
        raise DamagedError(path, "its content is not what was written")
    if largest >= split.vocabulary_size:
        raise DamagedError(path, _beyond(largest, split.vocabulary_size))


def _beyond(id, vocabulary_size):
    return f"it holds the id {id:,}, and the vocabulary ends at {vocabulary_size - 1:,}"
