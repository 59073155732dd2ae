"""What a folder of the command `encode` is known by, before anything in it is read."""

import pathlib
import re

from keras_rnnlm.schema import parse_json, read_regular

INDEX = "index.json"
VOCABULARY = "tokenizer.json"
NAME = re.compile(r"shard-(\d+)-of-(\d+)")


def is_encoded(folder):
    """Whether a folder is what the command `encode` writes, whole or not."""
    folder = pathlib.Path(folder)
    if not (folder / VOCABULARY).is_file():
        return False
    if (folder / INDEX).is_file():
        try:
            return {"splits", "corpus", "tokenizer"} <= set(parse_json(read_regular(folder / INDEX)))
        except (ValueError, TypeError, OSError):
            pass
    return any(shards_of(folder)) or {path.name for path in folder.iterdir() if path.name[0] != "."} == {VOCABULARY}


def shards_of(folder):
    """Yields (folder, index, count)."""
    folder = pathlib.Path(folder)
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        named = NAME.fullmatch(path.name)
        if named and path.is_dir():
            yield path, int(named[1]), int(named[2])
