"""States that a model carries from one window of text to the next, while `fit` runs."""

import contextlib
import types

import keras
import numpy as np


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
        return [variable for states in self._made.of.values() for variable in states]

    def make(self, batch_size):
        """Variables for this batch size; if they are new, at the beginning of a text."""
        if batch_size not in self._made.of:
            self._made.of[batch_size] = [
                keras.Variable(
                    keras.ops.copy(state),  # rows that were broadcast share their memory on PyTorch
                    trainable=False,
                    autocast=False,
                    dtype="float32",
                    name=f"carried_{k}",
                )
                for k, state in enumerate(self._begin(batch_size))
            ]
        return self._made.of[batch_size]

    def of(self, batch_size):
        """The variables of this batch size; of the only one there is, for None."""
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

    def reset(self):
        for batch_size, variables in self._made.of.items():
            for variable, state in zip(variables, self._begin(batch_size)):
                variable.assign(state)

    @contextlib.contextmanager
    def put_back(self):
        """Leaves the states as they were, whatever is carried within."""
        # Copies in numpy: PyTorch writes into the tensors, and JAX gives their memory away.
        before = [(variable, np.array(keras.ops.convert_to_numpy(variable.value))) for variable in self.variables]
        try:
            yield
        finally:
            for variable, value in before:
                variable.assign(value)
