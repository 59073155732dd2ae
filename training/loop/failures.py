"""Why a run ends in vain, and how what went wrong elsewhere is told in a line."""

import contextlib
import math
import re

import numpy as np

MUCH_WORSE = 2.0  # times the loss of guessing: a run that ends above it was never on its way


class Failed(ValueError):
    """A run that was called rightly, and came to nothing."""

    exit_code = 1


class Diverged(Failed):
    """The loss was not finite, and going back did not help."""


class LearnedNothing(Failed):
    """The run came to its end, and its model is of no use."""


def check_steps(steps, skipped):
    """Raises where every step was skipped."""
    if skipped and not steps:
        raise LearnedNothing(
            f"The run learned nothing: {skipped:,} of {skipped:,} steps were skipped, as their gradients were not "
            "finite, and the weights are those that it began with. Start a new run with other weights or numbers: "
            "initial_range, init-from, precision"
        )


def check_loss(loss, tally, what):
    """Raises where a mean loss, in nats, is far above that of guessing. `tally` is the model's."""
    if tally.choices is None:
        return
    guessing = math.log(tally.choices)
    if loss > MUCH_WORSE * guessing:
        raise LearnedNothing(
            f"The run learned nothing: its {what} is {loss:.4g} nats a {tally.unit}, and guessing among all "
            f"{tally.choices:,} symbols comes to {guessing:.3g}. Start a new run with a lower learning_rate or "
            "max_norm"
        )


def decisive(scores, scorer):
    """The score that says which model is best."""
    if not {scorer.decides, "loss"} <= set(scores):
        raise ValueError(
            f"`score` of {type(scorer).__name__} returns a dict with `loss` and with `{scorer.decides}`, which says "
            f"which model is best. Received: {', '.join(scores) or 'nothing'}"
        )
    return scores[scorer.decides]


def is_finite(weights):
    """Whether every number in a list of arrays is one."""
    return all(np.isfinite(array).all() for array in weights)


@contextlib.contextmanager
def plain_errors():
    """What goes wrong in reading the text comes out of TensorFlow in errors of its own, which hold a traceback."""
    try:
        yield
    except Exception as error:
        said = re.search(r"^(?:[\w.]+\.)?(\w+Error): (.+)$", str(error), re.MULTILINE)
        if type(error).__module__.startswith("tensorflow.") and said:
            plain = said[1] in ("ValueError", "DamagedError") or said[2].startswith("[Errno")
            raise ValueError(said[2] if plain else f"The text could not be read. {said[1]}: {said[2]}") from error
        raise
