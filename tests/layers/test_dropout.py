import keras
import numpy as np
import pytest
from keras import ops

from keras_rnnlm.layers.dropout import Dropout, SpatialDropout1D, dropout_layer
from keras_rnnlm.recurrence import NAME

X = np.random.default_rng(0).normal(size=(3, 5, 4)).astype("float32")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("rate", [0.0, 0.3])
@pytest.mark.parametrize("locked", [False, True])
def test_it_drops_what_keras_drops(locked, rate, dtype):
    make = keras.layers.SpatialDropout1D if locked else keras.layers.Dropout
    layers = dropout_layer(rate, locked, seed=1, dtype=dtype), make(rate, seed=1, dtype=dtype)
    for training in (True, True, False):  # the second mask is another one
        found = [ops.cast(layer(X, training=training), "float32") for layer in layers]
        np.testing.assert_array_equal(*map(ops.convert_to_numpy, found))


def test_a_mask_of_a_shape_of_its_own():
    ours, of_keras = (make(0.5, noise_shape=(None, 1, 4), seed=3) for make in (Dropout, keras.layers.Dropout))
    np.testing.assert_array_equal(*[ops.convert_to_numpy(layer(X, training=True)) for layer in (ours, of_keras)])


def test_a_locked_mask_is_that_of_all_steps():
    y = ops.convert_to_numpy(SpatialDropout1D(0.5, seed=0)(np.ones_like(X), training=True))
    assert {0.0, 2.0} == set(y.ravel()) and (y == y[:, :1]).all()


@pytest.mark.skipif(NAME != "jax", reason="of JAX's compiler")
def test_xla_is_kept_from_drawing_a_mask_again_and_the_gradient_is_that_of_keras():
    import jax

    programs, gradients = [], []
    for layer in (Dropout(0.5, seed=0), keras.layers.Dropout(0.5, seed=0)):

        def loss(x, state, layer=layer):
            with keras.StatelessScope(state_mapping=[(layer.seed_generator.state, state)]):
                return ops.sum(layer(ops.tanh(x), training=True) ** 2)

        gradient = jax.jit(jax.grad(loss))
        args = X, layer.seed_generator.state.value
        programs.append(gradient.lower(*args).as_text().count("optimization_barrier"))
        gradients.append(gradient(*args))
    assert programs == [1, 0]
    np.testing.assert_array_equal(*gradients)
    assert not np.any(Dropout(1.0)(X, training=True))  # the oldest Keras does not take this rate
