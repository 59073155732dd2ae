"""Questions and their passages as numbers, as they lie in the folder of a run."""

import dataclasses

import numpy as np

from keras_rnnlm.text.questions import words_of
from keras_rnnlm.text.weighted_vocabulary import Forms, side_by_side
from keras_rnnlm.training.corpora.kept_arrays import as_bytes, as_texts, read_arrays, write_arrays

FILE = "questions.npz"
FEWEST = 4  # sentences of a batch, with the padding
PARTS = ("tokens", "bounds", "passages", "asked", "of", "right")


@dataclasses.dataclass(frozen=True)
class EncodedQuestions:
    """Questions and the sentences of their passages, each passage once.

    Attributes:
        forms: of all words that are different, see `keras_rnnlm.text.weighted_vocabulary`.
        tokens, bounds: the numbers of all texts, one after the other, and where each begins: sentences, then questions.
        passages: where each passage begins among the texts, and where the last one ends.
        asked: the text of each question.
        of: the passage of each question.
        right: the number of its right sentence.
    """

    forms: Forms
    tokens: np.ndarray
    bounds: np.ndarray
    passages: np.ndarray
    asked: np.ndarray
    of: np.ndarray
    right: np.ndarray

    def __len__(self):
        return len(self.right)

    def text(self, number):
        return self.tokens[self.bounds[number] : self.bounds[number + 1]]

    def question(self, number):
        """The numbers of its words, and of those of each of its sentences."""
        first, last = self.passages[self.of[number] : self.of[number] + 2]
        return self.text(self.asked[number]), [self.text(k) for k in range(first, last)]

    def stream(self, batch, longest=None, *, shuffle=True, seed=0):
        """Batches of inputs, right sentences and weights: 0 of a row that is padding.

        Side by side are questions with about as many sentences. With `longest`, the first so many words of a question
        and of a sentence are read, and all batches are of the same two lengths: a backend that compiles for each shape
        then compiles for a few numbers of sentences alone.
        """
        from keras_rnnlm.training.streams import Examples
        from keras_rnnlm.training.streams.examples import one_of_few

        lengths, counts = np.diff(self.bounds), np.diff(self.passages)
        lengths = lengths if longest is None else np.minimum(lengths, longest)
        of_passages = np.maximum.reduceat(lengths[: self.passages[-1]], self.passages[:-1])

        def collate(chosen, batch, count):
            found = [self.question(k) for k in chosen]
            found = [(asked[:longest], [sentence[:longest] for sentence in rest]) for asked, rest in found]
            all_of_them = chosen if longest is None else slice(None)
            sizes = lengths[self.asked[all_of_them]], of_passages[self.of[all_of_them]]
            asked, time = (one_of_few(int(size.max())) for size in sizes)
            count = FEWEST if counts[self.of[chosen]].max() <= FEWEST else count
            right, weights = np.zeros(batch, np.int32), np.zeros(batch, np.float32)
            right[: len(chosen)], weights[: len(chosen)] = self.right[chosen], 1
            return side_by_side(found, self.forms, (batch, asked, count, time)), right, weights

        return Examples(counts[self.of], collate, batch, shuffle=shuffle, seed=seed)


def encoded(examples, vocabulary):
    """`Question`s, in the numbers of a vocabulary, without a file."""
    words = {}
    found = _numbered(examples, words)
    return EncodedQuestions(vocabulary.forms(words), **found)


def keep(folder, splits):
    """Writes splits, lists of `Question`s by name, to a folder. Returns their fingerprint."""
    forms, arrays = {}, {}
    for split, examples in splits.items():
        arrays |= {f"{split}.{part}": array for part, array in _numbered(examples, forms).items()}
    return write_arrays(folder / FILE, arrays | {"forms": as_bytes(forms)})


def kept(folder, vocabulary):
    """The splits that `keep` wrote, in the numbers of a vocabulary; and their fingerprint."""

    def take(arrays):
        forms = as_texts(arrays.pop("forms"))
        splits = list(dict.fromkeys(name.partition(".")[0] for name in arrays))
        return forms, {split: {part: arrays[f"{split}.{part}"] for part in PARTS} for split in splits}

    (words, splits), fingerprint = read_arrays(folder / FILE, take)
    forms = vocabulary.forms(words)
    return {split: EncodedQuestions(forms, **parts) for split, parts in splits.items()}, fingerprint


def _numbered(examples, forms):
    passages, texts, starts = {}, [], [0]
    for example in examples:
        if example.sentences not in passages:
            passages[example.sentences] = len(passages)
            texts += example.sentences
            starts.append(len(texts))
    asked = len(texts) + np.arange(len(examples))
    texts = [words_of(text) for text in [*texts, *(example.question for example in examples)]]
    return {
        "tokens": np.array([forms.setdefault(word, len(forms)) for words in texts for word in words], np.int32),
        "bounds": np.cumsum([0, *map(len, texts)]),
        "passages": np.array(starts),
        "asked": asked,
        "of": np.array([passages[example.sentences] for example in examples], np.int64),
        "right": np.array([example.right for example in examples], np.int32),
    }
