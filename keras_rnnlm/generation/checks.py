"""What the arguments of the loop may be. A check returns what it checked, as the loop uses it."""

import math
import numbers

import numpy as np

from keras_rnnlm.schema import is_a, is_whole


def is_number(value):
    return is_a(value, numbers.Real) and not math.isnan(value)


def check_ids(ids, axes=("time",), vocabulary=2**31):
    """Ids as int32, from an array or from lists. A bool is no id, nor is 1.0, nor a string of digits.

    Args:
        axes: what the axes of `ids` are.
        vocabulary: what they are below, where that is known.
    """
    found = np.asarray(ids) if hasattr(ids, "dtype") else np.array(ids, dtype=object)
    if found.dtype == object:
        wrong = [value for value in found.flat if not is_whole(value)]
    else:
        wrong = [found.dtype] if found.size and found.dtype.kind not in "iu" else []
    if wrong or found.ndim != len(axes):
        shape, what = f"({', '.join(axes)}{',' * (len(axes) == 1)})", f"{wrong[0]!r} in " if wrong else ""
        raise ValueError(f"Tokens are integers of shape {shape}. Received: {what}shape {found.shape}")
    if found.size and not 0 <= found.min() <= found.max() < vocabulary:
        raise ValueError(f"Ids are from 0 to {vocabulary - 1}. Received: ids from {found.min()} to {found.max()}")
    return np.ascontiguousarray(found, "int32")


def check_prompts(prompts, vocabulary=None):
    """The prompts as lists of integers."""
    if isinstance(prompts, str) or not _is_sequence(prompts) or not all(map(_is_sequence, prompts)) or not len(prompts):
        raise ValueError(
            f"`prompts` is a list of lists of ids, one list for each text to write. Received: prompts={prompts!r}"
        )
    found = []
    for row, prompt in enumerate(prompts):
        if not len(prompt):
            raise ValueError(
                "A prompt holds at least one id: the tokenizer's start symbol where a text starts from nothing. "
                f"Received: an empty list as prompt {row}"
            )
        try:
            found.append(check_ids(prompt).tolist())
        except ValueError:
            message = f"A prompt's ids are integers from 0. Received: {prompt!r} as prompt {row}"
            raise ValueError(message) from None
    if vocabulary is not None:
        check_vocabulary(vocabulary, found, ())
    return found


def check_length(length):
    if not is_whole(length, 0):
        raise ValueError(f"`length` counts the tokens to write, at least 0. Received: length={length!r}")
    return int(length)


def check_stop(stop):
    """The ids that end a text, as a list."""
    stops = [] if stop is None else [stop] if is_whole(stop) else stop
    if isinstance(stops, str) or not isinstance(stops, (list, tuple, set, frozenset)) or not all(map(is_whole, stops)):
        raise ValueError(f"`stop` is the id that ends a text, several ids, or None. Received: stop={stop!r}")
    return sorted(int(stop) for stop in stops)


def check_rows(rows, count):
    """The rows' numbers, int32 (rows,)."""
    rows = range(count) if rows is None else rows
    if not _is_sequence(rows) or len(rows) != count or not all(is_whole(row, 0) and row < 2**31 for row in rows):
        raise ValueError(
            "`rows` numbers the prompts, for the random generator: an integer from 0 for each of them. "
            f"Received: rows={rows!r} for {count} prompts"
        )
    return np.array(rows, dtype="int32")


def check_penalty(penalty):
    if not is_number(penalty) or not 0 < penalty < math.inf:
        raise ValueError(
            "`repetition_penalty` is a finite number above 0: 1 for none, above 1 against repetition. "
            f"Received: repetition_penalty={penalty!r}"
        )
    return float(penalty)


def check_states(states, count):
    """The states as a list."""
    states = list(states)
    for state in states:
        shape = tuple(state.shape)
        if not shape or shape[0] != count:
            raise ValueError(
                f"Each of `states` has a row for each prompt, {count} along axis 0. Received: a state of shape {shape}"
            )
    return states


def check_vocabulary(vocabulary, prompts, stops):
    """What can only be known once the first logits are here."""
    largest = max(max(prompt) for prompt in prompts)
    if largest >= vocabulary:
        raise ValueError(f"The model knows the ids from 0 to {vocabulary - 1}. Received: a prompt that holds {largest}")
    if stops and not 0 <= stops[0] <= stops[-1] < vocabulary:
        raise ValueError(f"The model knows the ids from 0 to {vocabulary - 1}, so no text ends. Received: stop={stops}")


def check_logits(logits, is_live):
    """Raises unless every row that is still being written has a most probable token."""
    if logits.ndim != 2 or logits.shape[0] != len(is_live) or not logits.shape[1]:
        raise ValueError(
            f"`step` returns logits of shape (batch, vocabulary), here ({len(is_live)}, ...). Received: {logits.shape}"
        )
    bad = np.flatnonzero(~np.isfinite(logits.max(axis=-1)) & is_live)
    if bad.size:
        raise ValueError(
            "The largest of a row's logits is a finite number, so that its probabilities are numbers. Received: "
            f"{logits[bad[0]].max()} as the largest logit of row {bad[0]}"
        )


def _is_sequence(value):
    return hasattr(value, "__len__") and hasattr(value, "__getitem__") and not isinstance(value, (str, bytes, dict))
