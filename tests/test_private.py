"""The private parts of TensorFlow, Keras and JAX that are used: what breaks where a version has them no more."""

import keras
import numpy as np
import pytest

from keras_rnnlm import cells
from keras_rnnlm.cells import private_keras as of_cells
from keras_rnnlm.optimizers import private_keras as of_optimizers
from tests.support import BACKEND, numpy, on_tensorflow
from tests.test_package import python


def built(optimizer, **options):
    variables = [keras.Variable(np.ones(n, "float32"), name=f"v{n}") for n in (2, 3)]
    optimizer = getattr(keras.optimizers, optimizer)(**options)
    optimizer.build(variables)
    return optimizer, variables


def test_an_optimizer_tells_the_order_of_its_variables():
    optimizer, variables = built("SGD")
    assert all(a is b for a, b in zip(of_optimizers.trained_by(optimizer), variables, strict=True))
    assert [of_optimizers.index_of(optimizer, variable) for variable in variables] == [0, 1]


@on_tensorflow
def test_what_is_mapped_is_known_by_its_scope_within_functions_too():
    import tensorflow as tf

    from keras_rnnlm.recurrence import backend

    found = []

    def one(x):
        found.append(backend.is_mapped())
        return x

    tf.vectorized_map(one, tf.ones([3, 2]))
    tf.vectorized_map(tf.function(one), tf.ones([3, 2]))
    tf.function(one)(tf.ones([2]))
    one(tf.ones([2]))
    assert found[:1] + found[-3:] == [True, True, False, False]


def test_accumulators_and_averages_have_the_shapes_of_their_variables():
    optimizer, variables = built("SGD", gradient_accumulation_steps=2)
    assert [tuple(of_optimizers.accumulator_of(optimizer, v).shape) for v in variables] == [(2,), (3,)]
    optimizer, variables = built("Adam", use_ema=True)
    assert [tuple(average.shape) for average in of_optimizers.averages_of(optimizer)] == [(2,), (3,)]


@pytest.mark.skipif(BACKEND == "jax", reason="there new values are computed, and assigned afterwards")
def test_a_step_is_made_by_another_update():
    optimizer, variables = built("SGD", learning_rate=1.0)
    update, seen = of_optimizers.update_of(optimizer), []

    def twice(grads, variables, learning_rate):
        seen.append(len(grads))
        update(grads, variables, learning_rate)
        update(grads, variables, learning_rate)

    ones = [keras.ops.ones(variable.shape) for variable in variables]
    with of_optimizers.updating_by(optimizer, twice):
        optimizer.apply(ones)
    optimizer.apply(ones)
    assert seen == [2]
    assert [float(numpy(variable.value)[0]) for variable in variables] == [-2.0, -2.0]


def test_a_cell_draws_a_mask_that_keras_s_loop_would_draw():
    cell = cells.LSTMCell(2, dropout=0.5, seed=1)
    mask = numpy(of_cells.dropout_mask(cell, keras.ops.ones((4, 50)), 0.5))
    assert set(np.unique(mask)) == {0.0, 2.0}
    assert isinstance(cell, of_cells.DropoutRNNCell)


def test_an_attribute_that_is_no_part_of_a_layer_is_not_tracked():
    class Holder(keras.layers.Layer):
        @of_cells.no_automatic_dependency_tracking
        def hold(self, layer):
            self.held = layer

    holder = Holder()
    holder.hold(keras.layers.Dense(1))
    assert holder._flatten_layers(include_self=False) == []


def test_keras_has_its_fused_kernels_where_they_were():
    assert callable(of_cells.kernels.lstm) and callable(of_cells.kernels.gru)


@on_tensorflow
def test_tensorflow_says_whether_it_records_compiles_or_saves():
    import tensorflow as tf

    from keras_rnnlm.recurrence import private_tensorflow as of_tensorflow

    assert not of_tensorflow.could_possibly_record() and not of_tensorflow.in_save_context()
    with tf.GradientTape():
        assert of_tensorflow.could_possibly_record()
    found = []
    for jit in (False, True):

        @tf.function(jit_compile=jit)
        def look(x):
            found.append(of_tensorflow.is_in_xla(tf.compat.v1.get_default_graph()))
            return x

        look(tf.ones(1))
    assert found[0] is False and bool(found[-1])
    assert isinstance(of_tensorflow.new_graph("g"), tf.Graph)


@on_tensorflow
def test_tensorflow_forgets_a_gradient_that_it_was_given():
    import tensorflow as tf

    from keras_rnnlm.recurrence import private_tensorflow as of_tensorflow

    tf.RegisterGradient("keras_rnnlm_tests")(lambda op, grad: grad)
    assert callable(of_tensorflow.lookup_gradient("keras_rnnlm_tests"))
    of_tensorflow.forget_gradient("keras_rnnlm_tests")
    with pytest.raises(LookupError):
        of_tensorflow.lookup_gradient("keras_rnnlm_tests")


@on_tensorflow
def test_tensorflow_reads_the_graphs_of_a_saved_model(tmp_path):
    import tensorflow as tf

    from keras_rnnlm.export.runtime.private_tensorflow import graphs_of

    module = tf.Module()
    module.f = tf.function(lambda: tf.constant(1), input_signature=[])
    tf.saved_model.save(module, str(tmp_path / "m"))
    (graph,) = graphs_of(tmp_path / "m", tf)
    assert graph.HasField("object_graph_def")


@on_tensorflow
def test_keras_exports_by_the_functions_that_are_taught():
    import importlib

    assert callable(importlib.import_module("keras.src.export.onnx").get_concrete_fn)


def test_jax_keeps_texts_for_processes():
    pytest.importorskip("jax")
    code = """
from keras_rnnlm.training.devices import launcher, private_jax
store = private_jax.join(1, f"127.0.0.1:{launcher.free_port()}", 0)
assert (store.index, store.count) == (0, 1)
assert store.get("a", 0.01) is None
store.put("a/b", "1"), store.put("a/b", "2"), store.put("a/c", "3")
assert store.get("a/b", 1) == "2" and store.under("a") == {"b": "2", "c": "3"}
store.forget("a/b")
assert store.under("a") == {"c": "3"} and store.under("b") == {}
"""
    python(code)
