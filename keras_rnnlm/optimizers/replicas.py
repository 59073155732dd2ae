"""The copies of a model that a `tf.distribute` strategy trains side by side; everywhere else there is one."""

import keras

from keras_rnnlm.recurrence import backend


def count():
    """How many replicas take a part of each batch."""
    strategy = backend.strategy()
    return 1 if strategy is None else strategy.num_replicas_in_sync


def summed(tensors):
    """The tensors, added up over the replicas: every replica has to ask for them."""
    if count() == 1:
        return tensors
    import tensorflow as tf

    if tf.distribute.in_cross_replica_context():
        return tensors  # where Keras looks at a model before it trains
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tensors)


def shared(loss):
    """A loss of which this replica has computed its part, as Keras would have it.

    It adds up the replicas' gradients, and logs the mean of `count()` times each one's loss: that loss is the same part
    of the whole on each, with the gradient of its own.
    """
    if count() == 1:
        return loss
    part = keras.ops.stop_gradient(loss)
    return loss + (summed(part) / count() - part)


def mean_loss(total, of, penalties):
    """The loss of a batch, and what is added to it: each replica has the sum of its own losses, and how many those are.

    The mean is over those of all replicas, not over the means of each.
    """
    return with_penalties(total / keras.ops.maximum(summed(keras.ops.cast(of, "float32")), 1), penalties)


def with_penalties(loss, penalties):
    """This replica's part of a loss, `shared`, with its part of penalties that each has whole."""
    return shared(sum((keras.ops.cast(penalty, loss.dtype) / count() for penalty in penalties), start=loss))


def have_to_merge():
    """Whether replicas meet in a call that all of them make, which none may make in a branch of its own."""
    if backend.strategy() is None:
        return False
    import tensorflow as tf

    return not tf.__internal__.distribute.strategy_supports_no_merge_call()


class RowsOfReplicas:
    """A variable for numbers of each row of a batch: each replica has, reads and writes those of its own rows.

    From outside, it is read and written as a whole.
    """

    def __init__(self, rows, name):
        """Make it in the strategy's scope. `rows`: what it begins with, the rows of the whole batch."""
        self.strategy, self.name, self.shape, self.dtype = None, name, tuple(rows.shape), "float32"
        apart = {}
        if count() > 1:
            self.strategy = backend.strategy()
            apart = {"synchronization": "on_read", "aggregation": "only_first_replica"}
            if rows.shape[0] % count():
                raise ValueError(
                    f"Each of the {count()} replicas keeps as many rows of a batch as the others: its size has to be a "
                    f"multiple of {count()}. Received: a batch of {rows.shape[0]} rows"
                )
        # A copy: rows that were broadcast share their memory on PyTorch.
        first = keras.ops.copy(rows[: rows.shape[0] // count()])
        self.variable = keras.Variable(first, trainable=False, autocast=False, dtype=self.dtype, name=name, **apart)
        if self.strategy:
            self.assign(rows)

    def read(self):
        """All rows, in numpy. PyTorch would write into the tensors, and JAX gives their memory away: a copy."""
        if self.strategy is None:
            return backend.whole(self.variable.value).copy()
        parts = self.strategy.experimental_local_results(self.variable.value)
        return keras.ops.convert_to_numpy(keras.ops.concatenate([part.read_value() for part in parts]))

    def assign(self, rows):
        if self.strategy is None:
            self.variable.assign(rows)
            return
        parts = self.strategy.experimental_local_results(self.variable.value)
        for part, its_rows in zip(parts, keras.ops.split(rows, len(parts))):
            part.assign(its_rows)
