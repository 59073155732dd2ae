"""What a data-parallel train step costs on accelerators, predicted: time, memory and what devices tell each other.

    python benchmarks/cost_model.py                          # 8, 64 and 512 devices at the size of One Billion Words
    python benchmarks/cost_model.py --units 650 --words 10000 --rows 256 --devices 1 4 16
    python benchmarks/cost_model.py --against ahead.jsonl    # its counts beside those of compiled programs

Counts (products, the bytes of arguments, of temporaries and of all-reduces, kernels) are formulas, which `--against`
compares with what `ahead.py` found in compiled programs. Times are these counts over the rates of `CHIPS`, which are
the makers' and have not been measured: no overlap, and no device that waits for its input.
"""

import argparse
import dataclasses
import math
import pathlib
import sys

# Run as a script, its folder is where modules are looked for.
sys.path.append(str(pathlib.Path(__file__).parent.parent))

from benchmarks import ahead
from benchmarks.ahead_programs import SIZES

MOST_LOGITS = 2 * 2**24  # that are held at once; of more, half of it, chunk by chunk


@dataclasses.dataclass(frozen=True)
class Chip:
    """Peaks of a chip, as its maker gives them, and what is assumed beside them.

    Args:
        flops: a second, of products by float32 as JAX multiplies it by default: in one pass of bfloat16 on a TPU, in
            TF32 on a GPU; and of bfloat16.
        memory, bandwidth: in bytes, and bytes a second.
        link: bytes a second that a device sends to the others of its group, a pod of TPUs or a host of GPUs.
        far, near: bytes a second, a device, between groups, assumed; and how many devices a group has.
        launch: seconds that a small kernel takes at least. Assumed.
        tile: what widths and rows are padded to.
    """

    flops: dict
    memory: float
    bandwidth: float
    link: float
    far: float
    near: int
    launch: float
    tile: int


CHIPS = {
    "v5e": Chip({"float32": 197e12, "bfloat16": 197e12}, 16e9, 819e9, 200e9, 3e9, 256, 1e-6, 128),
    "v5p": Chip({"float32": 459e12, "bfloat16": 459e12}, 95e9, 2765e9, 600e9, 3e9, 8960, 1e-6, 128),
    "v6e": Chip({"float32": 918e12, "bfloat16": 918e12}, 32e9, 1640e9, 448e9, 3e9, 256, 1e-6, 128),
    "h100": Chip({"float32": 495e12, "bfloat16": 989e12}, 80e9, 3350e9, 450e9, 50e9, 8, 3e-6, 16),
}
# Of a peephole LSTM, kernels of a step forward and back, as `ahead.py` counts them with 650 units.
KERNELS = {"v5e": 2 + 8, "v5p": 2 + 8, "v6e": 2 + 8, "h100": 6 + 7}
TOKENS = 829e6  # of One Billion Words, once through
HOP = 1e-6  # seconds that a message takes beside its bytes. Assumed
REACHED = 0.5  # of the peak by large products, and of the bandwidth. Assumed


@dataclasses.dataclass(frozen=True)
class Model:
    """A language model of peephole LSTMs, as wide as its embedding.

    >>> Model(650, 10_000).weights()
    19779100
    """

    units: int
    words: int
    layers: int = 2
    tied: bool = False

    def weights(self):
        tables = self.words * self.units * (1 if self.tied else 2) + self.words
        return tables + self.layers * (8 * self.units**2 + 7 * self.units)

    def flops(self, tokens):
        """Of the products of a train step: forward, and by what goes in and by the weights. A multiply-add is two."""
        return 6 * tokens * (self.layers * 8 * self.units**2 + self.units * self.words)


def logits(model, tokens):
    """That a device holds at a time."""
    return min(tokens * model.words, MOST_LOGITS if tokens * model.words <= MOST_LOGITS else MOST_LOGITS // 2)


def counts(model, rows, time):
    """Of a step on a device that has so many rows of the batch, which is float32 throughout."""
    tokens = rows * time
    kept = tokens * model.units * model.layers * 11  # h, c, sums of four gates, their gradients, dropout's output
    return {
        "flops": model.flops(tokens),
        "told": 4 * model.weights(),
        "arguments": 4 * model.weights() + 4 * rows * model.units * 2 * model.layers + 12 * tokens,
        "temporaries": 4 * (model.weights() + logits(model, tokens) + kept),
    }


def seconds(model, chip, kernels, rows, time, devices, precision="float32"):
    """Of a step, by what takes them. `rows` are of the whole batch."""
    rows = math.ceil(rows / devices)

    def padded(n):
        return math.ceil(n / chip.tile) * chip.tile

    tokens, width = rows * time, padded(model.units)
    peak = REACHED * chip.flops[precision]
    # Within a loop a product is of few rows: its time is that of a full tile of them, or of reading the kernel.
    of_step = max(8 * padded(rows) * width**2 / peak, 16 * width**2 / (REACHED * chip.bandwidth))
    outside = 6 * tokens * (model.layers * 8 * width**2 + width * padded(model.words))
    outside -= 4 * tokens * model.layers * 4 * width**2
    # The update reads weights and gradient, and writes weights; the softmax passes four times over its logits.
    passed = 12 * model.weights() + 16 * tokens * model.words
    # Each group sums its own; then each device exchanges its part of the sum with those of the other groups.
    group = min(devices, chip.near)
    groups, told = math.ceil(devices / group), 8 * model.weights() / REACHED
    summed = told * (group - 1) / group / chip.link + told / group * (groups - 1) / groups / chip.far
    return {
        "products": outside / peak,
        "loops": model.layers * time * max(2 * of_step, kernels * chip.launch),
        "softmax and update": passed / (REACHED * chip.bandwidth),
        "all-reduce": summed + 2 * math.log2(devices) * HOP,
    }


def predictions(options):
    model = Model(options.units, options.words, options.layers, options.tied)
    print(f"{model.weights() / 1e6:,.0f} million weights, {options.rows} rows of {options.time} steps in all, float32")
    header = "chip, devices, products, loops, softmax and update, all-reduce, ms a step, million tokens a second"
    header = [*header.split(", "), f"minutes for {TOKENS / 1e6:.0f} million", "GB a device"]
    print("| " + " | ".join(header) + " |", "|" + "---|" * len(header), sep="\n")
    for name, chip in CHIPS.items():
        for devices in options.devices:
            parts = seconds(model, chip, KERNELS[name], options.rows, options.time, devices)
            speed = options.rows * options.time / sum(parts.values())
            held = counts(model, math.ceil(options.rows / devices), options.time)
            size = held["arguments"] + held["temporaries"]
            cells = [name, devices, *(f"{1000 * part:.0f}" for part in [*parts.values(), sum(parts.values())])]
            cells += [f"{speed / 1e6:.2f}", f"{TOKENS / speed / 60:.0f}"]
            cells.append(f"{size / 1e9:.1f}" + (f" of {chip.memory / 1e9:.0f}" if size > 0.8 * chip.memory else ""))
            print("|", " | ".join(map(str, cells)), "|")


def against(path):
    """The counts of compiled train steps of peephole LSTMs, over those predicted."""
    print("| program | flops | told | arguments | temporaries |", "---|" * 5, sep="\n|")
    for record in ahead.read(pathlib.Path(path)):
        if (record["work"], record["cell"], record["precision"]) != ("train", "peephole", "float32"):
            continue
        size, devices = SIZES[record["size"]], record["devices"]
        if "failed" in record or record["size"] == "tiny":
            continue
        model = Model(size.units, size.vocabulary, size.layers)
        wanted = counts(model, size.batch(devices) // devices, size.time)
        record["told"] = sum(kind["bytes"] for kind in record["collectives"].values())
        cells = [f"{record[name] / value:.2f}" if record[name] else "-" for name, value in wanted.items()]
        print("|", f"{size.units}, {size.vocabulary:,}, {devices} {record['target']}", "|", " | ".join(cells), "|")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in dict(units=1024, words=793_471, layers=2, rows=4096, time=35).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--devices", type=int, nargs="+", default=[8, 64, 512])
    parser.add_argument("--tied", action="store_true", help="one table for the embedding and the logits")
    parser.add_argument("--against", metavar="FILE", help="compare with what `ahead.py` wrote there")
    options = parser.parse_args()
    against(options.against) if options.against else predictions(options)


if __name__ == "__main__":
    main()
