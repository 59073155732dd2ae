"""The callback that writes what a ClippedOptimizer did into the logs of `fit`."""

import keras

from keras_rnnlm.optimizers.clipped_optimizer import ClippedOptimizer


class ClippingReport(keras.callbacks.Callback):
    """Adds `gradient_norm`, `clipped_norm`, `clip_rate` and `skipped_steps` to the logs of `fit`.

    An epoch's logs, and so the `History`, hold the epoch's mean norm before and after clipping, the fraction of its
    steps that were clipped and the number that were skipped. A batch's logs hold the last step's norms, and the
    fraction and the number of the epoch so far. An epoch whose steps were all skipped has no norm: its means are NaN.

    Callbacks that read these logs come after this one in the list given to `fit`.

    Args:
        every_batch: whether batches are reported too. That reads a few numbers from the device after every batch, as a
            metric on the progress bar does, and on JAX copies the training state back to the model each time. `False`
            reads them once an epoch.

    Example:

    >>> optimizer = ClippedOptimizer(keras.optimizers.SGD(0.1), max_norm=0.25)
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile(optimizer, loss="mse")
    >>> history = model.fit(np.ones((8, 2)), np.ones((8, 1)), callbacks=[ClippingReport()], verbose=0)
    >>> sorted(history.history)
    ['clip_rate', 'clipped_norm', 'gradient_norm', 'loss', 'skipped_steps']
    """

    def __init__(self, *, every_batch=True):
        super().__init__()
        self.every_batch = every_batch
        # Keras runs callbacks beside the training steps if none of them needs the state between two steps.
        self.async_safe = not every_batch

    @property
    def optimizer(self):
        # `self.model` and not `self._model`: on JAX reading it brings the variables up to date.
        optimizer = self.model.optimizer
        while optimizer is not None and not isinstance(optimizer, ClippedOptimizer):
            optimizer = getattr(optimizer, "inner_optimizer", None)
        if optimizer is None:
            raise ValueError(
                "ClippingReport reports what a ClippedOptimizer did, and this model has none. Compile it with "
                f"ClippedOptimizer(optimizer), or drop the callback. Received: optimizer={self.model.optimizer}"
            )
        return optimizer

    def on_epoch_begin(self, epoch, logs=None):
        optimizer = self.optimizer
        # The sums start again each epoch: a float32 sum over a whole training would stop growing.
        optimizer.norm_sum.assign(0.0)
        optimizer.clipped_norm_sum.assign(0.0)
        self._before = self._counts(optimizer)

    def on_train_batch_end(self, batch, logs=None):
        if self.every_batch and logs is not None:
            optimizer = self.optimizer
            self._report(logs, optimizer, _read(optimizer.gradient_norm), _read(optimizer.clipped_norm))

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            optimizer = self.optimizer
            steps = self._counts(optimizer)[0] - self._before[0]
            self._report(
                logs,
                optimizer,
                _read(optimizer.norm_sum) / steps if steps else float("nan"),
                _read(optimizer.clipped_norm_sum) / steps if steps else float("nan"),
            )

    def _report(self, logs, optimizer, gradient_norm, clipped_norm):
        steps, clipped, skipped = (now - then for now, then in zip(self._counts(optimizer), self._before))
        logs["gradient_norm"] = gradient_norm
        logs["clipped_norm"] = clipped_norm
        logs["clip_rate"] = clipped / steps if steps else float("nan")
        logs["skipped_steps"] = skipped

    @staticmethod
    def _counts(optimizer):
        return _read(optimizer.steps), _read(optimizer.clipped_steps), _read(optimizer.skipped_steps)


def _read(variable):
    # Not float(variable): under a tf.distribute strategy there is one on each device.
    return keras.ops.convert_to_numpy(variable.value).item()
