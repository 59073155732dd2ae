"""Sentences of similar length, side by side."""

import numpy as np

from keras_rnnlm.training.streams.pools import pools
from keras_rnnlm.training.streams.stream import Stream, check_integer

CHUNK = 1 << 20  # tokens searched for sentences' ends at once
MULTIPLE = 8  # of which the time of a batch of sentences is one, so that few shapes are compiled
GAP = 1 << 10  # tokens between two sentences that are read rather than skipped: as fast as another read


class Sentences(Stream):
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
        longest: cuts sentences into pieces of at most that many tokens. A piece after the first starts from the last
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
        check_integer("end", end, 0)
        start = end if start is None else start
        check_integer("start", start, 0)
        self.end = int(end)
        self.start = int(start)
        self.longest = longest
        self.shuffle = bool(shuffle)
        if longest is not None:
            check_integer("longest", longest, 1)
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
        for batches in pools(count, self._lengths, self.batch, epoch, first, shuffle=self.shuffle, seed=self.seed):
            longest = np.array([self._lengths(batch).max() for batch in batches])
            yield batches, -(-longest // MULTIPLE) * MULTIPLE

    def _lengths(self, chosen):
        return self._bounds[chosen + 1] - self._bounds[chosen]

    def _blocks(self, epoch, first):
        for batches, times in self._pools(epoch, first):
            batches = [batch[self._rows.start : self._rows.stop] for batch in batches]
            chosen = np.concatenate(batches)
            text, places = self._read(chosen)
            lengths = self._lengths(chosen)
            before = np.where(self._bounds[chosen] > 0, text[places - 1], self.end)
            before[before == self.end] = self.start
            parts, a = [], 0
            for batch, time in zip(batches, times):
                b = a + len(batch)
                parts.append(self._batch(text, places[a:b], lengths[a:b], before[a:b], time))
                a = b
            starts = np.ones((len(times), len(self._rows)), bool)
            yield times, starts, *(np.concatenate([array.ravel() for array in arrays]) for arrays in zip(*parts))

    def _element(self, start, tokens, targets, weights):
        return tokens, targets, weights

    def _batch(self, text, places, lengths, before, time):
        rows = len(places)
        tokens, targets = np.zeros((2, len(self._rows), time), np.int32)
        steps = np.arange(time)
        inside = steps < lengths[:, None]
        targets[:rows] = np.where(inside, text.take(places[:, None] + steps, mode="clip"), 0)
        tokens[:rows, 0] = before
        tokens[:rows, 1:] = np.where(inside[:, 1:], targets[:rows, :-1], 0)
        weights = np.zeros((len(self._rows), time), np.float32)
        weights[:rows] = inside
        return tokens, targets, weights

    def _read(self, chosen):
        """A text that holds the chosen sentences, each after the token before it, and their places in it."""
        if not len(chosen):  # of a batch that is not full, and all of it is others'
            return np.zeros(1, np.int32), chosen
        order = np.sort(chosen)
        begins, ends = np.maximum(self._bounds[order] - 1, 0), self._bounds[order + 1]
        opens = np.append(True, begins[1:] > ends[:-1] + GAP)
        spans = np.cumsum(opens) - 1
        first, last = begins[opens], ends[np.append(opens[1:], True)]
        text = np.concatenate([self.tokens[a:b] for a, b in zip(first.tolist(), last.tolist())]).astype(np.int32)
        skipped = first - np.append(0, np.cumsum(last - first)[:-1])
        span = spans[np.searchsorted(order, chosen)]
        return text, self._bounds[chosen] - skipped[span]
