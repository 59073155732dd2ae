"""Lists of files with what is to be written of each: tables with a tab, and JSON lines."""

import json
import pathlib

from keras_rnnlm.schema import is_a
from keras_rnnlm.sources import NAMES
from keras_rnnlm.training.corpora.pairs import read_pairs
from keras_rnnlm.training.corpora.text_files import TextFile

LINES = (".jsonl", ".json", ".ndjson")


def read_manifest(path, encoding="utf-8"):
    """A list of pairs, the path of a file and its text.

    A line is `clips/one.wav<TAB>one two`, or `{"path": "clips/one.wav", "text": "one two"}`. Paths are seen from the
    folder of the list. A file may come in several lines, each with another text.
    """
    path = pathlib.Path(path)
    if path.name.removesuffix(".gz").endswith(LINES):
        pairs = _objects(path, encoding)
    else:
        pairs = read_pairs(path, "tsv", encoding)
    return [(str(path.parent / file), text) for file, text in pairs]


def _objects(path, encoding):
    if not path.is_file():
        raise ValueError(f"There is no file {path}")
    pairs = []
    for number, line in enumerate("".join(TextFile(path, encoding).chunks()).split("\n"), 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            found = None
        named = [found[name] for name in NAMES if name in found] if isinstance(found, dict) else []
        if len(named) != 1 or not all(is_a(value, str) and value for value in (*named, found.get("text"))):
            raise ValueError(
                f'{path}, line {number}: an object such as {{"path": "one.wav", "text": "one two"}}; the path may also '
                f"be called {', '.join(NAMES[1:])}. Received: {line[:80]!r}"
            )
        pairs.append((named[0], found["text"].strip()))
    if not pairs:
        raise ValueError(f"{path} holds no pairs")
    return pairs
