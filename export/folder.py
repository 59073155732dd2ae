"""An export folder: a run's model in every format, its tokenizer, and a manifest with what was measured of each."""

import dataclasses
import json
import pathlib
import shutil
import tomllib
import warnings

import numpy as np

from keras_rnnlm import tasks
from keras_rnnlm.belonging import attached, other
from keras_rnnlm.export.manifest import (
    FILES,
    MANIFEST,
    check_whole,
    files_of_vocabulary,
    format_of,
    hashes,
    read_manifest,
)
from keras_rnnlm.quiet import import_keras
from keras_rnnlm.schema import read_regular
from keras_rnnlm.whole_files import check_to_make

FORMATS = tuple(FILES)
TEXT_KINDS = ("word", "char", "byte")  # of tokenizers, whose work a SavedModel does itself


def export_run(run, out, formats=FORMATS, quantize=None, say=lambda text: None):
    """Exports a run's best model, and returns the manifest.

    Args:
        run: a run directory.
        out: the folder to make.
        formats: which of "saved_model", "onnx" and "litert".
        quantize: "int8", "float16" or None, of ONNX and LiteRT; a SavedModel stays in float32.
        say: is told what is being done, and what is good to know.

    >>> manifest = export_run("run", "exported", formats=["onnx"])
    >>> manifest["task"]
    'language_model'
    """
    from keras_rnnlm.export import artifacts
    from keras_rnnlm.export.runtime.answers import answer_of

    run, out = pathlib.Path(run), pathlib.Path(out)
    artifacts.check_quantize(quantize)
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise ValueError(
            f"A format is one of {', '.join(FORMATS)}. Received: {', '.join(map(repr, unknown)) or 'none'}"
        )
    check_to_make(out)
    if run.suffix == ".keras" and run.is_file():
        raise ValueError(
            f"{run} is a Keras model, and this is for the directories of runs. In Python: "
            f'keras_rnnlm.export.to_onnx(keras.models.load_model("{run}"), "{run.stem}.onnx")'
        )
    _check_there(run, "model.keras")
    model = model_of(run)
    from keras_rnnlm.export.interface import interface_of  # which imports Keras: what is wrong was told before

    interface = interface_of(model)
    answer = answer_of(interface.description(), trusted=True)
    names = tasks.vocabulary_of(interface.task).FILES if answer.takes_text else ()
    for name in names:
        _check_there(run, name)
    out.parent.mkdir(parents=True, exist_ok=True)
    tokens = answer.held_out(run / "data", say)
    tokenizer = artifacts.as_vocabulary(run if names else None, interface)
    if quantize is not None and set(formats) == {"saved_model"}:
        warnings.warn(f"A SavedModel stays in float32: quantize={quantize!r} is of ONNX and LiteRT", stacklevel=2)
    here = {} if tokenizer is None else {"vocabulary": tokenizer.fingerprint}
    differs = other(attached(run / "model.keras"), here)
    if differs:
        raise ValueError(f"{run / 'model.keras'} was trained with {differs}. Put back the files that the run wrote")
    with artifacts.whole(out) as partial:
        partial.mkdir()
        for name in names:
            shutil.copyfile(run / name, partial / name)
        made = []
        for kind in dict.fromkeys(formats):
            say(f"writing {FILES[kind]}, and comparing it with the Keras model")
            made.append(_export(kind, interface, partial / FILES[kind], tokenizer, tokens, quantize))
            _say_what_is_in_it(made[-1], quantize, tokenizer, say)
        manifest = describe(interface, tokenizer, made, partial)
        text = json.dumps(manifest, indent=1, ensure_ascii=False)
        (partial / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return manifest


def _export(kind, interface, path, tokenizer, tokens, quantize):
    """One interface for all formats: what Keras computes is traced and compiled once."""
    from keras_rnnlm import export

    if kind == "onnx":
        return export.to_onnx(interface, path, quantize=quantize, tokenizer=tokenizer, tokens=tokens)
    if kind == "litert":
        return export.to_litert(interface, path, quantize=quantize, tokens=tokens)
    return export.to_saved_model(interface, path, tokenizer=tokenizer, tokens=tokens)


def _say_what_is_in_it(made, quantize, tokenizer, say):
    name = FILES[made.format]
    if made.format == "saved_model":
        if quantize is not None:
            say(f"{name} stays in float32")
        if getattr(tokenizer, "kind", "word") not in TEXT_KINDS:
            say(f"{name} takes ids, not text: TensorFlow has no operators for tokenizers of the kind {tokenizer.kind}")
    elif quantize is not None:
        say(f"{name} holds {made.quantized:,} weights in {quantize}")


def describe(interface, tokenizer, made, folder):
    """What the manifest says. Of the data of the run it says nothing: what is checked is random."""
    from keras_rnnlm import __version__
    from keras_rnnlm.export import parity

    about = interface.description()
    task = about.pop("task", None)
    return {
        "format": format_of(task),
        "keras_rnnlm": __version__,
        "task": task,
        "model": about,
        **({} if tokenizer is None else _described(tokenizer, folder)),
        "artifacts": [
            {
                "format": export.format,
                "file": FILES[export.format],
                "quantize": export.quantize,
                "quantized": export.quantized,
                **hashes(folder / FILES[export.format]),
                "operators": export.operators,
                "parity": dataclasses.asdict(export.parity),
            }
            for export in made
        ],
        "check": parity.answer(interface, interface.numpy).check_of(np.random.default_rng(0), interface.example),
    }


def _described(vocabulary, folder):
    """The files of a vocabulary; of a tokenizer, the one, as version 0.1.0 reads it."""
    if vocabulary.FILES == ("tokenizer.json",):
        (name,) = vocabulary.FILES
        return {"tokenizer": {"file": name, "kind": vocabulary.kind, **hashes(folder / name)}}
    written = [{"file": name, **hashes(folder / name)} for name in vocabulary.FILES]
    return {"vocabulary": written}


def verify(folder, threads=None, trusted=False):
    """Whether an export folder is what was written, and computes what the Keras model computed.

    Every file is compared with its hash, and run, if its runtime is installed, on the inputs that the manifest holds.
    Neither Keras nor the run is needed. `threads` and `trusted` are those of `runtime.load`.

    Returns:
        A dict by format: `error`, the largest of what its task compares, relative to the largest number where that is
        above 1; or `problem`, a line.

    >>> verify("exported")["onnx"]["error"] < 1e-4
    True
    """
    from keras_rnnlm.export import runtime
    from keras_rnnlm.export.bounds import BOUNDS
    from keras_rnnlm.export.runtime.engines import PACKAGES, has_runtime

    folder = pathlib.Path(folder)
    manifest, found = read_manifest(folder, trusted), {}
    for entry in files_of_vocabulary(manifest):
        check_whole(folder / entry["file"], entry)
    for entry in manifest["artifacts"]:
        kind = entry["format"]
        report = found[kind] = {"file": entry["file"], "bytes": entry["bytes"], "quantize": entry["quantize"]}
        try:
            if not has_runtime(kind):
                check_whole(folder / entry["file"], entry)
                report["not_run"] = f"whole, but not run: pip install {PACKAGES[kind]}"
                continue
            # What is loaded is compared with its hash, too.
            error = runtime.load(folder, kind, threads=threads, trusted=trusted).error_of(manifest["check"])
        except ValueError as error:
            report["problem"] = str(error)
            continue
        report["error"] = error
        # Written in another process, on another machine: twice the bound of the day it was made.
        if not error <= 2 * BOUNDS[entry["quantize"]]:
            report["problem"] = f"{entry['file']} is off by {error:.1e} here"
    return found


def _check_there(run, name):
    if not (run / name).is_file():
        raise ValueError(f"{run} holds no {name}: is it the directory of a run that has come to its first validation?")


def model_of(run):
    """The model of a run, of the class that its task has."""
    import_keras()
    from keras_rnnlm.models.reading import read_model

    return read_model(run / "model.keras", tasks.imported(tasks.parts_of(task_of_run(run)).model))


def task_of_run(run):
    """The name of the task that a run's recipe has."""
    task = tasks.DEFAULT
    if (run / "recipe.toml").is_file():
        try:
            task = tomllib.loads(read_regular(run / "recipe.toml").decode("utf-8-sig")).get("task", task)
        except ValueError as error:
            raise ValueError(f"{run / 'recipe.toml'} cannot be read: {error}") from error
    return task
