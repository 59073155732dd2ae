"""What can be said of a few runs: intervals, and claims beside what was found."""

import math
import statistics

import numpy as np


def student_t(freedom, level=0.95):
    """The quantile of Student's t: a share `level` of the distribution lies between -t and t.

    >>> [round(student_t(n), 3) for n in (1, 4, 30)]
    [12.706, 2.776, 2.042]
    """
    # With t = sqrt(n)*tan(a) the density becomes cos(a)^(n - 1), between -pi/2 and pi/2.
    angles = np.linspace(0, math.pi / 2, 100_001)
    heights = np.cos(angles) ** (freedom - 1)
    mass = np.concatenate([[0], np.cumsum(heights[1:] + heights[:-1])])
    return math.sqrt(freedom) * math.tan(np.interp(level, mass / mass[-1], angles))


def mean(values, level=0.95):
    """The mean and its interval by Student's t. None stands for a run that diverged: it is left out and counted.

    >>> interval = mean([1.0, 2.0, 3.0])
    >>> interval["mean"], round(interval["low"], 3), round(interval["high"], 3), interval["diverged"]
    (2.0, -0.484, 4.484, 0)
    """
    finite = [value for value in values if value is not None]
    interval = {"mean": None, "low": None, "high": None, "diverged": len(values) - len(finite)}
    if finite:
        interval["mean"] = statistics.fmean(finite)
    if len(finite) > 1:
        half = student_t(len(finite) - 1, level) * statistics.stdev(finite) / math.sqrt(len(finite))
        interval |= {"low": interval["mean"] - half, "high": interval["mean"] + half}
    return interval


def geometric_mean(values, level=0.95):
    """The same of factors: the mean and the interval of their logarithms, as factors again.

    >>> interval = geometric_mean([10.0, 1000.0])
    >>> round(interval["mean"], 6), interval["low"] < 10 < 1000 < interval["high"]
    (100.0, True)
    """
    interval = mean([math.log(value) if value else None for value in values], level)
    return {
        key: math.exp(value) if key in ("mean", "low", "high") and value is not None else value
        for key, value in interval.items()
    }


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
    """A value as a table shows it: an interval in brackets.

    >>> cell(0.0123456), cell(mean([1.0, 2.0, 3.0])), cell(share([True, False])), cell(None)
    ('0.01235', '2 [-0.4841, 4.484]', '1/2 [9%, 91%]', '-')
    """
    if value is None:
        return "-"
    if isinstance(value, dict) and "of" in value:
        limits = "" if value["low"] is None else f" [{value['low']:.0%}, {value['high']:.0%}]"
        return f"{value['solved']}/{value['of']}{limits}"
    if isinstance(value, dict):
        limits = "" if value["low"] is None else f" [{cell(value['low'])}, {cell(value['high'])}]"
        return cell(value["mean"]) + limits + (f", {value['diverged']} diverged" if value["diverged"] else "")
    if isinstance(value, float):
        return f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
