"""Probabilities of several models in one: weighted means, and the weight that a text asks for."""

import numpy as np


def mixed(first, second, weight):
    """The losses of `(1 - weight) * p1 + weight * p2`, of losses in nats.

    >>> mixed(np.log([2.0]), np.log([4.0]), 0.5).round(3)
    array([0.981])
    """
    if not 0 < weight < 1:
        return np.asarray(second if weight else first, np.float64)
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    return -np.logaddexp(np.log1p(-weight) - first, np.log(weight) - second)


def best_weight(first, second):
    """The weight of the second in the mixture that makes a text the likeliest: of losses of its tokens, two arrays.

    The mean log-probability is concave in the weight: its slope falls, and is halved in on.

    >>> round(best_weight(np.log([2.0, 4.0]), np.log([4.0, 2.0])), 3)
    0.5
    """
    first, second = np.exp(-np.asarray(first, np.float64)), np.exp(-np.asarray(second, np.float64))

    def slope(weight):
        return np.mean((second - first) / np.maximum((1 - weight) * first + weight * second, 1e-300))

    low, high = 0.0, 1.0
    if slope(low) <= 0:
        return 0.0
    if slope(high) >= 0:
        return 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return (low + high) / 2


def mean_of(losses):
    """The losses of the mean of models' probabilities: of arrays of losses, one a model."""
    losses = np.asarray(losses, np.float64)
    return -(np.logaddexp.reduce(-losses, axis=0) - np.log(len(losses)))
