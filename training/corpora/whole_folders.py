"""Folders of which a killed process may have left a part, which the next one removes."""

import contextlib
import errno
import os
import pathlib
import re
import shutil
import socket

from keras_rnnlm.whole_files import put_in_place


@contextlib.contextmanager
def written_folder(folder, what, keeps=None):
    """Gives a new folder to write in, which gets the name `folder` at the end, in place of what was there before.

    Whatever goes wrong, an interrupt too, leaves what was there, and nothing beside it. What killed processes of this
    machine left is removed.

    Args:
        folder: its name.
        what: it holds, for messages.
        keeps: says at the end whether a folder of this name, which another process may have written, stays; None: no.
    """
    folder = pathlib.Path(folder).absolute()
    with told(folder, what):
        partial = _partial(folder)
    try:
        yield partial
        with told(folder, what):
            if keeps is None or not keeps():
                put_in_place(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def told(folder, what, written=None):
    """What goes wrong in writing is told with the folder and the way out."""
    try:
        yield
    except OSError as error:
        after = "" if written is None else f" after {written:,} bytes of a file"
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        raise OSError(
            error.errno,
            f"{what} could not be written to {folder}{after}: {error.strerror or error}. Nothing of it was kept; "
            f"{'make room there or ' if full else ''}name another folder",
        ) from error


def write_synced(path, data):
    """Writes bytes that are on the disk when this returns."""
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _partial(folder):
    name = f".{folder.name}.{socket.gethostname()}."
    folder.parent.mkdir(parents=True, exist_ok=True)
    for other in folder.parent.iterdir():
        left = re.fullmatch(re.escape(name) + r"(\d+)\.(partial|old)", other.name)
        if left and not _lives(int(left[1])):
            shutil.rmtree(other, ignore_errors=True)
    partial = folder.parent / f"{name}{os.getpid()}.partial"
    partial.mkdir()
    return partial


def _lives(process):
    if process == os.getpid():
        return False  # this one has only begun
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True
