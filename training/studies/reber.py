"""Does an LSTM without a forget gate break down in a stream that never ends?

Continual embedded Reber strings (Gers et al. 2000): the second symbol of a string, T or P, is its second-to-last, too,
and between the two is a string of the Reber grammar. String follows string, and nothing says where one may forget.
Networks of an equal number of parameters learn to predict the next symbol of such streams, and are then tested on new
ones, from the first symbol to the last without a reset.
"""

import keras
import numpy as np

from keras_rnnlm import layers
from keras_rnnlm.training.studies.budget import units_for
from keras_rnnlm.training.studies.crowd import Crowd, crowds, each
from keras_rnnlm.training.studies.pictures import curves, legend
from keras_rnnlm.training.studies.summaries import claim, groups, median

SETTINGS = dict(
    full=dict(seeds=10, at_once=10, parameters=600, batch=4, window=40, steps=5000, learning_rate=1e-2, tested=250),
    short=dict(seeds=2, at_once=2, parameters=200, batch=2, window=20, steps=50, learning_rate=1e-2, tested=10),
)
MODELS = {
    "LSTM": layers.LSTM,
    "LSTM, no forget gate": lambda units: layers.LSTM(units, open_gates="f"),
    "GRU": lambda units: layers.GRU(units, reset_after=False),
    "plain RNN": layers.SimpleRNN,
}
EVERY = 50
SYMBOLS = "BTPSXVE"

# Of each state of a grammar the symbols that may come next, and the states they lead to.
REBER = {
    "begin": {"B": "fork"},
    "fork": {"T": "S or X", "P": "T or V"},
    "S or X": {"S": "S or X", "X": "X or S"},
    "X or S": {"X": "T or V", "S": "end"},
    "T or V": {"T": "T or V", "V": "P or V"},
    "P or V": {"P": "X or S", "V": "end"},
    "end": {"E": "over"},
}
EMBEDDED = {"first": {"B": "second"}, "second": {"T": "T begin", "P": "P begin"}, "last": {"E": "first"}}
for branch in "TP":
    EMBEDDED |= {f"{branch} {s}": {x: f"{branch} {to}" for x, to in ways.items()} for s, ways in REBER.items()}
    EMBEDDED[f"{branch} over"] = {branch: "last"}

# The same in numbers. Where there is no choice, both are the same.
STATES = list(EMBEDDED)
WAYS = [[(SYMBOLS.index(x), STATES.index(to)) for x, to in ways.items()] for ways in EMBEDDED.values()]
SYMBOL, NEXT = np.moveaxis([(ways[0], ways[-1]) for ways in WAYS], -1, 0)
ALLOWED = np.array([[x in ways for x in SYMBOLS] for ways in EMBEDDED.values()])
REMEMBERED = np.array([state in ("T over", "P over") for state in STATES])


def windows(seeds, batch, window):
    """Streams of embedded strings, some for each seed, window after window without end.

    Yields what is read, one-hot, (seeds, batch, window, 7); the symbols to predict, (seeds, batch, window); and the
    states of the grammar before these.
    """
    rngs = [np.random.default_rng(seed) for seed in seeds]
    state = np.full((len(seeds), batch), STATES.index("first"))
    last = np.full((len(seeds), batch), SYMBOLS.index("E"))
    while True:
        choice = np.stack([rng.integers(2, size=(batch, window)) for rng in rngs])
        states, symbols = np.empty((2, *choice.shape), "int32")
        for t in range(window):
            states[..., t] = state
            symbols[..., t] = SYMBOL[state, choice[..., t]]
            state = NEXT[state, choice[..., t]]
        read = np.concatenate([last[..., None], symbols[..., :-1]], axis=-1)
        last = symbols[..., -1]
        yield np.eye(len(SYMBOLS), dtype="float32")[read], symbols, states


def trials(settings):
    return [dict(model=model, seeds=seeds) for seeds in crowds(settings) for model in MODELS]


def crowd(settings, model, units, seeds):
    return Crowd(lambda: MODELS[model](units), seeds, len(SYMBOLS), len(SYMBOLS), settings["batch"], continual=True)


def measure(settings, model, seeds):
    units = units_for(settings["parameters"], lambda units: crowd(settings, model, units, [0]))
    networks = crowd(settings, model, units, seeds)
    size = settings["batch"], settings["window"]
    networks.prepare(
        loss=lambda y, output: keras.losses.sparse_categorical_crossentropy(y, output, from_logits=True),
        learning_rate=keras.optimizers.schedules.CosineDecay(settings["learning_rate"], settings["steps"]),
        every=EVERY,
    )
    examples = ((read, symbols) for read, symbols, _ in windows([(seed, 0) for seed in seeds], *size))
    losses = networks.learn_each(examples, settings["steps"])
    networks.reset_states()
    right, legal, asked, sizes = [], [], [], []
    for (read, symbols, states), _ in zip(windows([(seed, 1) for seed in seeds], *size), range(settings["tested"])):
        guess = networks.predict_on_batch(read).argmax(axis=-1)
        right.append(guess == symbols)
        legal.append(np.take_along_axis(ALLOWED[states], guess[..., None], axis=-1)[..., 0])
        asked.append(REMEMBERED[states])
        cell = keras.ops.convert_to_numpy(networks.states[-1])
        sizes.append(np.abs(cell).mean(axis=(1, 2)))
    right, legal, asked = (np.concatenate(parts, axis=-1) for parts in (right, legal, asked))
    legal = legal[..., settings["window"] :]  # zeros, which streams begin from, were hardly seen in training
    free = np.where(legal.all(axis=-1), legal.shape[-1], legal.argmin(axis=-1))
    return {
        "units": units,
        "parameters": networks.count_params(),
        "each": [
            {
                "seed": seed,
                "losses": losses[k],
                "remembered": float(right[k][asked[k]].mean()),
                "before an error": float(free[k].mean()),
                "sizes": [float(step[k]) for step in sizes],
            }
            for k, seed in enumerate(seeds)
        ],
    }


def table(settings, results):
    return [
        {
            "model": model,
            "remembered": median([one["remembered"] for one in each(group)]),
            f"without error, of {settings['window'] * (settings['tested'] - 1):,}": median(
                [one["before an error"] for one in each(group)]
            ),
            "state at first": median([one["sizes"][0] for one in each(group)]),
            "state at last": median([one["sizes"][-1] for one in each(group)]),
            "units": group[0]["units"],
            "weights": group[0]["parameters"],
            "seconds": sum(result["seconds"] for result in group),
        }
        for model, group in groups(results, "model").items()
    ]


def draw(settings, results, figure):
    left, right = figure.subplots(1, 2)
    of_model = {model: each(group) for model, group in groups(results, "model").items()}
    curves(left, of_model, EVERY)
    left.set(xlabel="steps of training", ylabel="loss, nats a symbol")
    curves(right, of_model, settings["window"], "sizes")
    right.set(xlabel="symbols of the test", ylabel="mean |c| (|h| without cells)", yscale="log")
    legend(figure)


def claims(settings, results):
    rows = {row["model"]: row for row in table(settings, results)}

    def medians(column):
        return np.array([rows[model][column]["median"] for model in list(MODELS)[:2]], "float64")  # of None: NaN

    remembered, growth = medians("remembered"), medians("state at last") / medians("state at first")
    return [
        claim(
            "with a forget gate an LSTM remembers nine of ten second-to-last symbols, without one it guesses",
            remembered[0] > 0.9 and remembered[1] < 0.6,
            "{:.1%} and {:.1%}".format(*remembered),
        ),
        claim(
            "without a forget gate the cell grows along the stream, with one it does not",
            growth[1] > 10 and growth[0] < 2,
            "{1:.3g} and {0:.3g} times its size".format(*growth),
        ),
    ]
