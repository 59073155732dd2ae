"""Do units that tick at different speeds draw a long waveform better?

Sequence generation after Koutnik et al. (2014): from an input that never changes a network has to produce the 320 steps
of a waveform, here a random sum of sines, another one for each seed. Clockwork, plain and LSTM networks of an equal
number of parameters learn it by heart, of which a clockwork network reads little more than half: fast groups tell slow
ones nothing. The error is the mean square of what is wrong, as a share of the waveform's variance.
"""

import itertools
import math

import keras
import numpy as np
from keras import ops

from keras_rnnlm import layers
from keras_rnnlm.training.studies.budget import units_for
from keras_rnnlm.training.studies.crowd import Crowd, crowds, each
from keras_rnnlm.training.studies.pictures import STYLES, curves, legend
from keras_rnnlm.training.studies.summaries import claim, groups, median

SETTINGS = dict(
    full=dict(
        seeds=10,
        at_once=10,
        parameters=650,
        time=320,
        sines=10,
        highest=20,
        steps=1500,
        learning_rates=[1e-3, 3e-3, 1e-2],
    ),
    short=dict(seeds=2, at_once=2, parameters=100, time=40, sines=4, highest=4, steps=100, learning_rates=[1e-2]),
)
EVERY = 50
PERIODS = (1, 2, 4, 8, 16, 32, 64, 128)
# A layer, and what its width is a multiple of.
MODELS = {
    "clockwork": (lambda units: layers.ClockworkRNN(units, periods=PERIODS), len(PERIODS)),
    "plain RNN": (layers.SimpleRNN, 1),
    "LSTM": (layers.LSTM, 1),
}


def waveform(seed, time, sines, highest):
    """A sum of sines of random frequencies, up to `highest` turns in all, the slower the larger; from -1 to 1."""
    rng = np.random.default_rng(seed)
    turns, phases = rng.uniform(1, highest, (sines, 1)), rng.uniform(0, 2 * np.pi, (sines, 1))
    wave = np.sum(np.sin(2 * np.pi * turns * np.arange(time) / time + phases) / np.sqrt(turns), axis=0)
    return wave / np.abs(wave).max()


def trials(settings):
    return [
        dict(model=model, learning_rate=rate, seeds=seeds)
        for seeds in crowds(settings)
        for rate in settings["learning_rates"]
        for model in MODELS
    ]


def measure(settings, model, learning_rate, seeds):
    make, multiple = MODELS[model]
    units = units_for(settings["parameters"], lambda units: Crowd(lambda: make(units), [0], 1, 1), multiple)
    networks = Crowd(lambda: make(units), seeds, 1, 1)
    waves = [waveform(seed, settings["time"], settings["sines"], settings["highest"]) for seed in seeds]
    wanted = np.reshape(waves, (len(seeds), 1, -1, 1)).astype("float32")
    constant = np.ones_like(wanted)
    networks.prepare(
        loss=lambda y, output: ops.mean(ops.square(y - output), axis=-1),
        learning_rate=keras.optimizers.schedules.CosineDecay(learning_rate, settings["steps"]),
        every=EVERY,
    )
    losses = networks.learn_each(itertools.repeat((constant, wanted)), settings["steps"])
    networks.reset_states()  # as it began in training
    drawn = networks.predict_on_batch(constant)[:, 0, :, 0]
    errors = np.mean((drawn - waves) ** 2, axis=1) / np.var(waves, axis=1)
    return {
        "units": units,
        "parameters": networks.count_params(),
        "each": [
            {"seed": seed, "losses": of_seed, "error": float(error)}
            for seed, of_seed, error in zip(seeds, losses, errors)
        ],
        "drawn": drawn[0].tolist(),
        "wanted": waves[0].tolist(),
    }


def best(results):
    """For each model its results at the learning rate of the least error."""
    found = {}
    for (model, _), group in groups(results, "model", "learning_rate").items():
        found[model] = min(found.get(model, group), group, key=_error)
    return found


def _error(group):
    error = median([one["error"] for one in each(group)])["median"]
    return math.inf if error is None else error


def table(settings, results):
    return [
        {
            "model": model,
            "error": median([one["error"] for one in each(group)]),
            "learning rate": group[0]["learning_rate"],
            "units": group[0]["units"],
            "weights": group[0]["parameters"],
            "seconds": sum(result["seconds"] for result in group),
        }
        for model, group in best(results).items()
    ]


def draw(settings, results, figure):
    above, below = figure.subplots(2)
    shown = best(results)
    curves(above, {model: each(group) for model, group in shown.items()}, EVERY)
    above.set(xlabel="steps of training", ylabel="mean squared error", yscale="log")
    for model, (result, *_) in shown.items():
        below.plot(np.array(result["drawn"], "float64"), label=model, **STYLES[model])
    below.plot(np.array(result["wanted"], "float64"), color="black", linestyle=":", label="wanted")
    below.set(xlabel="steps of the waveform", title=f"Seed {result['seeds'][0]}")
    legend(figure)


def claims(settings, results):
    errors = {model: _error(group) for model, group in best(results).items()}
    numbers = ", ".join(f"{model} {error:.3f}" for model, error in errors.items())
    others = [errors["plain RNN"], errors["LSTM"]]
    return [
        claim("clockwork makes half the error of a plain RNN, or less", errors["clockwork"] <= others[0] / 2, numbers),
        claim("clockwork makes the least error", errors["clockwork"] < min(others), numbers),
    ]
