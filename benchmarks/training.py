"""Whole training steps: ours, Keras's own layers in `fit`, and PyTorch's, beside what the matrix products allow.

    python benchmarks/training.py                    # the table: three sizes, float32 and bfloat16
    python benchmarks/training.py --growth growth.png    # tokens a second against each dimension, and a picture
    python benchmarks/training.py --memory           # peak memory of a step, each contender in a process of its own
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

from keras_rnnlm.training import steps_per_second
from keras_rnnlm.training.steps_per_second import Size, compare, table

SIZES = [Size(650, 10_000), Size(200, 10_000), Size(200, 33_278)]
GROWTH = {
    "batch": [5, 10, 20, 40, 80],
    "time": [9, 18, 35, 70, 140, 280],
    "units": [50, 100, 200, 400, 800],
    "layers": [1, 2, 3, 4],
    "vocabulary": [1_000, 3_000, 10_000, 30_000],
}
RATIOS = pathlib.Path(__file__).with_name("ratios.json")
GUARDED = Size(200, 10_000)
LOSS = 0.2  # of a ratio that the guard bears

PEAK = """
import resource, sys
from keras_rnnlm import quiet
quiet.import_keras()
from keras_rnnlm.training import steps_per_second
from keras_rnnlm import models, optimizers
name, size = {name!r}, steps_per_second.{size!r}
if name == "PyTorch":
    import torch
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
train = steps_per_second.contenders([name])[name](size)
train(3)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def peaks(size):
    """The megabytes above what the imports hold, by contender."""
    found = {}
    for name in steps_per_second.contenders():
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
        axes.set(xlabel=name)
        print(name, *(f"{value}: {row['ours']['tokens_per_second']:,.0f}" for value, row in found[name].items()))
    figure.axes[0].set_ylabel("tokens a second")
    figure.axes[0].legend()
    figure.savefig(path, dpi=120)
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
        for size in (SIZES[k] for k in options.sizes):
            found[str(size)] = peaks(size)
            print(size, *(f"{name}: {peak:,.0f} MB" for name, peak in found[str(size)].items()), sep="\n  ")
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
