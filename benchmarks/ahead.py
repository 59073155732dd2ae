"""Compiles for accelerators that are not there, and counts what the programs do: TPU v5e, v5p, v6e, and H100.

    python benchmarks/ahead.py --envs DIR --out FILE      # all, for hours: it goes on where it was interrupted
    python benchmarks/ahead.py --envs DIR --out FILE --size small --target v5e h100 --devices 1 4     # a part
    python benchmarks/ahead.py --out FILE --table         # what has been done, as a table
    python benchmarks/ahead.py --check                    # one small train step, which is judged

The compilers of both are wheels that need no device. Each has an environment of its own, without TensorFlow, made in
`--envs` where it is not there yet. Nothing is run: what comes of it are the kernels, collectives, bytes and products
of the optimised program.

work: `train` is `LanguageModel.train_step` with carried states, dropout and clipping, `step` one step of generation,
`forward` the logits of a window. Several devices are data parallel, by `keras_rnnlm.distribution.DataParallel`.
columns: seconds of processor to compile; a device's bytes, of arguments and of temporaries; its flops in products of
matrices; the collectives by kind, with their bytes, and for train steps the bytes of all beside the gradient's; the
kernels of a step of each loop, with the number of its steps.
"""

import argparse
import itertools
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

# Run as a script, its folder is where modules are looked for.
sys.path.append(str(pathlib.Path(__file__).parent.parent))

from benchmarks import ahead_programs
from benchmarks.ahead_programs import CELLS, POLICIES, PROGRAMS, SHARES, SIZES, TARGETS

JAX = ["jax==0.10.2", "jaxlib==0.10.2"]
OTHERS = ["keras==3.15.1", "tokenizers"]
# The plugins alone: what they depend on is for machines that have a GPU.
COMPILERS = {"tpu": ["libtpu==0.0.41"], "cuda": ["jax-cuda12-plugin==0.10.2", "jax-cuda12-pjrt==0.10.2"]}
INSTALL = ["-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-compile"]
ENVIRONMENT = {
    "KERAS_BACKEND": "jax",
    "JAX_PLATFORMS": "cpu",
    # Otherwise libtpu looks for a machine that has one, at length.
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_WORKER_ID": "0",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}

KEYS = ["size", "work", "cell", "precision", "target", "devices"]
CHECKED = {"size": "tiny", "work": "train", "precision": "float32"}
# Of a step of its loops, which has most first.
MOST_KERNELS = {
    ("v5e", "peephole"): {"time": [7, 2], "chunks of the loss": [17]},
    ("h100", "peephole"): {"time": [6, 4], "chunks of the loss": [13]},
    ("v5e", "divided"): {"time": [7, 2], "chunks of the loss": [19]},
    ("h100", "divided"): {"time": [6, 4], "chunks of the loss": [19]},
}
# What devices tell each other, how often at most: of gradients as often as the compiler likes. A vocabulary that is
# divided tells besides the sums of a row's logits, of each chunk, and what was looked up in the table.
MOST_TOLD = {"peephole": {"all-reduce": math.inf}, "divided": {"all-reduce": 9}}
EVERYWHERE = ("peephole", "divided")  # whose train steps are compiled for all numbers of devices
MOST_BYTES = 1.1  # of collectives, of the gradient's


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--envs", default=str(pathlib.Path(tempfile.gettempdir()) / "keras_rnnlm_ahead"))
    parser.add_argument("--out", default="ahead.jsonl", help="a line of JSON for each program, at once (%(default)s)")
    for name, choices in choices_of_cases().items():
        kind = int if name == "devices" else str
        parser.add_argument(f"--{name}", nargs="+", choices=choices, type=kind, help=f"of {choices}")
    parser.add_argument("--again", action="store_true", help="do what failed before once more")
    parser.add_argument("--table", action="store_true", help="print what has been done, and compile nothing")
    parser.add_argument("--check", action="store_true", help="compile one small train step, and judge it")
    parser.add_argument("--text", metavar="FILE", help="write the text of each program there, the last one stays")
    options = parser.parse_args()
    if options.check:
        return check(options)
    out = pathlib.Path(options.out)
    if not options.table:
        done = {key_of(record) for record in read(out) if not (options.again and "failed" in record)}
        for case in cases(options):
            if key_of(case) not in done:
                record = case | in_environment(case, options)
                with open(out, "a") as file:
                    file.write(json.dumps(record) + "\n")
                print(*row(record), sep="  ", flush=True)
    print(table(read(out)))
    return 0


# What there is to compile


def choices_of_cases():
    return {
        "size": list(SIZES),
        "work": list(PROGRAMS),
        "cell": list(CELLS),
        "precision": list(POLICIES),
        "target": list(TARGETS),
        "devices": [1, 4, 16, 256],
    }


def cases(options):
    """Those asked for, small ones first: the train steps of `EVERYWHERE` on all numbers of devices, others on few."""
    asked = choices_of_cases() | {"size": ["small", "medium", "large"]}
    asked |= {name: chosen for name in KEYS if (chosen := getattr(options, name))}
    for values in itertools.product(*(asked[name] for name in KEYS)):
        case = dict(zip(KEYS, values))
        is_first = case["work"] == "train" and case["cell"] in EVERYWHERE
        if (is_first or case["devices"] <= 4) and case["devices"] % SHARES.get(case["cell"], 1) == 0:
            yield case


def key_of(record):
    return tuple(record[name] for name in KEYS)


def read(path):
    """The records of a file, the last one of each case."""
    if not path.exists():
        return []
    return list({key_of(record): record for record in map(json.loads, path.read_text().splitlines())}.values())


# Environments


def environment(compiler, folder):
    """The Python of the compiler's environment, which is made where it is not there yet."""
    home = pathlib.Path(folder).absolute() / compiler
    python = str(home / "bin" / "python")
    if not (home / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
        subprocess.run([python, *INSTALL, *JAX, *OTHERS], check=True)
        subprocess.run([python, *INSTALL, "--no-deps", *COMPILERS[compiler]], check=True)
        (home / "ready").touch()
    return python


def compiler_alone(compiler, folder):
    """A folder with the compiler and the JAX that goes with it, for a Python that has the rest."""
    home = pathlib.Path(folder).absolute() / f"{compiler}_alone"
    if not (home / "ready").exists():
        install = [sys.executable, *INSTALL, "--no-deps", "--upgrade", "--target", str(home)]
        subprocess.run([*install, *JAX, *COMPILERS[compiler]], check=True)
        (home / "ready").touch()
    return str(home)


def in_environment(case, options, here=False):
    """What `compiled` finds there, or in the environment of this Python, or why it found nothing."""
    compiler, variables = TARGETS[case["target"]][0], {**os.environ, **ENVIRONMENT}
    python = sys.executable if here else environment(compiler, options.envs)
    if here:
        paths = [compiler_alone(compiler, options.envs), os.environ.get("PYTHONPATH")]
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    command = [python, ahead_programs.__file__, json.dumps(case), *[options.text] * bool(options.text)]
    done = subprocess.run(command, env=variables, capture_output=True, text=True)
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    return {"failed": (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1][:300]}


# What came of it


def row(record):
    """The cells of a record, as texts."""
    size = SIZES[record["size"]]
    name = [f"{size.units}, {size.vocabulary:,}", record["work"], record["cell"], record["precision"], record["target"]]
    name.append(str(record["devices"]))
    if "failed" in record:
        return [*name, f"failed: {record['failed']}", *[""] * (len(HEADER) - len(name) - 1)]
    collectives = record["collectives"]
    told = sum(kind["bytes"] for kind in collectives.values())
    return [
        *name,
        f"{record['seconds of processor']:.0f} s",
        f"{record['arguments'] / 1e6:,.0f}",
        f"{record['temporaries'] / 1e6:,.0f}",
        f"{record['flops'] / 1e9:,.1f}",
        ", ".join(f"{v['count']} {kind} {v['bytes'] / 1e6:,.2f}" for kind, v in collectives.items()) or "-",
        f"{told / record['gradient']:.3f}" if record["work"] == "train" and collectives else "-",
        ", ".join(f"{loop['kernels']} ({loop['steps']})" for loop in record["loops"]) or "-",
    ]


HEADER = ["units, words", "work", "cell", "precision", "target", "devices", "compiled in", "arguments, MB"]
HEADER += ["temporaries, MB", "GFlop", "collectives, MB", "of the gradient", "kernels a step (steps)"]


def table(records):
    rows = [HEADER, ["---"] * len(HEADER), *map(row, records)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows)


# The check


def check(options):
    """Compiles one small train step, which fails where it tells other than gradients, or has more kernels."""
    checked, wrong, cells, targets = 0, [], options.cell or ["peephole"], options.target or ["v5e"]
    for target, cell, devices in itertools.product(targets, cells, options.devices or [4]):
        if (target, cell) not in MOST_KERNELS:
            known = ", ".join(" ".join(pair) for pair in MOST_KERNELS)
            sys.exit(f"--check knows how many kernels there may be of {known}. Received: {target} {cell}")
        if devices % SHARES.get(cell, 1):
            continue  # of a vocabulary over four devices there are no programs for one
        record = {**CHECKED, "cell": cell, "target": target, "devices": devices}
        record |= in_environment(record, options, here=True)
        print(*row(record), sep="  ", flush=True)
        wrong += complaints(record)
        checked += 1
    if not checked:
        sys.exit(f"Nothing was checked: {', '.join(cells)} on {options.devices} devices is no program")
    print(*wrong, sep="\n", end="\n" * bool(wrong), file=sys.stderr)
    return int(bool(wrong))


def complaints(record):
    """What is wrong with a compiled train step, if anything."""
    if "failed" in record:
        return [f"It does not compile: {record['failed']}"]
    collectives, found = record["collectives"], []
    most = MOST_TOLD[record["cell"]]
    others = [f"{kind['count']} {name}" for name, kind in collectives.items() if kind["count"] > most.get(name, 0)]
    if others:
        found.append(f"Devices tell each other more than they may: {', '.join(others)}")
    told = sum(kind["bytes"] for kind in collectives.values())
    if told > MOST_BYTES * record["gradient"]:
        found.append(f"Devices tell {told:,} bytes, where the gradient has {record['gradient']:,}")
    if record["devices"] > 1 and not told:
        found.append(
            "Devices tell each other nothing, so the step is not that of several, or its text is not understood"
        )
    may_have = MOST_KERNELS[record["target"], record["cell"]]
    kernels = {name: [] for name in may_have}
    for loop in record["loops"]:  # which has most comes first
        over_time = loop["steps"] == SIZES[CHECKED["size"]].time
        kernels["time" if over_time else "chunks of the loss"].append(loop["kernels"])
    for name, most in may_have.items():
        own = kernels[name]
        if len(own) != len(most) or any(a > b for a, b in zip(own, most)):
            found.append(f"The loops over {name} have {own} kernels a step, and may have {most}")
    return found


if __name__ == "__main__":
    sys.exit(main())
