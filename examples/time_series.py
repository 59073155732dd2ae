"""Forecasts a series by a peephole LSTM in plain Keras, and exports it as ONNX.

    python time_series.py --epochs 20 --picture forecast.png

The series is made here: two rhythms and noise. Put yours in the place of `series()`: one number a step.
"""

import argparse

import keras
import numpy as np

from keras_rnnlm.layers import LSTM
from keras_rnnlm.optimizers import ClippedOptimizer, ClippingReport

WINDOW = 40  # steps that a forecast looks back


def series(steps, seed=0):
    t, rng = np.arange(steps), np.random.default_rng(seed)
    return (np.sin(t / 5) + 0.5 * np.sin(t / 17) + 0.05 * rng.normal(size=steps)).astype("float32")


def windows(values):
    """What a forecast sees, (examples, WINDOW, 1), and the step after it."""
    rows = np.lib.stride_tricks.sliding_window_view(values, WINDOW + 1)
    return rows[:, :-1, None], rows[:, -1:]


def build(units):
    layers = [keras.Input((WINDOW, 1)), LSTM(units, peephole=True), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile(ClippedOptimizer(keras.optimizers.Adam(1e-2), max_norm=1.0), "mse")
    return model


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--units", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--picture", help="a file to draw forecasts into")
    parser.add_argument("--onnx", help="a file to export to, ending in .onnx")
    options = parser.parse_args(arguments)

    keras.utils.set_random_seed(0)
    values = series(options.steps)
    cut = int(0.8 * len(values))  # the end is held out: a forecast never sees its future
    model = build(options.units)
    model.fit(*windows(values[:cut]), epochs=options.epochs, batch_size=64, verbose=0, callbacks=[ClippingReport()])

    x, y = windows(values[cut:])
    forecast = model.predict(x, verbose=0)
    error, naive = float(np.mean((forecast - y) ** 2)), float(np.mean((x[:, -1] - y) ** 2))
    print(f"mean squared error {error:.4f}; the last value as the forecast {naive:.4f}")
    if options.picture:
        draw(y, forecast, options.picture)
    if options.onnx:
        from keras_rnnlm import export

        print(export.to_onnx(model, options.onnx).operators)
    return error, naive


def draw(y, forecast, file):
    import matplotlib.pyplot as plt

    axes = plt.subplots(figsize=(9, 3), layout="constrained")[1]
    axes.plot(y[:200], label="series")
    axes.plot(forecast[:200], label="forecast, one step ahead")
    axes.legend()
    axes.figure.savefig(file)
    plt.close(axes.figure)


if __name__ == "__main__":
    main()
