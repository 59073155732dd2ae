"""What Keras's own exporters make of our layers."""

import keras
import numpy as np
import pytest

from keras_rnnlm import layers
from tests.support import BACKEND, numpy


@pytest.mark.skipif(BACKEND != "tensorflow", reason="Keras's SavedModel of the other backends needs TensorFlow, too")
@pytest.mark.parametrize("layer", [layers.LSTM, layers.GRU, layers.SimpleRNN])
def test_a_saved_model_gives_the_same_outputs(layer, tmp_path):
    import tensorflow as tf

    model = keras.Sequential([keras.Input((None, 3)), layer(4, return_sequences=True), layer(4)])
    x = np.random.default_rng(0).normal(size=(2, 7, 3)).astype("float32")
    wanted = numpy(model(x))
    model.export(tmp_path / "saved", format="tf_saved_model", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "saved")
    np.testing.assert_allclose(numpy(loaded.serve(x)), wanted, atol=1e-6)
