"""Trains a tagger of a file of columns, in plain Keras, and tags a sentence.

    python tagger.py train.conll "Anna sees Rome"

The file has a word and its tag a line, the tag last, and an empty line between sentences. `keras-rnnlm train
train.conll --task tag` does the same with validation, checkpoints and export; this shows what it is made of.
"""

import argparse
import pathlib
import re

import numpy as np

from keras_rnnlm.layers import allowed_transitions
from keras_rnnlm.models import Tagger

LETTERS = 12  # of a word, at most


def read(path):
    """Sentences, each a list of (word, tag)."""
    blocks = re.split(r"\n\s*\n", pathlib.Path(path).read_text(encoding="utf-8").strip())
    return [[(line.split()[0], line.split()[-1]) for line in block.splitlines()] for block in blocks]


def numbered(symbols, first):
    return {symbol: first + k for k, symbol in enumerate(sorted(set(symbols)))}


class Names:
    """What words, letters and tags are known by: 0 is padding, 1 what was never seen."""

    def __init__(self, sentences):
        self.words = numbered((word for sentence in sentences for word, _ in sentence), 2)
        self.letters = numbered((letter for word in self.words for letter in word), 2)
        self.tags = numbered((tag for sentence in sentences for _, tag in sentence), 0)

    def inputs(self, sentences):
        """`Tagger`'s inputs of lists of words."""
        time = max(map(len, sentences))
        words = np.zeros((len(sentences), time), "int32")
        letters = np.zeros((len(sentences), time, LETTERS), "int32")
        for i, sentence in enumerate(sentences):
            for k, word in enumerate(sentence):
                words[i, k] = self.words.get(word, 1)
                spelled = [self.letters.get(letter, 1) for letter in word[:LETTERS]]
                letters[i, k, : len(spelled)] = spelled
        return {"words": words, "characters": letters}

    def targets(self, sentences):
        tags = np.zeros((len(sentences), max(map(len, sentences))), "int32")
        for row, sentence in zip(tags, sentences):
            row[: len(sentence)] = [self.tags[tag] for _, tag in sentence]
        return tags


def is_bio(tags):
    return all(tag == "O" or tag[:2] in ("B-", "I-") for tag in tags)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file")
    parser.add_argument("sentence", help="words with spaces between them")
    parser.add_argument("--units", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args(arguments)

    sentences = read(options.file)
    names = Names(sentences)
    model = Tagger(
        len(names.words) + 2,
        len(names.letters) + 2,
        len(names.tags),
        units=options.units,
        layers=1,
        cell_options={"peephole": True},
        dropout=0.3,
        word_dropout=0.1,
        allowed=allowed_transitions(list(names.tags)) if is_bio(names.tags) else None,
    )
    model.compile("adam")
    x = names.inputs([[word for word, _ in sentence] for sentence in sentences])
    model.fit(x, names.targets(sentences), epochs=options.epochs, batch_size=16, verbose=0)

    words = options.sentence.split()
    (tags,) = model.tag(names.inputs([words]))
    known = list(names.tags)
    found = [(word, known[tag]) for word, tag in zip(words, tags)]
    print("\n".join(f"{word}\t{tag}" for word, tag in found))
    return found


if __name__ == "__main__":
    main()
