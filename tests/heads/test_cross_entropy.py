"""The loss of a large vocabulary, a chunk of the logits at a time, and the layer that has it."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_rnnlm.heads import VocabularyLogits, cross_entropy
from keras_rnnlm.heads.cross_entropy import linear_cross_entropy
from tests.support import BACKEND, largest_relative_difference, numpy, value_and_gradients

VOCABULARY, FEATURES = 50, 3


def data(rows, seed=0, vocabulary=VOCABULARY):
    """`[hidden, kernel, bias]`, targets and weights, some of them 0."""
    rng = np.random.default_rng(seed)
    shapes = (rows, FEATURES), (vocabulary, FEATURES), (vocabulary,)
    arrays = [rng.normal(size=shape).astype("float32") for shape in shapes]
    weights = rng.random(rows).astype("float32") * (rng.random(rows) < 0.7)
    return arrays, rng.integers(0, vocabulary, rows).astype("int32"), weights


def total_of(targets, weights, dtype="float32", **how):
    def total(tensors):
        hidden, kernel, *bias = [ops.cast(tensor, dtype) for tensor in tensors]
        return linear_cross_entropy(
            hidden, kernel, *(bias or [None]), *map(ops.convert_to_tensor, (targets, weights)), **how
        )[0]

    return total


def plain(targets, weights):
    """The same by softmax and the backend's own gradient."""

    def total(tensors):
        hidden, kernel, *bias = tensors
        logits = ops.matmul(hidden, ops.transpose(kernel)) + (bias[0] if bias else 0.0)
        chosen = ops.take_along_axis(ops.log_softmax(logits), ops.convert_to_tensor(targets)[:, None], axis=-1)
        return -ops.sum(chosen[:, 0] * ops.convert_to_tensor(weights))

    return total


def agree(got, wanted, bound=1e-5):
    assert got[0] == pytest.approx(wanted[0], rel=bound)
    assert largest_relative_difference(got[1], wanted[1]) < bound


@pytest.mark.parametrize(
    "rows, chunk", [(24, None), (24, 24), (24, 8), (23, 8), (5, 1)], ids=["default", "one", "several", "ragged", "rows"]
)
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no-bias"])
def test_value_and_gradients_are_those_of_softmax(rows, chunk, bias):
    arrays, targets, weights = data(rows)
    arrays = arrays if bias else arrays[:2]
    wanted = value_and_gradients(plain(targets, weights), arrays)
    agree(value_and_gradients(total_of(targets, weights, chunk=chunk), arrays), wanted)


@pytest.mark.parametrize("vocabulary, scale", [(50, 1), (1028, 1), (1031, 1), (1031, 60)])
def test_the_compiled_loss_is_the_same(vocabulary, scale):
    arrays, targets, weights = data(23, vocabulary=vocabulary)
    arrays[0] *= scale  # logits of some hundreds: what is not taken from the largest overflows
    wanted = value_and_gradients(plain(targets, weights), arrays)
    agree(value_and_gradients(total_of(targets, weights, chunk=8), arrays, jit=True), wanted)


def test_the_losses_are_those_of_each_row_and_carry_no_gradient():
    arrays, targets, weights = data(23)

    def of_losses(tensors):
        _, losses = linear_cross_entropy(*tensors, *map(ops.convert_to_tensor, (targets, weights)), chunk=8)
        return ops.sum(losses * losses)

    logits = arrays[0] @ arrays[1].T + arrays[2]
    losses = np.log(np.sum(np.exp(logits), axis=-1)) - logits[np.arange(23), targets]
    value, gradients = value_and_gradients(of_losses, arrays)
    assert value == pytest.approx(np.sum(losses**2), rel=1e-5)
    assert not any(gradient.any() for gradient in gradients)
    tensors = [ops.convert_to_tensor(array) for array in (*arrays, targets)]
    for chunk in (None, 8):
        np.testing.assert_allclose(numpy(cross_entropy.cross_entropy(*tensors, chunk=chunk)), losses, atol=1e-5)


def test_what_the_total_is_multiplied_by_reaches_the_gradients():
    arrays, targets, weights = data(23)
    total = total_of(targets, weights, chunk=8)
    value, gradients = value_and_gradients(total, arrays)
    agree(value_and_gradients(lambda tensors: total(tensors) * -3.0, arrays), (-3 * value, [-3 * g for g in gradients]))


@pytest.mark.parametrize("dtype, bound", [("bfloat16", 2e-2), ("float16", 3e-3)])
def test_half_precision_stays_close_over_many_chunks(dtype, bound):
    arrays, targets, weights = data(600)
    wanted = value_and_gradients(plain(targets, weights), arrays)
    agree(value_and_gradients(total_of(targets, weights, dtype, chunk=2), arrays), wanted, bound)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="only TensorFlow builds graphs of unknown shapes")
@pytest.mark.parametrize("jit", [False, True])
def test_the_number_of_rows_may_be_unknown(jit):
    import tensorflow as tf

    signature = [tf.TensorSpec((None, FEATURES)), *[tf.TensorSpec(s) for s in ((VOCABULARY, FEATURES), (VOCABULARY,))]]
    signature += [tf.TensorSpec((None,), "int32"), tf.TensorSpec((None,))]

    @tf.function(input_signature=signature, autograph=False, jit_compile=jit)
    def run(*tensors):
        with tf.GradientTape() as tape:
            tape.watch(tensors[:3])
            total, losses = linear_cross_entropy(*tensors, chunk=8)
        return total, losses, tape.gradient(total, tensors[:3])

    for rows in (5, 23):
        arrays, targets, weights = data(rows)
        total, losses, gradients = run(*arrays, targets, weights)
        assert losses.shape == (rows,)
        wanted = value_and_gradients(plain(targets, weights), arrays)
        agree((float(total), [g.numpy() for g in gradients]), wanted)


def test_there_are_never_more_logits_than_a_chunk_of_them():
    rows, chunk = 40, 8
    arrays, targets, weights = data(rows)
    assert largest_tensor(plain(targets, weights), arrays) >= rows * VOCABULARY
    assert largest_tensor(total_of(targets, weights, chunk=chunk), arrays) == chunk * VOCABULARY


def largest_tensor(f, arrays):
    """How many numbers the largest tensor holds that is made for `f` and its gradients."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        @tf.function(autograph=False)
        def run(*tensors):
            with tf.GradientTape() as tape:
                tape.watch(tensors)
                value = f(tensors)
            return tape.gradient(value, tensors)

        graph = run.get_concrete_function(*map(tf.constant, arrays)).graph.as_graph_def(add_shapes=True)
        nodes = [*graph.node, *[node for function in graph.library.function for node in function.node_def]]
        shapes = [shape for node in nodes for shape in node.attr["_output_shapes"].list.shape]
        return max(np.prod([dim.size if dim.size >= 0 else np.inf for dim in shape.dim]) for shape in shapes)
    if BACKEND == "jax":
        import jax

        def sizes(jaxpr):
            for equation in jaxpr.eqns:
                yield from (np.prod(variable.aval.shape) for variable in equation.outvars)
                for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda p: hasattr(p, "eqns")):
                    yield from (
                        sizes(inner.jaxpr if hasattr(inner, "jaxpr") else inner) if hasattr(inner, "eqns") else ()
                    )

        return max(sizes(jax.make_jaxpr(jax.grad(lambda *a: f(a), argnums=(0, 1, 2)))(*arrays).jaxpr))
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    class Sizes(TorchDispatchMode):
        largest = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            for tensor in result if isinstance(result, (tuple, list)) else [result]:
                if isinstance(tensor, torch.Tensor):
                    Sizes.largest = max(Sizes.largest, tensor.numel())
            return result

    with Sizes():
        value_and_gradients(f, arrays)
    return Sizes.largest


# The layer


def test_the_layer_s_loss_is_that_of_its_logits(monkeypatch):
    layer = VocabularyLogits(VOCABULARY, bias_initializer="random_normal")
    rng = np.random.default_rng(0)
    features = rng.normal(size=(4, 5, FEATURES)).astype("float32")
    targets = rng.integers(0, VOCABULARY, (4, 5))
    logits = numpy(layer(features))
    np.testing.assert_allclose(logits, features @ numpy(layer.kernel).T + numpy(layer.bias), atol=1e-5)
    losses = np.log(np.sum(np.exp(logits), axis=-1)) - np.take_along_axis(logits, targets[..., None], -1)[..., 0]
    for chunk in (cross_entropy.CHUNK, 3 * VOCABULARY):
        monkeypatch.setattr(cross_entropy, "CHUNK", chunk)
        given = [ops.convert_to_tensor(array) for array in (features, targets.astype("int32"))]
        np.testing.assert_allclose(numpy(layer.losses_of(*given)), losses, atol=1e-5)
        total, again = layer.total_loss(*given, ops.ones((4, 5)))
        np.testing.assert_allclose(numpy(again), losses, atol=1e-5)
        assert float(ops.stop_gradient(total)) == pytest.approx(np.sum(losses), rel=1e-5)


def test_the_layer_saves_and_counts_what_is_its_own(tmp_path):
    for use_bias in (True, False):
        model = keras.Sequential([keras.Input((None, FEATURES)), VocabularyLogits(VOCABULARY, use_bias=use_bias)])
        assert model.count_params() == VOCABULARY * (FEATURES + use_bias)
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        assert loaded.layers[0].get_config() == model.layers[0].get_config()
        x = np.ones((1, 2, FEATURES), "float32")
        np.testing.assert_array_equal(numpy(loaded(x)), numpy(model(x)))


def test_a_tied_layer_reads_the_table_of_the_embedding_and_does_not_own_it():
    embedding = keras.layers.Embedding(VOCABULARY, FEATURES)
    embedding.build((None,))
    layer = VocabularyLogits(VOCABULARY)
    layer.tie(embedding)
    x = np.ones((2, FEATURES), "float32")
    np.testing.assert_allclose(numpy(layer(x)), x @ numpy(embedding.embeddings).T, atol=1e-6)
    assert [weight.name for weight in layer.weights] == ["bias"]


def test_a_table_that_does_not_fit_or_comes_late_is_an_error():
    for wrong in ((VOCABULARY, FEATURES + 1), (VOCABULARY + 1, FEATURES)):
        layer = VocabularyLogits(VOCABULARY)
        layer.tie(keras.layers.Embedding(*wrong))
        with pytest.raises(ValueError, match=rf"table must be .* = \(50, 3\)\. Received: an embedding of \({wrong[0]}"):
            layer.build((None, FEATURES))
    layer = VocabularyLogits(VOCABULARY, name="mine")
    layer.build((None, FEATURES))
    with pytest.raises(ValueError, match="'mine' has a kernel of its own already"):
        layer.tie(keras.layers.Embedding(VOCABULARY, FEATURES))
