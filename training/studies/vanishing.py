"""How far back does a gradient reach, and what decides it?

The norm of the gradient of one step's output by the states before it (Hochreiter 1991; Bengio et al. 1994), for a plain
RNN whose recurrent matrix is a multiple of an orthogonal one and for LSTMs of several forget biases (Gers et al. 2000;
Jozefowicz et al. 2015).
"""

import keras
import numpy as np
from keras_rnnlm.training.studies.statistics import geometric_mean

from keras_rnnlm import layers
from keras_rnnlm.diagnostics import gradient_flow

SETTINGS = dict(
    full=dict(seeds=5, units=64, features=8, batch=16, time=51),
    short=dict(seeds=1, units=16, features=4, batch=4, time=51),
)


def trials(settings):
    return [dict(model=model, seed=seed) for seed in range(settings["seeds"]) for model in ("simple_rnn", "lstm")]


def measure(settings, model, seed):
    keras.utils.set_random_seed(seed)
    layer = {"simple_rnn": layers.SimpleRNN, "lstm": layers.LSTM}[model](settings["units"])
    shape = settings["batch"], settings["time"], settings["features"]
    flow = gradient_flow(layer, np.random.default_rng(seed).normal(size=shape))
    return {"fall": flow.fall(), "norms": flow.norms[0].tolist()}


def table(settings, results):
    models = dict.fromkeys(result["model"] for result in results)
    return [{"model": m, "falls by": geometric_mean([r["fall"] for r in results if r["model"] == m])} for m in models]


def draw(settings, results, figure):
    axes = figure.subplots()
    for result in results:
        axes.semilogy(result["norms"], label=result["model"])
    axes.legend()
