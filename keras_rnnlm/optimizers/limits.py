"""What a ClippedOptimizer's arguments may be, and which variables share a limit."""

import math
import numbers
import re

from keras_rnnlm.schema import is_a, is_whole


def check(max_norm, by, percentile, window):
    if by not in ("global", "variable", "value"):
        raise ValueError(f'`by` says which norm is limited: "global", "variable" or "value". Received: by={by!r}')
    limits = max_norm.values() if isinstance(max_norm, dict) else [max_norm]
    if not all(limit is None or _is_number(limit) and 0 < limit < math.inf for limit in limits):
        raise ValueError(
            "`max_norm` is a finite number above 0, None for no limit, or a dict from a pattern to one of these. "
            f"Received: max_norm={max_norm!r}"
        )
    if isinstance(max_norm, dict):
        if not max_norm:
            raise ValueError("`max_norm` is a dict without patterns, which limits nothing: say so with max_norm=None.")
        for pattern in max_norm:
            try:
                re.compile(pattern)
            except (re.error, TypeError) as error:
                raise ValueError(
                    "The keys of `max_norm` are regular expressions, searched for in the paths of the variables. "
                    f"Received: {pattern!r} ({error})"
                ) from error
    if percentile is None:
        return
    if not _is_number(percentile) or not 0 < percentile <= 100:
        raise ValueError(f"`percentile` lies above 0 and is at most 100. Received: percentile={percentile!r}")
    if not is_whole(window, 2):
        raise ValueError(f"`window` counts the norms `percentile` looks back, at least 2. Received: window={window!r}")
    if by != "global" or isinstance(max_norm, dict):
        raise ValueError(
            '`percentile` follows the global norm: it needs by="global" and one number, or None, for `max_norm`. '
            f"Received: by={by!r}, max_norm={max_norm!r}"
        )


def as_floats(max_norm):
    """`max_norm` in numbers that a config can hold."""
    if isinstance(max_norm, dict):
        return {pattern: as_floats(limit) for pattern, limit in max_norm.items()}
    return None if max_norm is None else float(max_norm)


def _is_number(value):
    return is_a(value, numbers.Real)


def _path(variable):
    # A bare tf.Variable has a name only.
    return getattr(variable, "path", None) or variable.name


def groups(max_norm, by, percentile, variables):
    """For each variable the number of its group (None: left alone), and each group's limit."""
    if isinstance(max_norm, dict):
        limit_of_pattern = max_norm
    elif max_norm is None and percentile is not None:
        limit_of_pattern = {"": math.inf}
    else:
        limit_of_pattern = {"": max_norm}
    group_of = [None] * len(variables)
    for pattern in limit_of_pattern:
        fits = [i for i, variable in enumerate(variables) if re.search(pattern, _path(variable))]
        free = [i for i in fits if group_of[i] is None]
        if not free:
            reason = "an earlier pattern took every variable that it matches" if fits else "it matches no variable"
            raise ValueError(
                f"The pattern {pattern!r} of `max_norm` limits nothing: {reason}. A pattern is a regular expression "
                "searched for in a variable's path, and a variable belongs to the first one that fits. Received: "
                f"max_norm={dict(max_norm)} for the variables {[_path(v) for v in variables]}"
            )
        for i in free:
            group_of[i] = (pattern, i) if by == "variable" else (pattern,)
    # A group without a limit is no group.
    limits = {key: limit_of_pattern[key[0]] for key in group_of if key is not None}
    limits = {key: limit for key, limit in limits.items() if limit is not None}
    numbers_of = {key: number for number, key in enumerate(limits)}
    return [numbers_of.get(key) for key in group_of], list(limits.values())
