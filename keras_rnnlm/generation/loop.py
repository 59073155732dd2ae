"""The loop that writes: a model's step, a sampler's choice, again."""

import numpy as np

from keras_rnnlm.generation import checks, keras_hub
from keras_rnnlm.generation.arrays import to_numpy
from keras_rnnlm.generation.beam import beam_search
from keras_rnnlm.generation.prompts import read, tokens_in
from keras_rnnlm.generation.random_numbers import seed_words, uniform
from keras_rnnlm.generation.samplers import Beam, Sample, digits, penalise


def generate(
    step,
    states,
    prompts,
    length,
    sampler=None,
    *,
    seed=0,
    stop=None,
    repetition_penalty=1.0,
    rows=None,
    prefill=None,
):
    """Writes `length` tokens after each prompt.

    Args:
        step: `step(tokens, states)` returns (logits, states): tokens int32 (batch,), logits (batch, vocabulary), states
            a flat list of arrays whose axis 0 is the batch; arrays of numpy or of Keras's backend.
        states: the states before the prompts.
        prompts: lists of ids, of any lengths from 1. Each text is the one that its prompt has alone, with the same row.
        length: how many tokens to write.
        sampler: `Greedy()`, `Sample(...)`, `Beam(...)`, an object with a `choose` method like theirs, or a sampler of
            KerasHub. Absent: `Sample()`.
        seed: from 0 to 2**63 - 1. A seed, a row and a token's place in its text decide all that is random.
        stop: the id that ends a text, or several. It is the last id of a text that it ended.
        repetition_penalty: makes tokens that the prompt or the text holds less likely, see `penalise`.
        rows: each prompt's row number for the random generator. Absent: 0, 1, 2, ...
        prefill: `prefill(tokens, mask, states)` returns the states after all tokens where `mask` is True, both of
            shape (batch, time). Absent: the prompts are read by `step`.

    Returns:
        A list of the new ids for each prompt.

    Example:
        >>> def count(tokens, states):
        ...     return np.eye(10)[(tokens + 1) % 10], states
        >>> generate(count, [], prompts=[[1, 2], [8]], length=4, sampler=keras_rnnlm.generation.Greedy())
        [[3, 4, 5, 6], [9, 0, 1, 2]]
    """
    shared = {"stop": stop, "prefill": prefill}
    if isinstance(sampler, Beam):
        shared["repetition_penalty"] = repetition_penalty
        return [best.ids for best, *_ in beam_search(step, states, prompts, length, sampler, **shared)]
    if keras_hub.is_sampler(sampler):
        keras_hub.check_options(seed=seed, rows=rows, repetition_penalty=repetition_penalty)
        return keras_hub.generate(step, states, prompts, length, sampler, **shared)
    shared |= {"seed": seed, "rows": rows, "repetition_penalty": repetition_penalty}
    steps = stream(step, states, prompts, length, sampler, **shared)
    written = [[] for _ in prompts]
    for tokens in steps:
        for ids, token in zip(written, tokens):
            if token is not None:
                ids.append(token)
    return written


def stream(
    step,
    states,
    prompts,
    length,
    sampler=None,
    *,
    seed=0,
    stop=None,
    repetition_penalty=1.0,
    rows=None,
    prefill=None,
):
    """Like `generate`, one token at a time: yields a list with each row's new id, None where the text has ended.

    >>> def count(tokens, states):
    ...     return np.eye(10)[(tokens + 1) % 10], states
    >>> list(stream(count, [], prompts=[[1, 2]], length=3, sampler=keras_rnnlm.generation.Greedy()))
    [[3], [4], [5]]
    """
    sampler = Sample() if sampler is None else sampler
    if isinstance(sampler, Beam) or keras_hub.is_sampler(sampler):
        raise ValueError(f"This sampler knows its text only at the end: use `generate`. Received: sampler={sampler!r}")
    if isinstance(sampler, type) or not hasattr(sampler, "choose"):
        raise ValueError(f"`sampler` is Greedy(), Sample(...) or Beam(...). Received: sampler={sampler!r}")
    # Everything is checked here and not in the generator, where an error would wait for the first token.
    prompts = checks.check_prompts(prompts)
    return _stream(
        step,
        checks.check_states(states, len(prompts)),
        prompts,
        checks.check_length(length),
        sampler,
        seed_words(seed),
        checks.check_stop(stop),
        checks.check_penalty(repetition_penalty),
        checks.check_rows(rows, len(prompts))[:, None],
        prefill,
    )


def _stream(step, states, prompts, length, sampler, seed, stops, penalty, rows, prefill):
    tokens, states = read(step, states, prompts, prefill)
    has_ended, batch = np.zeros(len(prompts), dtype=bool), np.arange(len(prompts))
    for number in range(length):
        logits, states = step(tokens, states)
        logits = to_numpy(logits).astype("float32", copy=False)
        checks.check_logits(logits, ~has_ended)
        vocabulary = logits.shape[-1]
        if number == 0:
            checks.check_vocabulary(vocabulary, prompts, stops)
            seen = tokens_in(prompts, vocabulary)
        if penalty != 1:
            logits = penalise(logits, seen, penalty)
        uniforms = uniform(seed, rows, number, np.arange(digits(vocabulary)))
        chosen = sampler.choose(logits, uniforms)
        # A text that has ended is fed its last token, and what comes out is not looked at.
        tokens = np.where(has_ended, tokens, chosen).astype("int32")
        yield [None if ended else int(token) for ended, token in zip(has_ended, tokens)]
        seen[batch, tokens] = True
        has_ended |= np.isin(tokens, stops)
        if has_ended.all():
            return
