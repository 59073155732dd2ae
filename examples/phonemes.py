"""Says of each hundredth of a second which sound is spoken, by peephole LSTMs in both directions, in plain Keras.

    python phonemes.py --epochs 15 --picture phonemes.png

The recordings are made here: vowels, one after another, from two resonances each, by voices that differ, in noise. Put
yours in the place of `recording()`: samples, and the number of the sound at each of them. Where only the order of the
sounds is known, and not when they are spoken, train a transcriber: `keras-rnnlm train clips.tsv --task transcribe`.
"""

import argparse
import itertools

import keras
import numpy as np

from keras_rnnlm.layers import LSTM
from keras_rnnlm.sources import Sound

VOWELS = {"i": (300, 2300), "e": (450, 1900), "a": (800, 1300), "o": (500, 900), "u": (320, 700)}  # hertz
NAMES = ["-", *VOWELS]  # "-" is silence
SOUND = Sound(rate=8000, mels=24)


def recording(rng):
    """Samples, and the number of the sound at each."""
    samples, labels, voice, pitch = [], [], rng.uniform(0.85, 1.15), rng.uniform(90, 220)
    for number in rng.integers(0, len(NAMES), rng.integers(3, 7)):
        t = np.arange(rng.integers(500, 1500)) / SOUND.rate
        made = np.zeros(len(t))
        if number:
            for harmonic in range(1, int(3500 / pitch)):
                near = [np.exp(-(((harmonic * pitch - voice * at) / 120) ** 2)) for at in VOWELS[NAMES[number]]]
                made += sum(near) * np.sin(2 * np.pi * pitch * harmonic * t)
        samples.append(made + 0.02 * rng.normal(size=len(t)))
        labels.append(np.full(len(t), number))
    return np.concatenate(samples), np.concatenate(labels)


def recordings(count, seed):
    """Frames, (recordings, time, mels), the number of the sound in each, and 0 where a recording is over, else 1."""
    rng, frames, numbers = np.random.default_rng(seed), [], []
    for _ in range(count):
        samples, labels = recording(rng)
        frames.append(SOUND.frames(samples))
        middles = (0.0125 + 0.010 * np.arange(len(frames[-1]))) * SOUND.rate  # of frames of 25 ms, 10 ms apart
        numbers.append(labels[middles.astype(int)])
    x = SOUND.filled(frames)
    y, counts = np.zeros(x.shape[:2], "int32"), np.zeros(x.shape[:2], "float32")
    for k, row in enumerate(numbers):
        y[k, : len(row)], counts[k, : len(row)] = row, 1
    return x, y, counts


def build(units):
    inputs = keras.Input((None, SOUND.mels))
    x = keras.layers.Bidirectional(LSTM(units, peephole=True, return_sequences=True))(inputs)
    model = keras.Model(inputs, keras.layers.Dense(len(NAMES))(x))
    model.compile(keras.optimizers.Adam(1e-2), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recordings", type=int, default=200)
    parser.add_argument("--units", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--picture", help="a file to draw a recording and what was heard into")
    options = parser.parse_args(arguments)

    keras.utils.set_random_seed(0)
    x, y, counts = recordings(options.recordings, seed=1)
    model = build(options.units)
    model.fit(x, y, sample_weight=counts, epochs=options.epochs, batch_size=20, verbose=0)

    x, y, counts = recordings(max(options.recordings // 4, 1), seed=2)  # of other voices
    heard = model.predict(x, verbose=0).argmax(axis=-1)
    wrong = float(np.sum((heard != y) * counts) / counts.sum())
    first = heard[0, : int(counts[0].sum())]
    text = "".join(NAMES[number] for number, _ in itertools.groupby(first))
    print(f"{wrong:.1%} of the frames are wrong; the first recording: {text}")
    if options.picture:
        draw(x[0], first, y[0], options.picture)
    return wrong


def draw(frames, heard, spoken, file):
    import matplotlib.pyplot as plt

    figure, (above, below) = plt.subplots(2, sharex=True, figsize=(9, 4), layout="constrained")
    above.imshow(frames[: len(heard)].T, aspect="auto", origin="lower", cmap="magma")
    above.set_ylabel("bands of pitch")
    below.step(range(len(heard)), spoken[: len(heard)], where="mid", linewidth=4, alpha=0.4, label="spoken")
    below.step(range(len(heard)), heard, where="mid", label="heard")
    below.set_yticks(range(len(NAMES)), NAMES)
    below.set_xlabel("hundredths of a second")
    below.legend()
    figure.savefig(file)
    plt.close(figure)


if __name__ == "__main__":
    main()
