"""One vector of what recurrent layers gave over time: `x` is (batch, time, width) in float32, `shown` (batch, time).

Of a row where nothing is shown it is zeros.
"""

from keras import ops


def mean_over_time(x, shown):
    there = ops.expand_dims(ops.cast(shown, x.dtype), 2)
    return ops.sum(x * there, axis=1) / ops.maximum(ops.sum(there, axis=1), 1)


def max_over_time(x, shown):
    highest = ops.max(ops.where(ops.expand_dims(shown, 2), x, -1e30), axis=1)
    return ops.where(ops.any(shown, axis=1, keepdims=True), highest, 0)
