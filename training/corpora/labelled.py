"""Texts with a label each: tables with a column of labels, a file for each class, or a folder for each class."""

import collections
import dataclasses
import hashlib
import json
import os
import re

from keras_rnnlm.training.corpora.file_sources import ROLES, SPLITS, Files
from keras_rnnlm.training.corpora.named_sources import of_rows, tables_of
from keras_rnnlm.training.corpora.opening import paths_of, shares_of
from keras_rnnlm.training.corpora.tables import Table
from keras_rnnlm.training.corpora.text_files import check_encoding

# What a column of labels is usually called. Where exactly one is called so, it is the one that is read.
USUAL = ("label", "labels", "class", "category", "sentiment", "target", "polarity", "topic", "intent")

MOST_OF = 0.9  # of the files, which say how all of them are to be read


@dataclasses.dataclass(frozen=True)
class Labelled:
    """Labelled texts and their splits.

    Attributes:
        splits: dict of "train" and, where they exist, "valid" and "test" to lists of (text, label, place in a file).
        columns: the columns that are read of each table, text and label, by the table's name.
        fingerprint: a hash of the files' names, sizes and times, and of the split.
    """

    splits: dict
    columns: dict
    fingerprint: str


def open_labelled(
    sources,
    valid=None,
    test=None,
    split=None,
    encoding="utf-8",
    text_column=None,
    label_column=None,
    whole=False,
):
    """Reads labelled texts, all of them, and splits them.

    In a table (.csv, .tsv, .jsonl, .ndjson, .json, .parquet) a row is a text and its label. Of plain files each is of
    one class, a text in every line, and its label is what its name has of its own: "rt-polarity.neg" and
    "rt-polarity.pos", or "neg.txt" and "pos.txt", are "neg" and "pos". Files with numbers in their names that lie in
    folders, "neg/0_3.txt" and "pos/0_9.txt", are a text each, and the folders their classes. What is empty is left out.

    Args:
        sources: one or several files, folders, patterns such as "data/*.csv", or data sets, "hf:NAME" and "tfds:NAME".
            Files that are named after splits, "train.csv" and "test.csv", say which is which.
        valid, test: files, folders or patterns that are a split by themselves.
        split: percentages for train, valid and test ("90/5/5"), or for train and valid ("95/5"), or "100". Texts that
            bring no splits are cut 90/5/5 without it, each class by itself: the cut is drawn, and always the same.
        encoding: of the files.
        text_column, label_column: of tables. Without them, the only columns that are called "text", "review" or the
            like, and "label", "class" or the like.
        whole: whether all of it is one split, "train", as where a model is measured on it; what has splits of its own
            is refused. `label_column` is then of tables alone, and of plain files nothing.
    """
    check_encoding(encoding)
    shares = [1] if whole else None if split is None else shares_of(split, valid, test)
    given, taken, stamps, columns = {}, set(), [], {}
    for name, paths in (("valid", valid), ("test", test), ("train", sources)):
        if paths is None:
            continue
        paths = paths_of(paths)
        if any(path in ("-", "stdlib") or path.startswith("stdlib:") for path in paths):
            raise ValueError(
                "Labelled texts are files, folders or patterns of names, or data sets, hf:NAME and tfds:NAME. "
                f"Received: {', '.join(paths)}"
            )
        named = of_rows(paths)
        for source in named:
            tables = tables_of(source, text_column)
            tables = tables if name == "train" else {"train": tables["train"]}
            reader = _Reader(list(tables.values()), label_column)
            for part, table in tables.items():
                rows = reader.rows([table], some=True)
                if rows or part == "train":  # of a competition, what is tested on has no labels
                    given.setdefault(name, {}).setdefault(part, []).extend(rows)
                stamps.append([name, table.path, *table.stamp])
            columns |= reader.columns
        paths = [path for path in paths if path not in named]
        if not paths:
            continue
        found = Files(paths, encoding, [], taken if name == "train" else (), text_column)
        taken |= {os.path.realpath(file.path) for _, file in found.files}
        tables = [isinstance(file, Table) for _, file in found.files]
        reader = _Reader([file for _, file in found.files], label_column if any(tables) or not whole else None)
        own = found.own_splits(whole=name != "train")
        for part, parts in own.items():
            rows = reader.rows([document.file for document in parts])
            given.setdefault(name, {}).setdefault(part, []).extend(rows)
        stamps += [[name, file.path, *file.stamp, file.encoding] for _, file in found.files]
        columns |= reader.columns
    splits = given.pop("train", {})
    if not splits:
        raise ValueError("Labelled texts have at least one source: a file, a folder or a pattern.")
    splits |= {name: parts["train"] for name, parts in given.items()}
    if whole and len(splits) > 1:
        raise ValueError(f"The texts have splits of their own ({', '.join(splits)}): name one of them alone")
    if shares is not None and len(splits) > 1 + len(given):
        raise ValueError(
            f"The texts bring their own splits ({', '.join(splits)}): leave out `split`. Received: split={split!r}"
        )
    if "valid" not in splits and shares != [1]:
        parts = shares or shares_of("95/5" if "test" in splits else "90/5/5")
        splits.update(zip(SPLITS, _cut(splits["train"], parts)))
    described = json.dumps([stamps, str(split), columns], sort_keys=True)
    splits = {name: splits[name] for name in SPLITS if name in splits}
    for name, rows in splits.items():
        if not rows:
            raise ValueError(f"The {name} texts are empty: give more texts, other percentages, or splits as files.")
    return Labelled(splits, columns, hashlib.sha256(described.encode()).hexdigest())


class _Reader:
    """Reads files that were given together: of plain ones, what their names have in common is no label."""

    def __init__(self, files, label_column):
        self.label_column, self.columns = label_column, {}
        plain = [file for file in files if not isinstance(file, Table)]
        folders = _folders(plain)
        self.is_text = folders is not None  # each file, and not each of its lines
        self.labels = dict(zip((file.path for file in plain), folders if self.is_text else _labels(plain)))
        if label_column is not None and len(plain) == len(files):
            raise ValueError(
                f"A column is one of a table, and {', '.join(file.name for file in files)} is none: drop "
                f"`label_column`. Received: label_column={label_column!r}"
            )

    def rows(self, files, some=False):
        """(text, label, place) of each; with `some`, of those that have a label."""
        ways = [self._of_table(file, some) if isinstance(file, Table) else self._of(file) for file in files]
        return [row for rows in ways for row in rows]

    def _of(self, file):
        label, number = self.labels[file.path], 0
        if self.is_text:
            text = " ".join("".join(file.chunks()).split())
            if text:
                yield text, label, file.name
            return
        for chunk in file.chunks():
            for line in chunk.removesuffix("\n").split("\n"):
                number += 1
                if line.strip():
                    yield line.strip(), label, f"{file.name}, line {number:,}"

    def _of_table(self, table, some):
        column = _label_column(table, self.label_column)
        self.columns[table.name] = table.column, column
        for (number, cell), (_, label) in zip(table.rows.cells(table.column), table.rows.cells(column)):
            text = table.checked(number, cell)
            if text is None or not text.strip() or (some and label is None):
                continue
            if isinstance(label, int):
                label = str(label).lower()  # whole numbers, true and false
            if not isinstance(label, str) or not label.strip():
                raise ValueError(
                    f"{table.place(number)}: {column!r} is a label in every row, a text or a whole number. "
                    f"Received: {label!r:.60}"
                )
            yield text.strip(), label.strip(), table.place(number)


def _label_column(table, wanted):
    columns = table.rows.columns
    if wanted is not None:
        if wanted not in columns:
            raise ValueError(f"{table.name} has no column {wanted!r}. {table.listing()}")
        return wanted
    others = [name for name in columns if name != table.column]
    usual = [name for name in others if name.lower() in USUAL]
    for plain in (usual, others):
        if len(plain) == 1:
            return plain[0]
    raise ValueError(
        f"No column of {table.name} is plainly that of the labels: name one by `label_column`. {table.listing()}"
    )


def _folders(files):
    """The folder of each of the files, where each file is a text: they are numbered, in folders of several classes."""
    found = [os.path.split(file.path) for file in files]
    found = [(os.path.basename(folder), bool(re.search(r"\d", name))) for folder, name in found]
    numbered = [folder for folder, is_numbered in found if is_numbered and folder.lower() not in ROLES]
    classes = set(numbered)
    if len(classes) < 2 or len(numbered) < MOST_OF * len(files):
        return None
    if others := [file.name for file, (folder, _) in zip(files, found) if folder not in classes]:
        raise ValueError(
            f"Texts lie in a folder for each class, {', '.join(sorted(classes)[:5])}, and "
            f"{', '.join(others[:3])} in none of these: name the folders alone"
        )
    return [folder for folder, _ in found]


def _labels(files):
    """What the name of each of the files has of its own."""
    named = []
    for file in files:
        words = re.split(r"[._-]", os.path.basename(file.path).removesuffix(".gz"))
        named.append([word for word in words if word.lower() not in ROLES])
    for end in (0, -1):
        while named and all(named) and len({words[end] for words in named}) == 1:
            for words in named:
                words.pop(end)
    if not all(named):
        raise ValueError(
            "Files of plain text are one for each class, named after it, such as neg.txt and pos.txt; a .csv, .tsv or "
            f".jsonl has a column of labels. Received: {', '.join(file.name for file in files)}"
        )
    return ["-".join(words) for words in named]


def _cut(rows, shares):
    """Each class by itself, in an order that is drawn, and always the same."""
    import numpy as np

    places = collections.defaultdict(list)
    for place, (_, label, _) in enumerate(rows):
        places[label].append(place)
    parts = [[] for _ in shares]
    for label in sorted(places):
        mine = np.random.default_rng(0).permutation(places[label])
        bounds = [round(float(sum(shares[: k + 1])) * len(mine)) for k in range(len(shares))]
        for part, begin, end in zip(parts, [0, *bounds], bounds):
            part.extend(mine[begin:end])
    return [[rows[place] for place in sorted(part)] for part in parts]
