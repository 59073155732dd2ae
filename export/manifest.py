"""What an export folder says about itself: manifest.json."""

import hashlib
import pathlib

from keras_rnnlm import tasks
from keras_rnnlm.export.bounds import BOUNDS
from keras_rnnlm.schema import COUNT, FILE, TEXT, Optional, Rule, check, choice, or_null, parse_json, read_regular

MANIFEST = "manifest.json"
FORMATS = (1, 2)  # 1 is of language models, and of version 0.1.0, which named no task
FILES = {"saved_model": "saved_model", "onnx": "model.onnx", "litert": "model.tflite"}


def format_of(task):
    """The oldest format that readers of which understand a manifest of this task."""
    return 1 if task == tasks.DEFAULT else 2


def read_manifest(folder, trusted=False):
    """The manifest of an export folder. `trusted`: see `runtime.load`."""
    path = pathlib.Path(folder) / MANIFEST
    try:
        manifest = parse_json(read_regular(path))
        version = manifest["format"]
        if version in FORMATS:
            check(manifest, {"task": Optional(or_null(TEXT))})
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ValueError(
            f"{folder} is no export folder: it holds no {MANIFEST}, which `keras-rnnlm export RUN` writes"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path, error) from error
    if version not in FORMATS:
        raise ValueError(f"{path} is of format {version!r}, and this version reads the formats 1 and 2")
    from keras_rnnlm.export.runtime.answers import answer_of

    answer = answer_of({"task": task_of(manifest)}, trusted)
    try:
        _check(manifest, answer)
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path, error) from error
    return manifest


def is_manifest(path):
    """Whether a file beside an export is its manifest, or at least damaged: other programs have such files, too."""
    if not path.is_file():
        return False
    try:
        found = parse_json(read_regular(path))
    except ValueError:
        return True
    return not isinstance(found, dict) or bool({"format", "artifacts"} & found.keys())


def task_of(manifest):
    return manifest.get("task", tasks.DEFAULT)


def about_of(manifest):
    """What a file would say of itself, which those of version 0.1.0 do not."""
    return {"task": task_of(manifest), **manifest["model"]}


def _check_vocabulary(manifest):
    names, wanted = (
        {entry["file"] for entry in files_of_vocabulary(manifest)},
        tasks.vocabulary_of(task_of(manifest)).FILES,
    )
    if names != set(wanted):
        raise ValueError(f"its vocabulary is {', '.join(wanted)}, and it names {', '.join(sorted(names)) or 'none'}")


def files_of_vocabulary(manifest):
    """What is written of each file of its vocabulary, if it has one."""
    tokenizer = manifest.get("tokenizer")
    return manifest.get("vocabulary", []) if tokenizer is None else [tokenizer]


def _damaged(path, error):
    return ValueError(f"{path} is damaged ({type(error).__name__}: {error}). Export again")


def is_hashes(value):
    values = value.values() if isinstance(value, dict) else [value]
    return all(isinstance(found, str) for found in values)


WRITTEN = {"file": FILE, "bytes": COUNT, "sha256": Rule("a hash, or one for each file", is_hashes)}
SCHEMA = {
    "model": {},
    "tokenizer": Optional(WRITTEN),  # the file of a vocabulary that is a tokenizer, as version 0.1.0 has it
    "vocabulary": Optional([WRITTEN]),  # those of any other
    "artifacts": [{**WRITTEN, "format": choice(*FILES)}],
    "check": {},
}


def _check(manifest, answer):
    """Raises where something is missing, or of another kind, that its readers count on."""
    check(manifest, SCHEMA)
    if answer.takes_text:
        _check_vocabulary(manifest)
    answer.check_manifest(manifest)
    if not manifest["artifacts"]:
        raise ValueError("it names no export")
    for entry in manifest["artifacts"]:
        if entry["file"] != FILES[entry["format"]] or entry["quantize"] not in tuple(BOUNDS):
            raise ValueError(f"it names {entry['file']!r} in {entry['quantize']!r}")


def files(path):
    """A file itself, or all files of a folder."""
    return [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())


def size(path):
    """The bytes of a file, or of a folder."""
    return sum(file.stat().st_size for file in files(path))


def hashes(path):
    """The size and the SHA-256 of a file, or of each file of a folder."""
    if path.is_file():
        found = sha256(path)
    else:
        found = {file.relative_to(path).as_posix(): sha256(file) for file in files(path)}
    return {"bytes": size(path), "sha256": found}


def check_whole(path, entry):
    """Raises unless a file, or a folder, is the one that was written."""
    path = pathlib.Path(path)
    if not path.exists():
        raise ValueError(f"{path} is missing: the manifest beside it names it. Export again")
    if not path.is_file() and not path.is_dir():  # a device has no end, and a pipe waits for somebody to write
        raise ValueError(f"{path} is neither a file nor a folder. Export again")
    if hashes(path) != {"bytes": entry["bytes"], "sha256": entry["sha256"]}:
        raise ValueError(f"{path} is not the one that was exported: it was changed, or cut short. Export again")


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
