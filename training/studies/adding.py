"""Which networks carry two numbers over a hundred steps?

The adding problem (Hochreiter and Schmidhuber 1997), in the form of Le et al. (2015): at each step a number from 0 to 1
and a mark, which is 1 at one step of each half of the sequence and 0 elsewhere. After the last step the sum of the two
marked numbers is asked for. Always answering 1 has a mean squared error of 1/6 = 0.167, the variance of that sum: who
is below has carried something. All networks take the same steps, at the same learning rates.
"""

import keras
import numpy as np

from keras_rnnlm.models.language_model import CELLS
from keras_rnnlm.training.studies.fitting import fit, outputs
from keras_rnnlm.training.studies.pictures import curves, legend
from keras_rnnlm.training.studies.summaries import claim, groups, mean, median, share

MODELS = ("lstm", "gru", "simple_rnn")
SETTINGS = dict(
    full=dict(seeds=6, time=100, units=64, batch=50, steps=1200, learning_rates=[3e-3, 1e-2], solved=0.04, tested=1000),
    short=dict(seeds=1, time=20, units=32, batch=32, steps=300, learning_rates=[1e-2], solved=0.04, tested=200),
)
BASELINE = 1 / 6
EVERY = 100


def examples(rng, n, time):
    """(n, time, 2) numbers and marks, and (n, 1) sums."""
    numbers, marks, rows = rng.random((n, time)), np.zeros((n, time)), np.arange(n)
    marks[rows, rng.integers(0, time // 2, n)] = 1
    marks[rows, rng.integers(time // 2, time, n)] = 1
    sums = np.sum(numbers * marks, axis=1, keepdims=True)
    return np.stack([numbers, marks], axis=-1).astype("float32"), sums.astype("float32")


def trials(settings):
    return [
        dict(model=model, learning_rate=rate, seed=seed)
        for seed in range(settings["seeds"])
        for model in MODELS
        for rate in settings["learning_rates"]
    ]


def measure(settings, model, learning_rate, seed):
    keras.utils.set_random_seed(seed)
    network = keras.Sequential([CELLS[model](settings["units"]), keras.layers.Dense(1)])
    losses = fit(
        network,
        lambda rng, n: examples(rng, n, settings["time"]),
        seed=seed,
        steps=settings["steps"],
        batch=settings["batch"],
        loss="mse",
        learning_rate=learning_rate,
        every=EVERY,
    )
    inputs, sums = examples(np.random.default_rng([seed, 1]), settings["tested"], settings["time"])
    error = np.mean((outputs(network, inputs) - sums) ** 2)
    return {"error": float(error), "losses": losses, "weights": network.count_params()}


def table(settings, results):
    rows = []
    for (model, rate), group in groups(results, "model", "learning_rate").items():
        reached = [_first(result["losses"], settings["solved"]) for result in group]
        rows.append(
            {
                "model": model,
                "learning rate": rate,
                f"below {settings['solved']}": share([_solved(settings, result) for result in group]),
                "mean squared error": median([result["error"] for result in group]),
                "steps until then": median([steps for steps in reached if steps is not None]),
                "weights": group[0]["weights"],
                "seconds": mean([result["seconds"] for result in group])["mean"],
            }
        )
    return rows


def draw(settings, results, figure):
    by_rate = groups(results, "learning_rate")
    panels = figure.subplots(1, len(by_rate), squeeze=False, sharey=True)[0]
    for axes, (rate, group) in zip(panels, by_rate.items()):
        axes.axhline(BASELINE, color="black", linewidth=1, label="always 1")
        axes.set(xlabel="steps", yscale="log", title=f"{settings['time']} steps, learning rate {rate:g}")
        curves(axes, groups(group, "model"), EVERY)
    panels[0].set_ylabel("mean squared error")
    legend(figure)


def claims(settings, results):
    lines, needed = [], 0.8 * settings["seeds"]
    for model in ("lstm", "gru"):
        tried = groups([result for result in results if result["model"] == model], "learning_rate").values()
        most = max(sum(_solved(settings, result) for result in group) for group in tried)
        expected = f"at its best learning rate, the {model} is below {settings['solved']} on four fifths of the seeds"
        lines.append(claim(expected, most >= needed, f"{most} of {settings['seeds']}"))
    errors = [result["error"] for result in results if result["model"] == "simple_rnn" and result["error"] is not None]
    best = min(errors, default=np.inf)
    lines.append(claim("the plain RNN is above 0.05 at every rate and seed", best > 0.05, f"its best is {best:.3f}"))
    return lines


def _solved(settings, result):
    return result["error"] is not None and result["error"] < settings["solved"]


def _first(losses, limit):
    """The steps after which a loss was below a limit for the first time."""
    return next((EVERY * (k + 1) for k, loss in enumerate(losses) if loss is not None and loss < limit), None)
