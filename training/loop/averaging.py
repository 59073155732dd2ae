"""The mean of the weights after some steps, in their place where they are validated and saved.

Keras's own moving average has it: with a momentum of n / (n + 1) the average of n weights takes in the next, with 0 it
is the weights themselves, and with 1 it stays. It is made within the step, and is among the optimizer's variables.
"""

import contextlib

import numpy as np

from keras_rnnlm.recurrence import backend
from keras_rnnlm.training.runs.checkpoint_models import averaged, innermost


class Averaging:
    """When the mean begins, and what it takes in.

    Args:
        recipe: with `ema`, the average that is Keras's, with `swa_from` or `nt_asgd`, or without any of them.
        model: compiled with the optimizer of this recipe.
    """

    def __init__(self, recipe, model):
        self.recipe, self.model, self.optimizer = recipe, model, model.optimizer
        self.momentum = innermost(self.optimizer).ema_momentum if recipe.averages and recipe.ema is None else None
        self.momentum_set = None

    def begin(self):
        """Before the first step after something else: the variables may be those of a checkpoint."""
        self.momentum_set = None

    def before_step(self, progress, epoch):
        """`epoch` is the number of those that are done, a fraction included."""
        if self.momentum is None:
            return
        p = progress
        if self.recipe.swa_from is not None and p.averaging_from < 0 and epoch >= self.recipe.swa_from:
            p.averaging_from = p.step
        momentum = 0.0
        if p.averaging_from >= 0:
            taken, between = divmod(p.step - p.averaging_from, self.recipe.average_every)
            momentum = 1.0 if between else taken / (taken + 1)
        if momentum != self.momentum_set:
            backend.synchronize(self.model)
            # Among processes a number would be compared, step by step.
            self.momentum.assign(backend.placed(np.float32(momentum)))
            self.momentum_set = momentum

    def validated(self, progress, loss):
        """Whether the mean begins now, as NT-ASGD has it (Merity et al. 2018).

        That is where a loss is worse than the best of those that are more than `nt_asgd` validations older.
        """
        p, n = progress, self.recipe.nt_asgd
        if n is None or p.averaging_from >= 0:
            return False
        older = p.losses[: max(0, len(p.losses) - n)]
        p.losses.append(loss)
        if not older or loss <= min(older):
            return False
        p.averaging_from, p.losses = p.step, []
        return True

    def in_place(self, progress):
        """With the average in the place of the weights, where there is one."""
        has = self.recipe.averages and progress.step
        return averaged(self.optimizer) if has else contextlib.nullcontext()
