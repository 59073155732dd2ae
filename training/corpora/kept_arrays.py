"""Arrays as they lie in one file of a run, with a fingerprint of all."""

import hashlib

import numpy as np


def write_arrays(path, arrays):
    """Writes a dict of arrays. Returns their fingerprint."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return fingerprint_of(arrays)


def read_arrays(path, take):
    """What `take` makes of the dict that `write_arrays` wrote, and its fingerprint; a ValueError of one line else."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        fingerprint = fingerprint_of(arrays)
        return take(arrays), fingerprint
    except Exception as error:  # of many kinds: a file may be damaged in many ways
        raise ValueError(
            f"{path} is damaged: {' '.join(str(error).split())[:200]}. Start a new run with another --out"
        ) from error


def fingerprint_of(arrays):
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape} ".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


def as_bytes(texts):
    """Texts without line ends, as an array."""
    return np.frombuffer("\n".join(texts).encode(), np.uint8)


def as_texts(array):
    return array.tobytes().decode().split("\n")
