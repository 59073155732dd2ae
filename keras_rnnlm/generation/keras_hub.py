"""KerasHub's samplers over a recurrent step: its states take the place of the cache.

KerasHub 0.32 calls `sampler(next, prompt, cache, index, mask, stop_token_ids)`, where `next(prompt, cache, index)`
reads the token before `index`, returns (logits, hidden states, cache), and is called once for every index. A sampler
that wants hidden states or a second model (contrastive, speculative) says so itself.
"""

import numpy as np

from keras_rnnlm.generation import checks
from keras_rnnlm.generation.arrays import take_rows
from keras_rnnlm.generation.prompts import read


def is_sampler(sampler):
    """Whether this is a sampler of KerasHub's interface; KerasHub itself is not imported."""
    return callable(sampler) and hasattr(sampler, "get_next_token")


def check_options(seed, rows, repetition_penalty):
    if seed or rows is not None or repetition_penalty != 1:
        raise ValueError(
            "A sampler of KerasHub draws with a generator of its own and knows no repetition penalty: give the seed to "
            "the sampler, or use Sample(...). Received: "
            f"seed={seed!r}, rows={rows!r}, repetition_penalty={repetition_penalty!r}"
        )


def generate(step, states, prompts, length, sampler, *, stop=None, prefill=None):
    """Like `keras_rnnlm.generation.generate`. On JAX, where KerasHub's loop is traced, so is `step`."""
    prompts, stops = checks.check_prompts(prompts), checks.check_stop(stop)
    length, states = checks.check_length(length), checks.check_states(states, len(prompts))
    _, states = read(step, states, prompts, prefill)
    written = [None] * len(prompts)
    # Prompts of one length at a time: KerasHub's beams weigh the tokens of a longer prompt as if they were chosen.
    for size in sorted({len(prompt) for prompt in prompts}):
        rows = np.array([row for row, prompt in enumerate(prompts) if len(prompt) == size])
        own = [take_rows(state, rows) for state in states]
        texts = _run(step, own, np.array([prompts[row] for row in rows]), length, sampler, stops)
        for row, text in zip(rows, texts):
            written[row] = _until_stop(text, stops)
    return written


def _run(step, states, prompts, length, sampler, stops):
    from keras import ops

    def next(prompt, cache, index):
        logits, new = step(ops.take(prompt, index - 1, axis=1), list(cache))
        return ops.convert_to_tensor(logits), None, [ops.convert_to_tensor(state) for state in new]

    size = prompts.shape[1]
    text = np.pad(prompts, [(0, 0), (0, length)]).astype("int32")
    text = sampler(
        next=next,
        prompt=ops.convert_to_tensor(text),
        cache=[ops.convert_to_tensor(state) for state in states],
        index=size,
        mask=ops.convert_to_tensor(np.broadcast_to(np.arange(size + length) < size, text.shape)),
        stop_token_ids=stops or None,
    )
    if isinstance(text, tuple):  # all beams, the best first, and their log-probabilities
        text = text[0][:, 0]
    return ops.convert_to_numpy(text)[:, size:].tolist()


def _until_stop(ids, stops):
    ends = [place + 1 for place, token in enumerate(ids) if token in stops]
    return ids[: ends[0]] if ends else ids
