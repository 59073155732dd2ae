"""Whole training steps: ours, Keras's own layers in `fit`, and PyTorch's, beside what the matrix products allow.

    python benchmarks/training.py                    # the table: three sizes, float32 and bfloat16
    python benchmarks/training.py --growth growth.png    # tokens a second against each dimension, and a picture
    python benchmarks/training.py --memory           # peak memory of a step, each contender in a process of its own
    python benchmarks/training.py --long             # time and memory of long windows, with `remat` and without
    python benchmarks/training.py --perplexity       # after equal steps in float32 and bfloat16, of held-out text
    python benchmarks/training.py --guard            # fails where a ratio to Keras fell by more than 20 %

Contenders take their steps in turn, so that a machine that slows down slows all of them; figures are medians.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from keras_rnnlm.training.loop import steps_per_second
from keras_rnnlm.training.loop.steps_per_second import SIZES, Size, compare, table

GROWTH = {
    "batch": [5, 10, 20, 40, 80],
    "time": [9, 18, 35, 70, 140, 280],
    "units": [50, 100, 200, 400, 800],
    "layers": [1, 2, 3, 4],
    "vocabulary": [1_000, 3_000, 10_000, 30_000],
}
LONG = [35, 140, 500, 1000]
MANY_WORDS = Size(256, 250_000)
RATIOS = pathlib.Path(__file__).with_name("ratios.json")
GUARDED = Size(200, 10_000)
LOSS = 0.2  # of a ratio that the guard bears

PEAK = """
import re
from keras_rnnlm import quiet
quiet.import_keras()
from keras_rnnlm.training.loop import steps_per_second
from keras_rnnlm import models, optimizers
name, size = {name!r}, steps_per_second.{size!r}
if name == "PyTorch":
    import torch
def peak():
    return int(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1])
before = peak()
train = steps_per_second.contenders([name])[name](size)
train(3)
print((peak() - before) / 1024)
"""


def peaks(size, names=None):
    """The megabytes above what the imports hold, by contender."""
    found = {}
    for name in steps_per_second.contenders(names):
        code = PEAK.format(name=name, size=size)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        found[name] = float(done.stdout.split()[-1])
    return found


def growth(path, rounds):
    """Tokens a second of ours and of Keras's against each dimension, the others as they are by default."""
    from matplotlib.figure import Figure

    figure, found = Figure(figsize=(14, 3), layout="constrained"), {}
    for axes, (name, values) in zip(figure.subplots(1, len(GROWTH), sharey=True), GROWTH.items()):
        rows = [compare(dataclasses.replace(Size(), **{name: v}), ["ours", "Keras"], 3, rounds) for v in values]
        found[name] = {value: row for value, row in zip(values, rows)}
        for label in ("ours", "Keras"):
            axes.loglog(values, [row[label]["tokens_per_second"] for row in rows], "o-", label=label)
        axes.set_xticks(values, [f"{value:,}" for value in values], fontsize=8)
        axes.set_xticks([], minor=True)
        axes.set(xlabel=name)
        print(name, *(f"{value}: {row['ours']['tokens_per_second']:,.0f}" for value, row in found[name].items()))
    figure.axes[0].set_ylabel("tokens a second")
    figure.axes[0].legend()
    figure.savefig(path, dpi=120)
    return found


def long(rounds):
    """Microseconds a token and peak memory against the length of a window, at the same batch."""
    found = {}
    for time in LONG:
        size = Size(time=time, vocabulary=100)  # so that it is the recurrent layers that are seen
        names = ["ours", "ours, remat"]
        rows, peak = compare(size, names, max(1, 350 // time), rounds), peaks(size, names)
        found[time] = {name: {"us_a_token": 1e6 / rows[name]["tokens_per_second"], "MB": peak[name]} for name in names}
        told = (f"{name}: {row['us_a_token']:.1f} us a token, {row['MB']:,.0f} MB" for name, row in found[time].items())
        print(f"time {time}", *told, sep="  ", flush=True)
    return found


def perplexities(steps=600):
    """Of held-out characters of Python's standard library, after equal steps in each precision."""
    from keras_rnnlm import quiet

    keras = quiet.import_keras()
    from keras_rnnlm.models import LanguageModel
    from keras_rnnlm.optimizers import ClippedOptimizer
    from keras_rnnlm.training.evaluation.scorer import Scorer
    from keras_rnnlm.training.streams import Contiguous
    from keras_rnnlm.training.studies.variants import SYMBOLS, texts

    text, start = texts("stdlib:1500k")
    found = {}
    for policy in ("float32", "mixed_bfloat16"):
        keras.utils.set_random_seed(0)
        model = LanguageModel(SYMBOLS, 200, 2, seed=0, dtype=policy)
        model.compile(ClippedOptimizer(keras.optimizers.Adam(3e-3), 1.0))
        model.fit(Contiguous(text["train"], 20, 35, start=start).dataset().take(steps), verbose=0)
        found[policy] = float(np.exp(Scorer(model, start=start, batch=20).losses(text["valid"]).mean()))
        print(f"{policy}: perplexity {found[policy]:.3f} after {steps} steps", flush=True)
    return found


def guard(rounds):
    """Ends with an error where a ratio to Keras is lower than it was by more than a fifth."""
    wanted = json.loads(RATIOS.read_text())
    rows = compare(GUARDED, [*wanted, "Keras", "Keras, XLA"], 5, rounds)
    print(table(rows))
    fallen = {name: rows[name]["times_keras"] for name, ratio in wanted.items()}
    fallen = {name: ratio for name, ratio in fallen.items() if ratio < (1 - LOSS) * wanted[name]}
    if fallen:
        told = ", ".join(f"{name}: {ratio:.2f} where it was {wanted[name]:.2f}" for name, ratio in fallen.items())
        sys.exit(f"Training lost more than {LOSS:.0%} of its speed beside Keras's own layers: {told}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--growth", metavar="FILE.png", type=pathlib.Path)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--perplexity", action="store_true")
    parser.add_argument("--guard", action="store_true")
    parser.add_argument("--sizes", nargs="*", type=int, default=range(len(SIZES)), help="which sizes, by number")
    parser.add_argument("--dtypes", nargs="*", default=["float32", "bfloat16"])
    parser.add_argument("--only", nargs="*", default=None, help="names of contenders")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    options = parser.parse_args()
    found = {}
    if options.guard:
        guard(options.rounds)
    elif options.memory:
        batches = (20, 80)
        for size in (dataclasses.replace(SIZES[k], batch=batch) for k in options.sizes for batch in batches):
            found[str(size)] = peaks(size)
            print(size, *(f"{name}: {peak:,.0f} MB" for name, peak in found[str(size)].items()), sep="\n  ")
        found[str(MANY_WORDS)] = peaks(MANY_WORDS, ["ours, tied"])
        print(MANY_WORDS, f"ours, tied: {found[str(MANY_WORDS)]['ours, tied']:,.0f} MB", sep="\n  ")
    elif options.perplexity:
        found = perplexities()
    elif options.long:
        found = long(options.rounds)
    elif options.growth:
        found = growth(options.growth, options.rounds)
    else:
        for dtype in options.dtypes:
            for size in (dataclasses.replace(SIZES[k], dtype=dtype) for k in options.sizes):
                rows = found[str(size)] = compare(size, options.only, rounds=options.rounds)
                print(f"\n{size}\n{table(rows)}", flush=True)
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
