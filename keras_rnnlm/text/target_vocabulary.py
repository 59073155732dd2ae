"""The vocabulary of what is written of pictures and recordings: of targets alone."""

import hashlib
import json
import pathlib

from keras_rnnlm import sources
from keras_rnnlm.schema import parse_json
from keras_rnnlm.text.pair_vocabulary import RESERVED, PairVocabulary
from keras_rnnlm.text.tokenizers import Tokenizer
from keras_rnnlm.whole_files import write_whole


class TargetVocabulary(PairVocabulary):
    """Symbols of targets by number, as a `PairVocabulary` has them, and how the sources lie in their files.

    Attributes:
        source: a `keras_rnnlm.sources.Source`.
        target: the tokenizer.

    >>> vocabulary = TargetVocabulary(keras_rnnlm.sources.Image([8, 8, 1]), Tokenizer.train("word", ["a seven"]))
    >>> vocabulary.write(vocabulary.target_ids("a seven")), TargetVocabulary.of(vocabulary.definitions).source.shape
    ('a seven', (8, 8, 1))
    """

    @property
    def sizes(self):
        return {"target": self.target.vocabulary_size + RESERVED}

    def source_ids(self, text):
        raise ValueError(f"A source is a file or an array here, for it is no text. Received: {text!r:.80}")

    def pieces(self, side, ids):
        if side == "source":
            raise ValueError("Sources that are no text have no pieces of text")
        return super().pieces(side, ids)

    # As files

    @property
    def definitions(self):
        source = json.dumps(self.source.description(), sort_keys=True)
        return dict(zip(self.FILES, (source, self.target.definition)))

    @classmethod
    def of(cls, definitions):
        source, target = (definitions[name] for name in cls.FILES)
        return cls(sources.source_of(parse_json(source)), Tokenizer(target))

    @classmethod
    def load(cls, folder):
        path, target = (pathlib.Path(folder) / name for name in cls.FILES)
        try:
            source = sources.source_of(parse_json(path.read_bytes()))
        except (OSError, ValueError) as error:
            raise ValueError(f"{path} says nothing of how sources are read: {error}") from error
        return cls(source, Tokenizer.load(target))

    def save(self, folder):
        path, target = (pathlib.Path(folder) / name for name in self.FILES)
        write_whole(path, self.definitions[path.name].encode())
        self.target.save(target)

    @property
    def fingerprint(self):
        text = f"{self.definitions[self.FILES[0]]} {self.target.fingerprint}"
        return hashlib.sha256(text.encode()).hexdigest()
