"""Files and folders that appear as a whole or not at all, whatever happens while they are written."""

import contextlib
import errno
import os
import pathlib
import shutil


@contextlib.contextmanager
def written_whole(path):
    """Gives a path beside `path` to write a file or a folder to, which gets the name `path` at the end.

    Whatever goes wrong, an interrupt too, leaves what was there before, and nothing beside it.
    """
    with partial_of(path) as partial:
        yield partial
        put_in_place(partial, path)


@contextlib.contextmanager
def partial_of(path):
    """A path beside `path`, with its suffix, to write to. What is still there at the end is removed."""
    path = pathlib.Path(path)
    partial = path.with_name(f"partial-{os.getpid()}-{path.name}")
    remove(partial)
    try:
        yield partial
    finally:
        remove(partial)


def check_to_make(path, see=""):
    """Raises where `path` names no folder to make. `see` says what else may be done with one that is there."""
    if path.name in ("", ".."):  # it could not be made beside others and then get its name
        raise ValueError(f"--out names the folder to make, as in --out {pathlib.Path(path, 'new')}. Received: {path}")
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ValueError(f"{path} exists already, and nothing is written over: {see}choose another --out")


def put_in_place(partial, path):
    """Gives what was written its name, once it is on the disk. Of a folder, the files have to be there already.

    A file takes a file's place, and a folder a folder's, which steps aside and is then removed.
    """
    path = pathlib.Path(path)
    _sync(partial)
    old = partial.with_suffix(".old")
    if path.is_dir() and partial.is_dir():
        path.rename(old)
    try:
        os.replace(partial, path)
    except BaseException:
        if old.exists():
            old.rename(path)
        raise
    _sync(path.absolute().parent)
    remove(old)


def write_whole(path, data):
    """Writes bytes to a file, which is never seen half written."""
    try:
        with written_whole(path) as partial:
            partial.write_bytes(data)
    except OSError as error:
        raise OSError(f"{path} could not be written: {reason(error)}") from error


def reason(error):
    """Why something could not be written, in words."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full"
    if error.errno == errno.ENOENT:
        return "there is no such folder"
    if error.errno == errno.EFBIG:
        return "the file would be larger than this process may write"
    return error.strerror or str(error)


def remove(path):
    """Removes a file or a folder, where it is there and can be removed."""
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _sync(path):
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:  # of a folder, on Windows
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
