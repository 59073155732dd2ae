"""Examples of unequal lengths side by side: sentences with their tags, texts with their classes, pairs of sentences."""

import numpy as np

from keras_rnnlm.installed import has_tensorflow
from keras_rnnlm.training.streams.pools import pools
from keras_rnnlm.training.streams.stream import check_integer, untuned

SHORTEST = 8


class Examples:
    """Examples by themselves, in batches of similar length and of few shapes.

    They are shuffled and put side by side as `Sentences` are. A batch is padded to a length of few: 8, 12, 16, 24, 32,
    48, ...: a backend that compiles for each shape compiles few programs, and a whole epoch is one of them over and
    over. Where examples do not fill a batch, its other rows are padding.

    Args:
        lengths: of each example; of a pair, the longer's.
        collate: `collate(chosen, batch, time)` is an element, of any structure: arrays with `batch` rows, of which the
            first are the examples of these numbers, padded to `time`, and the others padding.
        batch: the examples in a batch.
        shuffle: whether epochs differ. Without, every epoch goes through the examples in their order, sorted by length
            among 64 batches.
        seed: of the shuffling.

    Example:
        >>> from keras_rnnlm.training.streams import Examples, padded
        >>> texts = [np.array([1, 2, 3]), np.array([4])]
        >>> stream = Examples([3, 1], lambda chosen, *shape: padded([texts[k] for k in chosen], *shape), batch=3)
        >>> for words in stream.batches():
        ...     print(words.shape, words.sum(axis=1))
        (3, 8) [6 4 0]
    """

    def __init__(self, lengths, collate, batch, *, shuffle=True, seed=0):
        check_integer("batch", batch, 1)
        check_integer("seed", seed, 0)
        self.lengths_of_examples = np.asarray(lengths, np.int64)
        if self.lengths_of_examples.ndim != 1 or not len(self.lengths_of_examples):
            raise ValueError("There is nothing to read: a stream needs at least one example.")
        self.collate, self.batch, self.shuffle, self.seed = collate, int(batch), bool(shuffle), int(seed)

    def steps(self, epoch=0):
        """The number of batches in an epoch."""
        return -(-len(self.lengths_of_examples) // self.batch)

    def chosen(self, epoch=0, first=0):
        """The numbers of the examples of each batch, from number `first` on, and the length that it is padded to."""
        check_integer("epoch", epoch, 0)
        check_integer("first", first, 0)
        if first > self.steps(epoch):
            raise ValueError(
                f"`first` is the number of a batch, and epoch {epoch} has {self.steps(epoch)}. Received: first={first}"
            )
        lengths = self.lengths_of_examples
        found = pools(len(lengths), lengths.__getitem__, self.batch, epoch, first, shuffle=self.shuffle, seed=self.seed)
        for batches in found:
            for batch in batches:
                yield batch, one_of_few(int(lengths[batch].max()))

    def batches(self, epoch=0, first=0):
        """The epoch's batches from number `first` on, in numpy: what `dataset` delivers."""
        for chosen, time in self.chosen(epoch, first):
            yield self.collate(chosen, self.batch, time)

    def dataset(self, epoch=0, first=0):
        """The epoch's batches from number `first` on, as a prefetching `tf.data.Dataset` of known length.

        Where TensorFlow is not installed, the same batches as a `keras.utils.PyDataset`.
        """
        if not has_tensorflow():
            from keras_rnnlm.training.streams.without_tensorflow import Batches

            return Batches(lambda more: self.batches(epoch, first + more), self.steps(epoch) - first)
        import tensorflow as tf

        one = self.collate(np.zeros(1, np.int64), self.batch, one_of_few(int(self.lengths_of_examples[0])))
        specs = tf.nest.map_structure(lambda a: tf.TensorSpec((self.batch, *[None] * (a.ndim - 1)), a.dtype), one)
        found = tf.data.Dataset.from_generator(lambda: self.batches(epoch, first), output_signature=specs)
        count = tf.data.experimental.assert_cardinality(self.steps(epoch) - first)
        return untuned(found.apply(count).prefetch(4))


def one_of_few(length):
    """The length that something is padded to: the next of 8, 12, 16, 24, 32, 48, 64, ...

    >>> [one_of_few(length) for length in (0, 8, 9, 13, 33, 2000)]
    [8, 8, 12, 16, 48, 2048]
    """
    power = doubled(length)
    return 3 * power // 4 if power > SHORTEST and length <= 3 * power // 4 else power


def doubled(length):
    """The next of 8, 16, 32, 64, ..."""
    power = SHORTEST
    while power < length:
        power *= 2
    return power


def padded(rows, batch, *shape):
    """Arrays of unequal lengths in one of `(batch, *shape)`, filled up with zeros.

    >>> padded([np.array([1, 2, 3]), np.array([4])], 3, 4).tolist()
    [[1, 2, 3, 0], [4, 0, 0, 0], [0, 0, 0, 0]]
    """
    found = np.zeros((batch, *shape), rows[0].dtype)
    for place, row in zip(found, rows):
        place[tuple(slice(size) for size in row.shape)] = row
    return found
