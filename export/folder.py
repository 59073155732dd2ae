"""An export folder: a run's model in every format, its tokenizer, and a manifest with what was measured of each."""

import dataclasses
import json
import pathlib
import shutil

import numpy as np

from keras_rnnlm.belonging import attached, other
from keras_rnnlm.export.manifest import FILES, FORMAT, MANIFEST, check_whole, hashes, read_manifest
from keras_rnnlm.quiet import import_keras

FORMATS = tuple(FILES)
TOKENIZER = "tokenizer.json"
CHECKED = 64  # tokens whose log-probabilities by Keras the manifest holds
COMPARED = 2048  # tokens of real text on which perplexities are compared


def export_run(run, out, formats=FORMATS, quantize=None, say=lambda text: None):
    """Exports a run's best model, and returns the manifest.

    Args:
        run: a run directory.
        out: the folder to make.
        formats: which of "saved_model", "onnx" and "litert".
        quantize: "int8", "float16" or None, of ONNX and LiteRT; a SavedModel stays in float32.
        say: is told what is being done.
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
    model, tokens = _load(run / "model.keras"), _real_tokens(run / "data")
    tokenizer = artifacts.as_tokenizer(run / TOKENIZER, model.vocabulary_size)
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
        manifest = describe(model, tokenizer, tokens, made, partial)
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


def describe(model, tokenizer, tokens, made, folder):
    """What the manifest says."""
    from keras_rnnlm import __version__
    from keras_rnnlm.export.interface import interface_of
    from keras_rnnlm.export.parity import log_probabilities

    interface = interface_of(model)
    if tokens is None:
        tokens = np.random.default_rng(0).integers(0, interface.vocabulary_size, CHECKED + 1)
    checked = [int(token) for token in tokens[: CHECKED + 1]]
    return {
        "format": FORMAT,
        "keras_rnnlm": __version__,
        "model": {
            "vocabulary_size": interface.vocabulary_size,
            "states": [[state.name, state.output, state.units] for state in interface.states],
            "inputs": [{"name": t.name, "shape": list(t.shape), "dtype": t.dtype} for t in interface.inputs],
            "outputs": ["logits", *[state.output for state in interface.states]],
        },
        "tokenizer": {"file": TOKENIZER, "kind": tokenizer.kind, **hashes(folder / TOKENIZER)},
        "artifacts": [
            {
                "format": export.format,
                "file": FILES[export.format],
                "quantize": export.quantize,
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

    Every file is compared with its hash, and run, if its runtime is installed, on the text that the manifest holds.
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


def _real_tokens(data):
    """The beginning of the text that a run was validated on, or None where the run no longer has it."""
    try:
        index = json.loads((data / "index.json").read_text(encoding="utf-8"))
        split = next(index["splits"][name] for name in ("valid", "test", "train") if name in index["splits"])
        file, _, count, _ = split["shards"][0]
        tokens = np.fromfile(data / file, index["dtype"], min(count, COMPARED + 1)).astype("int32")
    except (OSError, ValueError, KeyError, StopIteration, TypeError):
        return None
    return tokens if len(tokens) > 1 else None  # the first of which nothing predicts
