"""How far back does a gradient reach, and what decides it?

The norm of the gradient of the last output, in a random direction, by the states of the steps before it (Hochreiter
1991; Bengio et al. 1994), through

- linear networks, where each step back is one more product by U: far back, the gradient changes by U's largest
  eigenvalue at each step (Pascanu et al. 2013);
- plain RNNs with U a multiple of an orthogonal matrix, whose singular values are all that multiple;
- LSTMs that begin with several forget biases (Gers et al. 2000; Jozefowicz et al. 2015), and a GRU,

fresh, and after a short training on the adding problem with and without clipping. They read sequences of that problem.
The gradient is taken by each state by itself: h, and of an LSTM also its cell c.
"""

import keras
import numpy as np

from keras_rnnlm.diagnostics import gradient_flow
from keras_rnnlm.layers import GRU, LSTM, SimpleRNN
from keras_rnnlm.training.studies import adding
from keras_rnnlm.training.studies.fitting import fit
from keras_rnnlm.training.studies.pictures import curves, legend
from keras_rnnlm.training.studies.summaries import claim, groups, median
from keras_rnnlm.training.tasks.language_model import set_forget_bias

SETTINGS = dict(
    full=dict(seeds=6, units=64, sequences=32, back=50, time=50, batch=32, steps=300, learning_rate=1e-2),
    short=dict(seeds=1, units=32, sequences=8, back=50, time=20, batch=16, steps=0, learning_rate=1e-2),
)
EVERY = 50
MAX_NORM = {"fresh": None, "clipped": 1.0, "not clipped": None}
LINEAR = {f"linear, eigenvalue {value}": value for value in (0.9, 1.0, 1.1)}
# Orthogonal, and a forget bias of 1, are what Keras begins with.
ORTHOGONAL = {
    "plain RNN, 0.8 orthogonal": 0.8,
    "plain RNN, orthogonal (Keras)": 1.0,
    "plain RNN, 1.2 orthogonal": 1.2,
}
FORGET_BIAS = {"LSTM, forget bias 0": 0, "LSTM, forget bias 1 (Keras)": 1, "LSTM, forget bias 3": 3}


def trials(settings):
    trained = ["fresh", "clipped", "not clipped"] if settings["steps"] else ["fresh"]
    return [
        dict(network=network, training=training, seed=seed)
        for seed in range(settings["seeds"])
        for training in trained
        for network in [*LINEAR, *ORTHOGONAL, *FORGET_BIAS, "GRU"]
        if training == "fresh" or network not in LINEAR
    ]


def layer_of(network, units, features, rng):
    """A fresh layer."""
    if network in LINEAR:
        layer = SimpleRNN(units, activation=None)
    elif network in ORTHOGONAL:
        layer = SimpleRNN(units, recurrent_initializer=keras.initializers.Orthogonal(ORTHOGONAL[network]))
    else:
        layer = GRU(units) if network == "GRU" else LSTM(units)
    layer.build((None, None, features))
    if network in LINEAR:  # one eigenvalue is far above the others, so that it decides soon
        vectors = np.linalg.qr(rng.normal(size=(units, units)))[0] + 0.1 * np.eye(units)
        values = np.append(LINEAR[network], LINEAR[network] * rng.uniform(-0.6, 0.6, units - 1))
        layer.cell.recurrent_kernel.assign(vectors @ np.diag(values) @ np.linalg.inv(vectors))
    if network in FORGET_BIAS:
        set_forget_bias(layer, FORGET_BIAS[network])
    return layer


def measure(settings, network, training, seed):
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng([seed, 1])
    layer, losses = layer_of(network, settings["units"], 2, rng), []
    if training != "fresh":
        losses = fit(
            keras.Sequential([layer, keras.layers.Dense(1)]),
            lambda rng, n: adding.examples(rng, n, settings["time"]),
            seed=seed,
            steps=settings["steps"],
            batch=settings["batch"],
            loss="mse",
            learning_rate=settings["learning_rate"],
            max_norm=MAX_NORM[training],
            every=EVERY,
        )
    back = settings["back"]
    sequences, _ = adding.examples(rng, settings["sequences"], back + 1)
    flow = gradient_flow(layer, sequences, seed=seed)
    return {
        "norms": dict(zip("hc", flow.norms.tolist())),
        "falls": {state: flow.fall(k) for k, state in zip(range(len(flow.names)), "hc")},
        "a_step": flow.fall(start=back // 2, end=back + 1) ** (-1 / (back + 1 - back // 2)),
        "losses": losses,
    }


def table(settings, results):
    rows = []
    for (training, network), group in groups(results, "training", "network").items():
        row = {"training": training, "network": network, "largest eigenvalue": LINEAR.get(network)}
        row["a step multiplies by"] = median([result["a_step"] for result in group])
        for state in "hc":
            row[f"{state} falls by"] = None
            if state in group[0]["falls"]:
                row[f"{state} falls by"] = median([result["falls"][state] for result in group])
        row["error"] = median([result["losses"][-1] for result in group]) if group[0]["losses"] else None
        rows.append(row)
    return rows


def draw(settings, results, figure):
    figure.set_size_inches(13, 7)
    by_training = groups(results, "training")
    grid = figure.subplots(2, len(by_training), sharex=True, sharey=True, squeeze=False)
    for column, (training, of_training) in zip(grid.T, by_training.items()):
        for axes, state in zip(column, "hc"):
            shown = [{**result, "norm": result["norms"][state]} for result in of_training if state in result["norms"]]
            curves(axes, groups(shown, "network"), name="norm")
            axes.set(title=f"{training}: the gradient by {state}", yscale="log")
        axes.set_xlabel("steps before the loss")
    legend(figure)


def claims(settings, results):
    fresh = {row["network"]: row for row in table(settings, results) if row["training"] == "fresh"}
    h, c = ({name: row[f"{state} falls by"] for name, row in fresh.items()} for state in "hc")
    cells, over = {bias: c[name]["median"] for name, bias in FORGET_BIAS.items()}, f"over {settings['back']} steps"
    rates = {value: fresh[name]["a step multiplies by"]["median"] for name, value in LINEAR.items()}
    plain, default = h["plain RNN, 0.8 orthogonal"]["median"], h["plain RNN, orthogonal (Keras)"]["median"]
    return [
        claim(
            "a linear network's gradient changes by its largest eigenvalue at each step",
            all(abs(rate / value - 1) < 0.01 for value, rate in rates.items()),
            ", ".join(f"{value}: {rate:.4f}" for value, rate in rates.items()),
        ),
        claim(f"0.8 orthogonal, the gradient falls by more than 1,000 {over}", plain > 1000, f"{plain:,.0f}"),
        claim(
            f"with a forget bias of 3 the gradient by the LSTM's cell falls by less than 10 {over}",
            cells[3] < 10,
            f"{cells[3]:.2f}; below 1 it grows",
        ),
        claim(
            "the higher the forget bias, the less it falls",
            cells[0] > cells[1] > cells[3],
            ", ".join(f"{bias}: {fall:.3g}" for bias, fall in cells.items()),
        ),
        claim(
            "as Keras begins them, the gradient of the plain RNN falls less than that of the LSTM's cell",
            default < cells[1],
            f"{default:,.0f}, {cells[1]:,.0f}",
        ),
    ]
