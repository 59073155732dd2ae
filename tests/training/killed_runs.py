"""Runs that are killed and resumed, beside one that is not: are the weights the same, bit for bit?

    python -m tests.training.killed_runs [--kills 20] [--json]
    python -m tests.training.killed_runs --speed     # the cost of op determinism, which exactness does not need

Each run is a process of its own. SIGKILL comes where the table says; every resumed run may be killed again. What is
compared: all variables in the last checkpoint, of the model and of the optimizer, where the run stands, the best model,
and history.jsonl without its times. TensorFlow, on processors.
"""

import argparse
import collections
import json
import os
import pathlib
import pty
import random
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from keras_rnnlm.training.runs.checkpoints import Checkpoints
from keras_rnnlm.training.runs.curves import read_history

# Small, and with everything that has a state: dropout, Adam's moments, averages, a plateau, carried states.
SETTINGS = """tokenizer=char units=24 layers=2 tied=false embedding_dim=8 dropout=0.3 batch=8 window=12 eval_batch=1
optimizer=adam learning_rate=0.01 schedule=plateau warmup_steps=20 ema=0.9 epochs=5 eval_every=25 checkpoint_every=6
log_every=10 keep_checkpoints=3""".split()
VARIANTS = {
    "windows": ["cell_options.peephole=true"],
    "random windows": ["random_windows=true", "window=5", "layers=1"],
    "sentences": ["mode=sentences", "tokenizer=word", "window=24", "batch=3", "epochs=11"],
    "op determinism": ["deterministic=true"],
}
# Where to kill: see `Process.wait_until`.
SITUATIONS = ("training", "checkpoint", "validation", "best model", "start")


def write_text(path, lines=400):
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefgh", k=draw.randint(1, 6))) for _ in range(80)]
    path.write_text("".join(" ".join(draw.choices(words, k=draw.randint(2, 9))) + "\n" for _ in range(lines)))


class Process:
    """`keras-rnnlm train` in a process of its own, on a terminal, where it shows what it does."""

    def __init__(self, *arguments):
        terminal, end = pty.openpty()
        command = [sys.executable, "-m", "keras_rnnlm", "train", *arguments]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=end, stderr=end)
        os.close(end)
        self.shown = ""
        self._reader = threading.Thread(target=self._read, args=(terminal,), daemon=True)
        self._reader.start()

    def _read(self, terminal):
        with open(terminal, "rb", buffering=0) as file:
            while True:
                try:
                    part = file.read(4096)
                except OSError:  # the other end is closed
                    return
                if not part:
                    return
                self.shown += part.decode(errors="replace")

    def wait_until(self, reached, limit=120):
        """Looks as often as it can, until `reached()`; False where the process ends before."""
        end = time.monotonic() + limit
        while self.process.poll() is None and time.monotonic() < end:
            if reached():
                return True
            time.sleep(0.0005)
        return False

    def kill(self, number=9):
        self.process.send_signal(number)
        return self.finish()

    def finish(self):
        code = self.process.wait(600)
        self._reader.join(10)
        return code


def is_reached(situation, process, run, draw):
    """A function that tells whether the process is where it is to be killed."""
    if situation == "start":
        when = time.monotonic() + draw.uniform(0, 6)
        return lambda: time.monotonic() > when
    if situation == "training":
        when = []

        def after_a_while():
            if not when and re.search(r"epoch \d+/|resuming at", process.shown):
                when.append(time.monotonic() + draw.uniform(0.05, 1.5))
            return when and time.monotonic() > when[0]

        return after_a_while
    if situation == "validation":
        # In all that was shown: of a small model the line stands for less than a look may take.
        return lambda: "validation " in process.shown
    skip = draw.randrange(4)  # not always the first
    folder, ending = (run, ".keras") if situation == "best model" else (run / "checkpoints", "")
    seen = set()

    def writing():
        try:
            with os.scandir(folder) as files:
                found = [file for file in files if file.name.startswith("partial-") and file.name.endswith(ending)]
                seen.update(file.inode() for file in found)
        except FileNotFoundError:
            return False
        return len(seen) > skip and found

    return writing


def killed(text, run, settings, situations, seed=0):
    """Trains with a kill in each of the situations, as far as the run lasts, and to the end.

    Returns how many kills there were in each, and how many of them left a half-written file.
    """
    draw, kills, halves = random.Random(seed), collections.Counter(), 0
    begin = [str(text), "--out", str(run), *[word for setting in settings for word in ("--set", setting)]]
    again = ["--out", str(run), "--resume"]
    for situation in situations:
        process = Process(*(again if Checkpoints(run / "checkpoints").files() else begin))
        if not process.wait_until(is_reached(situation, process, run, draw)):
            if process.finish() != 0:
                raise RuntimeError(process.shown)
            break
        process.kill()
        kills[situation] += 1
        halves += any(True for _ in run.rglob("partial-*"))
    process = Process(*(again if Checkpoints(run / "checkpoints").files() else begin))
    if process.finish() != 0:
        raise RuntimeError(process.shown)
    return kills, halves


def uninterrupted(text, run, settings):
    began = time.monotonic()
    process = Process(str(text), "--out", str(run), *[word for setting in settings for word in ("--set", setting)])
    if process.finish() != 0:
        raise RuntimeError(process.shown)
    return time.monotonic() - began


def differences(one, other):
    """What differs between two finished runs: a list of names."""
    (_, mine, progress), (_, theirs, other_progress) = (Checkpoints(run / "checkpoints").read() for run in (one, other))
    names = [
        n for n in [*mine, *theirs] if n not in mine or n not in theirs or mine[n].tobytes() != theirs[n].tobytes()
    ]
    for record in (progress, other_progress):
        record.pop("seconds"), record.pop("history"), record.pop("sums")
    names += [name for name in progress if progress[name] != other_progress[name]]
    if not _same(_weights(one), _weights(other)):
        names.append("model.keras")
    if _told(one) != _told(other):
        names.append("history.jsonl")
    return names


def _weights(run):
    import zipfile

    import h5py

    with (
        zipfile.ZipFile(run / "model.keras") as file,
        file.open("model.weights.h5") as weights,
        h5py.File(weights) as h5,
    ):
        found = {}
        h5.visititems(lambda name, item: found.update({name: item[()]}) if hasattr(item, "shape") else None)
        return found


def _same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def _told(run):
    timed = ("seconds", "tokens_per_second")
    return [{k: v for k, v in record.items() if k not in timed} for record in read_history(run / "history.jsonl")]


def speeds(rounds=2):
    """Tokens a second of recipes with and without op determinism, in turns: the median of the records of all rounds."""
    found = {}
    for recipe in ("char", "zaremba-small"):
        rates = {"default": [], "op determinism": []}
        for _ in range(rounds):
            for mode, told in rates.items():
                with tempfile.TemporaryDirectory() as folder:
                    run = pathlib.Path(folder) / "run"
                    settings = ["max_minutes=0.6", "epochs=100", "eval_every=0", "log_every=10", "keep_checkpoints=1"]
                    settings += [f"deterministic={str(mode != 'default').lower()}"]
                    words = [word for setting in settings for word in ("--set", setting)]
                    process = Process("stdlib:2M", "--out", str(run), "--recipe", recipe, *words)
                    if process.finish() != 0:
                        raise RuntimeError(process.shown)
                    records = [r for r in read_history(run / "history.jsonl") if r["kind"] == "train"]
                    told += [record["tokens_per_second"] for record in records[1:]]  # the first holds the compilation
        found[recipe] = {mode: round(statistics.median(told)) for mode, told in rates.items()}
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variants", nargs="*", help=f"of {', '.join(VARIANTS)} (default: all)")
    parser.add_argument("--kills", type=int, default=20, help="in each variant (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--speed", action="store_true", help="measure the cost of op determinism instead")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    out = sys.stderr if options.json else sys.stdout
    if options.speed:
        found = speeds()
        for recipe, rates in found.items():
            print(f"{recipe:16}", *[f"{mode}: {rate:,} tokens/s" for mode, rate in rates.items()], file=out)
        if options.json:
            print(json.dumps(found))
        return 0
    print(
        f"{'':16}{'steps':>7}{'kills':>7}",
        *[f"{name:>12}" for name in SITUATIONS],
        f"{'half files':>12}  differs",
        file=out,
    )
    rows = {}
    for name in options.variants or VARIANTS:
        settings = [*SETTINGS, *VARIANTS[name]]
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            text, whole, broken = folder / "text.txt", folder / "whole", folder / "broken"
            write_text(text)
            seconds = uninterrupted(text, whole, settings)
            situations = [SITUATIONS[i % len(SITUATIONS)] for i in range(options.kills)]
            kills, halves = killed(text, broken, settings, situations, options.seed)
            differ = differences(whole, broken)
            steps = Checkpoints(whole / "checkpoints").read()[0]
        rows[name] = {
            "steps": steps,
            "seconds": round(seconds, 1),
            "kills": kills.total(),
            "where": dict(kills),
            "half_written_files": halves,
            "differs": differ,
        }
        print(
            f"{name:16}{steps:>7}{kills.total():>7}",
            *[f"{kills[situation]:>12}" for situation in SITUATIONS],
            f"{halves:>12}  {', '.join(differ) or 'nothing'}",
            file=out,
            flush=True,
        )
    if options.json:
        print(json.dumps(rows))
    return 1 if any(row["differs"] for row in rows.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
