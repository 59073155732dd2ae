"""An optimizer around another one, which makes the steps."""

import warnings

import keras

from keras_rnnlm.optimizers import replicas
from keras_rnnlm.optimizers.compiled_update import compiled_update
from keras_rnnlm.optimizers.private_keras import averages_of, index_of, trained_by
from keras_rnnlm.recurrence import backend


class WrappingOptimizer(keras.optimizers.Optimizer):
    """What is asked of it is asked of its `inner_optimizer`: iterations, learning rate, loss scale, weights, steps."""

    @property
    def scales_loss(self):
        """Whether there is a `LossScaleOptimizer` inside."""
        scalers = keras.optimizers.LossScaleOptimizer
        return any(isinstance(optimizer, scalers) for optimizer in with_those_inside(self.inner_optimizer))

    def _accumulating_optimizer(self):
        for optimizer in with_those_inside(self.inner_optimizer):
            if optimizer.gradient_accumulation_steps:
                return optimizer
        return None

    @property
    def iterations(self):
        return self.inner_optimizer.iterations

    @property
    def learning_rate(self):
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate):
        self.inner_optimizer.learning_rate = learning_rate

    @property
    def loss_scale_factor(self):
        # A LossScaleOptimizer has none, but something else that the loss is multiplied with.
        return self.scale_loss(1.0) if self.scales_loss else self.inner_optimizer.loss_scale_factor

    @loss_scale_factor.setter
    def loss_scale_factor(self, factor):
        # The base class sets it before there is an inner optimizer, a LossScaleOptimizer around this one after.
        inner = getattr(self, "inner_optimizer", None)
        if inner is None:
            return
        if self.scales_loss:
            raise ValueError(
                f"This {type(self).__name__} holds a LossScaleOptimizer, and the loss cannot be scaled a second time "
                "around it. Under mixed_float16 `compile` adds a LossScaleOptimizer by itself: pass "
                "`auto_scale_loss=False`, or wrap the plain optimizer. A saved model whose optimizer it is loads by "
                "`load_model(..., compile=False)`, and is compiled again. "
                f"Received: inner_optimizer={inner.name}, loss_scale_factor={factor}"
            )
        inner.loss_scale_factor = factor

    @property
    def _model_variables_moving_average(self):  # Keras's callbacks look for it within a LossScaleOptimizer
        return averages_of(self.inner_optimizer)

    def scale_loss(self, loss):
        return self.inner_optimizer.scale_loss(loss)

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        for optimizer in with_those_inside(self.inner_optimizer):  # a LossScaleOptimizer does not tell its own
            optimizer.exclude_from_weight_decay(var_list=var_list, var_names=var_names)

    def finalize_variable_values(self, var_list):
        self.inner_optimizer.finalize_variable_values(var_list)

    @property
    def variables(self):
        return self._variables + self.inner_optimizer.variables

    def set_weights(self, weights):
        if len(weights) != len(self.variables):
            raise ValueError(
                f"This optimizer has {len(self.variables)} variables and needs a weight for each. Build it before you "
                f"set them. Received: {len(weights)} weights"
            )
        for variable, weight in zip(self.variables, weights):
            variable.assign(weight)

    # Keras saves the inner optimizer by itself, as an attribute that can be saved: only our own variables are missing.
    def save_own_variables(self, store):
        for variable in self._variables:
            store[variable.name] = variable.numpy()

    def load_own_variables(self, store):
        names = [variable.name for variable in self._variables]
        if names and not set(store.keys()) & set(names):  # of another kind, or of a model that was not compiled
            warnings.warn(
                f"What was saved is no state of a {type(self).__name__}, whose own stays as it is.", stacklevel=2
            )
            return
        if sorted(store.keys()) != sorted(names):
            raise ValueError(
                f"The saved state is not that of a {type(self).__name__} with these arguments. "
                f"Expected: {sorted(names)}. Received: {sorted(store.keys())}"
            )
        for variable in self._variables:
            variable.assign(store[variable.name])

    def _update(self, finite, grads, variables, made_of):
        """Lets the inner optimizer make its step if the gradients are finite; for `made_of`, see `compiled_update`."""
        if not backend.assigns_in_branches():
            self._update_values(finite, grads, variables)
        elif self.scales_loss:
            self.inner_optimizer.apply(grads, variables)
        elif replicas.have_to_merge():
            import tensorflow as tf

            def merged(strategy, finite, grads):
                # A branch in which replicas meet may not be taken by one replica: they decide together, and the
                # gradients were added up before they were judged, so any replica's answer is the answer.
                backend.branch(
                    strategy.experimental_local_results(finite)[0],
                    lambda: strategy.extended.call_for_each_replica(
                        self.inner_optimizer.apply, args=(grads, variables)
                    ),
                    lambda: None,
                )

            tf.distribute.get_replica_context().merge_call(merged, args=(finite, grads))
        else:
            with compiled_update(self.inner_optimizer, made_of):
                backend.branch(finite, lambda: self.inner_optimizer.apply(grads, variables), lambda: None)

    def _update_values(self, finite, grads, variables):
        # Such a branch computes the new values of all variables, assigned afterwards.
        inner = self.inner_optimizer
        gradient_of = {index_of(self, v): g for v, g in zip(variables, grads)}
        grads = [gradient_of.get(i) for i in range(len(trained_by(self)))]
        values = [v.value for v in trained_by(self)], [v.value for v in inner.variables]

        def step():
            trainable, own = inner.stateless_apply(values[1], grads, values[0])
            return list(trainable), list(own)

        trainable, own = step() if self.scales_loss else backend.branch(finite, step, lambda: values)
        for variable, value in zip(trained_by(self) + inner.variables, trainable + own):
            variable.assign(value)


def with_those_inside(optimizer):
    """The optimizer and the ones it wraps, from the outside in."""
    inside = (
        [optimizer.inner_optimizer] if hasattr(optimizer, "inner_optimizer") else getattr(optimizer, "optimizers", [])
    )
    return [optimizer] + [wrapped for inner in inside for wrapped in with_those_inside(inner)]


def compile_again(model, config):
    """Compiles a model by the configuration that was saved with it, as Keras does."""
    config = keras.saving.deserialize_keras_object(config)
    optimizer = config["optimizer"]
    if isinstance(optimizer, WrappingOptimizer) and optimizer.scales_loss:
        config["auto_scale_loss"] = False  # which Keras does not save, and without which it was no model
    model.compile(**config)
    if model.built:
        model.optimizer.build(model.trainable_variables)
