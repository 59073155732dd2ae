"""Which networks repeat ten symbols after a gap?

The copy memory problem (Hochreiter and Schmidhuber 1997), in the form of Arjovsky et al. (2016): ten symbols out of
eight, a gap of T blanks, whose last is a signal, and ten steps in which to repeat the symbols. A network without memory
is right about the blanks and guesses the rest: its cross-entropy is 10 ln 8 / (T + 20), its accuracy 1/8. The LSTM
begins with Keras's forget bias of 1, and with one of 3 (Jozefowicz et al. 2015). All take the same steps at the same
learning rate.
"""

import math

import keras
import numpy as np

from keras_rnnlm.models.language_model import CELLS
from keras_rnnlm.training.studies.fitting import fit, outputs
from keras_rnnlm.training.studies.pictures import curves, legend
from keras_rnnlm.training.studies.summaries import claim, groups, mean, median
from keras_rnnlm.training.tasks.language_model import set_forget_bias

SETTINGS = dict(
    full=dict(seeds=6, gaps=[20, 50], units=64, batch=32, steps=2400, learning_rate=1e-2, tested=500),
    short=dict(seeds=1, gaps=[5], units=32, batch=32, steps=100, learning_rate=1e-2, tested=100),
)
SYMBOLS, LENGTH = 8, 10
BLANK, SIGNAL = 0, SYMBOLS + 1
EVERY = 100
MODELS = {
    "lstm": CELLS["lstm"],
    "lstm, forget bias 3": CELLS["lstm"],
    "gru": CELLS["gru"],
    "simple_rnn": CELLS["simple_rnn"],
}


def examples(rng, n, gap):
    """(n, gap + 20, 10) symbols to read, one-hot, and (n, gap + 20) to write."""
    symbols = rng.integers(1, SYMBOLS + 1, (n, LENGTH))
    read, written = np.full((2, n, gap + 2 * LENGTH), BLANK)
    read[:, :LENGTH] = symbols
    read[:, -LENGTH - 1] = SIGNAL
    written[:, -LENGTH:] = symbols
    return np.eye(SYMBOLS + 2, dtype="float32")[read], written.astype("int32")


def baseline(gap):
    return LENGTH * math.log(SYMBOLS) / (gap + 2 * LENGTH)


def trials(settings):
    return [
        dict(gap=gap, model=model, seed=seed)
        for seed in range(settings["seeds"])
        for gap in settings["gaps"]
        for model in MODELS
    ]


def measure(settings, gap, model, seed):
    keras.utils.set_random_seed(seed)
    layer = MODELS[model](settings["units"], return_sequences=True)
    network = keras.Sequential([layer, keras.layers.Dense(SYMBOLS + 1)])
    network.build((None, None, SYMBOLS + 2))
    if model == "lstm, forget bias 3":
        set_forget_bias(layer, 3)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    losses = fit(
        network,
        lambda rng, n: examples(rng, n, gap),
        seed=seed,
        steps=settings["steps"],
        batch=settings["batch"],
        loss=loss,
        learning_rate=settings["learning_rate"],
        every=EVERY,
    )
    read, written = examples(np.random.default_rng([seed, 1]), settings["tested"], gap)
    logits = outputs(network, read)
    right = logits[:, -LENGTH:].argmax(axis=-1) == written[:, -LENGTH:]
    return {
        "accuracy": float(right.mean()),
        "loss": float(loss(written, logits)),
        "losses": losses,
        "weights": network.count_params(),
    }


def table(settings, results):
    return [
        {
            "gap": gap,
            "model": model,
            "symbols right": median([result["accuracy"] for result in group]),
            "loss": median([result["loss"] for result in group]),
            "without memory": baseline(gap),
            "weights": group[0]["weights"],
            "seconds": mean([result["seconds"] for result in group])["mean"],
        }
        for (gap, model), group in groups(results, "gap", "model").items()
    ]


def draw(settings, results, figure):
    by_gap = groups(results, "gap")
    for axes, (gap, group) in zip(figure.subplots(1, len(by_gap), squeeze=False)[0], by_gap.items()):
        axes.axhline(baseline(gap), color="black", linewidth=1, label="without memory")
        axes.set(xlabel="steps", ylabel="loss", yscale="log", title=f"A gap of {gap} steps")
        curves(axes, groups(group, "model"), EVERY)
    legend(figure)


def claims(settings, results):
    lines = []
    for gap, of_gap in groups(results, "gap").items():
        by_model = groups(of_gap, "model")
        right = {model: median([result["accuracy"] for result in by_model[model]])["median"] for model in MODELS}
        numbers = ", ".join(f"{model} {accuracy:.0%}" for model, accuracy in right.items())
        lstm, patient, gru, plain = right.values()
        expected = (
            f"over a gap of {gap} steps the GRU and the LSTM with a forget bias of 3 repeat twice as many symbols"
        )
        lines.append(claim(f"{expected} as the plain RNN", min(patient, gru) >= 2 * plain, numbers))
        expected = f"over a gap of {gap} steps the LSTM repeats more with a forget bias of 3 than of 1"
        lines.append(claim(expected, patient > lstm, f"{patient:.0%}, {lstm:.0%}"))
    return lines
