"""Time: one scan per backend, one gradient through time for every cell."""

import contextvars
import importlib

import keras

from keras_rnnlm.quiet import check_backend

NAME = keras.backend.backend()
check_backend(NAME)
backend = importlib.import_module(f"keras_rnnlm.recurrence.{NAME}_backend")

from keras_rnnlm.recurrence.loops import Loops  # noqa: E402
from keras_rnnlm.recurrence.through_time import run  # noqa: E402

# While it is True, layers leave their loop to the backend's own autodiff: the reference for the engine's gradient.
plain_autodiff = contextvars.ContextVar("plain_autodiff", default=False)

KEPT = 128  # loops of different equations that a process keeps for further layers
_shared = {}


def shared(key, make):
    """What `make` made for this key before, in this process: what was compiled for it stays in memory all the same.

    >>> shared("loops of my step", object) is shared("loops of my step", object)
    True
    """
    found = _shared.pop(key, None) or make()
    _shared[key] = found  # the last one used comes last
    if len(_shared) > KEPT:
        _shared.pop(next(iter(_shared)), None)
    return found


def is_plain():
    """Whether a layer that is called now leaves its loop to the backend's own autodiff.

    >>> is_plain()
    False
    """
    return plain_autodiff.get() or backend.is_saved() or backend.is_mapped()


__all__ = ["NAME", "Loops", "backend", "is_plain", "plain_autodiff", "run", "shared"]
