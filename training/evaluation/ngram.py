"""Interpolated modified Kneser-Ney n-grams (Chen & Goodman, 1998): the baseline that a network has to beat.

The estimator is that of KenLM's `lmplz`; benchmarks/ngram.py measures the same perplexities.
"""

import numpy as np

from keras_rnnlm.perplexity import perplexity
from keras_rnnlm.schema import is_count, is_whole

# What lmplz takes with --discount_fallback, for n-grams with the counts 1, 2 and more.
FALLBACK = (0.5, 1.0, 1.5)


class NGram:
    """An n-gram model of integer tokens, its probabilities interpolated at all orders down to a uniform one.

        p_n(w | h) = max(c(h w) - D(c(h w)), 0) / c(h *) + g(h) p_(n-1)(w | h without its first word)
        p_0(w) = 1 / vocabulary_size
        g(h) = (D1 N1(h *) + D2 N2(h *) + D3 N3+(h *)) / c(h *), and 1 where h was never seen

    c counts occurrences at the highest order and for n-grams that begin a sentence, and elsewhere the different words
    that come before. D1, D2 and D3 follow, order by order, from the numbers n1 to n4 of n-grams with the counts 1 to 4:

        Y = n1 / (n1 + 2 n2),  D1 = 1 - 2 Y n2 / n1,  D2 = 2 - 3 Y n3 / n2,  D3 = 3 - 4 Y n4 / n3

    Where these cannot be computed or are not above 0, as among the 65 letters of a text, the order takes 0.5, 1, 1.5.

    Args:
        tokens: the text to learn from, a 1-D array of integers in range(vocabulary_size).
        vocabulary_size: every token in its range has a probability above 0, seen or not.
        order: the most tokens in an n-gram: a token is predicted from the order - 1 before it.
        boundary: the token that ends a sentence. Contexts do not reach across it, and each sentence, an empty one too,
            starts after an unwritten token, as in KenLM. With None a text is one sequence, and its first token is
            predicted without a context.

    Example:
        >>> from keras_rnnlm.training.evaluation.ngram import NGram
        >>> model = NGram([0, 1, 0, 1, 0, 2], vocabulary_size=4, order=2)
        >>> model.log_probabilities([0, 1]).round(3)
        array([-0.981, -0.78 ])
        >>> round(model.perplexity([0, 1]), 3)
        2.412
    """

    def __init__(self, tokens, *, vocabulary_size, order=5, boundary=None):
        for name, value in (("order", order), ("vocabulary_size", vocabulary_size)):
            # Beyond 2^31 the keys of n-grams would no longer fit into 64 bits.
            if not is_count(value) or value >= 2**31:
                raise ValueError(f"`{name}` is an integer, at least 1 and below 2^31. Received: {name}={value!r}")
        if boundary is not None and not (is_whole(boundary, 0) and boundary < vocabulary_size):
            raise ValueError(
                f"`boundary` is the token that ends a sentence, in range({vocabulary_size}), or None. "
                f"Received: boundary={boundary!r}"
            )
        self.vocabulary_size = int(vocabulary_size)
        self.order = int(order)
        self.boundary = boundary
        self.discounts = []  # (D1, D2, D3) of each order
        self._tables = []
        self._estimate(self._as_words(tokens))

    def log_probabilities(self, tokens):
        """The natural logarithm of the probability of each token after those before it."""
        words = self._as_words(tokens)
        starts = self._starts(words)
        probability = np.full(len(words), 1 / self.vocabulary_size)
        context = np.zeros(len(words), np.int64)
        for order, (keys, discounted, weight) in enumerate(self._tables, 1):
            known = np.flatnonzero(context >= 0)
            number = np.full(len(words), -1)
            number[known] = _find(self._keys(context[known], words[known]), keys)
            found = np.flatnonzero(number >= 0)
            probability[known] *= weight[context[known]]
            probability[found] += discounted[number[found]]
            # Without a boundary nobody knows that this text starts where the one that was learnt from does.
            opening = order == 1 and self.boundary is not None
            context = _before(number, starts, self._opening if opening else -1)
        return np.log(probability)

    def perplexity(self, tokens):
        """e to the average of the negative log-probabilities: 1 is certainty, vocabulary_size is a blind guess."""
        return perplexity(-float(self.log_probabilities(tokens).mean()))

    def _estimate(self, words):
        # The number of an n-gram is its place in the sorted table of its order, and -1 stands for none. Its context is
        # the number of the n-gram of the order below that its last token is appended to.
        starts = self._starts(words)
        keys, number, counts = np.unique(words, return_inverse=True, return_counts=True)
        # What stands before a sentence is a context and never predicted.
        self._opening, contexts = len(keys), 1
        keys, counts = np.append(keys, self.vocabulary_size), np.append(counts, 0)
        opens = keys == self.vocabulary_size
        for order in range(2, self.order + 1):
            context = _before(number, starts, self._opening if order == 2 else -1)
            known = np.flatnonzero(context >= 0)
            longer, example, inverse, occurrences = np.unique(
                self._keys(context[known], words[known]), return_index=True, return_inverse=True, return_counts=True
            )
            # Each longer n-gram is one more word before the n-gram that it ends in.
            words_before = np.bincount(number[known[example]], minlength=len(keys))
            self._add(keys, np.where(opens, counts, words_before), contexts)
            opens, contexts = opens[self._context(longer)], len(keys)
            keys, counts = longer, occurrences
            number = np.full(len(words), -1)
            number[known] = inverse
        self._add(keys, counts, contexts)

    def _add(self, keys, counts, contexts):
        """Adds the table of an order: its n-grams, their discounted probabilities, and the weight g of each context."""
        self.discounts.append(_discounts(counts))
        discount = np.array([0, *self.discounts[-1]])[np.minimum(counts, 3)]
        context = self._context(keys)
        total = np.bincount(context, counts, minlength=contexts)
        left = np.bincount(context, discount, minlength=contexts)
        weight = np.divide(left, total, out=np.ones(contexts), where=total > 0)
        self._tables.append((keys, (counts - discount) / total[context], weight))

    # One more than the words: what stands before a sentence is the last.
    def _keys(self, context, words):
        return context * (self.vocabulary_size + 1) + words

    def _context(self, keys):
        return keys // (self.vocabulary_size + 1)

    def _as_words(self, tokens):
        tokens = np.asarray(tokens)
        if tokens.ndim != 1 or not len(tokens) or tokens.dtype.kind not in "iu":
            raise ValueError(
                "`tokens` is a 1-D array of at least one integer. "
                f"Received: shape {tokens.shape} and dtype {tokens.dtype}"
            )
        lowest, highest = int(tokens.min()), int(tokens.max())
        if lowest < 0 or highest >= self.vocabulary_size:
            raise ValueError(
                f"`tokens` lie in range({self.vocabulary_size}), as `vocabulary_size` says. "
                f"Received: tokens from {lowest} to {highest}"
            )
        return tokens.astype(np.int64)

    def _starts(self, words):
        """The places where sentences start."""
        if self.boundary is None:
            return np.array([0])
        return np.append(0, np.flatnonzero(words[:-1] == self.boundary) + 1)


def _before(number, starts, at_start):
    """For each token the number of the n-gram that ends before it."""
    context = np.roll(number, 1)
    context[starts] = at_start
    return context


def _find(wanted, keys):
    """The places of the wanted keys among the sorted ones, -1 where there is none."""
    if not len(keys):
        return np.full(len(wanted), -1)
    place = np.searchsorted(keys, wanted)
    place[place == len(keys)] = 0
    return np.where(keys[place] == wanted, place, -1)


def _discounts(counts):
    """D1, D2 and D3 of an order from the counts of its n-grams."""
    n = np.bincount(np.minimum(counts, 5), minlength=6)
    if n[1:4].all():
        y = n[1] / (n[1] + 2 * n[2])
        discounts = tuple(float(j - (j + 1) * y * n[j + 1] / n[j]) for j in (1, 2, 3))
        # With 0, what was never seen after some context would be impossible there.
        if min(discounts) > 0:
            return discounts
    return FALLBACK
