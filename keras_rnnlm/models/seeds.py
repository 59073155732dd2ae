"""The seeds of a model: of its initial weights and of what it draws."""

import contextlib
import random


@contextlib.contextmanager
def seeds_from(seed):
    """Keras draws every seed that is not given from Python's generator: here, from one that begins with this seed."""
    if seed is None:
        yield
        return
    state = random.getstate()
    random.seed(int(seed))
    try:
        yield
    finally:
        random.setstate(state)
