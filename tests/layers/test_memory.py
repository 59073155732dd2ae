"""What nobody holds any more is gone."""

import gc
import weakref

import keras
import numpy as np
import pytest
from keras import ops

from keras_rnnlm import layers, models, optimizers
from tests.cases import BATCH, FEATURES, TIME, UNITS
from tests.support import numpy, on_tensorflow

X = np.random.default_rng(2).normal(size=(BATCH, TIME, FEATURES)).astype("float32")
MODELS = {
    "peephole": lambda: (keras.Sequential([layers.LSTM(UNITS, peephole=True), keras.layers.Dense(1)]), X),
    "remat": lambda: (keras.Sequential([layers.GRU(UNITS, remat=True), keras.layers.Dense(1)]), X),
    "language model": lambda: (models.LanguageModel(9, units=UNITS, layers=2), np.zeros((BATCH, TIME), "int32")),
}


@pytest.fixture(scope="module", autouse=True)
def what_other_files_left():
    """Stays as it is: only what is made here is looked through."""
    gc.freeze()
    yield
    gc.unfreeze()


def freed(references):
    keras.backend.clear_session()
    gc.collect()
    return [one() for one in references] == [None] * len(references)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_that_ran_is_freed_with_its_weights(name):
    model, x = MODELS[name]()
    model.predict_on_batch(x)
    left = [weakref.ref(one) for one in [*model.layers, *model.trainable_variables]]
    del model
    assert freed(left)


@pytest.mark.parametrize("tied", [pytest.param(False, marks=pytest.mark.long), True], ids=["sparse", "dense"])
def test_a_language_model_that_was_trained_is_freed_with_its_optimizer(tied):
    def graphs():
        """Those of TensorFlow, which hold the memory of weights whose objects are gone."""
        keras.backend.clear_session()
        gc.collect()
        return sum(type(one).__name__ == "FuncGraph" for one in gc.get_objects())

    def trained():
        model, x = models.LanguageModel(9, units=UNITS, layers=2, tied=tied), np.zeros((BATCH, TIME), "int32")
        model.compile(optimizers.ClippedOptimizer("adam", max_norm=1.0))
        model.train_on_batch(x, x)
        return model

    trained()  # what was compiled for its loops serves every model that is its equal, and stays
    before = graphs()
    model = trained()
    left = [weakref.ref(one) for one in [*model.layers, *model.variables, *model.optimizer.variables]]
    del model
    assert freed(left)
    assert graphs() <= before


@on_tensorflow
def test_a_graph_that_was_traced_before_still_has_its_gradient():
    import tensorflow as tf

    layer, x = layers.LSTM(UNITS, peephole=True), ops.convert_to_tensor(X)
    alone = tf.function(lambda x: layer(x))
    within = tf.function(lambda x: tf.function(lambda x: layer(x))(x))
    gradients = []
    for function in (layer, alone, within):
        function(x)
        gc.collect()
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        gc.collect()
        gradients.append(numpy(tape.gradient(y, x)))
    np.testing.assert_allclose(gradients[1:], [gradients[0]] * 2, atol=1e-6)
