"""Which code runs a layer."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_rnnlm import layers
from keras_rnnlm.cells import private_keras
from keras_rnnlm.diagnostics import explain_kernel
from keras_rnnlm.layers import fused
from keras_rnnlm.recurrence import backend
from tests.cases import FEATURES, data
from tests.support import BACKEND, largest_relative_difference, loss_of, numpy, value_and_gradients


def test_the_reasons_name_every_obstacle(monkeypatch):
    monkeypatch.setattr(backend, "has_gpu", lambda: False)
    layer = layers.LSTM(4, peephole="io", coupled=False, recurrent_dropout=0.1, activation="relu", use_cudnn=False)
    kernel = explain_kernel(layer, mask=True)
    assert kernel.path == "loop"
    for words in ("no GPU", "peephole", "recurrent_dropout", "other than tanh", "use_cudnn=False", "mask"):
        assert words in str(kernel)


def test_a_plain_layer_goes_to_cudnn_where_there_is_a_gpu(monkeypatch):
    monkeypatch.setattr(backend, "has_gpu", lambda: True)
    for layer in (layers.LSTM(4), keras.layers.Bidirectional(layers.LSTM(4))):
        assert explain_kernel(layer).path == "cudnn"
    assert explain_kernel(layers.GRU(4)).path == ("loop" if BACKEND == "jax" else "cudnn")
    half = explain_kernel(layers.LSTM(4, dtype="mixed_bfloat16"))
    assert half.path == ("cudnn" if BACKEND == "torch" else "loop")
    for layer in (layers.LSTM(4, coupled=True), layers.GRU(4, reset_after=False), layers.SimpleRNN(4)):
        assert explain_kernel(layer).path == "loop"


@pytest.mark.parametrize("here", [False, True])
def test_a_machine_that_is_not_here_is_answered_for(monkeypatch, here):
    monkeypatch.setattr(backend, "has_gpu", lambda: here)
    plain, peephole = layers.LSTM(4), layers.LSTM(4, peephole=True)
    of_processors = "torch" if BACKEND == "torch" else "loop"
    paths = [explain_kernel(plain, platform=platform).path for platform in ("cuda", "cpu", "tpu")]
    assert paths == ["cudnn", of_processors, "loop"]
    assert explain_kernel(peephole, platform="cuda").reasons == ("peephole",)
    assert explain_kernel(peephole, platform="cpu").reasons == (fused.NO_GPU, "peephole")
    with pytest.raises(ValueError, match="one of cpu, cuda, tpu.*platform='rocm'"):
        explain_kernel(plain, platform="rocm")


def test_the_other_paths_have_names():
    assert explain_kernel(layers.LSTM(4, unroll=True)).path == "unrolled"
    assert explain_kernel(layers.LSTM(4, return_trace=True)).path == "autodiff"
    assert explain_kernel(layers.LSTM(4, return_trace=["c"])).path == "loop"
    assert explain_kernel(keras.layers.LSTM(4)).path == "keras"
    with pytest.raises(ValueError, match="recurrent layer"):
        explain_kernel(keras.layers.Dense(4))


@pytest.mark.skipif(BACKEND == "torch" or backend.has_gpu(), reason="here the kernel runs")
def test_a_backend_that_refuses_cudnn_after_all_is_an_error_where_it_was_demanded(monkeypatch):
    monkeypatch.setattr(backend, "has_gpu", lambda: True)
    with pytest.raises(ValueError, match='use_cudnn=True, but the backend refused.*Pass "auto"'):
        layers.LSTM(4, use_cudnn=True)(np.zeros((2, 5, 3), "float32"))


@pytest.mark.parametrize("layer", [layers.LSTM, layers.GRU])
@pytest.mark.parametrize("how", [dict(return_sequences=True), dict(go_backwards=True), dict(dropout=0.5)])
def test_the_fused_path_gives_what_the_loop_gives(monkeypatch, layer, how):
    """Without a GPU Keras's kernel runs on PyTorch; TensorFlow refuses; JAX takes the loop on a processor."""
    runs = BACKEND != "tensorflow" or backend.has_gpu()
    loop = layer(4, return_state=True, use_cudnn=False, **how)
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    wanted = loop(x)
    loop.use_cudnn = "auto"
    monkeypatch.setattr(backend, "has_gpu", lambda: True)
    taken = []
    run = fused.run
    monkeypatch.setattr(fused, "run", lambda *args: taken.append(run(*args)) or taken[-1])
    for got, want in zip(loop(x), wanted, strict=True):
        np.testing.assert_allclose(numpy(got), numpy(want), atol=1e-5)
    has_kernel = not (BACKEND == "jax" and layer is layers.GRU)
    assert [result is not None for result in taken] == [runs] * has_kernel


@pytest.mark.skipif(BACKEND != "torch" or backend.has_gpu(), reason="of PyTorch on processors")
@pytest.mark.parametrize("layer", [layers.LSTM, layers.GRU])
@pytest.mark.parametrize("how", [{}, dict(go_backwards=True), dict(dtype="float64")], ids=str)
def test_pytorchs_kernel_for_processors_gives_what_the_loop_gives(layer, how):
    fast = layer(4, return_sequences=True, return_state=True, **how)
    assert explain_kernel(fast).path == "torch" and explain_kernel(fast, mask=True).path == "loop"
    fast.build((None, None, FEATURES))
    random, (x, states) = np.random.default_rng(0), data(fast)
    arrays = [x, *states, *(random.normal(size=variable.shape) for variable in fast.trainable_variables)]
    results = []
    for use in ("auto", False):
        fast.use_cudnn = use
        assert explain_kernel(fast).path == ("torch" if use else "loop")
        value, gradients = value_and_gradients(loss_of(fast), [a.astype(fast.compute_dtype) for a in arrays])
        results.append([np.array(value), *gradients])
    assert largest_relative_difference(*results) < 1e-5


@pytest.mark.skipif(BACKEND != "torch", reason="only PyTorch has such a kernel")
@pytest.mark.parametrize(
    "how", [dict(remat=True), dict(dtype="mixed_bfloat16"), dict(use_bias=False), dict(peephole=True)]
)
def test_what_pytorchs_kernel_cannot_do_runs_in_the_loop(how):
    assert explain_kernel(layers.LSTM(4, **how)).path == "loop"


def kernel_of_another_machine(sequences, h, c, mask, kernel, *args, return_sequences, **how):
    """In place of cuDNN's: sevens, which depend on what it reads."""
    last = ops.tanh(h + c) * 0 + ops.sum(sequences, axis=(1, 2))[:, None] * 0 + ops.sum(kernel) * 0 + 7
    return last, ops.repeat(last[:, None], sequences.shape[1], axis=1), [last, last]


@pytest.mark.skipif(BACKEND != "jax" or backend.has_gpu(), reason="of JAX on processors")
@pytest.mark.parametrize("how", [{}, dict(return_sequences=True), dict(go_backwards=True)], ids=str)
def test_on_jax_a_program_takes_cudnn_where_it_is_lowered_for_cuda(monkeypatch, how):
    import jax

    layer = layers.LSTM(4, return_state=True, **how)
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    layer.build(x.shape)
    fixed, weights = ([v.value for v in group] for group in (layer.non_trainable_variables, layer.trainable_variables))

    def loss(weights, x):
        results = layer.stateless_call(weights, fixed, x)[0]
        return sum((result**2).sum() for result in results), results

    def program():  # traced anew
        return jax.jit(jax.value_and_grad(lambda weights, x: loss(weights, x), (0, 1), has_aux=True))

    wanted = jax.tree.leaves(program()(weights, x))
    monkeypatch.setattr(backend, "has_gpu", lambda: True)
    monkeypatch.setattr(private_keras.kernels, "lstm", kernel_of_another_machine)
    for got, want in zip(jax.tree.leaves(program()(weights, x)), wanted, strict=True):
        np.testing.assert_array_equal(got, want)
    texts = {p: program().trace(weights, x).lower(lowering_platforms=(p,)).as_text() for p in ("cpu", "cuda")}
    assert ["while" in texts[p] for p in ("cpu", "cuda")] == [True, False]
    assert "7.000000e+00" in texts["cuda"] and "7.000000e+00" not in texts["cpu"]
    assert numpy(layer(x)[-1]).max() < 1  # not in a program, and on the processor
    layer.use_cudnn = True
    assert numpy(layer(x)[-1]).tolist() == [[7.0] * 4] * 2
    dropping = layers.LSTM(4, dropout=0.5)
    assert numpy(dropping(x)).max() < 1 and numpy(dropping(x, training=True)).tolist() == [[7.0] * 4] * 2


@pytest.mark.skipif(BACKEND != "jax", reason="only JAX divides batches over devices in one program")
def test_a_program_of_several_devices_takes_the_loop(monkeypatch):
    monkeypatch.setattr(backend, "shards", lambda: 4)
    kernel = explain_kernel(layers.LSTM(4), platform="cuda")
    assert kernel.path == "loop" and "divided over 4 devices" in str(kernel)
    assert explain_kernel(layers.LSTM(4, use_cudnn=True), platform="cuda").path == "cudnn"
