"""Which gates of a recurrent network earn their parameters?

Greff et al. (2015) changed one thing at a time in a peephole LSTM (V): no input, forget or output gate (NIG, NFG,
NOG), no activation of the input or of the output (NIAF, NOAF), coupled gates (CIFG), no peepholes (NP), gates that read
gates (FGR). Jozefowicz et al. (2015) found three networks by search (MUT1, MUT2, MUT3). Here they are language models
of an equal number of parameters, and read the source code of Python's standard library once, character by character.
Each one's learning rate is searched on one seed; the others are run at the one that is best on the validation text.
"""

import functools
import math

import keras
import numpy as np

from keras_rnnlm import layers
from keras_rnnlm.cells.lstm import VARIANTS
from keras_rnnlm.models import LanguageModel
from keras_rnnlm.optimizers import ClippedOptimizer
from keras_rnnlm.text.tokenizers import Tokenizer
from keras_rnnlm.training.corpora import open_corpus
from keras_rnnlm.training.evaluation import Scorer
from keras_rnnlm.training.streams import Contiguous
from keras_rnnlm.training.studies.budget import units_for
from keras_rnnlm.training.studies.statistics import claim, groups, mean

OTHERS = {
    "GRU": (layers.GRU, {}),
    "MUT1": (layers.MUT1, {"projection": True}),
    "MUT2": (layers.MUT2, {"projection": True}),
    "MUT3": (layers.MUT3, {}),
    "plain RNN": (layers.SimpleRNN, {}),
}
SYMBOLS = 128  # the most frequent characters, and one for all others
SETTINGS = dict(
    full=dict(
        seeds=3,
        corpus="stdlib:1500k",
        parameters=60_000,
        embedding=32,
        batch=32,
        window=50,
        learning_rates=[1e-3, 3e-3, 1e-2],
        models=[*VARIANTS, *OTHERS],
    ),
    short=dict(
        seeds=1,
        corpus="stdlib:60k",
        parameters=8_000,
        embedding=8,
        batch=32,
        window=50,
        learning_rates=[1e-2],
        models=["V", "NFG", "GRU", "MUT1"],
    ),
)


def trials(settings):
    return [
        dict(model=m, learning_rate=rate, seed=0) for m in settings["models"] for rate in settings["learning_rates"]
    ]


def further_trials(settings, results):
    rates = {model: group[0]["learning_rate"] for model, group in best(results).items()}
    return [
        dict(model=m, learning_rate=rates[m], seed=s) for s in range(1, settings["seeds"]) for m in settings["models"]
    ]


def best(results):
    """For each model its results at the learning rate that is best on the first seed."""
    found = {}
    for (model, _), group in groups(results, "model", "learning_rate").items():
        found[model] = min(found.get(model, group), group, key=lambda group: _loss(group[0]))
    return found


def _loss(result):
    return math.inf if result["validation"] is None else result["validation"]


@functools.lru_cache
def texts(corpus):
    """The three texts in numbers, one for each character, and the number that stands before the first."""
    splits = open_corpus(corpus).splits
    tokenizer = Tokenizer.train("char", splits["train"].chunks(), SYMBOLS)
    return {name: tokenizer.encode(text.text()) for name, text in splits.items()}, tokenizer.start


def network(settings, model, units, seed=0):
    cell, options = OTHERS.get(model) or (layers.LSTM, VARIANTS[model])
    return LanguageModel(
        SYMBOLS, units, layers=1, cell=cell, cell_options=options, embedding_dim=settings["embedding"], seed=seed
    )


def measure(settings, model, learning_rate, seed):
    keras.utils.set_random_seed(seed)
    units = units_for(settings["parameters"], lambda units: network(settings, model, units))
    language_model = network(settings, model, units, seed)
    text, start = texts(settings["corpus"])
    stream = Contiguous(text["train"], settings["batch"], settings["window"], start=start)
    rate = keras.optimizers.schedules.CosineDecay(learning_rate, stream.steps())
    language_model.compile(ClippedOptimizer(keras.optimizers.Adam(rate), max_norm=1.0))
    language_model.fit(stream.dataset(), verbose=0)
    scorer = Scorer(language_model, start=start, batch=settings["batch"])
    validation, test = (float(scorer.losses(text[name]).mean() / math.log(2)) for name in ("valid", "test"))
    return {"validation": validation, "test": test, "units": units, "weights": language_model.count_params()}


def table(settings, results):
    return [
        {
            "model": model,
            "validation, bits": mean([result["validation"] for result in group]),
            "test, bits": mean([result["test"] for result in group]),
            "learning rate": group[0]["learning_rate"],
            "units": group[0]["units"],
            "weights": group[0]["weights"],
            "seconds": mean([result["seconds"] for result in group])["mean"],
        }
        for model, group in best(results).items()
    ]


def draw(settings, results, figure):
    axes = figure.subplots()
    shown = best(results)
    every = [result["validation"] for group in shown.values() for result in group if result["validation"] is not None]
    end = 2 * np.median(every) if every else 1.0
    for place, group in enumerate(shown.values()):
        bits = np.array([result["validation"] for result in group if result["validation"] is not None])
        inside = bits[bits < end]
        axes.plot(inside, [place] * len(inside), "o", color="C0", alpha=0.6, label=None if place else "a seed")
        if len(inside) < len(bits):
            axes.plot(end, place, ">", color="C1", clip_on=False, label="beyond")
    axes.set_yticks(range(len(shown)), shown)
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.25)
    axes.set_xlim(right=end)
    axes.legend()
    axes.set(xlabel="bits a character, of the validation text", title=f"{settings['parameters']:,} parameters")


def claims(settings, results):
    rows = table(settings, results)
    bits = {row["model"]: math.inf if row["test, bits"]["diverged"] else row["test, bits"]["mean"] for row in rows}
    if bits.keys() < {*VARIANTS, *OTHERS}:
        return []
    worst = sorted(VARIANTS, key=bits.get)[-2:]

    def numbers(*names):
        return ", ".join(f"{name} {bits[name]:.3f}" for name in names)

    gated = max((name for name in bits if name != "plain RNN"), key=bits.get)
    return [
        claim(
            "coupling the gates and leaving out the peepholes costs less than 1 % (Greff et al.)",
            max(bits["CIFG"], bits["NP"]) < 1.01 * bits["V"],
            numbers("V", "CIFG", "NP"),
        ),
        claim(
            "no forget gate and no output activation are the worst of the nine (Greff et al.)",
            set(worst) == {"NFG", "NOAF"},
            "the worst: " + numbers(*worst),
        ),
        claim(
            "the GRU is no better than an LSTM whose forget gate begins open (Jozefowicz et al.)",
            bits["GRU"] >= bits["NP"],
            numbers("GRU", "NP"),
        ),
        claim("every gated network beats the plain RNN", bits[gated] < bits["plain RNN"], numbers(gated, "plain RNN")),
    ]
