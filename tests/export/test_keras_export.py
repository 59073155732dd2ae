"""What the exporters of Keras and tf2onnx make of our layers, without a call of ours."""

import collections
import functools
import os

import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf
import tf2onnx
from ai_edge_litert.interpreter import Interpreter
from onnxruntime import InferenceSession

from keras_rnnlm import export, layers
from keras_rnnlm.export.litert import count_operators
from tests.export.models import language_model, randomized
from tests.support import numpy

X = np.random.default_rng(0).normal(size=(2, 7, 3)).astype("float32")


@functools.cache
def functional():
    series = keras.Input((None, 3), name="series")
    x = keras.layers.Bidirectional(layers.LSTM(4, peephole=True, return_sequences=True))(series)
    return randomized(keras.Model(series, keras.layers.Dense(2, name="value")(layers.GRU(4, remat=True)(x))))


@functools.cache
def sequential():
    recurrent = layers.LSTM(4, coupled=True, return_sequences=True), layers.MinimalGatedUnit(4), layers.SimpleRNN(3)
    recurrent[1].return_sequences = True
    return randomized(keras.Sequential([keras.Input((None, 3)), *recurrent]))


@functools.cache
def wanted(make):
    return numpy(make()(X))


def by_onnx(path, x=X):
    session = InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {session.get_inputs()[0].name: x})
    return output


def nodes(path):
    return collections.Counter(node.op_type for node in onnx.load(path).graph.node)


@pytest.mark.parametrize("layer", [layers.LSTM, layers.GRU, layers.SimpleRNN])
def test_a_saved_model_gives_the_same_outputs(layer, tmp_path):
    model = keras.Sequential([keras.Input((None, 3)), layer(4, return_sequences=True), layer(4)])
    wanted = numpy(model(X))
    model.export(tmp_path / "saved", format="tf_saved_model", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "saved")
    np.testing.assert_allclose(numpy(loaded.serve(X)), wanted, atol=1e-6)


@pytest.mark.parametrize("make, found", [(functional, {"LSTM": 2, "GRU": 1}), (sequential, {"LSTM": 1, "RNN": 1})])
def test_tf2onnx_writes_native_nodes_of_a_keras_model(make, found, tmp_path, recwarn):
    model, path = make(), tmp_path / "m.onnx"
    tf2onnx.convert.from_keras(model, output_path=str(path))
    assert {kind: nodes(path)[kind] for kind in found} == found
    np.testing.assert_allclose(by_onnx(path), wanted(make), atol=1e-6)


def test_tf2onnx_writes_native_nodes_of_a_function(tmp_path):
    model, path = functional(), tmp_path / "m.onnx"
    signature = [tf.TensorSpec((None, None, 3), tf.float32, name="series")]
    tf2onnx.convert.from_function(tf.function(model.call), signature, output_path=str(path))
    assert nodes(path)["LSTM"] == 2
    np.testing.assert_allclose(by_onnx(path), wanted(functional), atol=1e-6)


def test_tf2onnx_takes_a_language_model(tmp_path):
    model, path = language_model("gru", layers=1, units=4), tmp_path / "m.onnx"
    tf2onnx.convert.from_keras(model, output_path=str(path))
    tokens = np.array([[1, 2, 3]], "int32")
    np.testing.assert_allclose(by_onnx(path, tokens), numpy(model(tokens)), atol=1e-5)


def test_a_function_that_was_traced_before_names_the_way_out(tmp_path):
    model, path = keras.Sequential([keras.Input((None, 3)), layers.LSTM(4)]), tmp_path / "m.onnx"
    function = tf.function(model.call, input_signature=[tf.TensorSpec((None, None, 3), tf.float32)])
    function.get_concrete_function()
    with pytest.raises(ValueError, match=r"keras_rnnlm.export.to_onnx\(model, path\)"):
        tf2onnx.convert.from_function(function, function.input_signature, output_path=str(path))
    assert not path.exists()


def by_keras(model, folder):
    model.export(folder, format="tf_saved_model", verbose=False)


def by_tensorflow(model, folder):
    model.predict(X, verbose=0)  # whatever was traced before
    tf.saved_model.save(model, str(folder))


@pytest.mark.parametrize(
    "write",
    [by_keras, *(pytest.param(write, marks=pytest.mark.long) for write in (by_tensorflow, export.to_saved_model))],
)
def test_the_command_line_of_tf2onnx_converts_any_saved_model(write, tmp_path, monkeypatch):
    write(functional(), tmp_path / "m")
    assert b"_XlaMustCompile" not in (tmp_path / "m" / "saved_model.pb").read_bytes().replace(
        b"_XlaMustCompile\x12\x02(\x00",
        b"",  # said to be False
    )
    # It knows nothing of our layers: what it calls is none of the functions that were taught them.
    command = ["tf2onnx", "--saved-model", str(tmp_path / "m"), "--output", str(tmp_path / "m.onnx")]
    monkeypatch.setattr("sys.argv", command)
    # It sets this, for itself and for every process that is begun later.
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", os.environ["TF_CPP_MIN_LOG_LEVEL"])
    tf2onnx.convert.main()
    np.testing.assert_allclose(by_onnx(tmp_path / "m.onnx"), wanted(functional), atol=1e-6)


@pytest.mark.parametrize("make", [functional, sequential])
def test_keras_writes_litert_of_builtin_operators(make, tmp_path):
    pytest.importorskip("keras.src.export.litert", reason="Keras has it since 3.13")
    model, path = make(), tmp_path / "m.tflite"
    model.export(path, format="litert", verbose=False)
    assert not [name for name in count_operators(path.read_bytes()) if name.startswith(("FLEX", "CUSTOM"))]
    run = Interpreter(str(path)).get_signature_runner()
    (output,) = run(**{name: X for name in run.get_input_details()}).values()
    np.testing.assert_allclose(output, wanted(make), atol=1e-6)


@pytest.fixture(scope="module")
def fitted():
    """A model that was trained and has predicted, but that nobody has called."""
    model = language_model("gru", layers=1, units=4)
    model.compile("adam")
    tokens = np.arange(12).reshape(2, 6)
    model.fit(tokens, tokens + 1, verbose=0)
    model.predict(tokens, verbose=0)
    return model


@pytest.mark.parametrize(
    "format, name, options",
    [("tf_saved_model", "m", {}), ("onnx", "m.onnx", {"opset_version": 18}), ("litert", "m.tflite", {})],
)
def test_a_language_model_exports_itself_with_its_states(fitted, format, name, options, tmp_path, capsys):
    fitted.export(tmp_path / name, format=format, **options)
    assert capsys.readouterr().out == f"Saved artifact at '{tmp_path / name}'.\n"
    loaded = export.runtime.load(tmp_path / name)
    assert loaded.generate([[1, 2, 3]], 8, seed=1) == fitted.generate([[1, 2, 3]], 8, seed=1)


def test_a_language_model_is_exported_by_a_signature_of_ones_own(fitted, tmp_path):
    path = tmp_path / "m.onnx"
    fitted.export(path, "onnx", verbose=False, input_signature=[keras.InputSpec("int32", (1, 5), name="tokens")])
    tokens = np.array([[1, 2, 3, 4, 5]], "int32")
    np.testing.assert_allclose(by_onnx(path, tokens), numpy(fitted(tokens)), atol=1e-5)


def test_an_option_that_no_exporter_has_is_told(fitted, tmp_path):
    with pytest.raises(
        ValueError, match="with the options quantize, tokens, samples, tolerance. Received: optimizations"
    ):
        fitted.export(tmp_path / "m.tflite", "litert", optimizations=[])
