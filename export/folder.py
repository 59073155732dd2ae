"""An export folder: a run's model in every format, its tokenizer, and a manifest with what was measured of each."""

import dataclasses
import json
import pathlib
import shutil
import warnings

import numpy as np

from keras_rnnlm.belonging import attached, other
from keras_rnnlm.export.manifest import FILES, FORMAT, MANIFEST, check_whole, hashes, read_manifest
from keras_rnnlm.quiet import import_keras

FORMATS = tuple(FILES)
TEXT_KINDS = ("word", "char", "byte")  # of tokenizers, whose work a SavedModel does itself
TOKENIZER = "tokenizer.json"
CHECKED = 64  # random tokens whose log-probabilities by Keras the manifest holds
COMPARED = 2048  # tokens of real text on which perplexities are compared


def export_run(run, out, formats=FORMATS, quantize=None, say=lambda text: None):
    """Exports a run's best model, and returns the manifest.

    Args:
        run: a run directory.
        out: the folder to make.
        formats: which of "saved_model", "onnx" and "litert".
        quantize: "int8", "float16" or None, of ONNX and LiteRT; a SavedModel stays in float32.
        say: is told what is being done, and what is good to know.
    """
    from keras_rnnlm.export import artifacts

    run, out = pathlib.Path(run), pathlib.Path(out)
    artifacts.check_quantize(quantize)
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise ValueError(
            f"A format is one of {', '.join(FORMATS)}. Received: {', '.join(map(repr, unknown)) or 'none'}"
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} exists already, and nothing is written over: choose another --out")
    for name in ("model.keras", TOKENIZER):
        if not (run / name).is_file():
            raise ValueError(
                f"{run} holds no {name}: is it the directory of a run that has come to its first validation?"
            )
    out.parent.mkdir(parents=True, exist_ok=True)
    model, tokens = _load(run / "model.keras"), _real_tokens(run / "data", say)
    tokenizer = artifacts.as_tokenizer(run / TOKENIZER, model.vocabulary_size)
    if quantize is not None and set(formats) == {"saved_model"}:
        warnings.warn(f"A SavedModel stays in float32: quantize={quantize!r} is of ONNX and LiteRT", stacklevel=2)
    differs = other(attached(run / "model.keras"), {"vocabulary": tokenizer.fingerprint})
    if differs:
        raise ValueError(f"{run / 'model.keras'} was trained with {differs}. Put back the files that the run wrote")
    with artifacts.whole(out) as partial:
        partial.mkdir()
        shutil.copyfile(run / TOKENIZER, partial / TOKENIZER)
        made = []
        for kind in dict.fromkeys(formats):
            say(f"writing {FILES[kind]}, and comparing it with the Keras model")
            made.append(_export(kind, model, partial / FILES[kind], tokenizer, tokens, quantize))
            _say_what_is_in_it(made[-1], quantize, tokenizer, say)
        manifest = describe(model, tokenizer, made, partial)
        text = json.dumps(manifest, indent=1, ensure_ascii=False)
        (partial / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return manifest


def _export(kind, model, path, tokenizer, tokens, quantize):
    from keras_rnnlm import export

    if kind == "onnx":
        return export.to_onnx(model, path, quantize=quantize, tokenizer=tokenizer, tokens=tokens)
    if kind == "litert":
        return export.to_litert(model, path, quantize=quantize, tokens=tokens)
    return export.to_saved_model(model, path, tokenizer=tokenizer, tokens=tokens)


def _say_what_is_in_it(made, quantize, tokenizer, say):
    name = FILES[made.format]
    if made.format == "saved_model":
        if quantize is not None:
            say(f"{name} stays in float32")
        if tokenizer.kind not in TEXT_KINDS:
            say(f"{name} takes ids, not text: TensorFlow has no operators for tokenizers of the kind {tokenizer.kind}")
    elif quantize is not None:
        say(f"{name} holds {made.quantized:,} weights in {quantize}")


def describe(model, tokenizer, made, folder):
    """What the manifest says. Of the text of the run it says nothing: what is checked are random tokens."""
    from keras_rnnlm import __version__
    from keras_rnnlm.export.interface import interface_of
    from keras_rnnlm.export.parity import log_probabilities

    interface = interface_of(model)
    checked = np.random.default_rng(0).integers(0, interface.vocabulary_size, CHECKED + 1).tolist()
    return {
        "format": FORMAT,
        "keras_rnnlm": __version__,
        "model": interface.description(),
        "tokenizer": {"file": TOKENIZER, "kind": tokenizer.kind, **hashes(folder / TOKENIZER)},
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
        "check": {"tokens": checked, "log_probabilities": log_probabilities(interface, interface.numpy, checked)},
    }


def verify(folder, threads=None):
    """Whether an export folder is what was written, and computes what the Keras model computed.

    Every file is compared with its hash, and run, if its runtime is installed, on the tokens that the manifest holds.
    Neither Keras nor the run is needed.

    Returns:
        A dict by format: `error`, the largest of a log-probability, relative to the largest; or `problem`, a line.
    """
    from keras_rnnlm.export import runtime
    from keras_rnnlm.export.bounds import BOUNDS
    from keras_rnnlm.export.runtime.engines import PACKAGES, has_runtime

    folder = pathlib.Path(folder)
    manifest, found = read_manifest(folder), {}
    wanted = np.array(manifest["check"]["log_probabilities"])
    check_whole(folder / manifest["tokenizer"]["file"], manifest["tokenizer"])
    for entry in manifest["artifacts"]:
        kind = entry["format"]
        report = found[kind] = {"file": entry["file"], "bytes": entry["bytes"], "quantize": entry["quantize"]}
        try:
            if not has_runtime(kind):
                check_whole(folder / entry["file"], entry)
                report["not_run"] = f"whole, but not run: pip install {PACKAGES[kind]}"
                continue
            # What is loaded is compared with its hash, too.
            scored = runtime.load(folder, kind, threads=threads).score(manifest["check"]["tokens"])
        except ValueError as error:
            report["problem"] = str(error)
            continue
        error = np.abs(np.array(scored["log_probabilities"]) - wanted).max() / max(1, np.abs(wanted).max())
        report["error"] = float(error)
        # Written in another process, on another machine: twice the bound of the day it was made.
        if not error <= 2 * BOUNDS[entry["quantize"]]:
            report["problem"] = f"{entry['file']} is off by {error:.1e} here"
    return found


def _load(path):
    import_keras()
    from keras_rnnlm.models.reading import read_language_model

    return read_language_model(path)


def _real_tokens(data, say):
    """The beginning of the text that a run was validated on, or None where the run no longer has it, which is said."""
    if not (data / "index.json").is_file():
        say(f"{data} is not there: perplexities are not compared, only outputs on random tokens")
        return None
    try:
        index = json.loads((data / "index.json").read_text(encoding="utf-8"))
        split = next(index["splits"][name] for name in ("valid", "test", "train") if name in index["splits"])
        file, _, count, _ = split["shards"][0]
        tokens = np.fromfile(data / file, index["dtype"], min(count, COMPARED + 1)).astype("int32")
    except (OSError, ValueError, KeyError, IndexError, StopIteration, TypeError, AttributeError) as error:
        warnings.warn(
            f"{data / 'index.json'} is damaged ({type(error).__name__}: {error}): the export is not compared with the "
            "model on held-out text, only on random tokens",
            stacklevel=3,
        )
        return None
    return tokens if len(tokens) > 1 else None  # the first of which nothing predicts
