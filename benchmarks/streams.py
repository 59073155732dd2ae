"""How many tokens a second the input delivers, from a memory-mapped file of 100 MB, beside what models eat.

    python benchmarks/streams.py
    python benchmarks/streams.py --json > result.json

numpy: `windows()`. loop: `dataset()` in a loop in Python. fit: `dataset()` read inside a graph, as `model.fit` does.
empty: a loop in Python over one constant window of that shape, the limit of tf.data. Padding does not count as tokens.
busy: the processor time that the input takes where a model eats CPU_MODEL tokens a second, in percent of one core.
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

from keras_rnnlm.training.streams import Contiguous, Sentences

TOKENS = 50_000_000  # of two bytes
END = 0
# A small LSTM (two layers of 200 units) in training on two cores, and one that fills a GPU.
CPU_MODEL, GPU_MODEL = 20_000, 1_000_000
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


def measure(text, kind, batch, window, seconds):
    stream = STREAMS[kind](text, batch, window)
    tokens = stream.tokens_per_epoch / stream.steps()
    constant = tf.data.Dataset.from_tensors(next(stream.windows())).repeat().prefetch(4)
    windows, busy = rate(stream.dataset(), seconds)
    return dict(
        windows=windows,
        numpy=rate(stream.windows(), seconds)[0] * tokens,
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
    say(f"{'':12}{'batch':>6}{'window':>7}{'numpy':>8}{'loop':>8}{'fit':>8}{'empty':>8}{'windows/s':>11}{'busy %':>8}")
    results = []
    with tempfile.TemporaryDirectory() as folder:
        text = write_text(pathlib.Path(folder) / "text.bin")
        for kind, batch, window in SIZES:
            row = measure(text, kind, batch, window, options.seconds)
            results.append(dict(kind=kind, batch=batch, window=window, **row))
            millions = "".join(f"{row[name] / 1e6:8.1f}" for name in ("numpy", "loop", "fit", "empty"))
            say(f"{kind:12}{batch:6}{window:7}{millions}{row['windows']:11.0f}{row['busy']:8.2f}")
    if options.json:
        print(json.dumps({"streams": results, "cpu_model": CPU_MODEL, "gpu_model": GPU_MODEL}))


if __name__ == "__main__":
    main()
