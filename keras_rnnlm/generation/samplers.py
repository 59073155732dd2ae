"""How the next token is chosen: a sampler is a few numbers and one method.

`choose(logits, uniforms, ops=numpy)` takes float logits (batch, vocabulary) and uniform numbers (batch, digits) and
returns int32 tokens (batch,). It runs on the host with `ops=numpy`, the reference, and in a graph with
`ops=keras.ops`. Equal tokens come from equal arithmetic: float32 and int32 only, and every tie goes to the lowest id.

A token is drawn one binary digit of its id at a time, the highest first, each by the inverse of the distribution of
that digit given those before it. One inverse over all ids would be the same distribution, but no two runtimes agree on
the last bits of logits, and that shifts all ids' boundaries: of 10,000 ids, logits that differ by 1e-6 change one token
in 5,000, of 50,000 one in 1,000. With digits it is one in a million, however many ids there are.
"""

import dataclasses
import math

import numpy as np

from keras_rnnlm.generation.checks import is_number
from keras_rnnlm.schema import is_count

# The digits' sums stay clear of float32's subnormal numbers, which some runtimes flush to zero.
LEAST_SCORE = math.log(1e-30)
# Probabilities that equal a limit on paper do not equal it in float32.
TOLERANCE = 2.0**-20


@dataclasses.dataclass(frozen=True)
class Greedy:
    """The most probable token.

    >>> Greedy().choose(np.array([[0.1, 0.9, 0.5]]))
    array([1], dtype=int32)
    """

    def choose(self, logits, uniforms=None, ops=np):
        vocabulary = logits.shape[-1]
        is_largest = logits == ops.max(logits, axis=-1, keepdims=True)
        return ops.min(ops.where(is_largest, ops.arange(vocabulary, dtype="int32"), vocabulary), axis=-1)


@dataclasses.dataclass(frozen=True)
class Sample:
    """A token at random, by the probabilities `softmax(logits / temperature)` after three filters, in this order.

    Args:
        temperature: below 1 sharper, above 1 flatter.
        top_k: keep the `top_k` most probable tokens, of equals those of the lowest ids.
        top_p: of these, keep the fewest most probable tokens that together have at least this probability.
        min_p: of these, keep the tokens at least this times as probable as the most probable one.

    Example:
        >>> logits = np.log([[0.1, 0.2, 0.3, 0.4]])
        >>> Sample(top_k=1).choose(logits, uniforms=np.array([[0.5, 0.5]]))
        array([3], dtype=int32)
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None

    def __post_init__(self):
        if not is_number(self.temperature) or not 1e-30 <= self.temperature <= 1e30:
            raise ValueError(
                "`temperature` is a number above 0 (from 1e-30 to 1e30); the most probable token every time is "
                f"Greedy(). Received: temperature={self.temperature!r}"
            )
        if self.top_k is not None and not is_count(self.top_k):
            raise ValueError(f"`top_k` counts the tokens to keep, at least 1. Received: top_k={self.top_k!r}")
        for name in ("top_p", "min_p"):
            share = getattr(self, name)
            if share is not None and (not is_number(share) or not 0 < share <= 1):
                raise ValueError(f"`{name}` is a probability above 0, at most 1. Received: {name}={share!r}")

    def choose(self, logits, uniforms, ops=np):
        scores = ops.array(logits, dtype="float32")
        # The subtraction comes first: a product followed by it could become one instruction that rounds once.
        scores = (scores - ops.max(scores, axis=-1, keepdims=True)) * np.float32(1 / self.temperature)
        scores = ops.where(scores >= LEAST_SCORE, scores, -math.inf)
        vocabulary = scores.shape[-1]
        most = min(self.top_k or vocabulary, vocabulary)
        has_top_p = self.top_p is not None and self.top_p < 1
        if most < vocabulary or has_top_p:
            ordered = _largest(scores, most, ops)
            count = number_that_reach(round(parts_of(self.top_p)), ordered, ops) if has_top_p else most
            scores = ops.where(are_largest(scores, ordered, count, ops), scores, -math.inf)
        if self.min_p is not None:
            scores = ops.where(scores >= math.log(self.min_p) - TOLERANCE, scores, -math.inf)
        return draw(ops.exp(scores), uniforms, ops)


@dataclasses.dataclass(frozen=True)
class Beam:
    """The most probable text that keeping `width` hypotheses finds, for `generate` and `beam_search`.

    Args:
        width: hypotheses a prompt. A hypothesis that ends gives up its place, so that a width of 1 is greedy.
        length_penalty: hypotheses are compared by log-probability / length ** length_penalty: 0 compares their
            probabilities, 1 their mean log-probabilities a token.

    >>> def count(tokens, states):
    ...     return 5 * np.eye(10)[(tokens + 1) % 10], states
    >>> keras_rnnlm.generation.generate(count, [], prompts=[[1, 2]], length=3, sampler=Beam(width=2))
    [[3, 4, 5]]
    """

    width: int
    length_penalty: float = 0.0

    def __post_init__(self):
        if not is_count(self.width):
            raise ValueError(f"`width` counts a beam's hypotheses, at least 1. Received: width={self.width!r}")
        if not is_number(self.length_penalty) or not math.isfinite(self.length_penalty):
            raise ValueError(
                "`length_penalty` is a finite number: 0 for none, 1 for the mean of the log-probabilities. "
                f"Received: length_penalty={self.length_penalty!r}"
            )


def make_sampler(temperature=None, top_k=None, top_p=None, min_p=None, beam=None, length_penalty=None):
    """The sampler that options, as they come from a command line, ask for; without any, `Sample()`.

    >>> type(make_sampler(temperature=0)).__name__, make_sampler(temperature=0.8, top_p=0.9).top_p
    ('Greedy', 0.9)
    """
    filters = {"top_k": top_k, "top_p": top_p, "min_p": min_p}
    filters = {name: value for name, value in filters.items() if value is not None}
    if beam is not None:
        others = filters if temperature is None else {"temperature": temperature, **filters}
        if others:
            raise ValueError(
                "Beam search draws nothing at random, so `beam` goes without temperature, top_k, top_p and min_p. "
                f"Received: beam={beam!r}, {_listed(others)}"
            )
        return Beam(beam, **({} if length_penalty is None else {"length_penalty": length_penalty}))
    if length_penalty is not None:
        raise ValueError(f"`length_penalty` is beam search's: it needs `beam`. Received: {length_penalty=!r}")
    if is_number(temperature) and temperature == 0:
        if filters:
            raise ValueError(
                "A temperature of 0 takes the most probable token, so nothing is left for top_k, top_p and min_p. "
                f"Drop them or raise the temperature. Received: temperature={temperature!r}, {_listed(filters)}"
            )
        return Greedy()
    return Sample(1.0 if temperature is None else temperature, **filters)


def penalise(logits, seen, penalty, ops=np):
    """Makes the tokens in `seen`, booleans (batch, vocabulary), less likely: logits above 0 are divided by `penalty`,
    the others multiplied (Keskar et al., CTRL, 2019). The heads "adaptive" and "mixture" give log-probabilities, none
    above 0: there it leaves a token that is nearly certain as it is.

    >>> penalise(np.array([[2.0, -1.0, 2.0]]), np.array([[True, True, False]]), penalty=2.0)
    array([[ 1., -2.,  2.]])
    """
    return ops.where(seen, ops.where(logits > 0, logits / penalty, logits * penalty), logits)


def digits(vocabulary):
    """How many binary digits an id has: the uniform numbers that drawing one takes.

    >>> digits(1000)
    10
    """
    return (vocabulary - 1).bit_length()


def draw(weights, uniforms, ops=np):
    """Tokens (batch,) in proportion to `weights`, float32 (batch, vocabulary). One of weight 0 is never drawn."""
    vocabulary = weights.shape[-1]
    missing = 2 ** digits(vocabulary) - vocabulary
    if missing:
        weights = ops.concatenate([weights, ops.zeros_like(weights[:, :missing])], axis=-1)
    tokens = ops.zeros_like(weights[:, 0], dtype="int32")
    for number in range(digits(vocabulary)):
        half = weights.shape[-1] // 2
        zeros, ones = weights[:, :half], weights[:, half:]
        weight_of_zeros = ops.sum(zeros, axis=-1)
        weight = weight_of_zeros + ops.sum(ones, axis=-1)
        is_one = uniforms[:, number] * weight >= weight_of_zeros
        weights = ops.where(is_one[:, None], ones, zeros)
        tokens = tokens * 2 + ops.array(is_one, dtype="int32")
    return tokens


def _largest(scores, count, ops):
    """The `count` largest scores of each row, falling."""
    if ops is not np:
        return ops.top_k(scores, count, sorted=True)[0]
    return -np.sort(np.partition(-scores, count - 1, axis=-1)[:, :count], axis=-1)


def are_largest(scores, ordered, count, ops):
    """Where the `count` largest scores are, of equals the lowest ids: what a backend's own top_k does not promise."""
    places = ops.arange(ordered.shape[-1], dtype="int32")
    least = ops.min(ops.where(places < count, ordered, math.inf), axis=-1, keepdims=True)
    is_above, is_equal = scores > least, scores == least
    above = ops.sum(ops.array(is_above, dtype="int32"), axis=-1, keepdims=True)
    place_among_equals = ops.cumsum(ops.array(is_equal, dtype="int32"), axis=-1)
    return ops.logical_or(is_above, ops.logical_and(is_equal, place_among_equals + above <= count))


def parts_of(share):
    """What part of 2**30 a probability is, to be rounded: integers sum to the same in any order."""
    return (share - TOLERANCE) * 2**30


def number_that_reach(needed, ordered, ops):
    """How many of the largest scores have `needed` parts of the probability."""
    weights = ops.exp(ordered)
    parts = ops.round(weights * (2.0**30 / ops.sum(weights, axis=-1, keepdims=True)))
    reached = ops.cumsum(ops.array(parts, dtype="int32"), axis=-1)
    are_short = reached[:, :-1] < needed
    return 1 + ops.sum(ops.array(are_short, dtype="int32"), axis=-1, keepdims=True)


def _listed(options):
    return ", ".join(f"{name}={value!r}" for name, value in options.items())
