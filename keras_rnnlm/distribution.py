"""One program over several devices, on JAX: `keras.distribution`, for models that carry states."""

import contextlib

import keras

from keras_rnnlm.models.carried import NAME


class DataParallel(keras.distribution.DataParallel):
    """As `keras.distribution.DataParallel`, with the states that are carried on the device that their rows are on.

    Each device has the weights, and as many rows of every batch as the others: a row of windows stays on its device.

    Example:

    >>> keras.distribution.set_distribution(DataParallel())  # doctest: +SKIP
    """

    def get_variable_layout(self, variable):
        if variable.name.startswith(NAME):
            axes = [self.batch_dim_name] + [None] * (len(variable.shape) - 1)
            return keras.distribution.TensorLayout(axes, self.device_mesh)
        return super().get_variable_layout(variable)


@contextlib.contextmanager
def undistributed():
    """Makes variables on one device of this process meanwhile, as where there is no distribution."""
    before = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(before)
