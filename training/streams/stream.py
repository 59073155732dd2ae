"""A text as batches: contiguous streams for truncated backpropagation, or sentences of similar length.

What is delivered is a function of the text, the seed, the epoch and the window's number alone, so that a run that is
resumed reads what an uninterrupted one would have read.
"""

import atexit
import copy
import functools
import gc

import numpy as np

from keras_rnnlm.installed import has_tensorflow
from keras_rnnlm.schema import is_whole


class Stream:
    """What both modes share: cutting blocks of windows, in numpy and in tf.data."""

    # A subclass has `_time`, the windows' static time or None; `steps`; `_element`; and `_blocks(epoch, first)`, which
    # generates (times of its windows, their starts, tokens, targets, weights), the last three of one dimension: window
    # after window, each row by row.

    def __init__(self, tokens, batch, seed):
        check_integer("batch", batch, 1)
        check_integer("seed", seed, 0)
        if not len(tokens):
            raise ValueError("The text is empty: a stream needs at least one token.")
        sample = np.asarray(tokens[0:1])
        if sample.ndim != 1 or sample.dtype.kind not in "iu":
            raise ValueError(
                "`tokens` is one dimension of integers. "
                f"Received: slices of {sample.ndim} dimensions and dtype {sample.dtype}"
            )
        # A memory map is a plain array, and as one it is sliced eight times as fast.
        self.tokens = np.asarray(tokens) if isinstance(tokens, np.ndarray) else tokens
        self.batch = int(batch)
        self._rows = range(self.batch)  # those of a batch that are delivered
        self.seed = int(seed)

    @property
    def tokens_per_epoch(self):
        return len(self.tokens)

    def part(self, index, count):
        """The same stream with a part of each batch's rows, the first of `count` being 0: no text of others is read.

        `steps` and `lengths` are those of the whole.
        """
        if self.batch % count:
            raise ValueError(f"`batch` is a multiple of the {count} parts. Received: batch={self.batch}")
        part, share = copy.copy(self), self.batch // count
        part._rows = self._rows[index * share : (index + 1) * share]
        return part

    def windows(self, epoch=0, first=0):
        """The epoch's windows from number `first` on, as numpy arrays: what `dataset` delivers."""
        return self._windows(self._blocks(epoch, self._checked(epoch, first)))

    def _windows(self, blocks):
        for times, starts, *arrays in blocks:
            cuts = np.cumsum(times)[:-1] * len(self._rows)
            for start, *parts in zip(starts, *(np.split(array, cuts) for array in arrays)):
                yield self._element(start, *(part.reshape(len(self._rows), -1) for part in parts))

    def dataset(self, epoch=0, first=0):
        """The epoch's windows from number `first` on, as a prefetching `tf.data.Dataset` of known length.

        Where TensorFlow is not installed, the same windows as a `keras.utils.PyDataset`.
        """
        first = self._checked(epoch, first)
        if not has_tensorflow():
            from keras_rnnlm.training.streams.without_tensorflow import Batches

            return Batches(lambda more: self.windows(epoch, first + more), self.steps(epoch) - first)
        import tensorflow as tf

        rows = len(self._rows)
        blocks = tf.data.Dataset.from_generator(
            lambda: self._blocks(epoch, first),
            output_signature=(
                tf.TensorSpec((None,), tf.int64),
                tf.TensorSpec((None, rows), tf.bool),
                *(tf.TensorSpec((None,), dtype) for dtype in (tf.int32, tf.int32, tf.float32)),
            ),
        ).prefetch(1)  # the next block is made while the model eats this one

        def split(times, starts, *arrays):
            sizes = times * rows
            return starts, *(tf.RaggedTensor.from_row_lengths(array, sizes, validate=False) for array in arrays)

        def shape(start, *arrays):
            return self._element(start, *(tf.reshape(array, (rows, self._time or -1)) for array in arrays))

        count = tf.data.experimental.assert_cardinality(self.steps(epoch) - first)
        return untuned(blocks.map(split).unbatch().map(shape).apply(count).prefetch(4))

    def _checked(self, epoch, first):
        check_integer("epoch", epoch, 0)
        check_integer("first", first, 0)
        if first > self.steps(epoch):
            raise ValueError(
                f"`first` is the number of a window, and epoch {epoch} has {self.steps(epoch)}. Received: first={first}"
            )
        return int(first)


def untuned(dataset):
    """A dataset in its order, without tf.data's tuner: that can hold up the end of `fit` as long as `fit` took.

    >>> import tensorflow as tf
    >>> [int(number) for number in untuned(tf.data.Dataset.range(3))]
    [0, 1, 2]
    """
    import tensorflow as tf

    _release_at_exit()
    options = tf.data.Options()
    options.deterministic = True
    options.autotune.enabled = False
    return dataset.with_options(options)


@functools.cache
def _release_at_exit():
    """Has Python free iterators of epochs that were cut short, which lie in cycles, while their threads still run.

    Once it ends, it ends the threads first, and an iterator that is freed then waits for its own for ever.
    """
    atexit.register(gc.collect)


def check_integer(name, value, least):
    if not is_whole(value, least) or value >= 2**31:
        raise ValueError(f"`{name}` is an integer, at least {least} and below 2^31. Received: {name}={value!r}")
