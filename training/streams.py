"""A text as batches: contiguous streams for truncated backpropagation, or sentences of similar length.

What is delivered is a function of the text, the seed, the epoch and the window's number alone, so that a run that is
resumed reads what an uninterrupted one would have read.
"""

import numpy as np

from keras_rnnlm.schema import is_whole

BLOCK = 1 << 18  # tokens read and handed to TensorFlow at once: one call of Python each, and 3 MB of arrays
CHUNK = 1 << 20  # tokens searched for sentences' ends at once
POOL = 64  # batches among which sentences are sorted by length
MULTIPLE = 8  # of which the time of a batch of sentences is one, so that few shapes are compiled
GAP = 1 << 10  # tokens between two sentences that are read rather than skipped: as fast as another read


class _Stream:
    """What both modes share: cutting blocks of windows, in numpy and in tf.data."""

    # A subclass has `_time`, the windows' static time or None; `steps`; `_element`; and `_blocks(epoch, first)`, which
    # generates (times of its windows, their starts, tokens, targets, weights), the last three of one dimension: window
    # after window, each row by row.

    def __init__(self, tokens, batch, seed):
        _check_integer("batch", batch, 1)
        _check_integer("seed", seed, 0)
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
        self.seed = int(seed)

    @property
    def tokens_per_epoch(self):
        return len(self.tokens)

    def windows(self, epoch=0, first=0):
        """The epoch's windows from number `first` on, as numpy arrays: what `dataset` delivers."""
        return self._windows(self._blocks(epoch, self._checked(epoch, first)))

    def _windows(self, blocks):
        for times, starts, *arrays in blocks:
            cuts = np.cumsum(times)[:-1] * self.batch
            for start, *parts in zip(starts, *(np.split(array, cuts) for array in arrays)):
                yield self._element(start, *(part.reshape(self.batch, -1) for part in parts))

    def dataset(self, epoch=0, first=0):
        """The epoch's windows from number `first` on, as a prefetching `tf.data.Dataset` of known length."""
        import tensorflow as tf

        first = self._checked(epoch, first)
        blocks = tf.data.Dataset.from_generator(
            lambda: self._blocks(epoch, first),
            output_signature=(
                tf.TensorSpec((None,), tf.int64),
                tf.TensorSpec((None, self.batch), tf.bool),
                *(tf.TensorSpec((None,), dtype) for dtype in (tf.int32, tf.int32, tf.float32)),
            ),
        ).prefetch(1)  # the next block is made while the model eats this one

        def split(times, starts, *arrays):
            sizes = times * self.batch
            return starts, *(tf.RaggedTensor.from_row_lengths(array, sizes, validate=False) for array in arrays)

        def shape(start, *arrays):
            return self._element(start, *(tf.reshape(array, (self.batch, self._time or -1)) for array in arrays))

        count = tf.data.experimental.assert_cardinality(self.steps(epoch) - first)
        return untuned(blocks.map(split).unbatch().map(shape).apply(count).prefetch(4))

    def _checked(self, epoch, first):
        _check_integer("epoch", epoch, 0)
        _check_integer("first", first, 0)
        if first > self.steps(epoch):
            raise ValueError(
                f"`first` is the number of a window, and epoch {epoch} has {self.steps(epoch)}. Received: first={first}"
            )
        return int(first)


def untuned(dataset):
    """A dataset in its order, without tf.data's tuner: that can hold up the end of `fit` as long as `fit` took."""
    import tensorflow as tf

    options = tf.data.Options()
    options.deterministic = True
    options.autotune.enabled = False
    return dataset.with_options(options)


class Contiguous(_Stream):
    """Streams side by side: each row of a window goes on where the same row of the window before ended.

    Of n tokens row r holds tokens[r * length : (r + 1) * length], length = ceil(n / batch). The input is the text moved
    by one, over the rows' starts too: every token is predicted once an epoch, from the token before it, and the very
    first from `start`.

    Elements are `({"tokens": (batch, time), "start": (batch,)}, targets (batch, time), weights (batch, time))`. `start`
    is True in window 0 of an epoch alone: there the model forgets its states. Weights are 1 for a token and 0 for
    padding, whose tokens and targets are 0.

    Args:
        tokens: the text, anything with a length and slices that are arrays of integers; it is never read whole.
        batch: the number of rows.
        window: the tokens in a row of a window. The last window is padded to it.
        start: the token before the first.
        random: draws lengths around `window` as AWD-LSTM does (Merity et al., 2018): one in twenty around its half, the
            standard deviation 5, from 5 to `window` + 20. They are not padded. Scale the learning rate by
            `lengths(epoch) / window`.
        seed: of the lengths.

    Example:
        >>> from keras_rnnlm.training.streams import Contiguous
        >>> stream = Contiguous(np.array([1, 2, 3, 4, 5, 6, 7]), batch=2, window=3, start=9)
        >>> for inputs, targets, weights in stream.windows():
        ...     print(inputs["tokens"].tolist(), targets.tolist(), weights.sum())
        [[9, 1, 2], [4, 5, 6]] [[1, 2, 3], [5, 6, 7]] 6.0
        [[3, 0, 0], [0, 0, 0]] [[4, 0, 0], [0, 0, 0]] 1.0
    """

    carries_states = True

    def __init__(self, tokens, batch, window, *, start, random=False, seed=0):
        super().__init__(tokens, batch, seed)
        _check_integer("window", window, 1)
        _check_integer("start", start, 0)
        if batch > len(tokens):
            raise ValueError(
                f"A text of {len(tokens)} tokens fills at most as many rows: lower `batch`. Received: batch={batch}"
            )
        if random and window < 5:
            raise ValueError(f"Random lengths are at least 5, and so is their `window`. Received: window={window}")
        self.window = int(window)
        self.start = int(start)
        self.random = bool(random)
        self._time = None if random else self.window
        self._row = -(-len(tokens) // self.batch)

    def steps(self, epoch=0):
        """The number of windows in an epoch."""
        return len(self._ends(epoch))

    def lengths(self, epoch=0):
        """The tokens in a row of each window, without padding."""
        return np.diff(self._ends(epoch), prepend=0)

    def _ends(self, epoch):
        if self.random:
            ends = np.concatenate(list(self._draw(epoch)))
            ends = ends[: np.searchsorted(ends, self._row) + 1]
        else:
            ends = np.arange(self.window, self._row + self.window, self.window)
        ends[-1] = self._row
        return ends

    def _draw(self, epoch):
        generator = np.random.default_rng((self.seed, epoch))
        end = 0
        while end < self._row:
            means = np.where(generator.random(1024) < 0.95, self.window, self.window / 2)
            lengths = generator.normal(means, 5).astype(np.int64).clip(5, self.window + 20)
            ends = end + np.cumsum(lengths)
            end = ends[-1]
            yield ends

    def _blocks(self, epoch, first):
        ends = self._ends(epoch)
        while first < len(ends):
            begin = ends[first - 1] if first else 0
            last = max(first + 1, np.searchsorted(ends, begin + BLOCK // self.batch, "right"))
            block = np.diff(ends[first:last], prepend=begin)
            times = block if self.random else np.full(len(block), self.window)
            cuts = np.cumsum(times)
            rows = self._rows(int(begin), int(cuts[-1]))
            starts = np.repeat(np.arange(first, last)[:, None] == 0, self.batch, axis=1)
            yield (
                times,
                starts,
                *(np.concatenate([part.ravel() for part in np.split(array, cuts[:-1], axis=1)]) for array in rows),
            )
            first = last

    def _rows(self, begin, width):
        """Tokens, targets and weights of all rows, `width` of them from `begin` on."""
        tokens, targets = np.zeros((2, self.batch, width), np.int32)
        weights = np.zeros((self.batch, width), np.float32)
        for r in range(self.batch):
            a = r * self._row + begin
            b = min(a + width, (r + 1) * self._row, len(self.tokens))
            if a < b:
                text = np.asarray(self.tokens[max(a - 1, 0) : b])
                targets[r, : b - a] = text[-(b - a) :]
                tokens[r, 0] = text[0] if a else self.start
                tokens[r, 1 : b - a] = targets[r, : b - a - 1]
                weights[r, : b - a] = 1
        return tokens, targets, weights

    def _element(self, start, tokens, targets, weights):
        return {"tokens": tokens, "start": start}, targets, weights


class Sentences(_Stream):
    """Sentences by themselves, in batches of similar length; the states do not pass from one batch to the next.

    A sentence ends in the token `end`, which the last may lack. Each is predicted whole, its first token from `start`.
    They are shuffled, taken in pools of 64 batches, sorted by length in the pool and cut to batches, which are shuffled
    again.

    Elements are `(tokens, targets, weights)`, all (batch, time): the time is the longest sentence's, rounded up to a
    multiple of 8, and weights are 0 for padding, whose tokens and targets are 0. Where the sentences do not fill the
    last batch, its other rows are padding.

    Args:
        tokens: the text, anything with a length and slices that are arrays of integers; it is never read whole. Eight
            bytes for each sentence are kept in memory, and eight more while an epoch lasts.
        batch: the sentences in a batch.
        end: the token that ends a sentence.
        start: the token before a sentence; `end` if None.
        longest: cuts sentences into pieces of at most so many tokens. A piece after the first starts from the last
            token of the piece before, and with fresh states.
        shuffle: whether epochs differ. Without, pools are taken in the text's order, and batches begin with a pool's
            longest sentences.
        seed: of the shuffling.

    Example:
        >>> from keras_rnnlm.training.streams import Sentences
        >>> stream = Sentences(np.array([1, 2, 3, 0, 4, 0]), batch=2, end=0)
        >>> for tokens, targets, weights in stream.windows():
        ...     print(tokens[:, :4].tolist(), targets[:, :4].tolist(), weights.sum(axis=1))
        [[0, 1, 2, 3], [0, 4, 0, 0]] [[1, 2, 3, 0], [4, 0, 0, 0]] [4. 2.]
    """

    _time = None

    def __init__(self, tokens, batch, *, end, start=None, longest=None, shuffle=True, seed=0):
        super().__init__(tokens, batch, seed)
        _check_integer("end", end, 0)
        start = end if start is None else start
        _check_integer("start", start, 0)
        self.end = int(end)
        self.start = int(start)
        self.longest = longest
        self.shuffle = bool(shuffle)
        if longest is not None:
            _check_integer("longest", longest, 1)
        self._bounds = self._find_bounds()

    def steps(self, epoch=0):
        """The number of batches in an epoch."""
        return -(-(len(self._bounds) - 1) // self.batch)

    def lengths(self, epoch=0):
        """The time of each batch, with padding."""
        return np.concatenate([times for _, times in self._pools(epoch, 0)])

    def _find_bounds(self):
        total = len(self.tokens)
        chunks = (range(a, min(a + CHUNK, total)) for a in range(0, total, CHUNK))
        found = [np.flatnonzero(np.asarray(self.tokens[c.start : c.stop]) == self.end) + c.start + 1 for c in chunks]
        bounds = np.concatenate([[0], *found])
        if len(bounds) == 1 and self.longest is None:
            raise ValueError(
                f"The text has no token `end`, so all {total} tokens would be one sentence. "
                f"Name the token that ends sentences, or cut with `longest`. Received: end={self.end}"
            )
        if bounds[-1] < total:
            bounds = np.append(bounds, total)
        if self.longest is None:
            return bounds
        long = np.flatnonzero(np.diff(bounds) > self.longest)
        cuts = [np.arange(bounds[i] + self.longest, bounds[i + 1], self.longest) for i in long]
        return np.sort(np.concatenate([bounds, *cuts]))

    def _pools(self, epoch, first):
        """For each pool its batches, and their times."""
        count = len(self._bounds) - 1
        if self.shuffle:
            order = np.random.default_rng((self.seed, epoch)).permutation(count)
        else:
            order = np.arange(count)
        pool = first // POOL
        while first < self.steps(epoch):
            chosen = order[pool * POOL * self.batch : (pool + 1) * POOL * self.batch]
            lengths = self._bounds[chosen + 1] - self._bounds[chosen]
            # The longest come first, so that a batch that is not full holds the shortest.
            chosen = chosen[np.argsort(-lengths, kind="stable")]
            batches = [chosen[i : i + self.batch] for i in range(0, len(chosen), self.batch)]
            if self.shuffle:
                # From a generator of its own, so that no pool depends on those before it. (A 0 would change nothing.)
                places = np.random.default_rng((self.seed, epoch, pool + 1)).permutation(len(batches))
                batches = [batches[i] for i in places]
            batches = batches[first - pool * POOL :]
            longest = np.array([(self._bounds[batch + 1] - self._bounds[batch]).max() for batch in batches])
            yield batches, -(-longest // MULTIPLE) * MULTIPLE
            pool += 1
            first = pool * POOL

    def _blocks(self, epoch, first):
        for batches, times in self._pools(epoch, first):
            chosen = np.concatenate(batches)
            text, places = self._read(chosen)
            lengths = self._bounds[chosen + 1] - self._bounds[chosen]
            before = np.where(self._bounds[chosen] > 0, text[places - 1], self.end)
            before[before == self.end] = self.start
            parts, a = [], 0
            for batch, time in zip(batches, times):
                b = a + len(batch)
                parts.append(self._batch(text, places[a:b], lengths[a:b], before[a:b], time))
                a = b
            starts = np.ones((len(times), self.batch), bool)
            yield times, starts, *(np.concatenate([array.ravel() for array in arrays]) for arrays in zip(*parts))

    def _element(self, start, tokens, targets, weights):
        return tokens, targets, weights

    def _batch(self, text, places, lengths, before, time):
        rows = len(places)
        tokens, targets = np.zeros((2, self.batch, time), np.int32)
        steps = np.arange(time)
        inside = steps < lengths[:, None]
        targets[:rows] = np.where(inside, text.take(places[:, None] + steps, mode="clip"), 0)
        tokens[:rows, 0] = before
        tokens[:rows, 1:] = np.where(inside[:, 1:], targets[:rows, :-1], 0)
        weights = np.zeros((self.batch, time), np.float32)
        weights[:rows] = inside
        return tokens, targets, weights

    def _read(self, chosen):
        """A text that holds the chosen sentences, each after the token before it, and their places in it."""
        order = np.sort(chosen)
        begins, ends = np.maximum(self._bounds[order] - 1, 0), self._bounds[order + 1]
        opens = np.append(True, begins[1:] > ends[:-1] + GAP)
        spans = np.cumsum(opens) - 1
        first, last = begins[opens], ends[np.append(opens[1:], True)]
        text = np.concatenate([self.tokens[a:b] for a, b in zip(first.tolist(), last.tolist())]).astype(np.int32)
        skipped = first - np.append(0, np.cumsum(last - first)[:-1])
        span = spans[np.searchsorted(order, chosen)]
        return text, self._bounds[chosen] - skipped[span]


def _check_integer(name, value, least):
    if not is_whole(value, least) or value >= 2**31:
        raise ValueError(f"`{name}` is an integer, at least {least} and below 2^31. Received: {name}={value!r}")
