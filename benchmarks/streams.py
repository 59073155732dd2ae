"""How many tokens a second the input delivers, from a memory-mapped file of 100 MB, beside what models eat.

    python benchmarks/streams.py
    python benchmarks/streams.py --json > result.json

numpy: `windows()`; where TensorFlow is not installed, JAX's `fit` reads these. encoded: the same of encoded text in
shards, as a run has it. part: of that the rows of one of four processes. These three are of one thread, and a second is
one of its processor's. loop: `dataset()` in a loop in Python, as
JAX's `fit` reads it. fit: `dataset()` read inside a graph, as TensorFlow's does. empty: a loop in Python over one
constant window of that shape, the limit of tf.data. Padding does not count as tokens. busy: the processor time that the
input takes where a model eats CPU_MODEL tokens a second, in percent of one core.
"""

import argparse
import functools
import json
import os
import pathlib
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from keras_rnnlm.training.corpora.encoded import COUNTS, EncodedSplit
from keras_rnnlm.training.streams import Contiguous, Sentences

TOKENS = 50_000_000  # of two bytes
END = 0
# A small LSTM (two layers of 200 units) in training on two cores, and one that fills a GPU.
CPU_MODEL, GPU_MODEL = 20_000, 1_000_000
SHARD = 4 << 20  # tokens
PROCESSES = 4
COLUMNS = ("numpy", "encoded", "part", "loop", "fit", "empty")
STREAMS = {
    "contiguous": lambda text, batch, window: Contiguous(text, batch, window, start=END),
    "random": lambda text, batch, window: Contiguous(text, batch, window, start=END, random=True),
    "sentences": lambda text, batch, window: Sentences(text, batch, end=END, longest=window),
}
SIZES = [("contiguous", 20, 35), ("contiguous", 64, 70), ("contiguous", 256, 128), ("random", 20, 35)]
SIZES += [("random", 64, 70), ("sentences", 20, 200), ("sentences", 64, 200)]


def write_text(path):
    """A text whose sentences have 25 tokens on average."""
    random = np.random.default_rng(0)
    with open(path, "wb") as file:
        for _ in range(0, TOKENS, 1 << 20):
            text = random.integers(1, 10_000, 1 << 20, np.uint16)
            text[random.random(len(text)) < 1 / 25] = END
            text.tofile(file)
    return np.memmap(path, np.uint16, "r", shape=(TOKENS,))


def in_shards(path):
    """The same text as a run reads it."""
    sizes = [min(SHARD, TOKENS - begin) for begin in range(0, TOKENS, SHARD)]
    text, shards = np.memmap(path, np.uint16, "r", shape=(TOKENS,)), []
    for number, size in enumerate(sizes):
        name, begin = f"train-{number:05}.bin", number * SHARD
        text[begin : begin + size].tofile(path.parent / name)
        shards.append((name, begin, size, 0))
    counts = dict.fromkeys(COUNTS, 0) | {"tokens": TOKENS}
    return EncodedSplit(str(path.parent), "<u2", tuple(shards), vocabulary_size=10_000, **counts)


def rate(elements, seconds):
    """Windows a second after the first, and the processor's seconds for a window."""
    iterator = iter(elements)
    next(iterator)
    start, busy, windows = time.perf_counter(), time.process_time(), 0
    for _ in iterator:
        windows += 1
        if time.perf_counter() - start > seconds:
            break
    return windows / (time.perf_counter() - start), (time.process_time() - busy) / windows


def rate_in_graph(dataset, windows):
    """Windows a second where no Python stands between them."""

    @tf.function
    def read(iterator):
        for _ in tf.range(windows):
            next(iterator)

    iterator = iter(dataset)
    next(iterator)
    read = read.get_concrete_function(iterator)
    start = time.perf_counter()
    read(iterator)
    return windows / (time.perf_counter() - start)


def measure(text, encoded, kind, batch, window, seconds):
    stream = STREAMS[kind](text, batch, window)
    tokens = stream.tokens_per_epoch / stream.steps()
    constant = tf.data.Dataset.from_tensors(next(stream.windows())).repeat().prefetch(4)
    windows, busy = rate(stream.dataset(), seconds)
    of_shards = STREAMS[kind](encoded, batch, window)
    return dict(
        windows=windows,
        numpy=tokens / rate(stream.windows(), seconds)[1],
        encoded=tokens / rate(of_shards.windows(), seconds)[1],
        part=tokens / PROCESSES / rate(of_shards.part(1, PROCESSES).windows(), seconds)[1],
        loop=windows * tokens,
        fit=rate_in_graph(stream.dataset(), min(int(windows * seconds), stream.steps() - 1)) * tokens,
        empty=rate(constant, seconds)[0] * tokens,
        busy=100 * busy / tokens * CPU_MODEL,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--seconds", type=float, default=1.5, help="for each figure")
    options = parser.parse_args()
    say = functools.partial(print, file=sys.stderr if options.json else sys.stdout, flush=True)
    say("millions of tokens a second; a model eats", CPU_MODEL / 1e6, "on two cores,", GPU_MODEL / 1e6, "on a GPU")
    say(
        f"{'':12}{'batch':>6}{'window':>7}"
        + "".join(f"{name:>8}" for name in COLUMNS)
        + f"{'windows/s':>11}{'busy %':>8}"
    )
    results = []
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "text.bin"
        text, encoded = write_text(path), in_shards(path)
        for kind, batch, window in SIZES:
            row = measure(text, encoded, kind, batch, window, options.seconds)
            results.append(dict(kind=kind, batch=batch, window=window, **row))
            millions = "".join(f"{row[name] / 1e6:8.1f}" for name in COLUMNS)
            say(f"{kind:12}{batch:6}{window:7}{millions}{row['windows']:11.0f}{row['busy']:8.2f}")
    if options.json:
        print(json.dumps({"streams": results, "cpu_model": CPU_MODEL, "gpu_model": GPU_MODEL}))


if __name__ == "__main__":
    main()
