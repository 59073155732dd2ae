"""Lower rates for lower layers, which begin to learn later: for models that begin with what another one learned."""

import copy
import numbers
import re

import keras
from keras import ops

from keras_rnnlm.optimizers.private_keras import index_of, trained_by
from keras_rnnlm.optimizers.wrapping import WrappingOptimizer, with_those_inside
from keras_rnnlm.recurrence import backend
from keras_rnnlm.schema import is_a, is_whole


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class LayerwiseOptimizer(WrappingOptimizer):
    """Any Keras optimizer, with lower rates for the lower layers, unfrozen one after the other from the top down.

    These are the discriminative rates and the gradual unfreezing of Howard and Ruder (2018). The step that the inner
    optimizer makes for a variable of group k, counted from 1, is multiplied with `factor ** k`, and with 0 in the first
    `k * unfreeze_every` steps. Variables of no group are the top: they learn from the start, at the whole rate.

    Args:
        inner_optimizer: a Keras optimizer, or anything `keras.optimizers.get` takes; one that keeps no averages.
        groups: regular expressions, searched for in `variable.path`, from the top to the bottom; each must fit some
            variable. A variable belongs to the first that fits. A `Classifier` tells its own, `model.groups()`.
        factor: of the rate from each group to the one below.
        unfreeze_every: steps after which each next group begins to learn; 0: all of them from the start. A step is an
            update: with gradient accumulation, several batches.
        name: the optimizer's name.

    What is frozen is computed all the same, and the inner optimizer's moments of it grow warm. To clip gradients, put
    it into a `ClippedOptimizer`.

    Example:

    >>> model = keras_rnnlm.models.Classifier(50, classes=2, units=8)
    >>> optimizer = LayerwiseOptimizer("adam", model.groups(), unfreeze_every=100)
    >>> model.compile(keras_rnnlm.optimizers.ClippedOptimizer(optimizer))
    """

    def __init__(self, inner_optimizer, groups, *, factor=1 / 2.6, unfreeze_every=0, name=None):
        _check(groups, factor, unfreeze_every)
        # A function, so that the base class keeps no learning rate of its own beside the inner optimizer's.
        super().__init__(learning_rate=lambda: 0.0, name=name)
        self.inner_optimizer = keras.optimizers.get(inner_optimizer)
        self.groups, self.factor, self.unfreeze_every = list(groups), float(factor), int(unfreeze_every)
        for optimizer in with_those_inside(self.inner_optimizer):
            if getattr(optimizer, "use_ema", False):
                raise ValueError(
                    "The averages of the inner optimizer would be of whole steps, and this one shortens them: drop "
                    f"`use_ema`. Received: {type(optimizer).__name__} with use_ema=True"
                )

    def build(self, variables):
        if self.built:
            return
        paths = [variable.path for variable in variables]
        for pattern in self.groups:
            if not any(re.search(pattern, path) for path in paths):
                raise ValueError(
                    "Each of `groups` is searched for in the paths of the variables, and fits one at least. Received: "
                    f"{pattern!r}, and the paths are {', '.join(paths)}"
                )
        self._depths = [self._depth(path) for path in paths]
        if not self.inner_optimizer.built:
            self.inner_optimizer.build(variables)
        super().build(variables)

    def _depth(self, path):
        return next((k for k, pattern in enumerate(self.groups, 1) if re.search(pattern, path)), 0)

    def apply(self, grads, trainable_variables=None):
        grads = list(grads)
        variables = trained_by(self) if trainable_variables is None else list(trainable_variables)
        if not self.built:
            self.build(variables)
        depths = [self._depths[index_of(self, variable)] for variable in variables]
        lower = [(variable, depth) for variable, depth in zip(variables, depths) if depth]
        rates = {depth: self._rate(depth) for depth in sorted(set(depths))}
        before = [ops.copy(ops.stop_gradient(variable.value)) for variable, _ in lower]
        if self.scales_loss and not backend.assigns_in_branches():
            self._update_values(None, grads, variables)  # whether the gradients are finite the one inside finds out
        else:
            self.inner_optimizer.apply(grads, variables)
        for (variable, depth), old in zip(lower, before):
            step = ops.stop_gradient(variable.value) - old
            variable.assign(old + ops.cast(rates[depth], old.dtype) * step)

    def _rate(self, depth):
        learns = ops.cast(self.iterations, "int32") >= depth * self.unfreeze_every
        return ops.where(learns, self.factor**depth, 0.0)

    def get_config(self):
        return {
            "name": self.name,
            "inner_optimizer": keras.saving.serialize_keras_object(self.inner_optimizer),
            "groups": self.groups,
            "factor": self.factor,
            "unfreeze_every": self.unfreeze_every,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = copy.deepcopy(config)
        inner = keras.saving.deserialize_keras_object(config.pop("inner_optimizer"), custom_objects=custom_objects)
        return cls(inner, **config)


def _check(groups, factor, unfreeze_every):
    is_list = isinstance(groups, (list, tuple)) and len(groups) > 0
    try:
        [re.compile(pattern) for pattern in groups if is_list]
    except (re.error, TypeError):
        is_list = False
    if not is_list:
        raise ValueError(
            "`groups` is a list of regular expressions, searched for in the paths of the variables, from the top to "
            f"the bottom. Received: groups={groups!r}"
        )
    if not (is_a(factor, numbers.Real) and 0 < factor <= 1):
        raise ValueError(f"`factor` is a number above 0, at most 1. Received: factor={factor!r}")
    if not is_whole(unfreeze_every, 0):
        raise ValueError(f"`unfreeze_every` is a whole number, at least 0. Received: {unfreeze_every!r}")
