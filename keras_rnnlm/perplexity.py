"""Perplexity: how many symbols a model hesitates between, on average."""

import math


def perplexity(nats):
    """`exp` of a mean loss in nats, infinite where that is no number of this machine's."""
    return math.exp(nats) if nats < 700 else math.inf
