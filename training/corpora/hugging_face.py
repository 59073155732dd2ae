"""Data sets of Hugging Face's library `datasets`: by a name of its hub, or by the folder that holds one."""

import contextlib
import os

from keras_rnnlm.training.corpora.file_sources import ROLES, SPLITS, Files, check_splits, named_split, split_of
from keras_rnnlm.training.corpora.tables import Table

BATCH = 1000  # rows that are read at once
SAVED = ("dataset_dict.json", "state.json")  # in a folder that `save_to_disk` wrote


class HuggingFace:
    """ "hf:NAME[:CONFIG][@SPLIT]" or "hf:FOLDER[:CONFIG][@SPLIT]": a `Table` for each split, or for the one named.

    A folder is one that `save_to_disk` wrote, or else what `load_dataset` reads: Parquet, CSV or JSON files, say. What
    is named is fetched by the library where it is not in its cache, unless HF_HUB_OFFLINE=1.

    Attributes:
        tables: by the names of splits; "train" always, unless nothing `learns` from it.
    """

    cut = Files.cut

    def __init__(self, source, column=None, learns=True):
        name, named = named_split(source)
        path, _, config = name.removeprefix("hf:").partition(":")
        if not path or named == "":
            raise ValueError(
                "A data set of Hugging Face's is hf:NAME[:CONFIG] or hf:FOLDER[:CONFIG], and @SPLIT if one split is "
                f"meant. Received: {source!r}"
            )
        self.name, found = source, _loaded(path, config or None, source)
        if named is not None:
            found = {"train": found[split_of(found, named, name)]}
        self.tables = {}
        for split, rows in found.items():
            role = ROLES.get(str(split).lower())
            if role is not None and len(rows) and role not in self.tables:
                self.tables[role] = DatasetTable(source if named else f"{source} {split}", rows, column)
        check_splits(self.tables, found, source, learns)

    @property
    def columns(self):
        """The column of texts of each table, by its name."""
        return {table.name: table.column for table in self.tables.values()}

    def own_splits(self):
        return {name: [self.tables[name].document()] for name in SPLITS if name in self.tables}


class DatasetTable(Table):
    """A split as a table."""

    def __init__(self, name, dataset, wanted=None):
        self.path = self.name = name
        self.encoding, self._wanted, self.size = "utf-8", wanted, len(dataset)
        files = [file["filename"] for file in dataset.cache_files]
        self.stamp = self.size, [[name, os.path.getsize(name), os.stat(name).st_mtime_ns] for name in files]
        self.rows = DatasetRows(dataset)

    def check(self):
        """The library holds what it opened."""


class DatasetRows:
    """The rows of a split, names in place of the numbers of labels.

    Attributes:
        columns: dict of each column's name to whether it holds text.
    """

    counted = "row"

    def __init__(self, dataset):
        self.dataset = dataset
        self._read = {name: _reader(feature) for name, feature in dataset.features.items()}
        self.columns = {name: _is_text(feature) for name, feature in dataset.features.items()}

    def cells(self, column):
        """Yields (number of the row, value)."""
        for number, row in self.objects([column]):
            yield number, row[column]

    def objects(self, columns=None):
        """Yields (number of the row, dict of its columns)."""
        number, dataset = 0, self.dataset if columns is None else self.dataset.select_columns(columns)
        for batch in dataset.iter(BATCH):
            for cells in zip(*batch.values()):
                number += 1
                yield number, {name: self._read[name](cell) for name, cell in zip(batch, cells)}


def _is_text(feature):
    return getattr(feature, "dtype", None) in ("string", "large_string")


def _reader(feature):
    """A function that puts the name of a label in the place of its number, in lists, too."""
    if hasattr(feature, "int2str"):
        # Where there is no label, the library has -1.
        return lambda cell: (
            cell if cell is None or isinstance(cell, str) else None if cell < 0 else feature.int2str(cell)
        )
    inner = getattr(feature, "feature", None)
    if hasattr(inner, "int2str"):
        of_one = _reader(inner)
        return lambda cells: cells if cells is None else [of_one(cell) for cell in cells]
    return lambda cell: cell


def _loaded(path, config, source):
    """The splits by their names."""
    try:
        import datasets
    except ImportError as error:
        raise ValueError(f'{source} needs the library datasets: pip install "keras-rnnlm[hf]" ({error})') from error
    folder = os.path.expanduser(path)
    is_saved = any(os.path.isfile(os.path.join(folder, name)) for name in SAVED)
    if is_saved and config is not None:
        raise ValueError(f"{path} was saved to disk, and has no configurations: drop :{config}. Received: {source!r}")
    try:
        with _without_bars(datasets):
            if is_saved:
                found = datasets.load_from_disk(folder)
            else:
                found = datasets.load_dataset(folder if os.path.isdir(folder) else path, config)
    except Exception as error:  # of many kinds: the library's own, and those of the network and of builders
        why = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{source} cannot be opened: name a folder, or a data set of huggingface.co ({type(error).__name__}: {why})"
        ) from error
    return {"train": found} if isinstance(found, datasets.Dataset) else dict(found)


@contextlib.contextmanager
def _without_bars(datasets):
    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()
