"""Words by number, each with the texts that it occurs in: the vocabulary of what ranks texts."""

import collections
import functools
import json
import math
import typing

import numpy as np

from keras_rnnlm.schema import COUNT, TEXT, parse_json, whole
from keras_rnnlm.text.vocabulary import PADDING, RESERVED, UNKNOWN, OneFile

SCHEMA = {"format": whole(1, 1), "texts": whole(1), "words": [TEXT], "counts": [COUNT]}
FEATURES = 4  # of a word: see `side_by_side`
STEM = 5  # letters; words that begin with the same ones are taken for forms of one


class Forms(typing.NamedTuple):
    """Words by numbers that count from 0: the id of each, its weight, and a number of its first letters."""

    ids: np.ndarray
    weights: np.ndarray
    stems: np.ndarray


class WeightedVocabulary(OneFile):
    """Words, each with a number, and with its inverse document frequency as its weight.

    0 is padding and 1 a word that is not in the vocabulary. Words are in lower case, see `keras_rnnlm.text.words_of`.

    Attributes:
        words: a list, from the number 2 on.
        counts: in how many texts each of them occurs.
        texts: how many texts there are.
        fingerprint: a hash of all that defines the numbers.

    >>> vocabulary = WeightedVocabulary.learn([["the", "cat"], ["the", "dog"]])
    >>> vocabulary.word_ids(["the", "dog", "mouse"]), vocabulary.weights(["the", "dog", "mouse"]).round(2)
    (array([2, 4, 1], dtype=int32), array([0.  , 0.37, 1.  ], dtype=float32))
    """

    def __init__(self, definition):
        """Args: definition: the text of a vocabulary.json."""
        data = parse_json(definition, SCHEMA)
        self.words, self.counts, self.texts = data["words"], data["counts"], data["texts"]
        if len(set(self.words)) != len(self.words):
            raise ValueError("`words` are each there once")
        if len(self.counts) != len(self.words) or max(self.counts, default=0) > self.texts:
            raise ValueError("`counts` are of `words`, one each, and none is above `texts`")
        self._ids = {word: id for id, word in enumerate(self.words, RESERVED)}
        self._weights = np.ones(len(self.words) + RESERVED, np.float32)
        self._weights[PADDING] = 0
        for id, count in enumerate(self.counts, RESERVED):
            self._weights[id] = 1 - math.log(1 + count) / math.log(1 + self.texts)

    @classmethod
    def learn(cls, texts, *, min_count=1, vocabulary_size=None):
        """The vocabulary of texts, each a list of words.

        Args:
            texts: any iterable; each counts once.
            min_count: words that occur in fewer texts are left out.
            vocabulary_size: the most words, those for padding and unknown words included: the most frequent stay.
        """
        counts, number = collections.Counter(), 0
        for text in texts:
            counts.update(set(text))
            number += 1
        found = sorted((item for item in counts.items() if item[1] >= min_count), key=lambda item: (-item[1], item[0]))
        found = found if vocabulary_size is None else found[: max(vocabulary_size - RESERVED, 0)]
        data = {"format": 1, "texts": number, "words": [w for w, _ in found], "counts": [c for _, c in found]}
        return cls(json.dumps(data))

    @property
    def sizes(self):
        """How many words there are, with those for padding and for what is unknown."""
        return {"words": len(self.words) + RESERVED}

    # To numbers

    def word_ids(self, words):
        return np.array([self._ids.get(word, UNKNOWN) for word in words], np.int32)

    def weights(self, words):
        """The inverse document frequency of each, float32: 0 for a word of every text, 1 for one of none.

        1 - log(1 + texts with the word) / log(1 + texts)
        """
        return self._weights[self.word_ids(words)]

    def forms(self, words):
        """What is known of each of these words, which are different from each other."""
        stems = {}
        numbers = [stems.setdefault(word[:STEM], len(stems)) for word in words]
        return Forms(self.word_ids(words), self.weights(words), np.array(numbers, np.int32))

    def encode(self, questions):
        """Questions with their sentences, `(words, list of the words of each sentence)`, as a `Matcher` takes them."""
        known = {}
        numbered = [
            [np.array([known.setdefault(word, len(known)) for word in words], np.int32) for words in [one, *sentences]]
            for one, sentences in questions
        ]
        return side_by_side([(one, rest) for one, *rest in numbered], self.forms(known))

    # As files

    @functools.cached_property
    def definition(self):
        """The text of the vocabulary.json."""
        data = {"format": 1, "texts": self.texts, "words": self.words, "counts": self.counts}
        return json.dumps(data, ensure_ascii=True, indent=0)


def side_by_side(questions, forms, shape=None):
    """Questions with their sentences, as a `Matcher` takes them: padded on the right.

    "question" is (questions, time), "sentences" (questions, sentences, time). Beside each stand the features of each
    word: whether it occurs in the question, 1, or only begins as one of its words does, 0.5; its weight; the first
    again, where no earlier word of the text begins like it, so that each is counted once; and a weight by how many of
    the passage's sentences have a word that begins like it.

    Args:
        questions: of each the numbers of the question's words, and a list of those of each sentence.
        forms: the `Forms` that these numbers are of.
        shape: questions, words of a question, sentences, words of a sentence; by default as many as there are.
    """
    if shape is None:
        lengths = [len(question) for question, _ in questions], [len(sentences) for _, sentences in questions]
        of_sentences = (len(sentence) for _, sentences in questions for sentence in sentences)
        shape = (len(questions), *(max(found, default=0) for found in (*lengths, of_sentences)))
    batch, time, count, longest = shape
    found = {
        "question": np.zeros((batch, time), np.int32),
        "question_features": np.zeros((batch, time, FEATURES), np.float32),
        "sentences": np.zeros((batch, count, longest), np.int32),
        "sentence_features": np.zeros((batch, count, longest, FEATURES), np.float32),
    }
    for k, (question, sentences) in enumerate(questions):
        found["question"][k, : len(question)] = forms.ids[question]
        counts = collections.Counter(stem for text in sentences for stem in set(forms.stems[text].tolist()))
        describe = functools.partial(_features, question, forms, counts, len(sentences))
        found["question_features"][k, : len(question)] = describe(question)
        for number, sentence in enumerate(sentences):
            found["sentences"][k, number, : len(sentence)] = forms.ids[sentence]
            found["sentence_features"][k, number, : len(sentence)] = describe(sentence)
    return found


def _features(question, forms, counts, sentences, text):
    """Of the words of a text, (words, features). `counts` are of the stems, in how many of the sentences they are."""
    stems = forms.stems[text]
    occurs = (np.isin(text, question) + 1.0 * np.isin(stems, forms.stems[question])) / 2
    once = np.zeros(len(text))
    first = np.unique(stems, return_index=True)[1]
    once[first] = occurs[first]
    rare = 1 - np.log1p([counts[stem] for stem in stems.tolist()]) / np.log1p(max(1, sentences))
    return np.stack([occurs, forms.weights[text], once, rare], axis=1)
