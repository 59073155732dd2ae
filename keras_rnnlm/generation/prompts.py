"""Prompts of different lengths, read at once."""

import numpy as np

from keras_rnnlm.generation.arrays import where_rows


def read(step, states, prompts, prefill=None):
    """Reads all but the last token of each prompt, and returns these last tokens, (batch,), and the states.

    Every text then starts at the same step. A prompt that is read holds its states while longer ones are.
    """
    before = [prompt[:-1] for prompt in prompts]
    longest = max(len(prompt) for prompt in before)
    tokens = np.array([prompt + [0] * (longest - len(prompt)) for prompt in before], dtype="int32")
    mask = np.array([[place < len(prompt) for place in range(longest)] for prompt in before], dtype=bool)
    if longest and prefill is not None:
        states = list(prefill(tokens, mask, states))
    elif longest:
        for place in range(longest):
            _, new = step(tokens[:, place], states)
            states = [where_rows(mask[:, place], n, s) for n, s in zip(new, states)]
    return np.array([prompt[-1] for prompt in prompts], dtype="int32"), states


def tokens_in(prompts, vocabulary):
    """Which tokens each prompt holds, booleans (batch, vocabulary)."""
    seen = np.zeros((len(prompts), vocabulary), dtype=bool)
    for row, prompt in enumerate(prompts):
        seen[row, prompt] = True
    return seen
