"""The learning-rate range test (Smith 2017): a few steps at rates from very low to too high, and what they tell."""

import dataclasses
import io
import math

import keras
import numpy as np
from keras import ops

from keras_rnnlm.recurrence import backend

SMOOTHING = 0.9  # of the loss of a window, from one step to the next
DIVERGED = 1.5  # times the lowest loss: higher rates tell no more


@dataclasses.dataclass(frozen=True)
class RangeTest:
    """What was found.

    Attributes:
        rates: of the steps, rising by the same factor.
        losses: of their windows, in nats; the last may be infinite.
        smoothed: the same without most of the noise of single windows.
    """

    rates: list
    losses: list
    smoothed: list

    @property
    def lowest(self):
        """The rate of the lowest loss: above it training fails."""
        return self.rates[int(np.argmin(self.smoothed))]

    @property
    def still_falls(self):
        """Whether the loss was lowest at the last rate: where training fails is not known."""
        return self.lowest == self.rates[-1]

    @property
    def suggestion(self):
        """A rate to train with, or None where the loss did not fall.

        The loss lags behind its rate, and a whole run is more delicate than a few steps: a tenth of the rate of the
        lowest loss.
        """
        return self.lowest / 10 if np.argmin(self.smoothed) else None


def range_test(model, dataset, low, high, steps, shown=lambda step, rate, loss: None):
    """Trains a model for at most so many steps, at rates from `low` to `high`, as long as its loss is no disaster.

    Args:
        model: compiled, with `tally()`.
        dataset: windows, as many as there are steps.
        low, high: the first and the last rate.
        steps: how many.
        shown: called after each step.
    """
    rates = [low * (high / low) ** (step / (steps - 1)) for step in range(steps)]
    by_step = _Steps(model.tally(), rates, shown)
    model.fit(dataset, steps_per_epoch=steps, callbacks=[by_step], shuffle=False, verbose=0)
    count = len(by_step.smoothed)
    return RangeTest(rates[:count], by_step.losses, by_step.smoothed)


class _Steps(keras.callbacks.Callback):
    def __init__(self, tally, rates, shown):
        super().__init__()
        self.tally, self.rates, self.shown = tally, rates, shown
        self.losses, self.smoothed, self.mean = [], [], 0.0

    def on_train_batch_begin(self, batch, logs=None):
        backend.synchronize(self.model)
        self.model.optimizer.learning_rate = self.rates[batch]

    def on_train_batch_end(self, batch, logs=None):
        backend.synchronize(self.model)
        total, count = (float(ops.convert_to_numpy(v.value)) for v in (self.tally.total, self.tally.count))
        for variable in (self.tally.total, self.tally.count):
            variable.assign(0.0)
        loss = total / max(count, 1.0)
        self.losses.append(loss if math.isfinite(loss) else math.inf)
        self.mean = SMOOTHING * self.mean + (1 - SMOOTHING) * self.losses[-1]
        self.smoothed.append(self.mean / (1 - SMOOTHING ** len(self.losses)))
        self.shown(batch + 1, self.rates[batch], self.losses[-1])
        if self.smoothed[-1] > DIVERGED * min(self.smoothed):
            self.model.stop_training = True


def plot(found):
    """A picture of it, as the bytes of a PNG."""
    from matplotlib.figure import Figure  # not pyplot, which would choose a window system

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot(found.rates, found.losses, color="tab:blue", alpha=0.3, linewidth=1, label="of each window")
    axes.plot(found.rates, found.smoothed, color="tab:blue", label="smoothed")
    if found.suggestion is not None:
        axes.axvline(found.suggestion, color="tab:red", label=f"suggestion: {found.suggestion:.2g}")
    finite = [loss for loss in found.smoothed if math.isfinite(loss)]
    margin = 0.1 * (max(finite) - min(finite)) or 1.0
    axes.set_ylim(min(finite) - margin, max(finite) + margin)
    axes.set_xscale("log")
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss, nats a token")
    axes.grid(alpha=0.25)
    axes.legend()
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    return picture.getvalue()
