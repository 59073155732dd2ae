"""What all sources have that are no text."""

import os
import pathlib

import numpy as np

NAMES = ("path", "file", "image", "audio")  # of a file, where a list of files is lines of JSON


class Source:
    """How a source of some kind lies in a file, and what a model takes of it.

    A subclass is one kind. It says what it is by `description`, reads files, and puts sources side by side.

    Attributes:
        kind: its name.
        suffixes: of the files that it reads, beside `.npy`, which holds the array itself.
        shape: of a source, without the batch: None is a size that each source chooses, and only the first may be that.

    >>> class Ticks(Source):  # times of events, in files of text, one a line
    ...     kind, suffixes, shape, takes = "ticks", (".txt",), (None, 1), "Times are (events, 1)"
    ...     def description(self):
    ...         return {"kind": self.kind}
    ...     def read(self, path):
    ...         return np.loadtxt(path, "float32", ndmin=2)
    >>> Ticks().filled([[[1], [2]], [[3]]]).tolist()
    [[[1.0], [2.0]], [[3.0], [0.0]]]
    """

    kind = None
    suffixes = ()
    shape = ()

    def description(self):
        """What it is known by, as JSON can hold it: what `source_of` takes."""
        raise NotImplementedError

    def read(self, path):
        """A file as the array that is kept of it."""
        raise NotImplementedError

    def numbers(self, source):
        """What was kept as the model takes it, float32."""
        return np.asarray(source, "float32")

    def length(self, source):
        """By which sources of similar length are put side by side."""
        return len(source)

    def filled(self, batch, rows=None, time=None):
        """Sources side by side, in so many rows of so many steps, filled up with zeros."""
        free = self.shape[0] is None
        time = (time or max(map(len, batch))) if free else self.shape[0]
        found = np.zeros((rows or len(batch), time, *self.shape[1:]), "float32")
        for row, source in zip(found, batch):
            row[: len(source)] = self.numbers(source)
        return found

    # As `keras_rnnlm.generation.translate` asks

    def checked(self, sources):
        """Files, or arrays of one source each, as arrays."""
        if isinstance(sources, (str, dict, os.PathLike)) or not hasattr(sources, "__len__"):
            raise ValueError(f"`sources` is a list of files, or of arrays. Received: sources={sources!r:.200}")
        return [
            self.read(source) if isinstance(source, (str, os.PathLike)) else self.array(source) for source in sources
        ]

    def array(self, given):
        """An array of a source, looked at."""
        found = np.asarray(given)
        fits = found.dtype.kind in "fiu" and found.ndim == len(self.shape) and len(found)
        if not fits or any(wanted not in (None, size) for wanted, size in zip(self.shape, found.shape)):
            raise ValueError(f"{self.takes}. Received: {found.dtype} of shape {found.shape}")
        if found.dtype.kind == "f" and not np.isfinite(found).all():
            raise ValueError(f"{self.takes}. Received: numbers that are NaN or infinite")
        return found

    def of_file(self, path):
        """The array of a `.npy` file, looked at; None where it is no such file."""
        path = pathlib.Path(path)
        if not path.is_file():
            raise ValueError(f"There is no file {path}")
        if path.suffix.lower() != ".npy":
            return None
        found = self.loaded(path)
        try:
            return self.array(found)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    @staticmethod
    def loaded(path):
        try:
            return np.load(path, allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise ValueError(f"{path} is no array of numpy: {error}") from error

    def places(self, source, shown):
        """How many of the places that a model attends to are of this source; `shown` are the booleans of its mask."""
        return int(np.count_nonzero(shown))
