"""Text files and tables by path, folder and pattern, and the splits that their names tell."""

import dataclasses
import glob
import os
import pathlib
import re

from keras_rnnlm.training.corpora.encoded_folder import is_encoded
from keras_rnnlm.training.corpora.tables import Table, text_file
from keras_rnnlm.training.corpora.text_files import FileDocument, TextFile, cut

SPLITS = ("train", "valid", "test")
ROLES = {"train": "train", "valid": "valid", "validation": "valid", "val": "valid", "dev": "valid", "test": "test"}


def named_split(source):
    """The name of a data set, and of the one split of it that is meant, or None.

    >>> named_split("hf:imdb@test"), named_split("tfds:imdb_reviews")
    (('hf:imdb', 'test'), ('tfds:imdb_reviews', None))
    """
    name, at, split = source.rpartition("@")
    if not at or os.path.exists(os.path.expanduser(source.partition(":")[2])):
        return source, None
    return name, split


def split_of(splits, wanted, source):
    """Which of the names of splits is meant: that very one, or one that is called as usual, such as "dev" for valid."""
    found = [name for name in splits if str(name) == wanted]
    found += [name for name in splits if str(name).lower() in ROLES and ROLES[str(name).lower()] == ROLES.get(wanted)]
    if not found:
        raise ValueError(f"There is no split {wanted!r} of {source}. Received: the splits {sorted(map(str, splits))}")
    return found[0]


def check_splits(ours, found, source, learns):
    """Raises where a data set with the splits `found` has none of ours, or none that somebody `learns` from."""
    if not ours or (learns and "train" not in ours):
        what = "to train on" if learns else f"called {', '.join(SPLITS)} or the like: name one, {source}@SPLIT"
        raise ValueError(f"{source} has no split {what}. Received: the splits {sorted(map(str, found))}")


class Files:
    """The text files, and tables with a column of text, that paths and patterns lead to."""

    def __init__(self, sources, encoding, skipped, taken=(), column=None, tables=True):
        """Args: tables: whether .csv, .jsonl and their like are read as tables, or as they stand."""
        self.name = ", ".join(getattr(source, "name", source) for source in sources)
        self.skipped = skipped
        self.columns = {}  # that are read, by the tables' names
        self.files = []  # (name within its folder, or None for a file that was named itself; the file)
        seen = set(taken)
        opened = (lambda path: text_file(path, encoding, column)) if tables else (lambda path: TextFile(path, encoding))
        for source in sources:
            for inside, file in _find(source, encoding, skipped, opened):
                real = os.path.realpath(file.path)
                if not file.size:
                    raise ValueError(f"{file.name} is empty: there is no text in it.")
                if real not in seen:
                    seen.add(real)
                    self.files.append((inside, file))
                    if isinstance(file, Table):
                        self.columns[file.name] = file.column

    def own_splits(self, whole=False):
        """Those that the files' names tell, or all of the text as "train"."""
        families = {}
        for inside, file in self.files:
            role, family = _role(inside or os.path.basename(file.path))
            families.setdefault(family, {}).setdefault(role, []).append(file)
        named = [family for family in families.values() if "train" in family and {"valid", "test"} & family.keys()]
        if whole or not named:
            return {"train": [file.document() for _, file in self.files]}
        splits = {}
        for name in SPLITS:
            files = [file for family in named for file in family.get(name, [])]
            if files:
                splits[name] = [file.document() for file in files]
        used = {part.file for parts in splits.values() for part in parts}
        for inside, file in self.files:
            if file not in used:
                if inside is None:
                    others = ", ".join(parts[0].name for parts in splits.values())
                    raise ValueError(
                        f"{file.name} belongs to no split, while the files beside it are named after theirs "
                        f"({others}): leave it out, or say which file is which with `valid` and `test`."
                    )
                self.skipped.append(file.name)
        return splits

    def cut(self, parts, shares):
        pieces = cut(closed(parts), shares)
        if not any(pieces):
            raise ValueError(f"{self.name} is empty: there is no text in it.")
        if not all(pieces):
            percentages = "/".join(f"{float(100 * share):g}" for share in shares)
            raise ValueError(
                f"{self.name} is too short to be cut {percentages}: a part would be empty. Give more text, other "
                "percentages, or the other splits as files."
            )
        return pieces


def closed(parts):
    """Lines of two documents must not run together: every document but the last ends in a line end."""
    return [
        dataclasses.replace(part, closed=True) if isinstance(part, FileDocument) and part.stop is None else part
        for part in parts[:-1]
    ] + parts[-1:]


def _find(source, encoding, skipped, opened):
    """Yields (name within its folder or None, TextFile)."""
    if isinstance(source, TextFile):
        yield None, source.encoded(encoding)
        return
    source = os.path.expanduser(source)
    if os.path.lexists(source):
        matches = [source]
    elif glob.has_magic(source):
        matches = sorted(glob.glob(source, recursive=True))
        if not matches:
            raise ValueError(f"No file matches the pattern {source!r}.")
    else:
        raise ValueError(
            f"There is no file, folder or pattern {source!r}. Other sources are - (standard input), tfds:NAME, "
            "hf:NAME, stdlib."
        )
    empty = True
    for match in matches:
        if not os.path.isdir(match):
            empty = False
            yield None, opened(match)
            continue
        if is_encoded(match):
            raise ValueError(
                f"{match} is what `encode` writes, and no folder of texts: `train` takes it alone, as its whole "
                "corpus. Name the texts themselves"
            )
        for path in _walk(match):
            file = opened(path)
            if file.is_binary():
                skipped.append(path)
            elif file.size:
                empty = False
                yield os.path.relpath(path, match), file
    if empty:
        raise ValueError(f"The folder {source} holds no text file.")


def _walk(folder):
    def fail(error):
        raise error

    for root, folders, files in os.walk(folder, onerror=fail):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = os.path.join(root, name)
            if not name.startswith(".") and os.path.isfile(path):
                yield path


def _role(inside):
    """The split that a file's name tells, and the name without it: files that share the rest belong together."""
    parts = pathlib.PurePath(inside).parts
    if len(parts) > 1 and parts[0].lower() in ROLES:
        return ROLES[parts[0].lower()], "*/"
    words = re.split(r"([._-])", parts[-1].lower().removesuffix(".gz"))
    found = [i for i, word in enumerate(words) if word in ROLES]
    if len(found) != 1:
        return None, inside
    role = ROLES[words[found[0]]]
    words[found[0]] = "*"
    # "train-00000-of-00002" is a part of the split "train", and so is one with a hash after it.
    name = re.sub(r"[._-]\d+([._-]of[._-]\d+([._-][0-9a-f]{8,})?)?(?=[._-]|$)", "", "".join(words))
    return role, "".join([*(f"{part}/" for part in parts[:-1]), name])
