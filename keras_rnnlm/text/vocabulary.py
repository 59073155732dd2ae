"""Words, their characters and labels by number: the vocabulary of tasks whose texts come in words."""

import collections
import functools
import hashlib
import itertools
import json
import pathlib

import numpy as np

from keras_rnnlm.schema import COUNT, FLAG, TEXT, Optional, parse_json, read_regular, whole
from keras_rnnlm.whole_files import write_whole

PADDING, UNKNOWN = 0, 1  # of words and of characters
RESERVED = 2
LARGEST = 1 << 28  # bytes of a vocabulary.json
SCHEMA = {
    "format": whole(1, 1),
    "lower": FLAG,
    "longest_word": whole(1, 2**16),
    "words": [TEXT],
    "characters": [TEXT],
    "labels": [TEXT],
    "word_column": Optional(COUNT),
}


class OneFile:
    """A vocabulary that is kept in one file of JSON: a subclass has its text as `definition`, and is made of it."""

    FILES = ("vocabulary.json",)

    @property
    def definitions(self):
        """The text of each of `FILES`."""
        return {self.FILES[0]: self.definition}

    @classmethod
    def of(cls, definitions):
        """The vocabulary of the texts of its `FILES`, by name."""
        return cls(definitions[cls.FILES[0]])

    @classmethod
    def load(cls, path):
        """From a file that `save` wrote, or from the folder that holds it."""
        path = file_of(cls, path)
        try:
            return cls(read_regular(path, LARGEST).decode("utf-8"))
        except (ValueError, KeyError) as error:
            raise ValueError(f"{path} is no vocabulary: {' '.join(str(error).split())[:200]}") from error

    def save(self, path):
        """Writes the vocabulary.json, to a path or into a folder."""
        write_whole(file_of(self, path), self.definition.encode())

    @property
    def fingerprint(self):
        return hashlib.sha256(self.definition.encode()).hexdigest()


class Vocabulary(OneFile):
    """Words, the characters of words, and labels, each with a number.

    Of words and of characters 0 is padding and 1 what is not in the vocabulary. Labels count from 0 on.

    Attributes:
        words, characters, labels: lists, from the numbers 2, 2 and 0 on.
        lower: whether words are looked up in lower case. Their characters are as they are written.
        longest_word: how many characters of a word are read, the first ones.
        word_column: which column of a file its words were read from, from 1 on; None: that which `Columns` takes.
        fingerprint: a hash of all that defines the numbers.

    >>> vocabulary = Vocabulary.learn([["The", "cat"], ["the", "dog"]], ["D", "N"], lower=True)
    >>> vocabulary.word_ids(["THE", "dog", "mouse"]), vocabulary.label_ids(["N", "V"])
    (array([2, 4, 1], dtype=int32), array([ 1, -1], dtype=int32))
    >>> vocabulary.encode([["the", "cat"], ["dog"]])["words"]
    array([[2, 3],
           [4, 0]], dtype=int32)
    """

    def __init__(self, definition):
        """Args: definition: the text of a vocabulary.json."""
        data = parse_json(definition, SCHEMA)
        self.lower, self.longest_word = data["lower"], data["longest_word"]
        self.words, self.characters, self.labels = data["words"], data["characters"], data["labels"]
        self.word_column = data.get("word_column")
        for name in ("words", "characters", "labels"):
            if len(set(data[name])) != len(data[name]):
                raise ValueError(f"`{name}` are each there once")
        self._word_ids = {word: id for id, word in enumerate(self.words, RESERVED)}
        self._character_ids = {character: id for id, character in enumerate(self.characters, RESERVED)}
        self._label_ids = {label: id for id, label in enumerate(self.labels)}

    @classmethod
    def learn(cls, texts, labels, *, lower=False, min_count=1, vocabulary_size=None, longest_word=20, word_column=None):
        """The vocabulary of texts, each a list of words.

        A character that comes once is left out: what stands for an unknown one then has something to learn from.

        Args:
            texts: to learn the words and the characters from.
            labels: any iterable; they are sorted.
            lower: whether words are looked up in lower case.
            min_count: words that are rarer are left out.
            vocabulary_size: the most words, those for padding and unknown words included: the most frequent stay.
            longest_word: how many characters of a word are read.
            word_column: which column of a file the words were read from, where it was named.
        """
        counts = collections.Counter(itertools.chain.from_iterable(texts))
        letters = collections.Counter()
        for word, count in counts.items():
            for letter in word:
                letters[letter] += count
        if lower:
            counted, counts = counts, collections.Counter()
            for word, count in counted.items():
                counts[word.lower()] += count
        words = [word for word, count in _by_frequency(counts) if count >= min_count]
        words = words if vocabulary_size is None else words[: max(vocabulary_size - RESERVED, 0)]
        data = {
            "format": 1,
            "lower": lower,
            "longest_word": longest_word,
            "words": words,
            "characters": [letter for letter, count in _by_frequency(letters) if count > 1],
            "labels": sorted(set(labels)),
            **_named(word_column),
        }
        return cls(json.dumps(data))

    def of_column(self, word_column):
        """The same symbols, of words that are read from another column of a file."""
        data = parse_json(self.definition)
        data.pop("word_column", None)
        return type(self)(json.dumps(data | _named(word_column)))

    @property
    def sizes(self):
        """How many words, characters and labels there are, with those for padding and for what is unknown."""
        return {
            "words": len(self.words) + RESERVED,
            "characters": len(self.characters) + RESERVED,
            "labels": len(self.labels),
        }

    # To numbers

    def word_ids(self, words):
        words = map(str.lower, words) if self.lower else words
        return np.array([self._word_ids.get(word, UNKNOWN) for word in words], np.int32)

    def character_ids(self, words):
        """The characters of each word, (words, longest_word)."""
        words = list(words)
        found = np.full((len(words), self.longest_word), PADDING, np.int32)
        for row, word in zip(found, words):
            letters = [self._character_ids.get(letter, UNKNOWN) for letter in word[: self.longest_word]]
            row[: len(letters)] = letters
        return found

    def label_ids(self, labels):
        """-1 for a label that is not in the vocabulary."""
        return np.array([self._label_ids.get(label, -1) for label in labels], np.int32)

    def encode(self, texts):
        """Texts, each a list of words, side by side: "words", (texts, time), and "characters", (texts, time, length).

        Both are padded on the right, to the longest text and to `longest_word`.
        """
        time = max(map(len, texts), default=0)
        words = np.full((len(texts), time), PADDING, np.int32)
        characters = np.full((len(texts), time, self.longest_word), PADDING, np.int32)
        for k, text in enumerate(texts):
            words[k, : len(text)], characters[k, : len(text)] = self.word_ids(text), self.character_ids(text)
        return {"words": words, "characters": characters}

    # As files

    @functools.cached_property
    def definition(self):
        """The text of the vocabulary.json."""
        data = {"format": 1, "lower": self.lower, "longest_word": self.longest_word}
        data |= {"words": self.words, "characters": self.characters, "labels": self.labels}
        data |= _named(self.word_column)
        return json.dumps(data, ensure_ascii=True, indent=0)


def _named(word_column):
    """What a vocabulary.json says of a column: nothing where none was named."""
    return {} if word_column is None else {"word_column": word_column}


def file_of(vocabulary, path):
    """The path of a vocabulary's one file, of itself or of the folder that holds it."""
    path = pathlib.Path(path)
    return path / vocabulary.FILES[0] if path.is_dir() else path


def _by_frequency(counts):
    """The most frequent first, and equals in the order of their letters."""
    return sorted(counts.items(), key=lambda found: (-found[1], found[0]))
