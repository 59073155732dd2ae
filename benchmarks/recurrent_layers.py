"""Recurrent layers side by side: ours, Keras's, a peephole cell in keras.layers.RNN, and PyTorch's.

    python benchmarks/recurrent_layers.py                      # TensorFlow, or what KERAS_BACKEND says
    python benchmarks/recurrent_layers.py --json > result.json
    python benchmarks/recurrent_layers.py --lengths    # epochs of batches each of another length
    python benchmarks/recurrent_layers.py --cells      # a training step of every cell beside our LSTM's

Contenders are interleaved, call by call, so that a machine that slows down slows all of them; figures are medians.
Forward is a call without gradient; training is forward and backward, with gradients of inputs and weights. The first
step includes tracing and compiling. On TensorFlow each layer runs in a plain graph and in one that XLA compiles.
"""

import argparse
import functools
import json
import math
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from keras_rnnlm import cell_list, cells, layers

BACKEND = keras.backend.backend()
SIZES = [(20, 35, 200), (32, 35, 650), (16, 128, 256), (64, 20, 512)]  # batch, time, units
LAYERS = {
    "keras LSTM": lambda units: keras.layers.LSTM(units, return_sequences=True),
    "keras GRU": lambda units: keras.layers.GRU(units, return_sequences=True),
    "keras RNN(peephole cell)": lambda units: keras.layers.RNN(
        cells.LSTMCell(units, peephole=True), return_sequences=True
    ),
    "our LSTM": lambda units: layers.LSTM(units, return_sequences=True),
    "our LSTM, peephole": lambda units: layers.LSTM(units, peephole=True, return_sequences=True),
    "our LSTM, peephole, coupled": lambda units: layers.LSTM(units, peephole=True, coupled=True, return_sequences=True),
    "our GRU": lambda units: layers.GRU(units, return_sequences=True),
}


def tensorflow_calls(layer, x, up, jit):
    import tensorflow as tf

    x, up = tf.constant(x), tf.constant(up)
    weights = [variable.value for variable in layer.trainable_variables]

    @tf.function(jit_compile=jit, autograph=False)
    def forward(x):
        return layer(x)

    @tf.function(jit_compile=jit, autograph=False)
    def train(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(layer(x) * up)
        return loss, tape.gradient(loss, [x, *weights])

    return lambda: forward(x)[0, 0, 0].numpy(), lambda: train(x)[0].numpy()


def jax_calls(layer, x, up, jit):
    import jax

    x, up = jax.numpy.asarray(x), jax.numpy.asarray(up)
    weights = [variable.value for variable in layer.trainable_variables]
    fixed = [variable.value for variable in layer.non_trainable_variables]
    forward = jax.jit(lambda w, x: layer.stateless_call(w, fixed, x)[0])
    train = jax.jit(jax.value_and_grad(lambda w, x: (layer.stateless_call(w, fixed, x)[0] * up).sum(), argnums=(0, 1)))
    return lambda: forward(weights, x).block_until_ready(), lambda: jax.block_until_ready(train(weights, x))


def torch_calls(layer, x, up, jit):
    import torch

    x, up = torch.tensor(x, requires_grad=True), torch.tensor(up)
    weights = [p for p in (layer.parameters() if isinstance(layer, torch.nn.Module) else layer.trainable_variables)]
    weights = [p for p in weights if p.requires_grad]

    def call():
        y = layer(x)
        return y[0] if isinstance(y, tuple) else y

    def forward():
        with torch.no_grad():
            return call()

    def train():
        return torch.autograd.grad((call() * up).sum(), [x, *weights], allow_unused=True)

    return forward, train


CALLS = {"tensorflow": tensorflow_calls, "jax": jax_calls, "torch": torch_calls}


def data(batch, time_, units):
    """What a layer reads, and what its outputs are weighed by."""
    random = np.random.default_rng(0)
    return (random.normal(size=(batch, time_, units)).astype("float32") for _ in range(2))


def contenders(batch, time_, units, names):
    """(name, forward, training, seconds to the first training step)."""
    x, up = data(batch, time_, units)
    for name, make in LAYERS.items():
        for jit in (False, True) if BACKEND == "tensorflow" else (False,):
            label = f"{name}, jit" if jit else name
            if names and not any(word in label for word in names):
                continue
            layer = make(units)
            layer.build(x.shape)
            start = time.perf_counter()
            forward, train = CALLS[BACKEND](layer, x, up, jit)
            train()
            yield label, forward, train, time.perf_counter() - start
    try:
        import torch
    except ImportError:
        return
    for name, module in (("torch LSTM", torch.nn.LSTM), ("torch GRU", torch.nn.GRU)):
        if not names or any(word in name for word in names):
            start = time.perf_counter()
            forward, train = torch_calls(module(units, units, batch_first=True), x, up, None)
            train()
            yield name, forward, train, time.perf_counter() - start


FIRST_STEP = """
import time, keras, numpy as np
from benchmarks.recurrent_layers import LAYERS
batch, time_, units = {size}
x, y = np.zeros((batch, time_, units), "float32"), np.zeros((batch, 1))
start = time.perf_counter()
layer = LAYERS[{name!r}](units)
layer.return_sequences = False
model = keras.Sequential([keras.Input((time_, units)), layer, keras.layers.Dense(1)])
model.compile("sgd", "mse")
model.train_on_batch(x, y)
print(time.perf_counter() - start)
"""


def first_steps(size, names, rounds=3):
    """Seconds from building a model to the end of its first step, in a new process and Keras's default mode."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    spent = {name: [] for name in LAYERS if not names or any(word in name for word in names)}
    for _ in range(rounds):
        for name, seconds in spent.items():
            code = FIRST_STEP.format(size=size, name=name)
            done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
            seconds.append(float(done.stdout.split()[-1]))
    return {name: statistics.median(seconds) for name, seconds in spent.items()}


EPOCHS = """
import itertools, time, keras, numpy as np
from benchmarks.recurrent_layers import LAYERS
random = np.random.default_rng(0)
inputs = [random.normal(size=(16, length, 16)).astype("float32") for length in random.permutation({lengths})]
batches = [(x, np.zeros((16, 1))) for x in inputs]
layer = LAYERS[{name!r}](64)
layer.return_sequences = False
model = keras.Sequential([keras.Input((None, 16)), layer, keras.layers.Dense(1)])
model.compile("sgd", "mse")
for _ in range(2):
    start, used = time.perf_counter(), time.process_time()
    model.fit((batch for batch in itertools.cycle(batches)), steps_per_epoch=len(batches), verbose=0)
    print(time.perf_counter() - start, time.process_time() - used)
"""


def epochs(lengths, names, rounds=3):
    """Seconds of the first two epochs of `fit` on a batch of each length, and of the processor, each in a process."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    spent = {name: [] for name in LAYERS if not names or any(word in name for word in names)}
    for _ in range(rounds):
        for name, seconds in spent.items():
            code = EPOCHS.format(lengths=list(lengths), name=name)
            done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
            seconds.append([float(number) for number in done.stdout.split()[-4:]])
    return {name: [statistics.median(column) for column in zip(*seconds)] for name, seconds in spent.items()}


def interleaved(functions, rounds):
    """The median milliseconds of each function, called in turn."""
    times = [[] for _ in functions]
    for function in functions:
        function()
    for _ in range(rounds):
        for function, spent in zip(functions, times):
            start = time.perf_counter()
            function()
            spent.append((time.perf_counter() - start) * 1e3)
    return [statistics.median(spent) for spent in times]


def measure(size, names, rounds):
    rows = list(contenders(*size, names))
    forward = interleaved([row[1] for row in rows], rounds)
    train = interleaved([row[2] for row in rows], rounds)
    return {row[0]: dict(forward=f, train=t, first=row[3]) for row, f, t in zip(rows, forward, train)}


def every_cell(size, rounds):
    """By the names of cells: milliseconds of a training step, weights, and how many of our LSTM's steps it takes."""
    (x, up), units, steps, weights = data(*size), size[2], {}, {}
    for name, named in cell_list.CELLS.items():
        layer = getattr(layers, named.layer)(units, return_sequences=True)
        layer.build(x.shape)
        steps[name], weights[name] = CALLS[BACKEND](layer, x, up, False)[1], layer.count_params()
    spent = dict(zip(steps, interleaved(list(steps.values()), rounds)))
    return {name: dict(train=ms, weights=weights[name], of_lstm=ms / spent["lstm"]) for name, ms in spent.items()}


def best(result, name, what):
    """The faster of a layer's modes."""
    return min(row[what] for label, row in result.items() if label in (name, f"{name}, jit"))


def ratios(results):
    """How many times as fast as the faster of Keras's modes, and of PyTorch, each of ours is, in its default mode."""
    table = {}
    for name in LAYERS:
        if not name.startswith("our"):
            continue
        kind = "GRU" if "GRU" in name else "LSTM"
        for what in ("forward", "train"):
            for other in (f"keras {kind}", f"torch {kind}"):
                if all(name in r and any(label.startswith(other) for label in r) for r in results.values()):
                    row = [best(r, other, what) / r[name][what] for r in results.values()]
                    table[f"{name} / {other}, {what}"] = [*row, math.prod(row) ** (1 / len(row))]
    return table


def machine():
    module = sys.modules[BACKEND]
    cpuinfo = pathlib.Path("/proc/cpuinfo")  # only Linux says there what the processor is called
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if "model name" in line), platform.processor())
    cores = f"{os.cpu_count()} cores of {model}"
    return f"{cores}, Python {platform.python_version()}, Keras {keras.__version__}, {BACKEND} {module.__version__}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--only", nargs="*", default=[], help="words: contenders whose names contain one of them")
    parser.add_argument("--sizes", nargs="*", type=int, default=range(len(SIZES)), help="which sizes, by number")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--lengths", action="store_true", help="only: epochs of twenty batches, each of another length")
    parser.add_argument("--cells", action="store_true", help="only: every cell, in the default mode")
    options = parser.parse_args()
    say = functools.partial(print, file=sys.stderr if options.json else sys.stdout, flush=True)
    say(machine())
    if options.lengths:
        found = epochs(range(11, 31), options.only)
        say("\nseconds of `fit` on batches of (16, time, 16), time = 11 to 30, each once")
        say(f"{'':34}{'first epoch':>14}{'of processor':>14}{'second epoch':>14}")
        for name, (first, used, second, _) in found.items():
            say(f"{name:34}{first:14.2f}{used:14.2f}{second:14.2f}")
        if options.json:
            print(json.dumps({"machine": machine(), "epochs": found}))
        return
    if options.cells:
        found = {}
        for size in (SIZES[k] for k in options.sizes if SIZES[k][2] % 4 == 0):  # ClockworkRNN has four groups
            found[str(size)] = every_cell(size, options.rounds)
            say(f"\nbatch, time, units = {size}\n{'':24}{'training ms':>12}{'of our LSTM':>12}{'weights':>14}")
            for name, row in found[str(size)].items():
                say(f"{name:24}{row['train']:12.1f}{row['of_lstm']:12.2f}{row['weights']:14,}")
        if options.json:
            print(json.dumps({"machine": machine(), "cells": found}))
        return
    results = {}
    for size in (SIZES[k] for k in options.sizes):
        result = results[", ".join(map(str, size))] = measure(size, options.only, options.rounds)
        say(f"\nbatch, time, units = {size}\n{'':34}{'forward ms':>12}{'training ms':>12}{'first step s':>14}")
        for name, row in result.items():
            say(f"{name:34}{row['forward']:12.1f}{row['train']:12.1f}{row['first']:14.2f}")
        keras.backend.clear_session()
    say(
        f"\n{'times as fast as the faster of its modes':58}"
        + "".join(f"{size:>14}" for size in results)
        + f"{'mean':>8}"
    )
    table = ratios(results)
    for name, row in table.items():
        say(f"{name:58}" + "".join(f"{value:14.2f}" for value in row[:-1]) + f"{row[-1]:8.2f}")
    firsts = first_steps(SIZES[0], options.only)
    say(f"\nseconds to the end of the first step of a model in its default mode, {SIZES[0]}")
    for name, seconds in firsts.items():
        say(f"{name:34}{seconds:12.2f}")
    if options.json:
        print(json.dumps({"machine": machine(), "milliseconds": results, "ratios": table, "first_steps": firsts}))


if __name__ == "__main__":
    main()
