"""Learns to write words backwards, and draws which letter attended to which.

    python translator.py --steps 1500 --picture attention.png

An encoder, attention and a decoder, in plain Keras. For translations of files of lines see `keras-rnnlm train --task
translate`.
"""

import argparse

import numpy as np

from keras_rnnlm import diagnostics
from keras_rnnlm.models import Translator

LETTERS = "abcdefghijklmnopqrstuvwxyz"
FIRST = 3  # 0 is padding, 1 begins a target, 2 ends it


def ids(word):
    return [FIRST + LETTERS.index(letter) for letter in word]


def text(found):
    return "".join(LETTERS[symbol - FIRST] for symbol in found if symbol >= FIRST)


def batch(rng, size, longest):
    """Words of any letters, and the same backwards."""
    source, target = np.zeros((size, longest), "int32"), np.zeros((size, longest + 2), "int32")
    for i, length in enumerate(rng.integers(2, longest + 1, size)):
        letters = rng.integers(FIRST, FIRST + len(LETTERS), length)
        source[i, :length] = letters
        target[i, : length + 2] = [1, *letters[::-1], 2]
    return {"source": source, "target": target[:, :-1]}, target[:, 1:]


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--units", type=int, default=64)
    parser.add_argument("--longest", type=int, default=8)
    parser.add_argument("--word", default="peephole")
    parser.add_argument("--picture", help="a file to draw the attention into")
    options = parser.parse_args(arguments)

    rng, size = np.random.default_rng(0), 64
    vocabulary = FIRST + len(LETTERS)
    model = Translator(vocabulary, vocabulary, units=options.units, seed=0)
    model.compile("adam")
    x, y = batch(rng, size * options.steps, options.longest)
    model.fit(x, y, batch_size=size, verbose=0)

    ((best,),) = model.translate([ids(options.word)], beam=1, attention=True, max_length=options.longest + 1)
    print(f"{options.word} -> {text(best.ids)}")
    if options.picture:
        axes = diagnostics.plot_attention(best.attention, list(options.word), list(text(best.ids)))
        axes.figure.savefig(options.picture)
    return text(best.ids)


if __name__ == "__main__":
    main()
