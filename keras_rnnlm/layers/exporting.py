"""The seam for exporters: while one is at work, it writes the recurrence in place of a layer's own loop."""

import contextlib
import contextvars

from keras_rnnlm import recurrence

_writer = contextvars.ContextVar("writer", default=None)


@contextlib.contextmanager
def exporting(write):
    """Has every recurrent layer that is called meanwhile ask `write` for its recurrence.

    Args:
        write: `write(layer, sequences, states, mask, reads)` returns `(outputs, states)`, or None where it leaves the
            layer to its own loop, which then is a plain one, without gradients and kernels of a backend. `sequences`
            are (batch, time, features) in the order in which they came, `mask` is booleans (batch, time, 1) or None,
            `reads` a dict of what every step reads. The outputs are those of every step, in the order of computation,
            held where a step is masked.
    """
    before, plain = _writer.set(write), recurrence.plain_autodiff.set(True)
    try:
        yield
    finally:
        recurrence.plain_autodiff.reset(plain)
        _writer.reset(before)


def plainly():
    """Has every recurrent layer that is called meanwhile leave its recurrence to a plain loop."""
    return exporting(_its_own_loop)


def writer():
    """What the exporter at work has given, or None."""
    write = _writer.get()
    return _its_own_loop if write is None and recurrence.backend.is_saved() else write


def _its_own_loop(layer, sequences, states, mask, reads):
    return None
