"""Beam search: the most probable text that a few hypotheses a prompt find."""

import dataclasses

import numpy as np

from keras_rnnlm.generation import checks
from keras_rnnlm.generation.arrays import take_rows, to_numpy
from keras_rnnlm.generation.prompts import read, tokens_in
from keras_rnnlm.generation.samplers import penalise


@dataclasses.dataclass(frozen=True)
class Hypothesis:
    """New ids and their log-probability, divided by their number ** length_penalty.

    >>> Hypothesis(ids=[3, 4], score=-0.7).ids
    [3, 4]
    """

    ids: list[int]
    score: float


def beam_search(step, states, prompts, length, beam, *, stop=None, repetition_penalty=1.0, prefill=None):
    """The hypotheses of each prompt, best first. The arguments are those of `generate`; `step` sees batches of
    prompts * beam.width rows.

    Every step extends each hypothesis by every token and keeps the most probable ones. One that ends in `stop` is put
    aside with its score and gives up its place, and its prompt is done when no place is left.

    >>> def count(tokens, states):
    ...     return 5 * np.eye(10)[(tokens + 1) % 10], states
    >>> (found,) = beam_search(count, [], prompts=[[1, 2]], length=3, beam=keras_rnnlm.generation.Beam(width=2))
    >>> [hypothesis.ids for hypothesis in found]
    [[3, 4, 5], [3, 0, 1]]
    """
    prompts, stops = checks.check_prompts(prompts), checks.check_stop(stop)
    length, penalty = checks.check_length(length), checks.check_penalty(repetition_penalty)
    states, width = checks.check_states(states, len(prompts)), beam.width
    tokens, states = read(step, states, prompts, prefill)

    rows = np.repeat(np.arange(len(prompts)), width)
    tokens, states = tokens[rows], [take_rows(state, rows) for state in states]
    # At first a prompt's hypotheses are all the same one. A place without a hypothesis has a log-probability of -inf.
    totals = np.where(np.arange(len(rows)) % width == 0, 0.0, -np.inf)
    written, ended = [[] for _ in rows], [[] for _ in prompts]
    for number in range(length):
        is_live = totals > -np.inf
        if not is_live.any():
            break
        logits, states = step(tokens, states)
        logits = to_numpy(logits).astype("float64")
        checks.check_logits(logits, is_live)
        vocabulary = logits.shape[-1]
        if number == 0:
            checks.check_vocabulary(vocabulary, prompts, stops)
            seen = tokens_in(prompts, vocabulary)[rows]
        if penalty != 1:
            logits = penalise(logits, seen, penalty)
        candidates = np.where(is_live[:, None], totals[:, None] + log_softmax(logits), -np.inf)

        parents, texts, totals = rows * width, [[] for _ in rows], np.full(len(rows), -np.inf)
        for row, own in enumerate(candidates.reshape(len(prompts), -1)):
            place = row * width
            for candidate in _best(own, width - len(ended[row])):
                parent, token = divmod(int(candidate), vocabulary)
                text = [*written[row * width + parent], token]
                if token in stops:
                    ended[row].append(_scored(text, own[candidate], beam))
                else:
                    parents[place], texts[place], totals[place] = row * width + parent, text, own[candidate]
                    place += 1
        written, states, seen = texts, [take_rows(state, parents) for state in states], seen[parents]
        tokens = np.array([text[-1] if text else 0 for text in written], dtype="int32")
        seen[np.arange(len(rows)), tokens] = True

    for row, text, total in zip(rows, written, totals):
        if total > -np.inf:
            ended[row].append(_scored(text, total, beam))
    return [sorted(hypotheses, key=lambda hypothesis: -hypothesis.score) for hypotheses in ended]


def _scored(ids, total, beam):
    return Hypothesis(ids, float(total) / max(len(ids), 1) ** beam.length_penalty)


def _best(values, count):
    """Where the `count` largest values are, the largest first and of equals the first; those of -inf are left out."""
    count = min(count, len(values))
    if not count:
        return []
    places = np.flatnonzero((values >= np.partition(values, -count)[-count]) & (values > -np.inf))
    return places[np.argsort(-values[places], kind="stable")][:count]


def log_softmax(logits):
    """The log-probabilities of the tokens, of logits (..., vocabulary)."""
    with np.errstate(invalid="ignore"):  # of a place without a hypothesis
        logits = logits - logits.max(axis=-1, keepdims=True)
    return logits - np.log(np.sum(np.exp(logits), axis=-1, keepdims=True))
