"""What a GPU is worth: parity with the processor, training steps beside PyTorch's and Keras's, and a run of awd-lstm.

    python benchmarks/gpu.py --out DIR --data FOLDER     # JAX and PyTorch, no TensorFlow; 8 minutes; it can be resumed
    python benchmarks/gpu.py --out DIR --tiny --data FOLDER      # the same on a processor, to see that it runs

Parts, in this order, each as long as there is time; `--only` takes some. What is there in DIR is not done again.

parity: outputs and gradients of each path by one process on the GPU, with TF32 off, and one on the processor: the
    largest difference beside the largest number. Paths that do not agree are told, and the rest goes on.
steps: whole training steps of two layers, by `training.loop.steps_per_second`, in the order of their importance:
    ours, with peepholes and without, Keras's LSTM and PyTorch's, in turn. In float32 all may multiply in TF32.
layers: one layer alone, forward and back with all gradients, beside PyTorch's, which is cuDNN's.
profile: the kernels of a training step with peepholes, by their time.
train: the recipe `awd-lstm` on WikiText-2 for the rest of the time. Published is 68.6 on validation after 750 epochs.
"""

import argparse
import dataclasses
import functools
import json
import math
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

# Run as a script, its folder is where modules are looked for.
sys.path.append(str(pathlib.Path(__file__).parent.parent))

import numpy as np

from keras_rnnlm.training.loop import steps_per_second
from keras_rnnlm.training.loop.steps_per_second import Size

PARTS = ["parity", "steps", "layers", "profile", "train"]
# A precision and a batch of a size are one group: its contenders take their steps in turn.
GROUPS = [
    Size(units, 10_000, batch=batch, dtype=dtype)
    for dtype, batch in (("float32", 20), ("bfloat16", 256), ("bfloat16", 20), ("float32", 256))
    for units in (650, 1500)
]
CONTENDERS = ["ours, peepholes", "ours", "Keras, XLA"]  # without XLA Keras runs its loops op by op on JAX
TOLERANCES = {"float32": 1e-4, "mixed_bfloat16": 3e-2}
WORDS = 2_000
HEADS = [dict(head="full"), dict(head="adaptive"), dict(tied=True)]  # of the language models of `parity`
PUBLISHED = 68.6
ENVIRONMENT = {
    "KERAS_BACKEND": "jax",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # PyTorch needs some of the memory
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
LEAST_TO_TRAIN = 0.5  # minutes


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, help="a folder for results, each of which is kept at once")
    parser.add_argument("--data", default=os.environ.get("KERAS_RNNLM_DATA"), help="the folder with wikitext-2")
    parser.add_argument("--minutes", type=float, default=8.0, help="for all (%(default)g)")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=50, help="of a contender at its turn (%(default)s)")
    parser.add_argument("--tiny", action="store_true", help="small sizes, few steps, and fewer paths")
    parser.add_argument("--paths", metavar="FILE.npz", help=argparse.SUPPRESS)  # a process of `parity`
    options = parser.parse_args()
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if options.paths:
        return np.savez(options.paths, **outputs_of_paths(options.tiny))
    if not options.out:
        parser.error("the following arguments are required: --out")
    if "train" in options.only and not options.data:
        parser.error("`train` needs --data, the folder with wikitext-2; --only takes other parts")
    if options.tiny:
        options.out = options.out / "tiny"
    options.out.mkdir(parents=True, exist_ok=True)
    results = Results(options.out / "results.jsonl", time.monotonic() + 60 * options.minutes)
    if "parity" in options.only:
        results.take("parity", lambda: parity(options.tiny))
    import jax

    print(f"{jax.devices()[0].device_kind}, JAX {jax.__version__}", flush=True)
    if has_torch():
        import torch

        torch.set_float32_matmul_precision("high")  # TF32, as JAX takes it
    groups = GROUPS
    if options.tiny:
        groups, options.steps, options.rounds = [Size(16, 100, batch=4, time=5)], 2, 2
    for size in groups if "steps" in options.only else []:
        results.take(f"steps {named(size)}", lambda size=size: steps(size, options.steps, options.rounds))
    for size in groups if "layers" in options.only else []:
        results.take(f"layers {named(size)}", lambda size=size: layers(size, options.steps, options.rounds))
    if "profile" in options.only:
        results.take("profile", lambda: profile(groups[0], options.steps))
    if "train" in options.only:
        results.take("train", lambda: train(options, (results.ends - time.monotonic()) / 60), LEAST_TO_TRAIN)
    return None


class Results:
    """A file with a line of JSON for each result, and the time that is left."""

    def __init__(self, path, ends):
        self.path, self.ends = path, ends
        lines = path.read_text().splitlines() if path.exists() else []
        self.done = {record["what"] for record in map(json.loads, lines) if "failed" not in record}

    def take(self, what, measure, least=0.0):
        """Measures what is not there yet, if so many minutes are left. What fails is kept as that, and tried again."""
        if what in self.done:
            return
        begun = time.monotonic()
        if begun + 60 * least > self.ends:
            print(f"{what}: no time left", flush=True)
            return
        try:
            record = {"what": what, **measure()}
        except Exception as error:  # that one does not fit must not take the time from the others
            record = {"what": what, "failed": f"{type(error).__name__}: {first_line(error)}"}
        record["seconds"] = round(time.monotonic() - begun, 1)
        with open(self.path, "a") as file:
            file.write(json.dumps(record) + "\n")
        print(json.dumps(record), flush=True)


def first_line(error):
    return (str(error).strip().splitlines() or [""])[0][:200]


def named(size):
    return f"{size.units} units, {size.vocabulary:,} words, batch {size.batch}, {size.dtype}"


# Parity


def paths(tiny):
    """What is computed, by name: how it is made, and its dtype policy."""
    from keras_rnnlm import layers
    from keras_rnnlm.layers import GRU, LSTM, RecurrentStack

    every = dict(return_sequences=True)
    found = {
        "LSTM": lambda **how: LSTM(48, **every, **how),
        "LSTM, peephole": lambda **how: LSTM(48, peephole=True, **every, **how),
    }
    if not tiny:
        found |= {
            "LSTM, peephole, coupled": lambda **how: LSTM(48, peephole=True, coupled=True, **every, **how),
            "LSTM, peephole, remat": lambda **how: LSTM(48, peephole=True, remat=True, **every, **how),
            "LSTM, layer norm": lambda **how: LSTM(48, layer_norm=True, **every, **how),
            "GRU, reset before": lambda **how: GRU(48, reset_after=False, **every, **how),
        }
        found |= {
            name: lambda make=make, **how: make(48, **every, **how)
            for name, make in layers.LAYERS.items()
            if name != "LSTM"
        }
        found["stack in both directions"] = lambda **how: RecurrentStack(
            [LSTM(48, peephole=True, **how) for _ in range(2)], bidirectional=True, **how
        )
    return found


def outputs_of_paths(tiny):
    """The outputs and all gradients of each path, on the device that JAX has here, in full precision."""
    import jax
    import keras

    jax.config.update("jax_default_matmul_precision", "highest")
    random, found = np.random.default_rng(0), {}
    x, up = random.normal(size=(8, 20, 48)).astype("float32"), random.normal(size=(8, 20, 96)).astype("float32")
    mask = np.arange(20) < random.integers(1, 21, size=(8, 1))
    for name, make in paths(tiny).items():
        for policy in TOLERANCES:
            for kind, steps in (("all steps", None), ("masked", mask)):
                if tiny and kind == "masked":
                    continue
                key = f"{name}, {kind}, {policy}"
                try:
                    keras.utils.set_random_seed(1)
                    layer = make(dtype=policy)
                    layer.build(x.shape)
                    arrays = outputs_and_gradients(layer, x, steps, up)
                except Exception as error:  # told as infinitely far apart
                    print(f"{key}: {type(error).__name__}: {first_line(error)}", file=sys.stderr, flush=True)
                    arrays = [np.array([np.nan])]
                found |= {f"{key}|{k}": array for k, array in enumerate(arrays)}
    found |= losses_of_models(tiny)
    return found


def outputs_and_gradients(layer, x, mask, up):
    import jax
    import jax.numpy as jnp

    fixed = [v.value for v in layer.non_trainable_variables]

    def loss(weights, x):
        made = jax.tree.leaves(layer.stateless_call(weights, fixed, x, mask=mask)[0])[0].astype("float32")
        return (made * up[..., : made.shape[-1]]).sum(), made

    weights = [v.value for v in layer.trainable_variables]
    (_, made), gradients = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))(weights, jnp.asarray(x))
    return [np.asarray(a, "float32") for a in jax.tree.leaves([made, gradients])]


def losses_of_models(tiny):
    """The losses of the first steps of language models, with each head, as `fit` has them."""
    import keras

    from keras_rnnlm.models import LanguageModel
    from keras_rnnlm.optimizers import ClippedOptimizer

    tokens = np.random.default_rng(2).integers(0, WORDS, (6, 8, 21))
    inputs, found = {"tokens": tokens[..., :-1], "start": np.zeros((6, 8), bool)}, {}
    for options in HEADS[:1] if tiny else HEADS:
        model = LanguageModel(WORDS, 48, 2, cell_options={"peephole": True}, seed=0, **options)
        model.compile(ClippedOptimizer(keras.optimizers.SGD(0.5), 0.25))
        model.reset_states(8)
        losses = []
        for k in range(len(tokens)):
            losses.append(model.train_on_batch({name: a[k] for name, a in inputs.items()}, tokens[k][:, 1:])[0])
        found[f"LanguageModel, {options}, float32|0"] = np.array(losses, "float32")
    return found


def parity(tiny):
    """The paths by one process each on the device and on the processor."""
    with tempfile.TemporaryDirectory() as folder:
        files = [os.path.join(folder, name) for name in ("here.npz", "processor.npz")]
        command = [sys.executable, __file__, *["--tiny"] * tiny, "--paths"]
        variables = [os.environ, os.environ | {"JAX_PLATFORMS": "cpu"}]
        running = [subprocess.Popen([*command, file], env=env) for file, env in zip(files, variables)]
        if codes := [process.wait() for process in running if process.wait()]:
            raise RuntimeError(f"A process of `parity` ended with exit code {codes[0]}")
        here, there = (dict(np.load(file)) for file in files)
    return {
        "differences": (found := differences(here, there)),
        "apart": {k: v for k, v in found.items() if is_apart(k, v)},
    }


def differences(here, there):
    """The largest difference of a path's arrays, each beside its largest number: infinite for what is not a number."""
    found = {}
    for key in here | there:
        path, apart = key.split("|")[0], math.inf
        if key in here and key in there:
            apart = float(np.abs(here[key] - there[key]).max() / max(np.abs(there[key]).max(), 1e-6))
        found[path] = max(found.get(path, 0.0), apart if math.isfinite(apart) else math.inf)
    return found


def is_apart(path, difference):
    return difference > TOLERANCES["mixed_bfloat16" if "bfloat16" in path else "float32"]


# Speed


def steps(size, count, rounds):
    """Tokens a second of each contender, the seconds to its first step, and how many times as fast as PyTorch it is."""
    makers = steps_per_second.contenders(CONTENDERS + ["PyTorch"] * has_torch())
    made, told = begun({name: functools.partial(make, size) for name, make in makers.items()})
    seconds = steps_per_second.interleaved(made, count, rounds)
    return {
        "size": dataclasses.asdict(size),
        "tokens a second": {name: round(size.tokens / spent) for name, spent in seconds.items()},
        "ms a step": {name: round(1e3 * spent, 3) for name, spent in seconds.items()},
        "times PyTorch": times(seconds, "PyTorch"),
        **told,
    }


def begun(makers):
    """What the makers give, after its first step: the seconds to it, and what did not come so far."""
    made, first, failed = {}, {}, {}
    for name, make in makers.items():
        start = time.perf_counter()
        try:
            train = make()
            train(1)
        except Exception as error:  # Keras's call of cuDNN does not take half precision on JAX
            failed[name] = f"{type(error).__name__}: {first_line(error)}"
            continue
        made[name], first[name] = train, round(time.perf_counter() - start, 1)
    return made, {"seconds to the first step": first, **({"failed contenders": failed} if failed else {})}


def layers(size, count, rounds):
    """Milliseconds of one layer, forward and back, of each contender."""
    from keras_rnnlm.layers import GRU, LSTM

    shape, how = (size.batch, size.time, size.units), dict(return_sequences=True, dtype=size.policy)
    makers = {
        "ours, peepholes": lambda: of_jax(LSTM(size.units, peephole=True, **how), shape, size.dtype),
        "ours": lambda: of_jax(LSTM(size.units, **how), shape, size.dtype),
        "ours, GRU": lambda: of_jax(GRU(size.units, **how), shape, size.dtype),
        "PyTorch": lambda: of_torch(shape, size.dtype),
    }
    made, told = begun({name: make for name, make in makers.items() if name != "PyTorch" or has_torch()})
    seconds = steps_per_second.interleaved(made, count, rounds)
    return {
        "size": dataclasses.asdict(size),
        "ms": {name: round(1e3 * spent, 3) for name, spent in seconds.items()},
        "times PyTorch": times(seconds, "PyTorch"),
        **told,
    }


def of_jax(layer, shape, dtype):
    """`train(n)`: so many times forward and back."""
    import jax
    import jax.numpy as jnp

    layer.build(shape)
    fixed, weights = ([v.value for v in group] for group in (layer.non_trainable_variables, layer.trainable_variables))
    x = jnp.asarray(np.random.default_rng(0).normal(size=shape), dtype)
    call = jax.jit(
        jax.value_and_grad(lambda w, x: layer.stateless_call(w, fixed, x)[0].astype("float32").sum(), argnums=(0, 1))
    )

    def train(steps):
        for _ in range(steps):
            found = call(weights, x)
        jax.block_until_ready(found)

    return train


def of_torch(shape, dtype):
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = getattr(torch, dtype)
    layer = torch.nn.LSTM(shape[-1], shape[-1], batch_first=True).to(device)  # weights in float32, as ours
    x = torch.randn(shape, device=device, dtype=dtype, requires_grad=True)
    weights = [x, *layer.parameters()]

    def train(steps):
        for _ in range(steps):
            with torch.autocast(device, dtype, enabled=dtype != torch.float32):
                output = layer(x)[0]
            torch.autograd.grad(output.float().sum(), weights)
        if device == "cuda":
            torch.cuda.synchronize()

    return train


def has_torch():
    return "PyTorch" in steps_per_second.contenders()


def times(seconds, other):
    """How many times as fast as the other each is."""
    return {name: round(seconds[other] / spent, 3) for name, spent in seconds.items()} if other in seconds else {}


def profile(size, count):
    """The kernels of a training step with peepholes that take the most time, in microseconds a step."""
    import jax

    train = steps_per_second.contenders(["ours, peepholes"])["ours, peepholes"](size)
    train(count)
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            train(count)
        [written] = pathlib.Path(folder).rglob("*.xplane.pb")
        kernels = kernels_of(jax.profiler.ProfileData.from_file(str(written)))
    most = sorted(kernels.items(), key=lambda item: -item[1][1])[:30]
    return {
        "size": dataclasses.asdict(size),
        "kernels a step": round(sum(calls for calls, _ in kernels.values()) / count, 1),
        "microseconds a step": round(sum(spent for _, spent in kernels.values()) / count / 1e3, 1),
        "most": {name: [round(calls / count, 1), round(spent / count / 1e3, 1)] for name, (calls, spent) in most},
    }


def kernels_of(data):
    """How often each kernel ran on the GPU, and its nanoseconds; without one, what the processor's threads did."""
    planes = [plane for plane in data.planes if plane.name.startswith("/device:GPU")]
    lines = [line for plane in planes for line in plane.lines if line.name.startswith("Stream")]
    if not planes:
        lines = [line for plane in data.planes for line in plane.lines if "XLA" in line.name or "Xla" in line.name]
    found = {}
    for event in (event for line in lines for event in line.events):
        calls, spent = found.get(event.name, (0, 0.0))
        found[event.name] = calls + 1, spent + event.duration_ns
    return found


# A run


def train(options, minutes):
    """The recipe `awd-lstm` on WikiText-2, for the minutes that are left: the validation perplexities of its epochs."""
    from keras_rnnlm.training.runs.run import RunFolder

    run, data = options.out / "awd-lstm", os.path.join(options.data, "wikitext-2")
    settings = {"max_minutes": f"{minutes:.2f}"}
    if options.tiny:
        settings |= {"units": 16, "embedding_dim": 16, "layers": 2, "vocabulary_size": 200, "batch": 400, "epochs": 1}
    shutil.rmtree(run, ignore_errors=True)  # of a try that failed
    command = [sys.executable, "-m", "keras_rnnlm", "train", data, "--out", str(run), "--quiet"]
    command += ["--recipe", "awd-lstm", "--backend", "jax"]
    command += [text for key, value in settings.items() for text in ("--set", f"{key}={value}")]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1])
    valid = [record for record in RunFolder(run).read_history() if record.get("kind") == "valid"]
    return {
        "minutes": round(minutes, 2),
        "validation perplexities": [round(record["perplexity"], 2) for record in valid],
        "seconds": [round(record["seconds"]) for record in valid if "seconds" in record],
        "published, after 750 epochs": PUBLISHED,
    }


if __name__ == "__main__":
    main()
