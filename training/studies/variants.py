"""Which gates of a recurrent network earn their parameters?

Greff et al. (2015) changed one thing at a time in a peephole LSTM (V): no input, forget or output gate (NIG, NFG,
NOG), no activation of the input or of the output (NIAF, NOAF), coupled gates (CIFG), no peepholes (NP), gates that read
gates (FGR). Jozefowicz et al. (2015) found three networks by search (MUT1, MUT2, MUT3). Here they are language models
of an equal number of parameters, and read the source code of Python's standard library several times, character by
character. Each one's learning rate is searched on one seed; the others are run at the one that is best on the
validation text. Who ends above a guess among all characters, 7 bits, has diverged.
"""

import functools
import math

import keras
import numpy as np

from keras_rnnlm import layers
from keras_rnnlm.cells.lstm import VARIANTS
from keras_rnnlm.models import LanguageModel
from keras_rnnlm.optimizers import ClippedOptimizer
from keras_rnnlm.recurrence import backend
from keras_rnnlm.text.tokenizers import Tokenizer
from keras_rnnlm.training.corpora.opening import open_corpus
from keras_rnnlm.training.evaluation.scorer import Scorer
from keras_rnnlm.training.streams import Contiguous
from keras_rnnlm.training.studies.budget import units_for
from keras_rnnlm.training.studies.fitting import at_once
from keras_rnnlm.training.studies.pictures import dots, legend
from keras_rnnlm.training.studies.summaries import claim, groups, mean, median

OTHERS = {
    "GRU": (layers.GRU, {}),
    "MUT1": (layers.MUT1, {"projection": True}),
    "MUT2": (layers.MUT2, {"projection": True}),
    "MUT3": (layers.MUT3, {}),
    "plain RNN": (layers.SimpleRNN, {}),
}
SYMBOLS = 128  # the most frequent characters, and one for all others
UNIFORM = math.log2(SYMBOLS)  # bits of a guess: who is above has diverged
TOGETHER = 20  # steps in one call of the backend, which costs as much as half a step
SETTINGS = dict(
    full=dict(
        seeds=3,
        corpus="stdlib:450k",
        passes=4,
        parameters=15_000,
        embedding=16,
        batch=16,
        window=50,
        learning_rates=[3e-3, 1e-2, 3e-2, 1e-1],
        models=[*VARIANTS, *OTHERS],
    ),
    short=dict(
        seeds=1,
        corpus="stdlib:60k",
        passes=1,
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
    made = LanguageModel(
        SYMBOLS, units, layers=1, cell=cell, cell_options=options, embedding_dim=settings["embedding"], seed=seed
    )
    # Keras begins them within 0.05 of zero, and a small network then takes hundreds of steps to see what it reads.
    embeddings = made.embedding.embeddings
    embeddings.assign(np.random.default_rng(seed).normal(size=embeddings.shape))
    return made


class Trainer:
    """A network that is trained again and again, from a seed each time: its programs are compiled once."""

    def __init__(self, settings, model):
        units = units_for(settings["parameters"], lambda units: network(settings, model, units))
        self.fresh = functools.partial(network, settings, model, units)
        self.text, start = texts(settings["corpus"])
        self.passes = settings["passes"]
        self.stream = Contiguous(self.text["train"], settings["batch"], settings["window"], start=start)
        self.model, self.units = self.fresh(), units
        self.optimizer = ClippedOptimizer(keras.optimizers.Adam(), max_norm=1.0)
        self.model.compile(self.optimizer, steps_per_execution=at_once(TOGETHER))
        self.optimizer.build(self.model.trainable_variables)
        self.untrained = [keras.ops.convert_to_numpy(variable) for variable in self.optimizer.variables]
        self.scorer = Scorer(self.model, start=start, batch=settings["batch"])

    def train(self, learning_rate, seed):
        """From a seed's weights, at a rate that falls to zero by a cosine. The validation's bits after each pass."""
        keras.utils.set_random_seed(seed)
        self.model.set_weights(self.fresh(seed).get_weights())
        for variable, value in zip(self.optimizer.variables, self.untrained):
            variable.assign(value)
        steps, history = self.stream.steps(), []
        for number in range(self.passes):

            def fall(step, logs=None):
                done = (number * steps + step) / (self.passes * steps)
                backend.synchronize(self.model)
                self.optimizer.learning_rate = learning_rate * (1 + math.cos(math.pi * done)) / 2

            callback = keras.callbacks.LambdaCallback(on_train_batch_begin=fall)
            self.model.fit(self.stream.dataset(number), callbacks=[callback], verbose=0)
            history.append(self.bits("valid"))
        return history

    def bits(self, split):
        """Of a character of a text."""
        return float(self.scorer.losses(self.text[split]).mean() / math.log(2))


@functools.cache
def _trainer(settings, model):
    return Trainer(dict(settings), model)


def measure(settings, model, learning_rate, seed):
    needed = ("corpus", "passes", "parameters", "embedding", "batch", "window")
    trainer = _trainer(tuple((name, settings[name]) for name in needed), model)
    history = trainer.train(learning_rate, seed)
    return {
        "history": history,
        "validation": history[-1],
        "test": trainer.bits("test"),
        "units": trainer.units,
        "weights": trainer.model.count_params(),
    }


def table(settings, results):
    return [
        {
            "model": model,
            "validation, bits": median([result["validation"] for result in group], UNIFORM),
            "test, bits": median([result["test"] for result in group], UNIFORM),
            "learning rate": group[0]["learning_rate"],
            "units": group[0]["units"],
            "weights": group[0]["weights"],
            "seconds": mean([result["seconds"] for result in group])["mean"],
        }
        for model, group in best(results).items()
    ]


def draw(settings, results, figure):
    axes = figure.subplots()
    dots(axes, best(results), "validation", UNIFORM)
    axes.set(xlabel="bits a character, of the validation text", title=f"{settings['parameters']:,} parameters")
    legend(figure)


def claims(settings, results):
    rows = table(settings, results)
    bits = {
        row["model"]: math.inf if row["test, bits"]["median"] is None else row["test, bits"]["median"] for row in rows
    }
    if bits.keys() < {*VARIANTS, *OTHERS}:
        return []
    worst = sorted(VARIANTS, key=bits.get)[-2:]

    def numbers(*names):
        return ", ".join(f"{name} {bits[name]:.3f}" for name in names)

    chosen = [row["learning rate"] for row in rows]
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
        claim(
            "the best learning rate of each lies between others that were tried",
            min(settings["learning_rates"]) < min(chosen) and max(chosen) < max(settings["learning_rates"]),
            f"from {min(chosen):g} to {max(chosen):g}",
        ),
    ]
