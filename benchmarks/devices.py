"""Several devices and several processes beside one: the curve, the weights, kills, and what devices tell each other.

    python benchmarks/devices.py                     # all: some half an hour on two cores
    python benchmarks/devices.py curves --steps 20
    python benchmarks/devices.py kills --kills 3
    python benchmarks/devices.py bytes --json
    python benchmarks/devices.py steps       # nothing else may run

curves: a run on one device, on 8 virtual ones, in 2 processes and in 4, with dropout: the largest relative difference
of the loss of a step, whether all processes have the same weights after each epoch, and the seconds of the run.
kills: a run of 2 processes, of which one gets SIGKILL, again and again, beside one that is left alone: the seconds
until all have ended, and what differs in the end, bit for bit.
bytes: the collectives of a train step that is compiled for 4 and 256 virtual devices, and their bytes beside those of
the gradient. Nothing is run.
steps: the seconds of a train step in one process, and in two of as many rows each, a core for each, beside those that
`cost_model.py` predicts: by the rate of products that the first size reaches in one process, and by the time of an
all-reduce alone.
All on JAX, on a processor.
"""

import argparse
import hashlib
import json
import math
import os
import pathlib
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Run as a script, its folder is where modules are looked for, and the tests beside it are not found.
sys.path.append(str(pathlib.Path(__file__).parent.parent))

from benchmarks import cost_model
from benchmarks.compiled_programs import Program
from keras_rnnlm.training.devices.launcher import free_port
from keras_rnnlm.training.runs.checkpoints import Checkpoints
from keras_rnnlm.training.runs.curves import read_history
from tests.training import killed_runs

SETTINGS = """tokenizer=char units=32 layers=2 cell_options.peephole=true tied=false embedding_dim=16 dropout=0.3
batch=8 window=16 eval_batch=4 seed=3 optimizer=adam learning_rate=0.01 checkpoint_every=5 log_every=1 split=90/10"""
SETTINGS = SETTINGS.split()
SIZES = [(650, 10_000, 2), (1500, 33_278, 2)]  # units, vocabulary, layers
DEVICES = [(4, 256), (256, 4096)]  # and the rows of a batch
TIME = 35
ENVIRONMENT = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
VIRTUAL = "--xla_force_host_platform_device_count="
# Units and words of `steps`, of which the first fits the rate of products; the rows of a process, and steps of two.
STEPS = [(200, 5_000), (200, 20_000), (400, 5_000)]
ROWS, TAKEN = 10, 30


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", help=f"of {', '.join(WHAT)} (default: all)")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--digests", nargs=2, metavar=("ARGUMENTS", "FILE"), help=argparse.SUPPRESS)
    parser.add_argument("--compile", nargs=5, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--all-reduce", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.digests:
        return train_with_digests(json.loads(options.digests[0]), options.digests[1])
    if options.compile:
        print(json.dumps(collectives(*options.compile)))
        return 0
    if options.all_reduce:
        print(all_reduce(*options.all_reduce))
        return 0
    found = {}
    for name in options.what or WHAT:
        found[name] = WHAT[name](options)
        if not options.json:
            for row, values in found[name].items():
                print(f"{name:8}{row:28}", *[f"{key} {value}" for key, value in values.items()], sep="  ", flush=True)
    if options.json:
        print(json.dumps(found))
    return 0


# The curve and the weights


def train_with_digests(arguments, path):
    """The command `train`, which leaves a digest of the weights at each validation in a file."""
    from keras_rnnlm.__main__ import main
    from keras_rnnlm.training import Loop

    record = Loop.record

    def recorded(self, kind, **values):
        if kind == "valid":
            weights = b"".join(weight.tobytes() for weight in self.model.get_weights())
            with open(path, "a") as file:
                file.write(hashlib.sha256(weights).hexdigest() + "\n")
        record(self, kind, **values)

    Loop.record = recorded
    return main(arguments)


def run(folder, name, words, settings, virtual=1, processes=1, pinned=False):
    """Trains; the run directory, the digests of each process, and the seconds that it took."""
    out, begun, started = folder / name, time.perf_counter(), []
    address = f"127.0.0.1:{free_port()}"
    flags = f"{os.environ.get('XLA_FLAGS', '')} {VIRTUAL}{virtual}" if virtual > 1 else os.environ.get("XLA_FLAGS", "")
    # As a command that has started them: these processes are watched here.
    environment = {**ENVIRONMENT, "XLA_FLAGS": flags, "KERAS_RNNLM_STARTED": str(os.getpid())}
    for k in range(processes):
        of_one = ["--processes", str(processes), "--coordinator", address, "--process", str(k)] * (processes > 1)
        arguments = ["train", str(folder / "text.txt"), "--out", str(out), "--quiet", *words, *of_one]
        arguments += [word for setting in settings for word in ("--set", setting)]
        command = [sys.executable, __file__, "--digests", json.dumps(arguments), str(folder / f"{name} {k}")]
        started.append(subprocess.Popen([*on_core(k), *command] if pinned else command, env=environment))
    if any([process.wait() for process in started]):
        raise RuntimeError(f"The run {name} failed")
    digests = [(folder / f"{name} {k}").read_text().split() for k in range(processes)]
    return out, digests, time.perf_counter() - begun


def on_core(k):
    return ["taskset", "-c", str(k)]


def curves(options):
    found, wanted = {}, None
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        killed_runs.write_text(folder / "text.txt", lines=200)
        settings = [*SETTINGS, f"epochs={epochs_of(folder, options.steps)}"]
        kinds = {
            "one device": {},
            "8 devices": dict(words=["--devices", "8"], virtual=8),
            "2 processes": dict(processes=2),
            "4 processes": dict(processes=4),
            "2 processes of 2 devices": dict(words=["--devices", "2"], virtual=2, processes=2),
        }
        for name, kind in kinds.items():
            out, digests, seconds = run(folder, name, kind.pop("words", []), settings, **kind)
            losses = [r["loss"] for r in read_history(out / "history.jsonl") if r["kind"] == "train"]
            wanted = wanted or losses
            found[name] = {
                "steps": len(losses),
                "difference": max(abs(a - b) / b for a, b in zip(losses, wanted, strict=True)),
                "epochs": len(digests[0]),
                "same weights": all(digest == digests[0] for digest in digests),
                "seconds": round(seconds, 1),
            }
    return found


def epochs_of(folder, steps):
    """So many epochs that there are as many steps, of a text of this length."""
    characters = 0.9 * (folder / "text.txt").stat().st_size
    return math.ceil(steps / math.ceil(characters / 8 / 16))


# Kills


def kills(options):
    draw, ends = random.Random(0), []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        text = folder / "text.txt"
        killed_runs.write_text(text, lines=200)
        words = [word for setting in [*SETTINGS, "epochs=6"] for word in ("--set", setting)]
        on = ["--backend", "jax", "--processes", "2"]
        begin = [str(text), "--out", str(folder / "broken"), *words, *on]
        again = ["--out", str(folder / "broken"), "--resume", *on]
        whole = killed_runs.Process(str(text), "--out", str(folder / "whole"), *words, *on)
        if whole.finish():
            raise RuntimeError(whole.shown)
        while len(ends) < options.kills:
            process = killed_runs.Process(*(again if Checkpoints(folder / "broken/checkpoints").files() else begin))
            situation = ("training", "checkpoint", "validation")[len(ends) % 3]
            if not process.wait_until(killed_runs.is_reached(situation, process, folder / "broken", draw)):
                break
            children = pathlib.Path(f"/proc/{process.process.pid}/task/{process.process.pid}/children")
            os.kill(draw.choice([int(child) for child in children.read_text().split()]), signal.SIGKILL)
            killed = time.perf_counter()
            if process.finish() != 1:
                raise RuntimeError(process.shown)
            ends.append(time.perf_counter() - killed)
        last = killed_runs.Process(*again)
        if last.finish():
            raise RuntimeError(last.shown)
        differ = killed_runs.differences(folder / "whole", folder / "broken")
        steps = Checkpoints(folder / "whole/checkpoints").read()[0]
    return {
        "2 processes": {
            "steps": steps,
            "kills": len(ends),
            "seconds to the end, at most": round(max(ends, default=0), 1),
            "differs": ", ".join(differ) or "nothing",
        }
    }


# What devices tell each other


def collectives(units, vocabulary, layers, devices, batch):
    """The collectives of a compiled train step by kind, and their bytes beside the gradient's."""
    import jax
    import keras

    from keras_rnnlm.distribution import DataParallel
    from keras_rnnlm.models import LanguageModel
    from keras_rnnlm.optimizers import ClippedOptimizer

    model = LanguageModel(vocabulary, units, layers, cell_options={"peephole": True}, dropout=0.3, seed=0)
    model.compile(ClippedOptimizer(keras.optimizers.SGD(1.0), 0.25))
    model.optimizer.build(model.trainable_variables)
    model.reset_states(batch)
    # Made on one device: 256 copies of the weights would not fit here. What is compiled has shapes alone.
    distribution = DataParallel()
    keras.distribution.set_distribution(distribution)

    def shape(v):
        layout = distribution.get_variable_layout(v).backend_layout
        return jax.ShapeDtypeStruct(tuple(v.shape), v.value.dtype, sharding=layout)

    groups = (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    )
    state = tuple([shape(v) for v in group] for group in groups)

    def rows(dtype, *more):
        layout = distribution.get_data_layout((batch, *more)).backend_layout
        return jax.ShapeDtypeStruct((batch, *more), dtype, sharding=layout)

    data = {"tokens": rows("int32", TIME), "start": rows("bool")}, rows("int32", TIME), rows("float32", TIME)
    outputs = (None, jax.tree.map(lambda s: s.sharding, state))
    begun = time.perf_counter()
    compiled = jax.jit(model.train_step, donate_argnums=0, out_shardings=outputs).lower(state, data).compile()
    found = Program(compiled.as_text()).collectives()
    size = sum(kind["bytes"] for kind in found.values())
    gradient = sum(4 * math.prod(v.shape) for v in model.trainable_variables)
    seconds = time.perf_counter() - begun
    return {
        "collectives": {kind: how["count"] for kind, how in found.items()},
        "MB": round(size / 1e6, 1),
        "of the gradient": round(size / gradient, 3),
        "seconds to compile": round(seconds, 1),
    }


def bytes_of(options):
    found = {}
    for units, vocabulary, layers in SIZES:
        for devices, batch in DEVICES:
            arguments = [str(number) for number in (units, vocabulary, layers, devices, batch)]
            environment = {**ENVIRONMENT, "XLA_FLAGS": f"{VIRTUAL}{devices}"}
            command = [sys.executable, __file__, "--compile", *arguments]
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
            name = f"({units}, {vocabulary:,}), {devices}"
            why = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            found[name] = {"failed": why} if done.returncode else json.loads(done.stdout.splitlines()[-1])
    return found


# The cost model beside what is measured


def all_reduce(numbers, address, process):
    """The median seconds that two processes take to add up so many float32 numbers of each."""
    import jax
    import numpy as np

    jax.distributed.initialize(address, 2, int(process))
    mesh = jax.sharding.Mesh(jax.devices(), ("process",))
    divided, whole = (jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*a)) for a in (("process",), ()))
    mine = jax.make_array_from_process_local_data(divided, np.ones((1, int(numbers)), "float32"))
    total, spent = jax.jit(lambda x: x.sum(axis=0), out_shardings=whole), []
    for _ in range(11):
        begun = time.perf_counter()
        total(mine).block_until_ready()
        spent.append(time.perf_counter() - begun)
    return statistics.median(spent[1:])


def rates(numbers):
    """Bytes a second that one core copies, and the seconds of an all-reduce of so many float32 numbers."""
    import numpy as np

    a, spent, address = np.ones(2**25, "float32"), [], f"127.0.0.1:{free_port()}"
    for _ in range(5):
        begun = time.perf_counter()
        a.copy()
        spent.append(time.perf_counter() - begun)
    command = [sys.executable, __file__, "--all-reduce", str(numbers), address]
    started = [
        subprocess.Popen([*on_core(k), *command, str(k)], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
        for k in range(2)
    ]
    found = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        raise RuntimeError("An all-reduce of two processes failed")
    return 2 * a.nbytes / min(spent), float(found[0].split()[-1])


def fitted(model, seconds):
    """A chip whose step of one process takes so long: by its rate of products, which is looked for."""
    bandwidth, added = rates(model.weights())
    link, slow, fast = 8 * model.weights() / added, 1e6, 1e15

    def chip(rate):
        return cost_model.Chip({"float32": rate}, 0, bandwidth / cost_model.REACHED, link, math.inf, 2, 0, 1)

    while fast / slow > 1.001:
        rate = math.sqrt(slow * fast)
        slow, fast = (rate, fast) if predicted(model, chip(rate), 1) > seconds else (slow, rate)
    return chip(fast)


def predicted(model, chip, processes):
    """Seconds of a step, without a word on kernels, which a processor does not start."""
    return sum(cost_model.seconds(model, chip, 0, processes * ROWS, TIME, processes).values())


def steps(options):
    found, chip = {}, None
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        most = max(words for _, words in STEPS)
        text = [f"w{(k * k) % most}" for k in range(2 * ROWS * TIME * TAKEN + most)]
        (folder / "text.txt").write_text(" ".join(f"w{k}" for k in range(most)) + " " + " ".join(text))
        settings = f"""tokenizer=word layers=2 cell_options.peephole=true tied=false head=full window={TIME}
        optimizer=sgd epochs=1 split=90/10 eval_batch=10 log_every=5""".split()
        for units, words in STEPS:
            model, measured = cost_model.Model(units, words), {}
            for processes in (1, 2):
                of_size = [f"units={units}", f"vocabulary_size={words}", f"batch={ROWS * processes}"]
                name = f"{units} {words} {processes}"
                out = run(folder, name, [], settings + of_size, processes=processes, pinned=True)[0]
                records = [r for r in read_history(out / "history.jsonl") if r["kind"] == "train"][1:]
                speed = statistics.median(r["tokens_per_second"] for r in records)
                measured[processes] = processes * ROWS * TIME / speed
            chip = chip or fitted(model, measured[1])
            found[f"({units}, {words:,})"] = {
                f"in {n}": f"{1e3 * spent:.0f} ms, predicted {1e3 * predicted(model, chip, n):.0f}"
                for n, spent in measured.items()
            }
    return found


WHAT = {"curves": curves, "kills": kills, "bytes": bytes_of, "steps": steps}

if __name__ == "__main__":
    sys.exit(main())
