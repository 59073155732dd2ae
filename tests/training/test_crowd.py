"""Networks side by side, and widths for a number of parameters."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from keras_rnnlm import layers
from keras_rnnlm.training.studies.budget import units_for
from keras_rnnlm.training.studies.crowd import Crowd, crowds, each
from tests.support import numpy

CELLS = {
    "LSTM": lambda: layers.LSTM(3, peephole=True, peephole_initializer="random_normal"),
    "GRU": lambda: layers.GRU(3, reset_after=False),
    "MUT1": lambda: layers.MUT1(3, projection=True),
    "ClockworkRNN": lambda: layers.ClockworkRNN(3, periods=(1, 2, 4)),
}
RNG = np.random.default_rng(0)
X, Y = (RNG.normal(size=(2, 2, 5, width)).astype("float32") for width in (2, 1))


def mean_squared_error(y, output):
    return ops.mean(ops.square(y - output), axis=-1)


def alone(make, seed):
    keras.utils.set_random_seed(seed)
    layer, head = make(), keras.layers.Dense(1)
    layer.return_sequences = layer.return_state = True
    layer.build((None, None, 2))
    head.build((None, 3))
    return layer, head


@pytest.mark.parametrize("name", CELLS)
def test_each_network_of_a_crowd_computes_what_it_computes_alone(name):
    crowd = Crowd(CELLS[name], [5, 8], features=2, outputs=1, batch=2)
    first, second = (crowd.predict_on_batch(x) for x in (X, X[:, :, ::-1]))  # the states are carried
    for k, seed in enumerate((5, 8)):
        layer, head = alone(CELLS[name], seed)
        output, *states = layer(X[k])
        np.testing.assert_allclose(first[k], numpy(head(output)), atol=1e-5)
        output, *_ = layer(X[k, :, ::-1], initial_state=states)
        np.testing.assert_allclose(second[k], numpy(head(output)), atol=1e-5)
    assert crowd.count_params() == layer.count_params() + head.count_params()


@pytest.mark.long
def test_each_network_of_a_crowd_learns_what_it_learns_alone():
    def weights(seeds, rows):
        crowd = Crowd(CELLS["LSTM"], seeds, features=2, outputs=1, batch=2)
        crowd.prepare(loss=mean_squared_error, learning_rate=0.1, clip=0.01, every=10)
        losses = crowd.learn(itertools.repeat((X[rows], Y[rows])), 20)
        assert len(losses) == 2 and losses[1] < losses[0]
        return [numpy(weight) for weight in crowd.trainable_weights]

    for k, seed in enumerate((5, 8)):
        for together, single in zip(weights([5, 8], [0, 1]), weights([seed], [k])):
            np.testing.assert_allclose(together[k], single[0], atol=1e-4)


@pytest.mark.parametrize("seeds", [[5, 8], [5]])
def test_the_losses_of_each_network_are_told(seeds):
    n = len(seeds)
    crowd = Crowd(CELLS["GRU"], seeds, features=2, outputs=1, batch=2)
    crowd.prepare(loss=mean_squared_error, learning_rate=0.0, every=2)
    first, second = np.transpose(crowd.learn_each(itertools.repeat((X[:n], Y[:n])), 4))
    crowd.reset_states()
    expected = np.mean(np.square(crowd.predict_on_batch(X[:n]) - Y[:n]), axis=(1, 2, 3))
    np.testing.assert_allclose(first, expected, rtol=1e-4)
    np.testing.assert_allclose(second, expected, rtol=1e-4)


@pytest.mark.parametrize("continual", [False, True])
def test_training_goes_on_from_the_last_states_where_it_is_continual(continual):
    crowd = Crowd(CELLS["LSTM"], [5, 8], features=2, outputs=1, batch=2, continual=continual)
    fresh, again = (numpy(crowd(X, training=True)) for _ in range(2))
    assert np.allclose(fresh, again) != continual
    crowd.reset_states()
    np.testing.assert_array_equal(numpy(crowd(X, training=True)), fresh)
    crowd.prepare(loss=mean_squared_error, learning_rate=0.1, every=2)
    assert np.isfinite(crowd.learn(itertools.repeat((X, Y)), 2)).all()


def test_a_study_of_crowds_has_a_result_for_each_seed():
    assert crowds({"seeds": 5, "at_once": 2}) == [[0, 1], [2, 3], [4]]
    results = [{"model": "a", "each": [{"seed": 0}, {"seed": 1}]}, {"model": "b", "each": [{"seed": 0}]}]
    assert [(result["model"], result["seed"]) for result in each(results)] == [("a", 0), ("a", 1), ("b", 0)]


class Squared:
    """A network of units * units parameters."""

    def __init__(self, units):
        self.units = units

    def count_params(self):
        return self.units**2


@pytest.mark.parametrize("units", [1, 2, 3, 7, 64, 100])
def test_the_width_that_has_the_parameters_is_found(units):
    assert units_for(units**2, Squared) == units


@pytest.mark.parametrize("parameters, multiple, units", [(90, 1, 9), (91, 1, 10), (70, 4, 8), (105, 4, 12), (16, 4, 4)])
def test_the_width_is_the_nearest_of_those_that_are_allowed(parameters, multiple, units):
    assert units_for(parameters, Squared, multiple) == units


def test_too_few_parameters_are_told():
    with pytest.raises(ValueError, match="`parameters` is at least what 4 units have, 16. Received: parameters=15"):
        units_for(15, Squared, 4)
