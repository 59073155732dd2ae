"""Where texts come from, and how they are split for training, validation and test."""

import dataclasses
import fractions
import hashlib
import itertools
import json
import os
import pathlib
import shutil
import sys

from keras_rnnlm.training.corpora.file_sources import SPLITS, Files, closed
from keras_rnnlm.training.corpora.hugging_face import HuggingFace
from keras_rnnlm.training.corpora.standard_library import StandardLibrary
from keras_rnnlm.training.corpora.text_files import FileDocument, TextFile, check_encoding
from keras_rnnlm.training.corpora.tfds_documents import TensorFlowDataset
from keras_rnnlm.whole_files import written_whole


class Documents:
    """A split's documents, to be read as often as one likes; a document is read in chunks that end at line ends."""

    def __init__(self, parts):
        self.parts = parts

    def __iter__(self):
        for part in self.parts:
            if isinstance(part, FileDocument):
                yield part
            else:
                yield from part

    def chunks(self):
        """The text of all documents, in strings of about a megabyte."""
        for document in self:
            yield from document

    def text(self):
        """All of the text at once."""
        return "".join(self.chunks())

    def describe(self):
        return [part.describe() for part in self.parts]


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Texts and their splits.

    Attributes:
        sources: what `open_corpus` was given.
        splits: dict of "train" and, where they exist, "valid" and "test" to `Documents`.
        skipped: files of folders that were left out, as binary or as none of the folder's own splits.
        columns: the column that is read of each table, by the table's name.
    """

    sources: list
    splits: dict
    skipped: list
    columns: dict = dataclasses.field(default_factory=dict)

    @property
    def fingerprint(self):
        """A hash of the files' names, sizes and times, and of the cuts."""
        described = {name: documents.describe() for name, documents in self.splits.items()}
        return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def open_corpus(
    sources,
    valid=None,
    test=None,
    split=None,
    encoding="utf-8",
    spool=None,
    download=False,
    text_column=None,
    whole=False,
):
    """Finds the texts and their splits.

    Of tables (.csv, .tsv, .jsonl, .ndjson, .parquet, and .json where it is a list of objects, or one a line) one column
    is read, and every row of it is a document. Standard input is read as it stands.

    Args:
        sources: one or several of: a file (`.gz` too), a folder, a pattern such as "data/*.txt", "-" for standard
            input, `"tfds:NAME[/CONFIG][:VERSION][:FIELD]"` for a TensorFlow dataset, `"hf:NAME[:CONFIG]"` or
            `"hf:FOLDER[:CONFIG]"` for one of Hugging Face's library, "stdlib" or "stdlib:2M" for the source of Python's
            standard library, or about that many bytes of it.
        valid, test: files, folders, patterns or data sets whose text is a split by itself; of a data set the split that
            is named, as in "hf:NAME@validation", or else what it trains on.
        split: percentages for train, valid and test ("90/5/5"), for train and valid ("95/5"), or "100" for train
            alone. The texts are cut by position, one after the other in sorted order. Without it, texts that bring no
            splits are cut 90/5/5.
        encoding: of the files.
        spool: a path for a copy of standard input, which can be read only once.
        download: whether a TensorFlow dataset that is not on disk is fetched.
        text_column: the column of tables that is the text, by its name, or by its number where there is no header.
            Without it, the only one that is called "text", "review" or the like, or else the only one that holds text.
        whole: whether all of it is one text, "train", as where one is measured on; what has splits is refused.

    >>> corpus = open_corpus("stdlib:100k")
    >>> list(corpus.splits)
    ['train', 'valid', 'test']
    """
    sources = paths_of(sources)
    check_encoding(encoding)
    if not sources:
        raise ValueError(
            "A corpus has at least one source: a file, a folder, a pattern, -, tfds:NAME, hf:NAME or stdlib."
        )
    if sources.count("-") > 1:
        raise ValueError("Standard input is one source: `-` can be given once.")
    shares = [1] if whole else None if split is None else shares_of(split, valid, test)

    skipped, taken = [], set()

    def groups_of(sources, without=()):
        """That of all files, and one of each source that has a name."""
        files = [source for source in sources if not is_named(str(source))]
        groups = [Files(files, encoding, skipped, without, text_column)] if files else []
        return groups + [_named(source, download, text_column) for source in sources if is_named(str(source))]

    given = {"valid": valid, "test": test}
    for name, paths in given.items():
        if paths is not None and "-" in paths_of(paths):
            raise ValueError(f"`{name}` is no standard input, which only the corpus may be: name a file. Received: -")
    given = {name: groups_of(paths_of(paths)) for name, paths in given.items() if paths is not None}
    for group in itertools.chain(*given.values()):
        taken |= {os.path.realpath(file.path) for _, file in getattr(group, "files", ())}
    groups = groups_of([spooled(spool) if source == "-" else source for source in sources], taken)
    if taken and all(isinstance(group, Files) and not group.files for group in groups):
        raise ValueError(f"All of {', '.join(sources)} is given as `valid` or `test`, and nothing is left to train on.")
    columns = {}
    for group in [*groups, *itertools.chain(*given.values())]:
        columns |= getattr(group, "columns", {})

    splits = {}
    for group in groups:
        own = group.own_splits()
        for name in given:
            own.pop(name, None)
        if whole and len(own) > 1:
            raise ValueError(f"{group.name} has splits of its own ({', '.join(own)}): name the files of one of them")
        if shares is not None and len(own) > 1:
            raise ValueError(
                f"{group.name} brings its own splits ({', '.join(own)}): leave out `split`. Received: split={split!r}"
            )
        known = own.keys() | given.keys()
        if "valid" not in known and shares != [1]:
            parts = shares or shares_of("95/5" if "test" in known else "90/5/5")
            own.update(zip(SPLITS, group.cut(own["train"], parts)))
        for name, parts in own.items():
            splits.setdefault(name, []).extend(parts)
    for name, found in given.items():
        splits[name] = [part for group in found for part in _whole(group)]
    splits = {name: Documents(closed(splits[name])) for name in SPLITS if name in splits}
    corpus = Corpus(sources, splits, skipped, columns)
    _check_not_empty(corpus)
    return corpus


def _named(source, download, text_column):
    if source.startswith("tfds:"):
        return TensorFlowDataset(source, download)
    return HuggingFace(source, text_column) if source.startswith("hf:") else StandardLibrary(source)


def _whole(group):
    """What a source holds that is given as a split: of a data set, the split that is named, or what trains."""
    return group.own_splits(whole=True)["train"] if isinstance(group, Files) else group.own_splits()["train"]


def tell_columns(corpus, wanted, display):
    """Says what is read of tables, and refuses a column of texts that are no tables."""
    for table, column in corpus.columns.items():
        display.say(f"reading the column {column!r} of {table}")
    tell_skipped(corpus.skipped, display)
    check_column(corpus.columns, wanted, corpus.sources)


def tell_skipped(files, display):
    """Says which files of folders are not read."""
    if files:
        more = f" and {len(files) - 1:,} more" if len(files) > 1 else ""
        display.say(f"left out, as binary or as none of the folder's own splits: {files[0]}{more}")


def check_column(columns, wanted, sources):
    """Raises where a column is named of sources that hold no table."""
    if wanted is not None and not columns:
        raise ValueError(
            f"A column is one of a table, and {', '.join(sources)} holds none: drop `text_column`. "
            f"Received: text_column={wanted!r}"
        )


def paths_of(given):
    return [os.fspath(path) for path in ([given] if isinstance(given, (str, os.PathLike)) else given)]


def is_named(source):
    return source == "stdlib" or source.startswith(("tfds:", "hf:", "stdlib:"))


def shares_of(split, valid=None, test=None):
    """The fractions that percentages such as "90/5/5" say."""
    if valid is not None:
        raise ValueError(f"Either `valid` or `split` says what validates. Received: valid={valid!r}, split={split!r}")
    split = str(split)
    if test is not None and split.count("/") != 1:
        raise ValueError(
            f'Beside `test`, `split` cuts train and valid, as in "95/5". Received: test={test!r}, split={split!r}'
        )
    try:
        shares = [fractions.Fraction(part.strip()) / 100 for part in split.split("/")]
    except (ValueError, ZeroDivisionError):
        shares = []
    if len(shares) not in (1, 2, 3) or sum(shares) != 1 or min(shares) <= 0:
        raise ValueError(
            '`split` is percentages above 0 that sum to 100, such as "90/5/5" for train, valid and test, or "95/5" for '
            f"train and valid. Received: split={split!r}"
        )
    return shares


def spooled(path):
    """Copies standard input to a file, where there is no copy yet."""
    if path is None:
        raise ValueError("Standard input can be read only once: `spool` says where a copy of it is kept.")
    path = pathlib.Path(path)
    if path.is_file():
        return TextFile(path, name="standard input")
    try:
        with written_whole(path) as partial, open(partial, "wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file, 1 << 20)
    except OSError as error:
        raise OSError(error.errno, f"Standard input could not be kept in {path} ({error.strerror})") from error
    return TextFile(path, name="standard input")


def _check_not_empty(corpus):
    for name, documents in corpus.splits.items():
        if next(documents.chunks(), None) is None:
            raise ValueError(
                f"The {name} text of {', '.join(corpus.sources)} is empty: there is nothing to read in it."
            )
