"""How fast an exported language model takes a step: ONNX and LiteRT beside PyTorch and Keras's own ONNX export.

    python benchmarks/inference.py [--units 650] [--layers 2] [--vocabulary 10000] [--batch 1] [--threads 2]
    python benchmarks/inference.py --start     # a new process: seconds to its first step, and memory beside the model
    python benchmarks/inference.py --prefill 8000 100000 --units 32 --vocabulary 100   # seconds to read such prompts

One token of each text at a time, the states handed in and out: what writing text costs. All are measured in turn, round
after round, so that a noisy machine is noisy for all of them; the median of each is told, and how many times as fast as
PyTorch's LSTM it is. The networks are plain LSTMs, but for the peephole LSTMs, which PyTorch does not have.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np

from keras_rnnlm import cells, export, models
from keras_rnnlm.export import runtime

START = """
import re, sys
import numpy as np
from keras_rnnlm.export import runtime
model = runtime.load(sys.argv[1])
model.step(np.zeros(1, "int32"), model.initial_states(1))
assert "tensorflow" not in sys.modules and "keras" not in sys.modules
print(int(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1]) / 1024)
"""


def start(options, folder):
    """Of each runtime: the median seconds from a process's beginning to its first step, and the megabytes it takes."""
    model, found = models.LanguageModel(options.vocabulary, options.units, options.layers), {}
    export.to_onnx(model, folder / "m.onnx")
    export.to_litert(model, folder / "m.tflite")
    for path in (folder / "m.onnx", folder / "m.tflite"):
        size, seconds, megabytes = path.stat().st_size / 2**20, [], []
        for _ in range(options.rounds):
            begun = time.perf_counter()
            done = subprocess.run([sys.executable, "-c", START, path], capture_output=True, text=True, check=True)
            seconds.append(time.perf_counter() - begun)
            megabytes.append(float(done.stdout))
        found[path.suffix] = dict(seconds=statistics.median(seconds), MB=statistics.median(megabytes), model_MB=size)
    return found


def prefill(options, folder):
    """Of each runtime: the median seconds to read a prompt of each length, and to write a token."""
    model, found = models.LanguageModel(options.vocabulary, options.units, options.layers), {}
    export.to_onnx(model, folder / "m.onnx")
    export.to_litert(model, folder / "m.tflite")
    runs = {suffix: runtime.load(folder / f"m{suffix}", threads=options.threads) for suffix in (".onnx", ".tflite")}
    for length in options.prefill:
        prompt = np.random.default_rng(0).integers(0, options.vocabulary, length)
        seconds = {suffix: [] for suffix in runs}
        for _ in range(options.rounds):
            for suffix, exported in runs.items():
                begun = time.perf_counter()
                exported.generate([prompt], 1)
                seconds[suffix].append(time.perf_counter() - begun)
        for suffix in runs:
            found[f"{length} {suffix}"] = statistics.median(seconds[suffix])
    return found


def exported(options, folder):
    """Steps of our exports, by name."""
    found = {}
    for name, cell_options in (("", None), (", peepholes", {"peephole": True})):
        model = models.LanguageModel(options.vocabulary, options.units, options.layers, cell_options=cell_options)
        for quantize in (None, "int8"):
            label = f"{quantize or 'float32'}{name}"
            export.to_onnx(model, folder / "m.onnx", quantize=quantize)
            found[f"ONNX {label}"] = stepper(folder / "m.onnx", options)
            if not name:
                export.to_litert(model, folder / "m.tflite", quantize=quantize)
                found[f"LiteRT {label}"] = stepper(folder / "m.tflite", options)
        found[f"Keras{name}"] = keras_stepper(model, options.batch)
    return found


def stepper(path, options):
    model = runtime.load(path, threads=options.threads)
    states = model.initial_states(options.batch)

    def run():
        nonlocal states
        _, states = model.step(np.zeros(options.batch, "int32"), states)

    return run


def keras_stepper(model, batch):
    step, states = model._compiled_step(), model.initial_states(batch)

    def run():
        nonlocal states
        _, states = step(np.zeros(batch, "int32"), states)
        np.asarray(states[0])

    return run


def keras_export(options, folder):
    """A peephole cell in keras.layers.RNN, as Keras's own `model.export(format="onnx")` writes it."""
    import onnxruntime

    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x, inputs, outputs = keras.layers.Embedding(options.vocabulary, options.units)(tokens), [tokens], []
    for k in range(options.layers):
        given = [keras.Input((options.units,), name=f"{letter}_{k}") for letter in "hc"]
        rnn = keras.layers.RNN(cells.LSTMCell(options.units, peephole=True), return_sequences=True, return_state=True)
        x, *after = rnn(x, initial_state=given)
        inputs, outputs = inputs + given, outputs + after
    model = keras.Model(inputs, [keras.layers.Dense(options.vocabulary)(x), *outputs])
    zeros = [np.zeros((options.batch, options.units), "float32") for _ in outputs]
    model([np.zeros((options.batch, 1), "int32"), *zeros])
    model.export(folder / "keras.onnx", format="onnx", verbose=False, opset_version=18)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads, settings.log_severity_level = options.threads, 3
    session = onnxruntime.InferenceSession(folder / "keras.onnx", settings)
    names = [value.name for value in session.get_inputs()]
    states = zeros

    def run():
        nonlocal states
        _, *states = session.run(None, dict(zip(names, [np.zeros((options.batch, 1), "int32"), *states])))

    return {"Keras's ONNX, peepholes": run}


def torch_steps(options):
    try:
        import torch
    except ImportError:
        return {}
    torch.set_num_threads(options.threads)
    embedding = torch.nn.Embedding(options.vocabulary, options.units)
    lstm = torch.nn.LSTM(options.units, options.units, options.layers, batch_first=True).eval()
    head = torch.nn.Linear(options.units, options.vocabulary)
    states = [torch.zeros(options.layers, options.batch, options.units) for _ in range(2)]

    def run():
        nonlocal states
        with torch.inference_mode():
            x, states = lstm(embedding(torch.zeros(options.batch, 1, dtype=torch.long)), states)
            head(x)

    return {"PyTorch": run}


def measure(steps, rounds, calls=20):
    for step in steps.values():
        step()
    times = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            start = time.perf_counter()
            for _ in range(calls):
                step()
            times[name].append((time.perf_counter() - start) / calls)
    return {name: statistics.median(found) for name, found in times.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--units", type=int, default=650)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--vocabulary", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=1, help="texts written at a time")
    parser.add_argument("--start", action="store_true", help="measure how a new process starts, and no more")
    parser.add_argument("--prefill", type=int, nargs="+", metavar="TOKENS", help="measure how prompts are read, alone")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    keras.utils.set_random_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        if options.start or options.prefill:
            found = start(options, folder) if options.start else prefill(options, folder)
            print(json.dumps(found) if options.json else "\n".join(f"{name}: {row}" for name, row in found.items()))
            return
        steps = {**torch_steps(options), **exported(options, folder), **keras_export(options, folder)}
        found = measure(steps, options.rounds)
    if options.json:
        print(json.dumps(found))
        return
    base = found.get("PyTorch")
    for name, seconds in found.items():
        ratio = "" if base is None else f"{base / seconds:>8.2f} times PyTorch"
        print(f"{name:<26}{seconds * 1e3:>9.3f} ms{ratio}")


if __name__ == "__main__":
    main()
