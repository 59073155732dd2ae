"""What lets eight LSTM layers learn?

Eight layers, each reading the one below it, and the same with residual connections (He et al. 2016), dense ones (Huang
et al. 2017) and highways (Srivastava et al. 2015), beside a single layer. The task is the next character of the source
code of Python's standard library; all take the same steps.
"""

import functools
import math

import keras
import numpy as np

from keras_rnnlm.layers import LSTM, RecurrentStack
from keras_rnnlm.training.corpora.opening import open_corpus
from keras_rnnlm.training.studies.fitting import fit, outputs
from keras_rnnlm.training.studies.pictures import curves, legend
from keras_rnnlm.training.studies.summaries import claim, groups, mean, median

SETTINGS = dict(
    full=dict(seeds=6, layers=8, units=64, window=32, batch=32, steps=300, learning_rate=3e-3, kilobytes=1000),
    short=dict(seeds=1, layers=2, units=16, window=16, batch=8, steps=50, learning_rate=3e-3, kilobytes=200),
)
CHARACTERS = 128  # ASCII
EVERY = 50
TESTED = 256  # windows
CONNECTIONS = {"one layer": None, "none": None, "residual": "residual", "dense": "dense", "highway": "highway"}


def trials(settings):
    return [dict(connection=name, seed=seed) for seed in range(settings["seeds"]) for name in CONNECTIONS]


@functools.lru_cache
def texts(kilobytes):
    """The characters to learn from, and those to test on."""
    splits = open_corpus(f"stdlib:{kilobytes}k").splits
    written = (splits[name].text().encode("ascii", "ignore") for name in ("train", "valid"))
    return [np.frombuffer(text, "uint8").astype("int32") for text in written]


def windows(rng, n, text, window):
    """(n, window) characters from anywhere in the text, and the next of each."""
    begins = rng.integers(0, len(text) - window, (n, 1))
    read = text[begins + np.arange(window + 1)]
    return read[:, :-1], read[:, 1:]


def network(settings, connection):
    units, layers = settings["units"], 1 if connection == "one layer" else settings["layers"]
    characters = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(CHARACTERS, units)(characters)
    x, _ = RecurrentStack([LSTM(units) for _ in range(layers)], CONNECTIONS[connection])(x)
    return keras.Model(characters, keras.layers.Dense(CHARACTERS)(x))


def measure(settings, connection, seed):
    keras.utils.set_random_seed(seed)
    model, (train, valid) = network(settings, connection), texts(settings["kilobytes"])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    losses = fit(
        model,
        lambda rng, n: windows(rng, n, train, settings["window"]),
        seed=seed,
        steps=settings["steps"],
        batch=settings["batch"],
        loss=loss,
        learning_rate=settings["learning_rate"],
        every=EVERY,
    )
    inputs, targets = windows(np.random.default_rng(0), TESTED, valid, settings["window"])
    return {"loss": float(loss(targets, outputs(model, inputs))), "losses": losses, "weights": model.count_params()}


def table(settings, results):
    return [
        {
            "connection": name,
            "layers": 1 if name == "one layer" else settings["layers"],
            "nats a character": median([result["loss"] for result in group]),
            "weights": group[0]["weights"],
            "seconds": mean([result["seconds"] for result in group])["mean"],
        }
        for name, group in groups(results, "connection").items()
    ]


def draw(settings, results, figure):
    axes = figure.subplots()
    axes.set(xlabel="steps", ylabel="nats a character, in training")
    axes.set_title(f"{settings['layers']} layers of {settings['units']} units")
    curves(axes, groups(results, "connection"), EVERY)
    legend(figure)


def claims(settings, results):
    medians = {row["connection"]: row["nats a character"]["median"] for row in table(settings, results)}
    losses = {name: math.inf if loss is None else loss for name, loss in medians.items()}
    plain = losses.pop("none")
    expected = f"{settings['layers']} layers without connections learn worst, worse than one layer, too"
    numbers = ", ".join(f"{name} {loss:.3f}" for name, loss in {"none": plain, **losses}.items())
    return [claim(expected, plain > max(losses.values()), numbers)]
