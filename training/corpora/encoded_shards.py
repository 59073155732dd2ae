"""A corpus encoded by many processes, each a share of it, and the index that makes one text of their shards."""

import itertools
import json
import pathlib

from keras_rnnlm.schema import is_whole
from keras_rnnlm.text.tokenizers import Tokenizer
from keras_rnnlm.training.corpora.encoded import (
    COUNTS,
    INDEX,
    PARTED,
    DamagedError,
    chunks_of,
    head_of,
    load_encoded,
    read_index,
    write_encoded,
)
from keras_rnnlm.training.corpora.encoded_folder import shards_of
from keras_rnnlm.training.corpora.opening import Documents
from keras_rnnlm.training.corpora.text_files import FileDocument
from keras_rnnlm.whole_files import write_whole


def shard_folder(folder, index, count):
    return pathlib.Path(folder) / f"shard-{index:05}-of-{count:05}"


def check_shard(index, count):
    if not (is_whole(count, 1) and is_whole(index, 0) and index < count):
        raise ValueError(f"A shard is i/N, with i from 0 to N - 1, such as 0/8. Received: {index}/{count}")


def encode_shard(corpus, folder, index, count, progress=None):
    """Writes one of `count` shards of a corpus, in the ids of the tokenizer.json in `folder`.

    Shards can be written at the same time, in any order, on any machine that sees the folder, and more than once: one
    that is there already, whole and of the same corpus and tokenizer, stays. When all are there, `merge_shards` makes
    one text of them: that of `encode_corpus`, token for token.

    Args:
        corpus: from `open_corpus`.
        folder: where all shards and their tokenizer.json are.
        index: which shard, from 0 on.
        count: how many there are.
        progress: called as `progress(split, characters)`, with the characters encoded so far.

    Returns:
        Whether it was written; False: it was there.
    """
    check_shard(index, count)
    folder = pathlib.Path(folder)
    if not (folder / "tokenizer.json").is_file():
        raise ValueError(
            f"All shards have one vocabulary, and {folder} holds no tokenizer.json: write it first, with "
            f"`keras-rnnlm encode CORPUS --out {folder} --vocabulary-only`, or put one there"
        )
    tokenizer, own = Tokenizer.load(folder), shard_folder(folder, index, count)
    for path, _, others in shards_of(folder):
        if others != count:
            raise ValueError(
                f"{folder} holds {path.name}, which is one of {others:,}: the number of shards is the same for all. "
                f"Remove what is there, or name another folder. Received: {index}/{count}"
            )
    head = head_of(corpus, tokenizer) | {"shard": [index, count]}

    def is_there():
        if not own.is_dir():
            return False
        try:
            there = read_index(own)
            load_encoded(own, verify=False)
        except ValueError:
            return False  # damaged, so written again
        _check_same(own, there, head)
        return True

    if is_there():
        return False
    # Two processes may write one shard, where a scheduler starts it twice: what the first one wrote stays.
    try:
        write_encoded(_shares(corpus, index, count), tokenizer, own, head, progress, keeps=is_there)
    except OSError:
        if not is_there():
            raise
    return True


def merge_shards(folder):
    """Writes the index that makes one text of the shards in a folder; returns it, an `Encoded`.

    Every shard is read once and compared with its check sums. Where one is missing, damaged, or of another corpus or
    tokenizer than the others, a ValueError says which.

    >>> from keras_rnnlm import training
    >>> training.encode("stdlib:20k", "shards", tokenizer="byte", vocabulary_only=True)
    >>> for number in (1, 0):
    ...     training.encode("stdlib:20k", "shards", shard=(number, 2))
    >>> merge_shards("shards").vocabulary_size
    256
    """
    folder = pathlib.Path(folder)
    found = sorted(shards_of(folder), key=lambda shard: shard[1:])
    if not found:
        raise ValueError(
            f"{folder} holds no shards: write them with `keras-rnnlm encode CORPUS --out {folder} --shard i/N`"
        )
    if not (folder / "tokenizer.json").is_file():
        raise ValueError(f"{folder} holds shards, and not the tokenizer.json that they were written with: put it back")
    counts = sorted({count for _, _, count in found})
    if len(counts) > 1:
        raise ValueError(
            f"{folder} holds shards of {' and of '.join(map(str, counts))}: remove those that are too many"
        )
    missing = sorted(set(range(counts[0])) - {index for _, index, _ in found})
    if missing:
        listed = ", ".join(map(str, missing[:10])) + ", ..." * (len(missing) > 10)
        raise ValueError(
            f"{folder} lacks {len(missing):,} of {counts[0]:,} shards, which are to be written first: {listed}"
        )
    tokenizer, first, parts = Tokenizer.load(folder).fingerprint, None, []
    for path, *shard in found:
        try:
            load_encoded(path)
            part = read_index(path)
        except DamagedError as error:
            raise ValueError(f"{error.what}. Remove {path}, and write this shard again") from error
        first = first or {**part, "tokenizer": tokenizer}
        _check_same(path, part, {**first, "shard": shard})
        parts.append((path.name, part["splits"]))
    splits = {name: _joined([(path, splits[name]) for path, splits in parts]) for name in first["splits"]}
    index = {**first, "format": PARTED, "splits": splits}
    del index["shard"]
    write_whole(folder / INDEX, json.dumps(index, indent=1).encode())
    return load_encoded(folder, verify=False)


def open_encoded(folder, verify=False):
    """The `Encoded` and the `Tokenizer` of a folder that the command `encode` has written."""
    folder = pathlib.Path(folder)
    if not (folder / INDEX).is_file():
        if not any(shards_of(folder)):
            raise ValueError(
                f"{folder} holds a vocabulary, and no text in it yet: keras-rnnlm encode CORPUS --out {folder}"
            )
        raise ValueError(f"{folder} holds shards that are not merged yet: keras-rnnlm encode --merge {folder}")
    encoded, tokenizer = load_encoded(folder, verify), Tokenizer.load(folder)
    if encoded.tokenizer != tokenizer.fingerprint:
        raise ValueError(f"{folder / 'tokenizer.json'} is not the vocabulary that the text beside it is written in")
    return encoded, tokenizer


def _check_same(path, part, wanted):
    """Raises where a shard is not of what the others are of."""
    where = "write this shard again, or name another folder"
    if part.get("shard") != wanted["shard"]:
        raise ValueError(f"{path} is no such shard, by its {INDEX}: remove it, and {where}")
    if part["corpus"] != wanted["corpus"]:
        raise ValueError(
            f"{path} is of another text, or of other splits of it, than the others: remove it, and {where}"
        )
    if part["tokenizer"] != wanted["tokenizer"]:
        raise ValueError(f"{path} was not written with the tokenizer.json beside it: remove it, and {where}")


def _joined(parts):
    """The entry of a split, of those of its shards."""
    places = itertools.accumulate((entry["tokens"] for _, entry in parts), initial=0)
    shards = [
        [f"{folder}/{name}", begin + before, tokens, checksum]
        for (folder, entry), begin in zip(parts, places)
        for name, before, tokens, checksum in entry["shards"]
    ]
    return {**{name: sum(entry[name] for _, entry in parts) for name in COUNTS}, "shards": shards}


def _shares(corpus, index, count):
    """What a shard encodes of each split: chunks as `encode_corpus` encodes them, and each in one shard.

    All splits lie one after the other, and are cut by size, where a chunk begins. Files that lie elsewhere are not
    read, nor is what follows in a file.
    """
    parts = [(name, part) for name, documents in corpus.splits.items() for part in documents.parts]
    sizes = [_size(part) for _, part in parts]
    begins = list(itertools.accumulate(sizes, initial=0))
    first, last = (begins[-1] * k // count for k in (index, index + 1))
    shares = {name: [] for name in corpus.splits}
    for (name, part), size, begin in zip(parts, sizes, begins):
        if begin < last and begin + size > first:
            shares[name].append(_between(part, size, first - begin, last - begin))
    return {name: itertools.chain.from_iterable(found) for name, found in shares.items()}


def _size(part):
    """Of a part of a corpus: what there is of a file on disk, without a look at it, and else what it holds."""
    if _is_whole_file(part):
        return max(part.file.size, 1)
    return max(sum(map(_bytes, Documents([part]).chunks())), 1)


def _between(part, size, first, last):
    """Yields the chunks that begin at the byte `first` or later, and before `last`."""
    packed = _is_whole_file(part) and part.file.path.endswith(".gz")  # what stands where is known by reading all of it
    place = 0
    for chunk, ends in chunks_of(Documents([part])):
        here = 0 if packed else min(place, size - 1)
        if here >= last:
            if isinstance(part, FileDocument):
                part.file.check()
            return
        if here >= first:
            yield chunk, ends
        place += _bytes(chunk)


def _is_whole_file(part):
    return isinstance(part, FileDocument) and not part.start and part.stop is None


def _bytes(text):
    return len(text) if text.isascii() else len(text.encode())
