"""Whole training steps side by side: ours, Keras's own layers, and PyTorch's, beside what the matrix products allow.

A step reads a window of tokens of each text, embeds them, runs a stack of LSTMs that carry their states from window to
window, forms the softmax over the whole vocabulary, clips the gradient by its global norm, and takes a step of SGD.
"""

import dataclasses
import statistics
import time

import numpy as np

from keras_rnnlm import quiet
from keras_rnnlm.installed import has_tensorflow
from keras_rnnlm.training.streams import untuned

MAX_NORM = 0.25
LEARNING_RATE = 0.1
WINDOWS = 50  # different ones, over and over


@dataclasses.dataclass(frozen=True)
class Size:
    """What is trained.

    >>> Size(units=650).multiply_adds() / 1e9
    27.846
    """

    units: int = 200
    vocabulary: int = 10_000
    layers: int = 2
    batch: int = 20
    time: int = 35
    dtype: str = "float32"

    @property
    def tokens(self):
        return self.batch * self.time

    @property
    def policy(self):
        return "mixed_bfloat16" if self.dtype == "bfloat16" else self.dtype

    def multiply_adds(self):
        """Of the products of one step: forward, and twice as many for the gradients of what goes in and of weights."""
        return 3 * self.tokens * (self.layers * 8 * self.units**2 + self.units * self.vocabulary)


SIZES = [Size(650, 10_000), Size(200, 10_000), Size(200, 33_278)]  # that the benchmarks measure


def contenders(names=None):
    """The functions that make a contender, by name: those asked for, PyTorch's only where it is installed."""
    import importlib.util

    found = {"ours": ours, "ours, peepholes": peephole, "ours, coupled": coupled}
    found |= {"ours, remat": remat, "ours, tied": tied} if names else {}
    found |= {"Keras": keras_layers, "Keras, XLA": compiled_keras_layers}
    if importlib.util.find_spec("torch"):
        found["PyTorch"] = torch_example
    for name in names or ():
        if name not in found:
            raise ValueError(f"There is {', '.join(found)}. Received: {name!r}")
    return {name: found[name] for name in names or found}


def ours(size, tied=False, **cell_options):
    """`train(n)` takes n steps of `fit` in its default mode."""
    keras = quiet.import_keras()
    from keras_rnnlm.models import LanguageModel
    from keras_rnnlm.optimizers import ClippedOptimizer

    model = LanguageModel(
        size.vocabulary, size.units, size.layers, cell_options=cell_options, tied=tied, seed=0, dtype=size.policy
    )
    model.compile(ClippedOptimizer(keras.optimizers.SGD(LEARNING_RATE), MAX_NORM))
    tokens, targets = windows(size)
    start = np.zeros((WINDOWS, size.batch), bool)
    return _fit(model, {"tokens": tokens, "start": start}, targets)


def peephole(size):
    return ours(size, peephole=True)


def coupled(size):
    return ours(size, coupled=True)


def remat(size):
    return ours(size, remat=True)


def tied(size):
    return ours(size, tied=True)


def keras_layers(size, jit_compile=False):
    """The same of Keras's own layers, whose states are carried by `stateful`."""
    keras = quiet.import_keras()
    policy, layers = size.policy, keras.layers
    recurrent = dict(return_sequences=True, stateful=True, dtype=policy)
    model = keras.Sequential(
        [
            keras.Input(batch_shape=(size.batch, size.time), dtype="int32"),
            layers.Embedding(size.vocabulary, size.units, dtype=policy),
            *[layers.LSTM(size.units, **recurrent) for _ in range(size.layers)],
            layers.Dense(size.vocabulary, dtype=policy),
        ]
    )
    model.compile(
        keras.optimizers.SGD(LEARNING_RATE, global_clipnorm=MAX_NORM),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=jit_compile,
    )
    return _fit(model, *windows(size))


def compiled_keras_layers(size):
    return keras_layers(size, jit_compile=True)


def torch_example(size):
    """The same in PyTorch, written as its examples are: on a GPU where it has one."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    embedding = torch.nn.Embedding(size.vocabulary, size.units).to(device)
    lstm = torch.nn.LSTM(size.units, size.units, size.layers).to(device)
    head = torch.nn.Linear(size.units, size.vocabulary).to(device)
    parameters = [p for module in (embedding, lstm, head) for p in module.parameters()]
    tokens, targets = (torch.tensor(part, dtype=torch.long, device=device).transpose(1, 2) for part in windows(size))
    states = tuple(torch.zeros(size.layers, size.batch, size.units, device=device) for _ in range(2))

    def train(steps):
        nonlocal states
        for step in range(steps):
            states = tuple(state.detach() for state in states)
            with torch.autocast(device, torch.bfloat16, enabled=size.dtype == "bfloat16"):
                output, states = lstm(embedding(tokens[step % WINDOWS]), states)
                logits = head(output)
            loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), targets[step % WINDOWS].reshape(-1))
            for parameter in parameters:
                parameter.grad = None
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, MAX_NORM)
            with torch.no_grad():
                for parameter in parameters:
                    parameter.add_(parameter.grad, alpha=-LEARNING_RATE)
        if device == "cuda":
            torch.cuda.synchronize()

    return train


def windows(size):
    """Tokens, (WINDOWS, batch, time), as frequent as words are, and the next of each."""
    ranks = np.random.default_rng(0).zipf(1.2, (size.batch, WINDOWS * size.time + 1))
    text = (ranks % size.vocabulary).astype("int32")
    cut = (text[:, k : k + WINDOWS * size.time].reshape(size.batch, WINDOWS, size.time) for k in (0, 1))
    return [np.ascontiguousarray(part.swapaxes(0, 1)) for part in cut]


def _fit(model, inputs, targets):
    if has_tensorflow():
        import tensorflow as tf

        dataset = untuned(tf.data.Dataset.from_tensor_slices((inputs, targets)).repeat().prefetch(2))
    else:
        from keras_rnnlm.training.streams.without_tensorflow import Batches, numbered

        dataset = Batches(numbered((inputs, targets)), WINDOWS).repeat()

    def train(steps):
        model.fit(dataset, steps_per_epoch=steps, verbose=0, shuffle=False)

    return train


def interleaved(trains, steps, rounds):
    """The median seconds of a step of each, by name: all take some steps in turn, round after round."""
    spent = {name: [] for name in trains}
    for train in trains.values():
        train(steps)
    for _ in range(rounds):
        for name, train in trains.items():
            begun = time.perf_counter()
            train(steps)
            spent[name].append((time.perf_counter() - begun) / steps)
    return {name: statistics.median(seconds) for name, seconds in spent.items()}


def product_rate(dtype="float32", seconds=1.0):
    """The most multiply-adds a second that a matrix product reaches here, of Keras's and, in float32, numpy's."""
    from keras import ops

    best = 0.0
    for n in (1024, 2048):
        a = np.random.default_rng(0).normal(size=(n, n)).astype("float32")
        b = ops.convert_to_tensor(a, dtype=dtype)
        products = [lambda b=b: ops.convert_to_numpy(ops.matmul(b, b))] + [lambda a=a: a @ a] * (dtype == "float32")
        for product in products:
            product()
            begun = time.perf_counter()
            while time.perf_counter() - begun < seconds:
                start = time.perf_counter()
                product()
                best = max(best, n**3 / (time.perf_counter() - start))
    return best


def compare(size, names=None, steps=10, rounds=5):
    """A row for each contender: tokens a second, the share of what the products allow, and times as fast as Keras's."""
    trains, first = {}, {}
    for name, make in contenders(names).items():
        begun = time.perf_counter()
        trains[name] = make(size)
        trains[name](1)
        first[name] = time.perf_counter() - begun
    seconds, rate = interleaved(trains, steps, rounds), product_rate(size.dtype)
    keras = min((seconds[name] for name in ("Keras", "Keras, XLA") if name in seconds), default=None)
    return {
        name: {
            "tokens_per_second": size.tokens / spent,
            "share_of_products": size.multiply_adds() / rate / spent,
            "times_keras": None if keras is None else keras / spent,
            "times_torch": seconds["PyTorch"] / spent if "PyTorch" in seconds else None,
            "first_step": first[name],
        }
        for name, spent in seconds.items()
    }


def table(rows):
    """The rows as lines of text."""
    lines = [f"{'':<18}{'tokens/s':>10}{'of products':>13}{'x Keras':>9}{'x PyTorch':>11}{'first step':>12}"]
    for name, row in rows.items():
        times = [f"{value:.2f}" if value is not None else "-" for value in (row["times_keras"], row["times_torch"])]
        lines.append(
            f"{name:<18}{row['tokens_per_second']:>10,.0f}{row['share_of_products']:>13.0%}{times[0]:>9}{times[1]:>11}"
            f"{row['first_step']:>10.1f} s"
        )
    return "\n".join(lines)
