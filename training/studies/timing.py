"""Do peepholes help an LSTM to keep time?

Periodic functions after Gers et al. (2002): from an input that never changes, one or two cells have to produce a spike
in every T steps, a square wave or a cosine. A network begins with T = 2. Whenever it makes no error in a thousand
steps, each of them within 0.3 of what is wanted, T grows by one: what counts is the longest period that was mastered.
The output gate reads the cell as it is, h = o*c, and what is learned from a sequence ends where it first goes wrong.
"""

import itertools

import numpy as np
from keras import ops

from keras_rnnlm.layers import LSTM
from keras_rnnlm.training.studies.crowd import Crowd, crowds, each
from keras_rnnlm.training.studies.pictures import STYLES, legend
from keras_rnnlm.training.studies.summaries import cell, claim, groups, mean, median, share

SETTINGS = dict(
    full=dict(
        seeds=50,
        at_once=50,
        functions=["spikes", "square wave", "cosine"],
        cells=[1, 2],
        window=40,
        steps=6000,
        check=200,
        tested=1000,
        learning_rate=0.02,
        goals=[5, 10],
    ),
    short=dict(
        seeds=3,
        at_once=3,
        functions=["spikes"],
        cells=[2],
        window=20,
        steps=200,
        check=100,
        tested=100,
        learning_rate=0.02,
        goals=[2, 3],
    ),
)
FUNCTIONS = {
    "spikes": lambda phase, period: phase == period - 1,
    "square wave": lambda phase, period: phase < period / 2,
    "cosine": lambda phase, period: (1 - np.cos(2 * np.pi * phase / period)) / 2,
}
ERROR = 0.3  # that is too large
STOP = 0.5  # where the rest of a sequence is not learned from


def values(name, period, steps):
    """The first steps of a function, from 0 to 1."""
    return FUNCTIONS[name](np.arange(steps) % period, period).astype("float32")


def trials(settings):
    return [
        dict(function=name, cells=cells, peephole=peephole, seeds=seeds)
        for seeds in crowds(settings)
        for name in settings["functions"]
        for cells in settings["cells"]
        for peephole in (True, False)
    ]


def loss(y, output):
    """The squared error of each step, up to the first that is far off."""
    error = ops.abs(ops.squeeze(y - output, axis=-1))
    good = ops.cumprod(ops.cast(error < STOP, "float32"), axis=-1)
    reached = ops.concatenate([ops.ones_like(good[..., :1]), good[..., :-1]], axis=-1)
    return ops.stop_gradient(reached) * ops.square(error)


def measure(settings, function, cells, peephole, seeds):
    networks = Crowd(lambda: LSTM(cells, peephole=peephole, output_activation=None), seeds, features=1, outputs=1)
    networks.prepare(loss=loss, learning_rate=settings["learning_rate"], every=settings["check"])
    periods, history = np.full(len(seeds), 2), []
    for _ in range(settings["steps"] // settings["check"]):
        wanted = sequences(function, periods, settings["window"])
        constant = np.ones_like(wanted)
        networks.learn(itertools.repeat((constant, wanted)), settings["check"])
        networks.reset_states()
        written = [networks.predict_on_batch(constant) for _ in range(settings["tested"] // settings["window"])]
        written = np.concatenate(written, axis=2)
        error = np.abs(written - sequences(function, periods, written.shape[2]))
        periods = periods + np.all(error < ERROR, axis=(1, 2, 3))
        history.append(float(np.mean(periods - 1)))
    return {
        "history": history,
        "parameters": networks.count_params(),
        "each": [{"seed": seed, "period": int(period - 1)} for seed, period in zip(seeds, periods)],
    }


def sequences(name, periods, steps):
    """(networks, 1, steps, 1), of a period for each."""
    return np.stack([values(name, period, steps) for period in periods])[:, None, :, None]


def table(settings, results):
    rows = []
    for (name, cells, peephole), group in groups(results, "function", "cells", "peephole").items():
        periods = [one["period"] for one in each(group)]
        row = {"function": name, "cells": cells, "peepholes": "yes" if peephole else "no"}
        row |= {f"period {goal}": share([period >= goal for period in periods]) for goal in settings["goals"]}
        row |= {"longest period": median(periods), "in the mean": mean(periods), "weights": group[0]["parameters"]}
        rows.append(row | {"seconds": sum(result["seconds"] for result in group)})
    return rows


def draw(settings, results, figure):
    by_kind = groups(results, "function", "cells")
    columns = len(settings["cells"])
    panels = figure.subplots(-(-len(by_kind) // columns), columns, squeeze=False, sharex=True, sharey=True).flat
    for axes, ((name, cells), of_kind) in zip(panels, by_kind.items()):
        for peephole, group in groups(of_kind, "peephole").items():
            periods = np.array([one["period"] for one in each(group)])
            goals = np.arange(1, periods.max() + 2)
            mastered = [np.mean(periods >= goal) for goal in goals]
            network = "LSTM, peepholes" if peephole else "LSTM"
            axes.step(goals, mastered, where="mid", label=network, **STYLES[network])
        axes.set(title=f"{name}, cells: {cells}", xlabel="period", ylabel="share of seeds")
    legend(figure)


def claims(settings, results):
    lines = []
    for (name, cells), group in groups(results, "function", "cells").items():
        seeing, blind = groups(each(group), "peephole").values()
        longer = mean([a["period"] - b["period"] for a, b in zip(seeing, blind)])
        expected = f"a seed masters longer periods with peepholes than without: {name}, cells: {cells}"
        lines.append(claim(expected, (longer["low"] or 0) > 0, f"by {cell(longer)}"))
    return lines
