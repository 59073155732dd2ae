"""Many small networks of one kind in one model: twenty take little longer than one."""

import itertools
import types

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_rnnlm import recurrence
from keras_rnnlm.training.streams import untuned
from keras_rnnlm.training.studies.fitting import at_once


class Crowd(keras.Model):
    """Networks of one shape, a recurrent layer and a linear output, each begun from a seed of its own.

    Weights are stacked, and the cell's own step runs on all at once. Nothing passes from one network to another: the
    loss is a sum over networks, and Adam and clipping by value treat every number by itself. So each learns what it
    would learn alone.

    Inputs are (networks, batch, time, features), outputs (networks, batch, time, outputs). From call to call the states
    are carried, until `reset_states()`.

    Args:
        make: makes a layer of keras_rnnlm.layers, once for each seed.
        seeds: one for each network.
        features, outputs, batch: numbers, see above.
        continual: whether the states are carried in training, too, or begin at zero there.

    >>> crowd = Crowd(lambda: keras_rnnlm.layers.LSTM(4, peephole=True), seeds=[0, 1, 2], features=1, outputs=2)
    >>> crowd(np.ones((3, 1, 5, 1))).shape
    (3, 1, 5, 2)
    """

    def __init__(self, make, seeds, features, outputs, batch=1, continual=False):
        super().__init__()
        alone = [_network(make, seed, features, outputs) for seed in seeds]
        cell = alone[0][0].cell
        self.hidden = types.SimpleNamespace(cell=cell)  # from Keras, which would take its weights for ours
        self.of_cell = {name: self._stack([getattr(layer.cell, name) for layer, _ in alone]) for name in cell.declared}
        self.of_head = {name: self._stack([getattr(head, name) for _, head in alone]) for name in ("kernel", "bias")}
        zeros = dict(shape=(len(alone), batch, cell.units), initializer="zeros", trainable=False)
        self.states = [self.add_weight(**zeros, name="state") for _ in range(cell.number_of_states)]
        self.continual = continual
        self.built = True

    def _stack(self, weights):
        """One variable for a weight of all networks. What is added gets an axis for the batch that it is added to."""
        arrays = np.stack([ops.convert_to_numpy(weight) for weight in weights])
        arrays = arrays[:, None] if arrays.ndim == 2 else arrays
        return self.add_weight(name=weights[0].name, shape=arrays.shape, initializer=lambda *_, **__: arrays)

    def count_params(self):
        """The number of parameters of each."""
        return sum(int(np.prod(weight.shape[1:])) for weight in self.trainable_weights)

    def call(self, inputs, training=False):
        cell, w = self.hidden.cell, {name: ops.convert_to_tensor(weight) for name, weight in self.of_cell.items()}
        step, kernels, parameters, _ = cell.recurrence(w)
        # Copies: PyTorch writes into the states, and their gradients still read them.
        begun = ops.copy if self.continual or not training else ops.zeros_like
        begin = [begun(state.value) for state in self.states]
        x = cell.project(ops.transpose(inputs, (2, 0, 1, 3)), w)
        (h,), states, _ = recurrence.run(
            lambda dot, *arguments: step(SmallDot(kernels, dot.note), *arguments), x, begin, {}, parameters, plain=True
        )
        for variable, state in zip(self.states, states):
            variable.assign(ops.stop_gradient(state))
        return ops.transpose(ops.matmul(h, self.of_head["kernel"]) + self.of_head["bias"], (1, 2, 0, 3))

    def reset_states(self):
        for state in self.states:
            state.assign(ops.zeros_like(state.value))

    def prepare(self, *, loss, learning_rate, clip=1.0, every=50):
        """Says how to train, by Adam.

        Args:
            loss: `loss(targets, outputs)` is a number for each step of each sequence, (networks, batch, time).
            learning_rate: a number or a schedule.
            clip: every number of a gradient is cut to ± this.
            every: how many steps are run by one call of the backend, and averaged.
        """
        self.every, self.each_loss, self.of_each = every, loss, EachMean(self.of_head["bias"].shape[0])
        self.compile(
            keras.optimizers.Adam(learning_rate, clipvalue=clip),
            loss=self._sum,
            steps_per_execution=at_once(every),
        )

    def _sum(self, y, output):
        losses = ops.mean(self.each_loss(y, output), axis=(1, 2))
        self.of_each.update_state(ops.stop_gradient(losses))
        return ops.sum(losses)

    def learn(self, examples, steps):
        """Trains on inputs and targets of an iterator: the losses, (steps / every), means over networks and steps."""
        return np.mean(self.learn_each(examples, steps), axis=0).tolist()

    def learn_each(self, examples, steps):
        """The same, and the losses of each network, (networks, steps / every)."""
        first = next(examples)
        signature = tuple(tf.TensorSpec(array.shape, array.dtype) for array in first)
        dataset = tf.data.Dataset.from_generator(lambda: itertools.chain([first], examples), output_signature=signature)
        rounds = dict(epochs=steps // self.every, steps_per_epoch=self.every)
        history = self.fit(untuned(dataset), **rounds, shuffle=False, verbose=0)
        return np.transpose([np.reshape(losses, -1) for losses in history.history[self.of_each.name]]).tolist()


class EachMean(keras.metrics.Metric):
    """The mean loss of each network, in place of one number for all."""

    def __init__(self, networks):
        super().__init__(name="of_each")
        self.total = self.add_variable((networks,), initializer="zeros", name="total")
        self.steps = self.add_variable((), initializer="zeros", name="steps")

    def update_state(self, losses):
        self.total.assign_add(losses)
        self.steps.assign_add(1.0)

    def result(self):
        return self.total / ops.maximum(self.steps, 1.0)


class SmallDot:
    """`dot` for kernels (networks, units, columns): products of a few units, as sums that the compiler writes out."""

    def __init__(self, kernels, note):
        self.kernels, self.note = kernels, note

    def __call__(self, operand, name, plus=None):
        y = ops.sum(operand[..., None] * self.kernels[name][:, None], axis=-2)
        return y if plus is None else y + plus


def crowds(settings):
    """The seeds of a study, as many at once as its settings say.

    >>> crowds({"seeds": 5, "at_once": 2})
    [[0, 1], [2, 3], [4]]
    """
    seeds, at_once = range(settings["seeds"]), settings["at_once"]
    return [list(seeds[first : first + at_once]) for first in range(0, len(seeds), at_once)]


def each(results):
    """A result for each network, of results that hold a list of them under "each"."""
    return [{**result, **one} for result in results for one in result["each"]]


def _network(make, seed, features, outputs):
    keras.utils.set_random_seed(seed)
    layer, head = make(), keras.layers.Dense(outputs)
    layer.build((None, None, features))
    head.build((None, layer.cell.units))
    return layer, head
