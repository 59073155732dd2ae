"""Two tokenizers as one vocabulary: that of sources, and that of the targets that are written of them."""

import hashlib
import pathlib

import numpy as np

from keras_rnnlm.text.tokenizers import Tokenizer

PADDING, START, END = 0, 1, 2
RESERVED = 3


class PairVocabulary:
    """Symbols of sources and of targets by number, each side by a `Tokenizer` of its own.

    On both sides 0 is padding, and a tokenizer's ids come from 3 on; 1 begins a target and 2 ends it.

    Attributes:
        source, target: the tokenizers.
        sizes: how many ids there are, by side.
        fingerprint: a hash of all that defines the ids.

    >>> letters = Tokenizer.train("char", ["cab"])
    >>> pair = PairVocabulary(letters, Tokenizer.train("word", ["K AE B"]))
    >>> pair.sizes, pair.source_ids("ab").tolist(), pair.write(pair.target_ids("K B"))
    ({'source': 7, 'target': 8}, [4, 5], 'K B')
    """

    FILES = ("source.json", "target.json")

    def __init__(self, source, target):
        self.source, self.target = source, target

    @property
    def sizes(self):
        return {side: getattr(self, side).vocabulary_size + RESERVED for side in ("source", "target")}

    def source_ids(self, text):
        """The ids of a source, int32. At its end no line ends."""
        return self.source.encode(text) + np.int32(RESERVED)

    def target_ids(self, text):
        """The ids of a target, without what begins and ends it."""
        return self.target.encode(text) + np.int32(RESERVED)

    def write(self, ids):
        """The text of a target's ids; those that are no symbols stand for nothing."""
        return self.target.decode([id - RESERVED for id in np.asarray(ids).tolist() if id >= RESERVED])

    def pieces(self, side, ids):
        """A readable piece of text for each id, as a picture shows them. `side` is "source" or "target"."""
        names, tokenizer = {PADDING: "", START: "<start>", END: "<end>"}, getattr(self, side)
        return [names[id] if id in names else tokenizer.token(id - RESERVED) for id in np.asarray(ids).tolist()]

    # As files

    @property
    def definitions(self):
        """The text of each of `FILES`."""
        return dict(zip(self.FILES, (self.source.definition, self.target.definition)))

    @classmethod
    def of(cls, definitions):
        """The vocabulary of the texts of its `FILES`, by name."""
        return cls(*(Tokenizer(definitions[name]) for name in cls.FILES))

    @classmethod
    def load(cls, folder):
        """From a folder that `save` wrote to."""
        return cls(*(Tokenizer.load(pathlib.Path(folder) / name) for name in cls.FILES))

    def save(self, folder):
        for name, tokenizer in zip(self.FILES, (self.source, self.target)):
            tokenizer.save(pathlib.Path(folder) / name)

    @property
    def fingerprint(self):
        return hashlib.sha256(f"{self.source.fingerprint} {self.target.fingerprint}".encode()).hexdigest()
