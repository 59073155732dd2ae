"""States that a model carries from one window of text to the next, while `fit` runs."""

import contextlib
import types

import keras

from keras_rnnlm.optimizers import replicas

NAME = "carried_"  # with which the variables' names begin


class CarriedStates(keras.layers.Layer):
    """Variables for the states of one batch size or several.

    They are state to be updated in training, on every backend, but no weights: they are neither saved nor counted, and
    a model with them loads the weights of one without.
    """

    def __init__(self, widths, begin, **kwargs):
        """`begin(batch_size)` gives the states, of these widths, in which a text begins."""
        super().__init__(**kwargs)
        self.widths, self._begin = widths, begin
        self._made = types.SimpleNamespace(of={})  # where Keras does not look for weights
        self.built = True

    @property
    def variables(self):
        return [rows.variable for rows in self.rows]

    @property
    def rows(self):
        """The `RowsOfReplicas` of each variable."""
        return [rows for states in self._made.of.values() for rows in states]

    def make(self, batch_size):
        """Makes variables for this batch size; if they are new, at the beginning of a text."""
        if batch_size not in self._made.of:
            self._made.of[batch_size] = [
                replicas.RowsOfReplicas(state, name=f"{NAME}{k}") for k, state in enumerate(self._begin(batch_size))
            ]

    def variables_of(self, rows):
        """The variables for a batch of which this replica, mostly the only one, has so many rows."""
        variables = [state.variable for state in self._of(rows * replicas.count())]
        if any(variable.shape[0] != rows for variable in variables):
            raise ValueError(
                "These states are carried by the replicas of a strategy, a part of the rows by each: call the model by "
                f"`strategy.run`, `fit` or `evaluate`. Received: a batch of {rows} rows outside of the strategy"
            )
        return variables

    def _of(self, batch_size):
        """The states of this batch size; of the only one there is, for None."""
        sizes = sorted(self._made.of)
        if batch_size is None and len(sizes) == 1:
            (batch_size,) = sizes
        if batch_size is None and sizes:
            raise ValueError(f"States are carried for batches of {sizes}: say which. Received: batch_size=None")
        if batch_size not in sizes:
            raise ValueError(
                f"No states are carried yet for a batch of {batch_size or 'any size'}: "
                f"`reset_states({batch_size or 'batch_size'})` makes them. There are some for batches of {sizes}"
            )
        return self._made.of[batch_size]

    def get(self, batch_size):
        """The states of this batch size as numpy arrays; of the only one there is, for None."""
        return [rows.read() for rows in self._of(batch_size)]

    def set(self, states):
        self.make(states[0].shape[0])
        for rows, state in zip(self._of(states[0].shape[0]), states):
            rows.assign(state)

    def reset(self):
        for batch_size in self._made.of:
            self.set(self._begin(batch_size))

    @contextlib.contextmanager
    def put_back(self):
        """Leaves the states as they were, whatever is carried within."""
        before = [self.get(batch_size) for batch_size in self._made.of]
        try:
            yield
        finally:
            for states in before:
                self.set(states)


def numbers_for_replicas(data):
    """A dataset whose `start` is 0 or 1 under a `tf.distribute` strategy: Keras adds up the replicas' first batch."""
    spec = getattr(data, "element_spec", None)
    inputs = spec[0] if isinstance(spec, tuple) else spec
    if replicas.count() == 1 or not isinstance(inputs, dict) or "start" not in inputs:
        return data

    def number(x, *rest):
        x = {**x, "start": keras.ops.cast(x["start"], "int32")}
        return (x, *rest) if isinstance(spec, tuple) else x

    return data.map(number)
