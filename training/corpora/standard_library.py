"""The source of Python's standard library on this machine: a text that needs no download."""

import hashlib
import os
import re
import sysconfig

from keras_rnnlm.training.corpora.text_files import FileDocument, TextFile

SHARES = {"train": 90, "valid": 5, "test": 5}
# Not the library's own, or tests of it, or tables that a program wrote.
_LEFT_OUT = {"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__", "encodings", "pydoc_data"}
_SCALES = {"": 1, "k": 1_000, "M": 1_000_000}


class StandardLibrary:
    """ "stdlib", or "stdlib:2M" for about that many bytes of it."""

    def __init__(self, source, folder=None):
        size = re.fullmatch(r"stdlib(?::(\d+)([kM]?))?", source)
        if size is None or size[1] is not None and int(size[1]) == 0:
            raise ValueError(
                'The standard library is "stdlib", or "stdlib:2M" for about two million bytes of it. '
                f"Received: {source!r}"
            )
        self.name = source
        self.folder = folder or sysconfig.get_paths()["stdlib"]
        self.limit = None if size[1] is None else int(size[1]) * _SCALES[size[2]]

    def own_splits(self):
        """By file, and by a hash of its name: what another Python's library holds, too, is in the same split there."""
        files = {name: [] for name in SHARES}
        for inside in _modules(self.folder):
            digest = hashlib.sha256(inside.encode()).digest()
            files[_split(digest[0] * 256 + digest[1])].append((digest, inside))
        splits = {}
        for name, share in SHARES.items():
            limit = None if self.limit is None else self.limit * share / 100
            chosen, size = [], 0
            for _, inside in sorted(files[name]):
                file = TextFile(os.path.join(self.folder, inside), name=f"stdlib {inside}")
                if (limit is None or size + file.size <= limit) and _is_text(file.path):
                    chosen.append((inside, FileDocument(file)))
                    size += file.size
            splits[name] = [document for _, document in sorted(chosen, key=lambda pair: pair[0])]
            if not chosen:
                raise ValueError(f"The folder {self.folder} holds too little Python source for the split {name!r}.")
        return splits


def _split(number):
    """The split of a number below 65,536."""
    reached = 0
    for name, share in SHARES.items():
        reached += share
        if number * 100 < reached * 65536:
            return name


def _modules(folder):
    """The paths of the library's modules, with "/" on every system."""
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in _LEFT_OUT]
        for name in files:
            if name.endswith(".py"):
                yield os.path.relpath(os.path.join(root, name), folder).replace(os.sep, "/")


def _is_text(path):
    """Whether a file has something to read, in UTF-8."""
    try:
        with open(path, encoding="utf-8") as file:
            return bool(file.read())
    except UnicodeDecodeError:
        return False
