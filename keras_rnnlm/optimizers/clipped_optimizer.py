"""Gradient clipping around any Keras optimizer."""

import copy
import dataclasses
import math
import types
from typing import Any

import keras
from keras import ops

from keras_rnnlm.optimizers import gradients, limits, replicas
from keras_rnnlm.optimizers.private_keras import accumulator_of, index_of, trained_by
from keras_rnnlm.optimizers.wrapping import WrappingOptimizer, with_those_inside
from keras_rnnlm.recurrence import backend


@dataclasses.dataclass
class _Measured:
    """What is known of one step's gradients: tensors, and lists of one tensor for each gradient."""

    norm: Any
    clipped_norm: Any
    clipped: Any
    finite: Any
    factors: Any = None  # what clipping by a norm multiplies each gradient with
    cut: Any = None  # what clipping by value made of each gradient


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class ClippedOptimizer(WrappingOptimizer):
    """Any Keras optimizer, with its gradients clipped, its bad steps skipped and both counted.

    A gradient g of norm n above the limit m becomes g · m / n, where n is the norm of all gradients together, of a
    group of variables or of one variable; or each of its numbers is cut to [-m, m].

    The gradient that is clipped is the one that the inner optimizer updates with: without its loss scale, averaged over
    its `gradient_accumulation_steps`, summed over the replicas of a `tf.distribute` strategy. Everything else is the
    inner optimizer's own: variables, schedule, weight decay, moving average.

    A step whose gradient holds a NaN or an Inf changes neither the model nor the inner optimizer and counts as skipped;
    so does one without a limit whose norm is above 1.8e19, the square of which is Inf.
    A `LossScaleOptimizer` inside still gets to see it, and lowers its scale.

    Args:
        inner_optimizer: a Keras optimizer, or anything `keras.optimizers.get` takes. Its own clipping must be off.
        max_norm: the limit, or `None` for none: the steps are still measured and the bad ones skipped. A dict limits
            groups of variables: from a regular expression, searched for in `variable.path`, to the group's limit. A
            variable belongs to the first expression that fits; one that fits none, or has the limit `None`, is left
            alone.
        by: which norm is limited. `"global"`: all gradients together or, with a dict, each group's together.
            `"variable"`: each variable's. `"value"`: the size of each number.
        percentile: lets the limit follow this percentile, above 0 and up to 100, of the last `window` global norms
            before clipping, the current one excluded. `max_norm` stays the highest limit (`None`: there is none), and
            is the only limit until `window` norms have been seen.
        window: how many norms `percentile` looks back.
        name: the optimizer's name.

    It keeps, as variables that are saved with it: `steps`, the updates made (with gradient accumulation, one every
    `gradient_accumulation_steps` batches); `clipped_steps`, those that were clipped; `skipped_steps`, the batches
    thrown away; `gradient_norm` and `clipped_norm`, the last update's global norm before and after clipping.
    `ClippingReport` writes them into the logs of `fit`.

    A sparse gradient, of an embedding, stays sparse, with all that belongs to a row in one place.

    Loss scaling: `LossScaleOptimizer(ClippedOptimizer(...))`, which `compile` builds by itself under `mixed_float16`,
    throws the bad steps away before this optimizer sees them, so its `skipped_steps` stays 0. To count them, compile
    with `ClippedOptimizer(LossScaleOptimizer(...))` and `auto_scale_loss=False`.

    Example:

    >>> optimizer = ClippedOptimizer(keras.optimizers.SGD(1.0), max_norm=1.0)
    >>> weights = keras.Variable([0.0, 0.0])
    >>> optimizer.apply([ops.convert_to_tensor([3.0, 4.0])], [weights])
    >>> [round(float(w), 3) for w in weights.numpy()], float(optimizer.gradient_norm)
    ([-0.6, -0.8], 5.0)

    >>> optimizer = ClippedOptimizer("adam", {"recurrent_kernel": 0.25, "embeddings": 5.0})
    """

    def __init__(self, inner_optimizer, max_norm=1.0, *, by="global", percentile=None, window=100, name=None):
        limits.check(max_norm, by, percentile, window)
        # A function, so that the base class keeps no learning rate of its own beside the inner optimizer's.
        super().__init__(learning_rate=lambda: 0.0, name=name)
        self.inner_optimizer = keras.optimizers.get(inner_optimizer)
        self._check_inner_optimizer()
        self.max_norm = limits.as_floats(max_norm)
        self.by = by
        self.percentile = percentile
        self.window = window
        self._products = types.SimpleNamespace(of={})  # what this step's clipped gradients were made of, by their id
        self.clipped_steps = self._statistic("clipped_steps", dtype="int")
        self.skipped_steps = self._statistic("skipped_steps", dtype="int")
        self.gradient_norm = self._statistic("gradient_norm")
        self.clipped_norm = self._statistic("clipped_norm")
        self.norm_sum = self._statistic("norm_sum")
        self.clipped_norm_sum = self._statistic("clipped_norm_sum")
        if percentile is not None:
            self.recent_norms = self._statistic("recent_norms", shape=(window,))

    def _statistic(self, name, dtype="float32", shape=()):
        return self.add_variable(shape, dtype=dtype, name=name, aggregation="only_first_replica")

    def _check_inner_optimizer(self):
        for optimizer in with_those_inside(self.inner_optimizer):
            clipping = {
                name: getattr(optimizer, name, None)
                for name in ("clipnorm", "clipvalue", "global_clipnorm")
                if getattr(optimizer, name, None) is not None
            }
            if clipping:
                raise ValueError(
                    "Gradients would be clipped twice: the inner optimizer clips them too. Choose one: drop its "
                    f"argument or the ClippedOptimizer. Received: {type(optimizer).__name__} with {clipping}"
                )
            if any(part.gradient_accumulation_steps for part in getattr(optimizer, "optimizers", ())):
                raise ValueError(
                    "The parts of a MultiOptimizer cannot accumulate gradients inside a ClippedOptimizer, which has to "
                    "see all gradients of an update at once. Use larger batches, or wrap each part in its own "
                    "ClippedOptimizer. Received: "
                    f"{[(part.name, part.gradient_accumulation_steps) for part in optimizer.optimizers]}"
                )

    def build(self, variables):
        if self.built:
            return
        if not self.inner_optimizer.built:
            self.inner_optimizer.build(variables)
        # Once more: a MultiOptimizer may have no parts before it is built.
        self._check_inner_optimizer()
        self._group_of, self._limits = limits.groups(self.max_norm, self.by, self.percentile, variables)
        super().build(variables)

    def apply(self, grads, trainable_variables=None):
        grads = list(grads)
        if not grads:
            return
        variables = self._variables_of(grads, trainable_variables)
        # A variable may be overwritten by its «gradient» (a float8 scale): that is no gradient and has no norm.
        used = [
            i
            for i, (gradient, variable) in enumerate(zip(grads, variables))
            if gradient is not None and not self._overwrite_variable_with_gradient(variable)
        ]
        if not used:
            self.inner_optimizer.apply(grads, variables)
            return
        self._products.of = {}
        clip = self._clip_accumulated if self._accumulating_optimizer() else self._clip_and_record
        clipped, finite = clip([grads[i] for i in used], [variables[i] for i in used])
        for i, gradient in zip(used, clipped):
            grads[i] = gradient
        self._update(finite, grads, variables, self._products.of)
        self._products.of = {}

    def _variables_of(self, grads, variables):
        if variables is None:
            if not self.built:
                raise ValueError(
                    "Gradients came without their variables, to an optimizer that does not know any yet. Pass both, or "
                    f"call `optimizer.build(variables)` first. Received: {len(grads)} gradients"
                )
            variables = trained_by(self)
        variables = list(variables)
        if len(grads) != len(variables):
            raise ValueError(
                "Every variable needs its gradient, or None in its place. "
                f"Received: {len(grads)} gradients for {len(variables)} variables"
            )
        if not self.built:
            self.build(variables)
        self._check_variables_are_known(variables)
        return variables

    def _clip_and_record(self, grads, variables):
        """The clipped gradients, and whether the step is to be made."""
        scale = self.inner_optimizer.scale_loss(1.0)
        # Keras adds the replicas' gradients up only after clipping.
        summed = replicas.summed(grads)
        values = [gradients.summed_values(g, v) for g, v in zip(summed, variables)]
        measured = self._measure(values, variables, scale)
        self._record(measured, measured.finite)
        if self.by == "value":
            # The inner optimizer will add up the replicas' gradients, which are now the same on each.
            return [self._cut(g, v, measured) for g, v in zip(summed, measured.cut)], measured.finite
        if replicas.count() == 1:
            # With the sum of a repeated row in one place, too: Adam would square its parts one by one.
            grads = [gradients.with_values(g, v) if gradients.is_sparse(g) else g for g, v in zip(grads, values)]
        return self._shrunk(grads, variables, measured), measured.finite

    def _clip_accumulated(self, grads, variables):
        """The same around an optimizer that accumulates: its average is clipped, in the step that uses it.

        In that step the clipped sum is put into its accumulators and the gradient becomes 0, so that it comes to the
        clipped average by itself. A bad batch leaves the accumulators as they are.
        """
        optimizer = self._accumulating_optimizer()
        steps = optimizer.gradient_accumulation_steps
        if replicas.count() > 1:
            raise ValueError(
                "Under a `tf.distribute` strategy an optimizer cannot accumulate: drop `gradient_accumulation_steps`, "
                f"and take larger batches. Received: gradient_accumulation_steps={steps} on {replicas.count()} replicas"
            )
        accumulators = [accumulator_of(optimizer, v) for v in variables]
        scale = self.inner_optimizer.scale_loss(1.0)
        # Accumulators are dense: Keras makes a sparse gradient dense when it adds it to one.
        grads = [gradients.dense(g) for g in grads]
        values = [gradients.summed_values(g, v) for g, v in zip(grads, variables)]
        values = [v / _in_dtype_of(v, scale) for v in values]
        averages = [(v + ops.cast(a.value, v.dtype)) / steps for v, a in zip(values, accumulators)]
        measured = self._measure(averages, variables, 1.0)
        due = ops.equal((optimizer._iterations + 1) % steps, 0)
        due = ops.logical_and(due, measured.finite)
        self._record(measured, due)

        def clipped_sums():
            clipped = measured.cut if self.by == "value" else self._shrunk(averages, variables, measured)
            sums = [ops.cast(c * steps, a.dtype) for c, a in zip(clipped, accumulators)]
            return sums, [ops.zeros_like(g) for g in grads]

        sums, grads = backend.branch(
            due, clipped_sums, lambda: ([ops.convert_to_tensor(a) for a in accumulators], grads)
        )
        for accumulator, value in zip(accumulators, sums):
            accumulator.assign(value)
        if self.scales_loss:  # which judges by itself, and has to see what is thrown away here
            grads = [gradients.scaled(g, ops.where(measured.finite, 1.0, math.nan)) for g in grads]
        return grads, measured.finite

    def _measure(self, values, variables, scale):
        """All that is known about one step's gradients, `values`, which are `scale` times the true ones."""
        norms = gradients.norms(values) / scale
        norm = gradients.norm(norms)
        measured = _Measured(norm, norm, clipped=ops.zeros((), "bool"), finite=ops.isfinite(norm))
        groups = self._groups_of(variables)
        current = self._current_limits()
        if self.by == "value":
            bounds = [None if g is None else _in_dtype_of(v, current[g] * scale) for g, v in zip(groups, values)]
            cut = [v if b is None else ops.clip(v, -b, b) for v, b in zip(values, bounds)]
            over = [ops.any(ops.abs(v) > b) for v, b in zip(values, bounds) if b is not None]
            measured.cut = cut
            if over:
                measured.clipped = ops.any(ops.stack(over))
                measured.clipped_norm = gradients.norm(gradients.norms(cut) / scale)
        elif any(group is not None for group in groups):
            present = sorted({group for group in groups if group is not None})
            members = [[i for i, group in enumerate(groups) if group == number] for number in present]
            group_norms = ops.stack([self._norm_of_members(norm, norms, places) for places in members])
            maxima = ops.stack([ops.convert_to_tensor(current[number], "float32") for number in present])
            over = group_norms > maxima
            # The last place is the factor of those that are left alone.
            factors = ops.append(ops.where(over, maxima / group_norms, ops.ones_like(maxima)), [1.0])
            factors = ops.take(factors, [present.index(g) if g is not None else len(present) for g in groups])
            measured.factors = factors
            measured.clipped = ops.any(over)
            measured.clipped_norm = gradients.norm(norms * factors)
        # Most optimizers square what is left: two squares that are Inf are a NaN in the average of both.
        measured.finite = ops.logical_and(measured.finite, ops.isfinite(ops.square(measured.clipped_norm)))
        return measured

    @staticmethod
    def _norm_of_members(norm, norms, places):
        if len(places) == norms.shape[0]:
            return norm
        return norms[places[0]] if len(places) == 1 else gradients.norm(ops.take(norms, places))

    def _groups_of(self, variables):
        return [self._group_of[index_of(self, variable)] for variable in variables]

    def _current_limits(self):
        if self.percentile is None:
            return self._limits
        # A fixed place in the sorted window, between two norms if need be: numpy's linear percentile.
        place = self.percentile / 100 * (self.window - 1)
        low, high = math.floor(place), math.ceil(place)
        ranked = ops.sort(self.recent_norms.value)
        limit = ranked[low] + (ranked[high] - ranked[low]) * (place - low)
        highest = ops.convert_to_tensor(self._limits[0], "float32")
        return [ops.where(self.steps >= self.window, ops.minimum(limit, highest), highest)]

    def _shrunk(self, grads, variables, measured):
        factors = measured.factors
        passed_on = self.scales_loss
        if factors is None and not passed_on:
            return grads
        if passed_on:
            # Of several replicas one alone may hold the NaN, and each one's loss scale looks at its own gradients.
            factors = ops.ones((len(grads),)) if factors is None else factors
            factors = ops.where(measured.finite, factors, math.nan)
        shrunk = []
        for i, (g, group) in enumerate(zip(grads, self._groups_of(variables))):
            shrunk.append(g if group is None and not passed_on else gradients.scaled(g, factors[i]))
            self._products.of[id(shrunk[-1])] = g, None if shrunk[-1] is g else factors[i]
        return shrunk

    def _cut(self, gradient, values, measured):
        # Cutting would make an Inf look like a good number.
        values = ops.where(measured.finite, values / replicas.count(), math.nan)
        return gradients.with_values(gradient, values)

    def _record(self, measured, updated):
        """Counts one call of `apply`; `updated` says whether it makes an update."""
        steps = self.steps
        if self.percentile is not None:
            here = ops.logical_and(ops.equal(ops.arange(self.window), ops.cast(steps % self.window, "int32")), updated)
            self.recent_norms.assign(ops.where(here, measured.norm, self.recent_norms.value))
        for variable, total, norm in (
            (self.gradient_norm, self.norm_sum, measured.norm),
            (self.clipped_norm, self.clipped_norm_sum, measured.clipped_norm),
        ):
            variable.assign(ops.where(updated, norm, variable.value))
            total.assign_add(ops.where(updated, norm, ops.zeros_like(norm)))
        clipped = ops.logical_and(updated, measured.clipped)
        self.clipped_steps.assign_add(ops.cast(clipped, self.clipped_steps.dtype))
        self.skipped_steps.assign_add(ops.cast(ops.logical_not(measured.finite), self.skipped_steps.dtype))
        steps.assign_add(ops.cast(updated, steps.dtype))

    @property
    def steps(self):
        # The base class's counter: the inner optimizer has its own for what `iterations` means.
        return self._iterations

    def get_config(self):
        return {
            "name": self.name,
            "inner_optimizer": keras.saving.serialize_keras_object(self.inner_optimizer),
            "max_norm": dict(self.max_norm) if isinstance(self.max_norm, dict) else self.max_norm,
            "by": self.by,
            "percentile": self.percentile,
            "window": self.window,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = copy.deepcopy(config)  # Keras's own optimizers take parts out of the one that they are given
        inner = keras.saving.deserialize_keras_object(config.pop("inner_optimizer"), custom_objects=custom_objects)
        return cls(inner, **config)


def _in_dtype_of(tensor, number):
    """A number of Python's as it is, which takes any dtype, and a tensor, a loss scale, in that of another one."""
    return number if isinstance(number, (int, float)) else ops.cast(number, tensor.dtype)
