"""How far exports are from the Keras model, and how large they are: every native cell, every format.

    python benchmarks/exports.py [--units 128] [--layers 2] [--vocabulary 1000] [--json]

Errors are the largest of a logit, relative to the largest logit where that is above 1, on random weights, tokens and
states; the states are handed from call to call.
"""

import argparse
import json
import os
import pathlib
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np

from keras_rnnlm import export, models

CELLS = {
    "LSTM": ("lstm", {}),
    **{f"LSTM, peepholes {gates}": ("lstm", {"peephole": gates}) for gates in ("i", "f", "o", "if", "io", "fo", "ifo")},
    "LSTM, coupled": ("lstm", {"coupled": True}),
    "LSTM, coupled, peepholes": ("lstm", {"coupled": True, "peephole": True}),
    "GRU, reset after": ("gru", {}),
    "GRU, reset before": ("gru", {"reset_after": False}),
    "SimpleRNN": ("simple_rnn", {}),
}
WAYS = [("saved_model", None), *((kind, q) for kind in ("onnx", "litert") for q in (None, "float16", "int8"))]
WRITERS = {
    "saved_model": lambda model, folder, q: export.to_saved_model(model, folder / "m"),
    "onnx": lambda model, folder, q: export.to_onnx(model, folder / "m.onnx", quantize=q),
    "litert": lambda model, folder, q: export.to_litert(model, folder / "m.tflite", quantize=q),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--units", type=int, default=128)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--vocabulary", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, (cell, cell_options) in CELLS.items():
            model = models.LanguageModel(
                options.vocabulary, options.units, options.layers, cell=cell, cell_options=cell_options
            )
            rng = np.random.default_rng(0)
            for variable in model.trainable_variables:
                variable.assign(rng.normal(size=variable.shape) * 0.08)
            found[name] = {}
            for kind, quantize in WAYS:
                made = WRITERS[kind](model, pathlib.Path(folder), quantize)
                native = {n: c for n, c in made.operators.items() if n.split(".")[-1].endswith(("LSTM", "GRU", "RNN"))}
                found[name][f"{kind} {quantize or 'float32'}"] = {
                    "error": made.parity.error,
                    "bytes": made.bytes,
                    "native": native if kind == "onnx" else {},
                }
            keras.backend.clear_session()
    if options.json:
        print(json.dumps(found))
        return
    columns = list(next(iter(found.values())))
    print(f"{'':<26}" + "".join(f"{column:>21}" for column in columns))
    for name, row in found.items():
        print(f"{name:<26}" + "".join(f"{row[c]['error']:>12.1e}{row[c]['bytes'] / 1e6:>6.2f} MB" for c in columns))


if __name__ == "__main__":
    main()
