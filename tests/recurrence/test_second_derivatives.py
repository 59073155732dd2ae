"""The gradients have gradients, too: penalties of the gradient, nested tapes, Hessians and Jacobians."""

import os

import numpy as np
import pytest
from keras import ops

from keras_rnnlm import layers, models, recurrence
from keras_rnnlm.heads.cross_entropy import linear_cross_entropy
from tests.cases import EACH, MASK, build, data
from tests.support import BACKEND, largest_relative_difference, loss_of, numpy, on_tensorflow

# TensorFlow and JAX take seconds where PyTorch takes a tenth of one: there each mechanism of the engine once.
SOME = ("lstm-peephole-ifo", "gru-before")
ALL = BACKEND == "torch" or os.environ.get("KERAS_RNNLM_ALL_SECOND_DERIVATIVES")
DTYPE, BOUND = ("float64", 1e-9) if BACKEND == "tensorflow" else ("float32", 1e-4)


def penalty_and_gradients(f, arrays, jit=False, eager=False):
    """The sum of the squares of the gradients of `f(list of tensors)`, and its own gradients."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        def run(*tensors):
            with tf.GradientTape() as outer:
                outer.watch(tensors)
                with tf.GradientTape() as inner:
                    inner.watch(tensors)
                    value = f(list(tensors))
                gradients = inner.gradient(value, tensors, unconnected_gradients="zero")
                gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]  # of an embedding, its rows
                penalty = tf.add_n([tf.reduce_sum(gradient**2) for gradient in gradients])
            return penalty, outer.gradient(penalty, tensors, unconnected_gradients="zero")

        run = run if eager else tf.function(run, autograph=False, jit_compile=jit)
        penalty, gradients = run(*map(tf.constant, arrays))
        return float(penalty), [numpy(gradient) for gradient in gradients]
    if BACKEND == "jax":
        import jax

        which = tuple(range(len(arrays)))

        def penalty_of(*tensors):
            gradients = jax.grad(lambda *tensors: f(list(tensors)), argnums=which)(*tensors)
            return sum(ops.sum(gradient**2) for gradient in gradients)

        run = jax.value_and_grad(penalty_of, argnums=which)
        penalty, gradients = (jax.jit(run) if jit else run)(*map(ops.convert_to_tensor, arrays))
        return float(penalty), [numpy(gradient) for gradient in gradients]
    import torch

    tensors = [ops.convert_to_tensor(array).clone().requires_grad_() for array in arrays]
    gradients = torch.autograd.grad(f(tensors), tensors, create_graph=True, allow_unused=True)
    penalty = sum(torch.sum(gradient**2) for gradient in gradients if gradient is not None)
    gradients = torch.autograd.grad(penalty, tensors, allow_unused=True)
    return float(penalty.detach()), [np.zeros_like(a) if g is None else numpy(g) for a, g in zip(arrays, gradients)]


def arrays_of(layer, weights, dtype=DTYPE):
    x, states = data(layer)
    return [array.astype(dtype) for array in (x, *states, *weights.values())]


def by_plain_autodiff(f, *args, **kwargs):
    token = recurrence.plain_autodiff.set(True)
    try:
        return f(*args, **kwargs)
    finally:
        recurrence.plain_autodiff.reset(token)


@pytest.mark.parametrize("case", [case for case in EACH if ALL or case.name in SOME], ids=str)
def test_the_second_derivative_equals_that_of_plain_autodiff(case):
    layer, weights = build(case, dtype=DTYPE, return_sequences=True, return_state=True)
    arrays, loss = arrays_of(layer, weights), loss_of(layer, MASK)
    penalty, gradients = penalty_and_gradients(loss, arrays)
    wanted_penalty, wanted = by_plain_autodiff(penalty_and_gradients, loss, arrays)
    assert penalty == pytest.approx(wanted_penalty, rel=BOUND)
    assert largest_relative_difference(gradients, wanted) < BOUND
    assert gradients[0].any()


@pytest.mark.parametrize("how", ["eager", pytest.param("jit", marks=pytest.mark.long), "remat", "unroll"])
def test_the_second_derivative_is_the_same_however_the_loop_runs(how):
    if how == "eager" and BACKEND != "tensorflow":
        pytest.skip("the other backends run so by default")
    case = next(case for case in EACH if case.name == "lstm-peephole-ifo")
    options = {how: True} if how in ("remat", "unroll") else {}
    layer, weights = build(case, dtype=DTYPE, **options)
    arrays, loss = arrays_of(layer, weights), loss_of(layer)
    got = penalty_and_gradients(loss, arrays, jit=how == "jit", eager=how == "eager")
    wanted = by_plain_autodiff(penalty_and_gradients, loss, arrays)
    assert got[0] == pytest.approx(wanted[0], rel=BOUND)
    assert largest_relative_difference(got[1], wanted[1]) < BOUND


@pytest.mark.parametrize("chunk", [None, 8])
def test_the_second_derivative_of_the_chunked_loss_is_that_of_the_softmax(chunk):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape).astype(DTYPE) for shape in ((23, 3), (11, 3), (11,))]
    targets, weights = rng.integers(0, 11, 23).astype("int32"), rng.random(23).astype("float32")

    def chunked(tensors):
        given = map(ops.convert_to_tensor, (targets, weights))
        return linear_cross_entropy(*[ops.cast(tensor, "float32") for tensor in tensors], *given, chunk=chunk)[0]

    def plain(tensors):
        hidden, kernel, bias = [ops.cast(tensor, "float32") for tensor in tensors]
        logs = ops.log_softmax(ops.matmul(hidden, ops.transpose(kernel)) + bias)
        chosen = ops.take_along_axis(logs, ops.convert_to_tensor(targets)[:, None], axis=-1)
        return -ops.sum(chosen[:, 0] * ops.convert_to_tensor(weights))

    penalty, gradients = penalty_and_gradients(chunked, arrays)
    wanted_penalty, wanted = penalty_and_gradients(plain, arrays)
    assert penalty == pytest.approx(wanted_penalty, rel=1e-5)
    assert largest_relative_difference(gradients, wanted) < 1e-4


@pytest.mark.long
def test_a_language_model_s_loss_has_a_second_derivative():
    model = models.LanguageModel(9, units=4, layers=1, cell_options={"peephole": True}, seed=1)
    tokens = np.random.default_rng(0).integers(0, 9, (3, 6)).astype("int32")
    model.compile("sgd")
    model(tokens)
    weights = [numpy(variable) for variable in model.trainable_variables]
    fixed = [variable.value for variable in model.non_trainable_variables]
    targets = ops.convert_to_tensor(np.roll(tokens, -1, axis=1))

    def loss(tensors):
        with model._outputs_for_loss():
            outputs, _ = model.stateless_call(tensors, fixed, ops.convert_to_tensor(tokens))
        return model.head.total_loss(outputs["hidden"], targets, ops.ones((3, 6)))[0]

    penalty, gradients = penalty_and_gradients(loss, weights)
    # Half a step to either side, along the gradient itself: what the penalty gains is its square.
    length = np.sqrt(sum(np.sum(gradient.astype("float64") ** 2) for gradient in gradients))
    half = 2e-3
    sides = [
        penalty_and_gradients(loss, [w + side * half * g / length for w, g in zip(weights, gradients)])[0]
        for side in (1, -1)
    ]
    assert (sides[0] - sides[1]) / (2 * half) == pytest.approx(length, rel=1e-2)
    assert penalty > 0


@on_tensorflow
@pytest.mark.parametrize("graph", [False, True], ids=["jacobian-eager", "hessian-in-a-graph"])
@pytest.mark.long
def test_nested_tapes_and_jacobians_work_around_a_layer(graph):
    import tensorflow as tf

    layer = layers.SimpleRNN(2)
    x = tf.constant(np.random.default_rng(0).normal(size=(2, 3, 2)).astype("float32"))
    layer(x)

    def jacobian():
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        return tape.batch_jacobian(y, x)

    def hessian():
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = tf.reduce_sum(layer(x) ** 2)
            gradient = inner.gradient(y, x)
        return outer.jacobian(gradient, x)

    got = tf.function(hessian, autograph=False)() if graph else jacobian()
    wanted = by_plain_autodiff(tf.function(lambda: (hessian if graph else jacobian)(), autograph=False))
    np.testing.assert_allclose(numpy(got), numpy(wanted), atol=1e-6)


@pytest.mark.skipif(BACKEND != "jax", reason="of JAX alone")
def test_hessians_of_either_mode_agree():
    import jax

    layer = layers.LSTM(3, peephole=True)
    x = ops.convert_to_tensor(np.random.default_rng(0).normal(size=(2, 4, 2)).astype("float32"))
    layer(x)
    weights, fixed = ([v.value for v in vs] for vs in (layer.trainable_variables, layer.non_trainable_variables))

    def loss(x):
        return ops.sum(layer.stateless_call(weights, fixed, x)[0] ** 2)

    by_reverse = jax.jacrev(jax.grad(loss))(x)
    np.testing.assert_allclose(numpy(jax.hessian(loss)(x)), numpy(by_reverse), atol=1e-6)
    np.testing.assert_allclose(numpy(by_reverse), numpy(by_plain_autodiff(jax.hessian(loss), x)), atol=1e-5)
