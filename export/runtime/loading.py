"""From a path to a model that runs, or to one line that says why not."""

import pathlib

from keras_rnnlm import tasks
from keras_rnnlm.export.manifest import MANIFEST, about_of, check_whole, files_of_vocabulary, is_manifest, read_manifest
from keras_rnnlm.export.runtime.answers import answer_of
from keras_rnnlm.export.runtime.engines import ENGINES, PACKAGES, has_runtime
from keras_rnnlm.schema import is_count

SUFFIXES = {".onnx": "onnx", ".tflite": "litert"}
MOST_THREADS = 1024  # what ONNX Runtime takes without a complaint, and more than any machine uses well


def load(path, format=None, *, threads=None, trusted=False):
    """An exported model, in its own runtime.

    Args:
        path: a folder that `keras-rnnlm export` wrote, a .onnx or .tflite file, or the folder of a SavedModel.
        format: "onnx", "litert" or "saved_model", of a folder that holds several. Default: the first of these whose
            runtime is installed.
        threads: how many threads it may use; a SavedModel uses those of TensorFlow. Default: the runtime's own choice.
        trusted: run a SavedModel whatever operators it holds, and import what a task of your own names. By default a
            SavedModel is refused that may read or write files, call Python or open connections.

    Returns:
        How its task answers, an `ExportedLanguageModel` say; for a model of no task an `ExportedModel`, which has `run`
        alone.

    What a manifest names, in the folder or beside the file, is compared with its hash before a runtime reads it. A file
    without one is believed: where such a file was damaged, LiteRT may end the process. Its tokenizer, or the vocabulary
    that its task has instead, is the one within it, or the one beside it.

    >>> loaded = load("exported")
    >>> len(loaded.generate("import ", length=10)), sorted(loaded.score("import os"))
    (10, ['log_probabilities', 'log_probability', 'tokens'])
    """
    path = pathlib.Path(path)
    if threads is not None and not (is_count(threads) and threads <= MOST_THREADS):
        raise ValueError(
            f"`threads` is a whole number, at least 1 and at most {MOST_THREADS}. Received: threads={threads!r}"
        )
    if not path.exists():
        raise ValueError(f"There is no {path}")
    manifest, entry = None, None
    if (path / MANIFEST).is_file():
        manifest = read_manifest(path, trusted)
        entry = _chosen(path, manifest, format)
        path = path / entry["file"]
    elif is_manifest(path.parent / MANIFEST):
        manifest = read_manifest(path.parent, trusted)
        entry = next((found for found in manifest["artifacts"] if found["file"] == path.name), None)
    kind = entry["format"] if entry else _kind(path)
    if format not in (None, kind):
        raise ValueError(f"{path} is of the format {kind}. Received: format={format!r}")
    if entry:
        check_whole(path, entry)
    engine = ENGINES[kind](path, threads, **({"trusted": trusted} if kind == "saved_model" else {}))
    about = _description(engine, manifest, entry)
    answer = answer_of(about, trusted)
    try:
        answer.check_about(about)
    except ValueError as error:
        raise ValueError(f"{path} is damaged: of itself it says that {error}") from error
    if not answer.takes_text:
        return answer.of(engine, kind, about)
    vocabulary, missing = _vocabulary(path, manifest, engine, answer, about)
    return answer.of(engine, kind, about, vocabulary, missing)


def _chosen(folder, manifest, format):
    held = [entry["format"] for entry in manifest["artifacts"]]
    if format is not None:
        if format not in held:
            raise ValueError(f"{folder} holds {', '.join(held)}. Received: format={format!r}")
        return manifest["artifacts"][held.index(format)]
    for kind in ENGINES:
        if kind in held and has_runtime(kind):
            return manifest["artifacts"][held.index(kind)]
    ways = " or ".join(f"pip install {PACKAGES[kind]}" for kind in held)
    raise ValueError(f"None of the runtimes for what {folder} holds is installed: {ways}")


def _description(engine, manifest, entry):
    """What the file says of itself, or else the manifest that names it, or else the names of its inputs."""
    if engine.description:
        return engine.description
    about = about_of(manifest) if manifest else {}
    return about if entry else engine.by_names() or about


def _kind(path):
    if path.is_dir():
        if (path / "saved_model.pb").is_file():
            return "saved_model"
        if (path / "model.keras").is_file() or (path / "recipe.toml").is_file():
            raise ValueError(
                f"{path} is no export, but a run: `keras-rnnlm generate {path}` has it write, and `keras-rnnlm export "
                f"{path} --out DIR` exports it"
            )
        raise ValueError(f"{path} is no export: it holds neither {MANIFEST} nor saved_model.pb")
    if path.suffix not in SUFFIXES:
        raise ValueError(f"An export is a .onnx or .tflite file or a folder. Received: {path}")
    return SUFFIXES[path.suffix]


def _vocabulary(path, manifest, engine, answer, about):
    """The vocabulary that a file holds, or that the manifest names, or that lies beside it; or None and why not.

    Without one, ids are taken all the same.
    """
    named = [] if manifest is None else files_of_vocabulary(manifest)
    for entry in named:
        check_whole(path.parent / entry["file"], entry)
    folder, is_within = path.parent, False
    try:
        kind = tasks.vocabulary_of(about.get("task"))
        is_within = all(name in engine.held for name in kind.FILES)
        texts = {n: engine.held[n] if is_within else (folder / n).read_text(encoding="utf-8") for n in kind.FILES}
        return _read(kind, texts, answer, about, path), None
    except FileNotFoundError:
        files = " and ".join(kind.FILES)
        return None, f"{path} came without its {files}, so it takes ids, not text: put that file beside it"
    except (OSError, ValueError) as error:
        if named or is_within:
            raise
        return None, str(error)


def _read(kind, texts, answer, about, path):
    try:
        vocabulary = kind.of(texts)
    except Exception as error:  # Hugging Face raises a bare Exception
        raise ValueError(f"The tokenizer of {path} cannot be read: {' '.join(str(error).split())[:200]}") from error
    answer.check_belongs(vocabulary, about, f"The tokenizer beside {path}")
    return vocabulary
