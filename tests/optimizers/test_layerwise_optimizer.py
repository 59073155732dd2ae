"""Lower rates for lower layers, and when these begin to learn."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_rnnlm.optimizers import ClippedOptimizer, LayerwiseOptimizer
from tests.support import numpy

GROUPS = ["middle", "bottom"]


def variables():
    return [keras.Variable(np.array([1.0, 2.0], "float32"), name=name) for name in ("top", "middle", "bottom")]


def gradients(step):
    return [ops.convert_to_tensor(np.array([0.5, -0.3]) * (1 + step + k), "float32") for k in range(3)]


def trained(optimizer, steps=4):
    """The values of three variables after each step."""
    trained, found = variables(), []
    optimizer.build(trained)
    for step in range(steps):
        optimizer.apply(gradients(step), trained)
        found.append(np.stack([numpy(variable) for variable in trained]))
    return np.array(found)


INNER = {"sgd": lambda rate: keras.optimizers.SGD(rate), "adam": lambda rate: keras.optimizers.AdamW(rate)}


@pytest.mark.parametrize("name", INNER)
def test_each_group_learns_as_at_a_rate_of_its_own(name):
    found = trained(LayerwiseOptimizer(INNER[name](0.1), GROUPS, factor=0.5))
    for row, rate in enumerate((0.1, 0.05, 0.025)):
        np.testing.assert_allclose(found[:, row], trained(INNER[name](rate))[:, row], atol=1e-5)


@pytest.mark.parametrize("around", [lambda inner: inner, lambda inner: ClippedOptimizer(inner, max_norm=None)])
def test_groups_begin_to_learn_one_after_the_other(around):
    begin = np.stack([numpy(variable) for variable in variables()])
    found = trained(around(LayerwiseOptimizer("adam", GROUPS, unfreeze_every=1)))
    steps = np.diff(np.concatenate([begin[None], found]), axis=0).any(axis=2)
    np.testing.assert_array_equal(steps, [[1, 0, 0], [1, 1, 0], [1, 1, 1], [1, 1, 1]])


def test_accumulated_gradients_are_steps_when_they_are_used():
    inner = keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)
    found = trained(ClippedOptimizer(LayerwiseOptimizer(inner, GROUPS, unfreeze_every=1), max_norm=None))
    moved = (found != np.stack([numpy(variable) for variable in variables()])).any(axis=2)
    np.testing.assert_array_equal(moved, [[0, 0, 0], [1, 0, 0], [1, 0, 0], [1, 1, 0]])


def test_it_comes_back_from_its_config():
    made = LayerwiseOptimizer(keras.optimizers.Adam(0.25), GROUPS, factor=0.5, unfreeze_every=3)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(made))
    assert again.get_config() == made.get_config() and float(again.learning_rate) == 0.25
    assert made.inner_optimizer is not again.inner_optimizer
    config = LayerwiseOptimizer(keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam()), GROUPS).get_config()
    for _ in range(2):  # a configuration is read, and not used up
        assert LayerwiseOptimizer.from_config(config).groups == GROUPS


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(groups="middle"), "`groups` is a list of regular expressions"),
        (dict(groups=["("]), "`groups` is a list of regular expressions"),
        (dict(factor=0), "`factor` is a number above 0, at most 1. Received: factor=0"),
        (dict(unfreeze_every=-1), "`unfreeze_every` is a whole number, at least 0. Received: -1"),
        (dict(inner_optimizer=keras.optimizers.SGD(use_ema=True)), "drop `use_ema`. Received: SGD"),
        (dict(groups=["nowhere"]), "fits one at least. Received: 'nowhere', and the paths are top, middle, bottom"),
    ],
)
def test_an_argument_that_cannot_be_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        LayerwiseOptimizer(**{"inner_optimizer": "sgd", "groups": GROUPS, **options}).build(variables())


def test_it_trains_around_a_scaled_loss():
    x, y = np.ones((8, 3), "float32"), np.ones((8, 1), "float32")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, name="bottom"), keras.layers.Dense(1)])
    optimizer = LayerwiseOptimizer(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1)), ["bottom"])
    model.compile(optimizer, "mse", auto_scale_loss=False)
    before = [numpy(weight) for weight in model.trainable_variables]
    losses = model.fit(x, y, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert all(np.abs(numpy(w) - b).max() > 0 for w, b in zip(model.trainable_variables, before))
