"""Checkpoints: everything a run needs to go on, written whole or not at all, and checked when read."""

import contextlib
import hashlib
import json
import math
import pathlib
import re
import zipfile

import numpy as np

from keras_rnnlm.schema import parse_json
from keras_rnnlm.whole_files import partial_of, put_in_place, reason, write_whole

__all__ = ["Checkpoints", "reason", "write_whole"]

NAME = re.compile(r"(\d{6,})-step-(\d+)-([0-9a-f]{16})\.npz")
PROGRESS = "progress.json"


class Checkpoints:
    """The checkpoints of a folder.

    One is a file of arrays with a part of the SHA-256 of its content in its name. It gets that name by a rename, after
    the content has reached the disk: a process that is killed while it writes leaves the older ones alone.

    Args:
        folder: where they lie; made when the first is written.
        keep: how many of the newest stay, at least two: the newest has not yet shown that a run can go on from it.
        schema: of what else is written than arrays, see `keras_rnnlm.schema`; what it does not fit counts as damaged.

    Example:

    >>> import tempfile
    >>> checkpoints = Checkpoints(tempfile.mkdtemp())
    >>> checkpoints.write(7, {"weights": np.ones(3)}, {"epoch": 0})
    >>> step, arrays, progress = checkpoints.read()
    >>> step, arrays["weights"].shape, progress
    (7, (3,), {'epoch': 0})
    """

    def __init__(self, folder, keep=2, schema=None):
        self.folder, self.keep, self.schema = pathlib.Path(folder), keep, schema
        self.damaged = []  # what `read` passed over: a line for each
        self.path = None  # of what was written or read last

    def write(self, step, arrays, progress, instead_of=()):
        """Writes a checkpoint. Then removes those whose place it takes, paths, and those beyond the newest `keep`."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with partial_of(self.folder / "checkpoint") as partial:
                with open(partial, "wb") as file:
                    np.savez(file, **{PROGRESS: np.frombuffer(json.dumps(progress).encode(), np.uint8)}, **arrays)
                number = max((number for number, _ in self.files()), default=0) + 1
                path = self.folder / f"{number:06d}-step-{step}-{_digest(partial)}.npz"
                put_in_place(partial, path)
        except OSError as error:
            raise OSError(
                f"The checkpoint of step {step:,} could not be written to {self.folder}: {reason(error)}. "
                "The ones before it are as they were"
            ) from error
        self.path = path
        for old in instead_of:
            _remove(old)
        for _, old in self.files()[: -max(self.keep, 2)]:
            _remove(old)

    def files(self):
        """The numbers and paths of all checkpoints, the oldest first."""
        found = [(NAME.fullmatch(path.name), path) for path in self.folder.glob("*.npz")]
        return sorted((int(match[1]), path) for match, path in found if match)

    def newer_than(self, path):
        """The paths of those that were written after one; none where it is gone."""
        paths = [found for _, found in self.files()]
        return paths[paths.index(path) + 1 :] if path in paths else []

    def read(self, before=math.inf, older_than=None):
        """`(step, arrays, progress)` of the newest that is whole, or None where there is none.

        `damaged` then lists the newer ones that are not. `before` passes over those that are not of an earlier step,
        `older_than` over a path and all that was written after it.
        """
        self.damaged = []
        passed = [] if older_than is None else [older_than, *self.newer_than(older_than)]
        for _, path in reversed(self.files()):
            _, step, digest = NAME.fullmatch(path.name).groups()
            if int(step) >= before or path in passed:
                continue
            try:
                arrays, progress = _read(path, digest, self.schema)
                self.path = path
                return int(step), arrays, progress
            except Exception as error:  # of many kinds: what was made may be broken in many ways
                self.damaged.append(f"{path} is damaged: {' '.join(str(error).split())[:200]}")
        return None

    def read_from(self, path):
        """`(step, arrays, progress)` of one checkpoint, which has to be there and whole."""
        _, step, digest = NAME.fullmatch(path.name).groups()
        try:
            arrays, progress = _read(path, digest, self.schema)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"{path} cannot be read: {error}. The run directory has to be on a disk that all processes share"
            ) from error
        self.path = path
        return int(step), arrays, progress


def _read(path, digest, schema):
    if not path.is_file():  # a pipe would wait for somebody to write
        raise ValueError("it is no regular file")
    if _digest(path) != digest:
        raise ValueError("its content does not have the hash in its name")
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            _check_size(archive, member)
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    return arrays, parse_json(arrays.pop(PROGRESS).tobytes(), schema)


def _check_size(archive, member):
    """Raises where an array would take more memory than its part of the file has bytes."""
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(file)
        size = math.prod(shape) * dtype.itemsize
        if member.compress_type != zipfile.ZIP_STORED or size != member.file_size - file.tell():
            raise ValueError(f"{member.filename} says that it has {size:,} bytes, and there are others")


def _remove(path):
    with contextlib.suppress(OSError):  # a folder of that name, which is nobody's checkpoint
        path.unlink()


def _digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
