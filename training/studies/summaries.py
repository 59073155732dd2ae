"""What can be said of a few runs: medians and their intervals, and claims beside what was found."""

import math
import statistics

import numpy as np

ENOUGH = 6  # values: the whole range of five holds the median in 94 % of all cases, so no part of it does in 95 %


def bootstrap(values, of=np.median, level=0.95):
    """The ends of the interval that a share `level` of resamples falls into: it never leaves the range of the values.

    Args:
        values: (n, ...) numbers of n runs, infinite where one diverged; `of` is taken of the runs.
        of: `of(values, axis=...)`.
        level: a share of the resamples, each of n runs that are drawn from the n, some of them more than once.

    >>> low, high = bootstrap(np.array([2.0, 3, 4, 5, 6, 100]))
    >>> float(low) >= 2, float(high) <= 100
    (True, True)
    """
    drawn = np.random.default_rng(0).integers(len(values), size=(2000, len(values)))
    found = np.sort(of(np.asarray(values, "float64")[drawn], axis=1), axis=0)
    below = (1 - level) / 2 * len(found)
    return found[math.floor(below)], found[math.ceil(len(found) - below) - 1]


def median(values, beyond=math.inf, level=0.95):
    """The median, its bootstrap interval, and the least and the most.

    A run diverged whose value is None, or is `beyond` or more. It is counted, and stands above all others: where half
    of the runs diverged, so did the median. Fewer than six runs have no interval.

    >>> found = median([3.0, 1.0, 2.0, None])
    >>> [found[key] for key in ("median", "low", "high", "least", "most", "diverged")]
    [2.5, None, None, 1.0, 3.0, 1]
    """
    finite = [value for value in values if value is not None and value < beyond]
    found = dict.fromkeys(("median", "low", "high", "least", "most")) | {"diverged": len(values) - len(finite)}
    every = np.array(finite + found["diverged"] * [math.inf], "float64")
    if finite:
        found |= {"median": _finite(np.median(every)), "least": min(finite), "most": max(finite)}
    if len(every) >= ENOUGH:
        found |= zip(("low", "high"), map(_finite, bootstrap(every, level=level)))
    return found


def mean(values, level=0.95):
    """The mean and its bootstrap interval, if there are six. None, a run that diverged, is left out and counted.

    >>> found = mean([1.0, 2.0, 3.0, None])
    >>> [found[key] for key in ("mean", "low", "high", "diverged")]
    [2.0, None, None, 1]
    """
    finite = [value for value in values if value is not None]
    found = {"mean": None, "low": None, "high": None, "diverged": len(values) - len(finite)}
    if finite:
        found["mean"] = statistics.fmean(finite)
    if len(finite) >= ENOUGH:
        found |= zip(("low", "high"), map(float, bootstrap(finite, np.mean, level)))
    return found


def _finite(value):
    return float(value) if math.isfinite(value) else None


def share(solved, level=0.95):
    """How many of some runs reached a goal, of a list of booleans, and Wilson's interval of the share.

    >>> interval = share([True, True, True, True, False])
    >>> interval["solved"], interval["of"], round(interval["low"], 2), round(interval["high"], 2)
    (4, 5, 0.38, 0.96)
    """
    n, k = len(solved), sum(map(bool, solved))
    if n == 0:
        return {"solved": 0, "of": 0, "low": None, "high": None}
    z = statistics.NormalDist().inv_cdf((1 + level) / 2)
    center = (k + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * math.sqrt(k * (n - k) / n + z * z / 4)
    return {"solved": k, "of": n, "low": max(0.0, center - half), "high": min(1.0, center + half)}


def groups(results, *keys):
    """The results by the values of some keys, in the order in which they first appear.

    >>> of_model = groups([{"model": "lstm", "seed": 0}, {"model": "gru", "seed": 0}], "model")
    >>> of_model["gru"]
    [{'model': 'gru', 'seed': 0}]
    """
    found = {}
    for result in results:
        values = tuple(result[key] for key in keys)
        found.setdefault(values if len(keys) > 1 else values[0], []).append(result)
    return found


def claim(expected, found, numbers):
    """A line that says whether what was expected was found.

    >>> claim("the LSTM learns it on 4 of 5 seeds", True, "5 of 5")
    'found: the LSTM learns it on 4 of 5 seeds (5 of 5)'
    """
    return f"{'found' if found else 'NOT FOUND'}: {expected} ({numbers})"


def cell(value):
    """A value as a table shows it: an interval in brackets, or the range of too few runs for one in parentheses.

    >>> cell(0.0123456), cell(median([1.0, 2.0, 3.0])), cell(share([True, False])), cell(None)
    ('0.01235', '2 (1 to 3)', '1/2 [9%, 91%]', '-')
    >>> cell(median([1.0, 2.0, 2.0, 2.0, 2.0, 3.0])), cell(median([1.0, 2.0, None, None, None]))
    ('2 [1.5, 2.5]', '- (1 to 2), 3 diverged')
    """
    if value is None:
        return "-"
    if isinstance(value, dict) and "of" in value:
        limits = "" if value["low"] is None else f" [{value['low']:.0%}, {value['high']:.0%}]"
        return f"{value['solved']}/{value['of']}{limits}"
    if isinstance(value, dict):
        text = cell(value["median"] if "median" in value else value["mean"])
        if value["low"] is not None:
            text += f" [{cell(value['low'])}, {cell(value['high'])}]"
        elif value.get("least") != value.get("most"):
            text += f" ({cell(value['least'])} to {cell(value['most'])})"
        return text + (f", {value['diverged']} diverged" if value["diverged"] else "")
    if isinstance(value, float):
        return f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
