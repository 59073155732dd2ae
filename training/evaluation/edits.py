"""How far what was written is from what was to be written."""

import numpy as np


def distance(one, other):
    """The fewest symbols to put in, leave out or exchange to make one sequence of the other (Levenshtein).

    >>> distance("kitten", "sitting")
    3
    """
    row = np.arange(len(other) + 1)
    for k, symbol in enumerate(one, 1):
        exchanged = row[:-1] + np.array([symbol != its for its in other], int)
        row = np.concatenate([[k], np.minimum(exchanged, row[1:] + 1)])
        row = np.minimum.accumulate(row - np.arange(len(row))) + np.arange(len(row))  # what is put in costs 1 each
    return int(row[-1])


def errors(written, wanted):
    """Of each sequence that was written, beside a list of those that would be right.

    Returns:
        A dict: `exact`, the share that is one of these, and `error_rate`, the distances to the nearest of them over
        the lengths of the nearest.

    >>> errors(["kitten", "b"], [["sitting", "mitten"], ["b"]])
    {'exact': 0.5, 'error_rate': 0.14285714285714285}
    """
    exact, wrong, symbols = 0, 0, 0
    for one, right in zip(written, wanted, strict=True):
        found = min((distance(one, other), len(other)) for other in right)
        exact += found[0] == 0
        wrong, symbols = wrong + found[0], symbols + found[1]
    return {"exact": exact / len(written), "error_rate": wrong / max(symbols, 1)}
