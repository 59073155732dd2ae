"""What training adds up in variables, read now and then."""

import numpy as np

from keras_rnnlm.recurrence import backend


class Sums:
    """Of losses and gradients' norms since the last look, and of steps since a run began.

    Args:
        tally: of the model.
        optimizer: a `ClippedOptimizer`.
    """

    def __init__(self, tally, optimizer):
        self.tally, self.optimizer, self.counted = tally, optimizer, None

    def counts(self):
        """How many steps there were, how many of them clipped, and how many were skipped."""
        o = self.optimizer
        counts = dict(steps=o.steps, clipped=o.clipped_steps, skipped=o.skipped_steps)
        return {name: int(backend.whole(variable.value)) for name, variable in counts.items()}

    def begin(self):
        """What was counted before is not of the next look."""
        self.counted = self.counts()

    def take(self):
        """What came since the last look."""
        counts, variables = self.counts(), (self.tally.total, self.tally.count, self.optimizer.norm_sum)
        nats, tokens, norm = (float(backend.whole(variable.value)) for variable in variables)
        for variable in (*variables, self.optimizer.clipped_norm_sum):
            # float32: a sum over an epoch would not notice a step any more. Placed, no process asks another, and each
            # has its own, as JAX gives the memory of each to a step.
            variable.assign(backend.placed(np.float32(0)))
        new = {name: counts[name] - self.counted[name] for name in counts}
        self.counted = counts
        return dict(nats=nats, tokens=int(tokens), norm=norm, **new)
