"""Windows of one long text, for truncated backpropagation."""

import numpy as np

from keras_rnnlm.training.streams.stream import Stream, check_integer

BLOCK = 1 << 18  # tokens read and handed to TensorFlow at once: one call of Python each, and 3 MB of arrays


class Contiguous(Stream):
    """Streams side by side: each row of a window continues the same row of the window before.

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
            standard deviation 5, from 5 to `window` + 20. Scale the learning rate by
            `lengths(epoch) / window`.
        seed: of the lengths.
        multiple: random lengths are multiples of this, and the last window of an epoch is padded to one: a backend that
            compiles each length anew then compiles few, nearly all of them in the first epoch.

    Example:
        >>> from keras_rnnlm.training.streams import Contiguous
        >>> stream = Contiguous(np.array([1, 2, 3, 4, 5, 6, 7]), batch=2, window=3, start=9)
        >>> for inputs, targets, weights in stream.windows():
        ...     print(inputs["tokens"].tolist(), targets.tolist(), weights.sum())
        [[9, 1, 2], [4, 5, 6]] [[1, 2, 3], [5, 6, 7]] 6.0
        [[3, 0, 0], [0, 0, 0]] [[4, 0, 0], [0, 0, 0]] 1.0
    """

    carries_states = True

    def __init__(self, tokens, batch, window, *, start, random=False, seed=0, multiple=1):
        super().__init__(tokens, batch, seed)
        check_integer("window", window, 1)
        check_integer("start", start, 0)
        if batch > len(tokens):
            raise ValueError(
                f"A text of {len(tokens)} tokens fills at most as many rows: lower `batch`. Received: batch={batch}"
            )
        if random and window < 5:
            raise ValueError(f"Random lengths are at least 5, and so is their `window`. Received: window={window}")
        check_integer("multiple", multiple, 1)
        self.window, self.multiple = int(window), int(multiple)
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
            if self.multiple > 1:
                lengths = np.maximum(np.round(lengths / self.multiple).astype(np.int64), 1) * self.multiple
            ends = end + np.cumsum(lengths)
            end = ends[-1]
            yield ends

    def _blocks(self, epoch, first):
        ends = self._ends(epoch)
        while first < len(ends):
            begin = ends[first - 1] if first else 0
            last = max(first + 1, np.searchsorted(ends, begin + BLOCK // len(self._rows), "right"))
            block = np.diff(ends[first:last], prepend=begin)
            multiple = self.multiple if self.random else self.window
            times = -(-block // multiple) * multiple
            cuts = np.cumsum(times)
            rows = self._read(int(begin), int(cuts[-1]))
            starts = np.repeat(np.arange(first, last)[:, None] == 0, len(self._rows), axis=1)
            yield (
                times,
                starts,
                *(np.concatenate([part.ravel() for part in np.split(array, cuts[:-1], axis=1)]) for array in rows),
            )
            first = last

    def _read(self, begin, width):
        """Tokens, targets and weights of the rows, `width` of them from `begin` on."""
        tokens, targets = np.zeros((2, len(self._rows), width), np.int32)
        weights = np.zeros((len(self._rows), width), np.float32)
        for r, row in enumerate(self._rows):
            a = row * self._row + begin
            b = min(a + width, (row + 1) * self._row, len(self.tokens))
            if a < b:
                text = np.asarray(self.tokens[max(a - 1, 0) : b])
                targets[r, : b - a] = text[-(b - a) :]
                tokens[r, 0] = text[0] if a else self.start
                tokens[r, 1 : b - a] = targets[r, : b - a - 1]
                weights[r, : b - a] = 1
        return tokens, targets, weights

    def _element(self, start, tokens, targets, weights):
        return {"tokens": tokens, "start": start}, targets, weights
