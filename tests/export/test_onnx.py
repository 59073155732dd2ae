"""ONNX: native nodes, small files, and errors that leave nothing behind."""

import logging
import os
import warnings

import keras
import numpy as np
import onnx
import onnxruntime
import pytest

from keras_rnnlm import export, layers
from keras_rnnlm.export import runtime
from keras_rnnlm.export.onnx import count_operators, tracing
from keras_rnnlm.export.runtime import engines
from tests.export import models

NODES = {"lstm": "LSTM", "gru": "GRU", "simple_rnn": "RNN"}
WRITERS = [(export.to_onnx, "m.onnx"), (export.to_litert, "m.tflite"), (export.to_saved_model, "m")]
RECURRENT = {"LSTM", "GRU", "RNN", "Loop", "Scan", "com.microsoft.DynamicQuantizeLSTM"}


def recurrent(operators):
    return {name: count for name, count in operators.items() if name in RECURRENT}


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*becomes a Loop.*")
        yield


# Several cells a model: a conversion takes seconds, and errors add up.
@pytest.mark.parametrize("kind", ["lstm", "gru", "simple_rnn"])
def test_every_layer_is_one_native_node(kind, tmp_path):
    names = [name for name in models.NATIVE if name.startswith(kind)]
    for half in (names[::2], names[1::2]):
        if half:
            made = export.to_onnx(models.stack_of(half), tmp_path / "m.onnx")
            assert recurrent(made.operators) == {NODES[kind]: len(half)}
            assert made.parity.error < 1e-5 and made.parity.state_error < 1e-5


@pytest.mark.parametrize("quantize, share", [("int8", 0.3), ("float16", 0.55)])
@pytest.mark.parametrize(
    "cell, options", [("lstm", {"peephole": True, "coupled": True}), ("gru", {"reset_after": False})]
)
def test_small_files_compute_nearly_the_same(cell, options, quantize, share, tmp_path):
    model = models.language_model(cell, options, units=128, scale=0.1, tied=True, vocabulary=500)
    models.assert_small_and_near(export.to_onnx, tmp_path / "m.onnx", model, quantize, share)


def test_int8_keeps_scales_and_biases_and_an_output_of_zeros_harms_no_other(tmp_path):
    x = keras.Input((None, 8), name="x")
    h = layers.LSTM(64, open_gates="io", return_sequences=True)(x)
    dense = keras.layers.Dense(300)
    model = models.randomized(keras.Model(x, dense(h)), scale=0.1)
    kernel = keras.ops.convert_to_numpy(dense.kernel) * np.linspace(0.1, 2, 300)
    kernel[:, 7] = 0
    dense.kernel.assign(kernel)
    made = export.to_onnx(model, tmp_path / "m.onnx", quantize="int8")
    assert made.parity.error < 0.1
    assert made.quantized == 8 * 256 + 64 * 256 + 64 * 300  # the three matrices, and nothing else


@pytest.mark.parametrize("sizes", [(5, 3), (3, 5), (40, 2)])
def test_inputs_of_several_lengths_are_run_side_by_side(sizes, tmp_path):
    ids = [keras.Input((None,), dtype="int32", name=name) for name in "ab"]
    read = keras.layers.Embedding(models.VOCABULARY, 4)
    ends = [layers.LSTM(3)(read(ids[0])), keras.ops.mean(read(ids[1]), axis=1)]
    model = models.randomized(keras.Model(ids, keras.layers.Concatenate()(ends)))
    export.to_onnx(model, tmp_path / "m.onnx")
    given = [np.random.default_rng(0).integers(0, models.VOCABULARY, (2, size)).astype("int32") for size in sizes]
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    assert [value.shape for value in session.get_inputs()] == [["batch", "a_1"], ["batch", "b_1"]]
    (got,) = session.run(None, dict(zip("ab", given)))
    np.testing.assert_allclose(got, keras.ops.convert_to_numpy(model(given)), atol=1e-5)


def test_open_gates_beside_a_function_without_bounds_become_a_loop(tmp_path):
    x = keras.Input((None, 3), name="x")
    model = models.randomized(keras.Model(x, layers.LSTM(4, open_gates="f", recurrent_activation="relu")(x)))
    with pytest.warns(UserWarning, match="becomes a Loop.*open gates beside relu"):
        export.to_onnx(model, tmp_path / "m.onnx")


def test_a_tied_table_is_in_the_file_once(tmp_path):
    model = models.language_model("gru", units=64, layers=1, tied=True)
    export.to_onnx(model, tmp_path / "m.onnx")
    weights = [w for w in onnx.load(tmp_path / "m.onnx").graph.initializer if np.prod(w.dims) == models.VOCABULARY * 64]
    assert len(weights) == 1


def test_inputs_outputs_and_their_free_sizes_have_names(tmp_path):
    export.to_onnx(models.language_model(layers=1, units=4), tmp_path / "m.onnx", opset=21)
    proto = onnx.load(tmp_path / "m.onnx")

    def told(values):
        return {v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}

    states = {"layer_0_h": ["batch", 4], "layer_0_c": ["batch", 4]}
    assert told(proto.graph.input) == {"tokens": ["batch", "time"], **states}
    assert told(proto.graph.output) == {
        "logits": ["batch", "time", models.VOCABULARY],
        **{f"{name}_out": shape for name, shape in states.items()},
    }
    assert [opset.version for opset in proto.opset_import if opset.domain == ""] == [21]


@pytest.mark.parametrize("quantize", [None, "int8"])
def test_what_no_operator_expresses_becomes_a_loop_aloud(quantize, tmp_path):
    model = models.language_model("lstm", {"peephole": True, "peephole_kind": "full"}, layers=1, units=20)
    with pytest.warns(UserWarning, match="'lstm_0' becomes a Loop.*full peepholes"):
        made = export.to_onnx(model, tmp_path / "m.onnx", quantize=quantize)
    assert recurrent(made.operators) == {"Loop": 1}


def test_a_tagger_with_right_padding_has_a_node_for_each_direction(tmp_path):
    model = models.tagger()
    made = export.to_onnx(model, tmp_path / "m.onnx", padding="right")
    assert recurrent(made.operators) == {"LSTM": 4}
    # A row of padding only, too: the runtime alone would return zeros for its states.
    words = np.array([[3, 4, 5, 0, 0], [0, 0, 0, 0, 0], [7, 8, 9, 10, 11]], "int32")
    (got,) = onnxruntime.InferenceSession(tmp_path / "m.onnx").run(None, {"words": words})
    np.testing.assert_allclose(got, keras.ops.convert_to_numpy(model(words)), atol=1e-5)


def test_any_mask_makes_loops_aloud(tmp_path):
    with pytest.warns(UserWarning, match='becomes a Loop.*a mask; .*padding="right"'):
        made = export.to_onnx(models.tagger(), tmp_path / "m.onnx")
    assert recurrent(made.operators) == {"Loop": 4}


@pytest.mark.parametrize("padding, masked", [(None, "some"), ("right", "ends")])
def test_what_is_compared_has_masked_steps(padding, masked, tmp_path, monkeypatch):
    """So a file that did not read a mask, or not where it stands, would not be like the model."""
    seen, run = [], engines.Onnx.run
    monkeypatch.setattr(engines.Onnx, "run", lambda self, given: seen.append(given["series"]) or run(self, given))
    series = keras.Input((None, 2), name="series")
    x = layers.LSTM(4, peephole=True)(keras.layers.Masking(-1.0)(series))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*becomes a Loop.*")
        made = export.to_onnx(keras.Model(series, x), tmp_path / "m.onnx", padding=padding)
    hidden = (seen[0] == -1).all(axis=-1)
    assert made.parity.error < 1e-5 and not hidden[0].any()
    if masked == "ends":
        assert hidden.any() and (hidden[:, 1:] >= hidden[:, :-1]).all()
    else:
        assert hidden[1:].sum(axis=1).tolist() == [1, 1]


def test_arrays_of_a_model_of_ones_own_are_taken_in_its_types(tmp_path):
    made = export.to_onnx(models.regressor(), tmp_path / "m.onnx")
    assert str(made) == f"{made.path}: onnx, float32, {made.bytes:,} bytes, error {made.parity.error:.1e}, 1 GRU"
    loaded = runtime.load(tmp_path / "m.onnx")
    given = {tensor["name"]: np.ones([size or 3 for size in tensor["shape"]]) for tensor in loaded.about["inputs"]}
    (found,) = loaded.run(given).values()  # float64
    (wanted,) = loaded.run({name: value.astype("int32") for name, value in given.items()}).values()
    np.testing.assert_array_equal(found, wanted)
    with pytest.raises(ValueError, match="Received beside: other"):
        loaded.run({**given, "other": 1})
    with pytest.raises(ValueError, match="'series' is of float32. Received: complex128"):
        loaded.run({**given, "series": given["series"] * 1j})
    assert repr(loaded).startswith("<ExportedModel, onnx: ") and "series float32 (" in repr(loaded)


@pytest.mark.parametrize("return_sequences", [True, False])
def test_states_of_padded_rows_are_those_of_their_last_step(return_sequences, tmp_path):
    words = keras.Input((None,), dtype="int32", name="words")
    x = keras.layers.Embedding(models.VOCABULARY, 5, mask_zero=True)(words)
    x, h, c = layers.LSTM(4, peephole=True, return_sequences=return_sequences, return_state=True)(x)
    model = models.randomized(keras.Model(words, {"x": x, "h": h, "c": c}))
    made = export.to_onnx(model, tmp_path / "m.onnx", padding="right")
    assert recurrent(made.operators) == {"LSTM": 1}


@pytest.mark.parametrize("make", [models.oddly_named, models.subclassed])
@pytest.mark.parametrize("write, file", WRITERS)
def test_models_of_any_form_in_every_format(make, write, file, tmp_path):
    assert write(make(), tmp_path / file).parity.error < 1e-5


def test_a_model_that_was_never_called_is_told(tmp_path):
    with pytest.raises(ValueError, match="no weights yet"):
        export.to_onnx(models.Written(), tmp_path / "m.onnx")


def test_a_functional_model_of_any_form(tmp_path):
    made = export.to_onnx(models.regressor(), tmp_path / "m.onnx")
    assert recurrent(made.operators) == {"GRU": 1}
    inputs = {value.name for value in onnx.load(tmp_path / "m.onnx").graph.input}
    assert inputs == {"series", "extra"}


def test_keras_itself_exports_native_nodes(tmp_path):
    model = models.regressor()
    rng = np.random.default_rng(0)
    inputs = {"series": rng.normal(size=(3, 12, 3)), "extra": rng.normal(size=(3, 2))}
    inputs = {name: value.astype("float32") for name, value in inputs.items()}
    wanted = keras.ops.convert_to_numpy(model(list(inputs.values())))  # Keras exports what was called
    model.export(tmp_path / "m.onnx", format="onnx", verbose=False, opset_version=18)
    assert recurrent(count_operators(onnx.load(tmp_path / "m.onnx"))) == {"GRU": 1}
    (got,) = onnxruntime.InferenceSession(tmp_path / "m.onnx").run(None, inputs)
    assert np.ptp(wanted) > 0.01
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_half_precision_is_exported_in_float32(tmp_path):
    model = models.language_model("gru", layers=1, dtype="mixed_bfloat16")
    made = export.to_onnx(model, tmp_path / "m.onnx")
    assert made.parity.error < 1e-5


def test_what_a_layer_adapted_to_goes_along_from_half_precision(tmp_path):
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32") * 3 + 7
    normalization = keras.layers.Normalization(dtype="mixed_bfloat16")
    normalization.adapt(x)
    series = keras.Input((5, 3), name="series")
    hidden = layers.LSTM(4, dtype="mixed_bfloat16")(normalization(series))
    model = keras.Model(series, keras.layers.Dense(2, dtype="mixed_bfloat16")(hidden))
    export.to_onnx(model, tmp_path / "m.onnx")
    (tmp_path / "manifest.json").write_text('{"name": "a web page", "icons": []}')  # of another program
    loaded = runtime.load(tmp_path / "m.onnx")
    (got,) = loaded.run({"series": x}).values()
    with pytest.raises(ValueError, match="'series' is empty: there is nothing to compute"):
        loaded.run({"series": x[:, :0]})
    np.testing.assert_allclose(got, keras.ops.convert_to_numpy(keras.ops.cast(model(x), "float32")), atol=0.03)


def test_a_model_that_takes_no_short_sequences_is_compared_on_longer_ones(tmp_path):
    x = keras.Input((None, 3))
    model = keras.Model(x, layers.LSTM(4)(keras.layers.Conv1D(5, 9, strides=2)(x)))
    assert export.to_onnx(model, tmp_path / "m.onnx").parity.error < 1e-5


def test_a_mask_that_comes_in_has_no_holes_where_that_is_promised(tmp_path):
    x, mask = keras.Input((None, 3)), keras.Input((None,), dtype="bool")
    model = keras.Model([x, mask], layers.LSTM(4)(x, mask=mask))
    made = export.to_onnx(model, tmp_path / "m.onnx", padding="right")
    assert recurrent(made.operators) == {"LSTM": 1}


class Negated(layers.LSTM.cell_class):
    """Equations of its own."""

    def step(self, dot, x, states, p):
        h, c = super().step(dot, x, states, p)
        return -h, c


class NegatedLayer(layers.LSTM):
    cell_class = Negated


def test_a_cell_with_equations_of_its_own_is_not_taken_for_its_parent(tmp_path):
    inputs = keras.Input((None, 3), name="x")
    model = models.randomized(keras.Model(inputs, NegatedLayer(4)(inputs)))
    with pytest.warns(UserWarning, match="no operator for Negated"):
        made = export.to_onnx(model, tmp_path / "m.onnx")
    assert recurrent(made.operators) == {"Loop": 1}


def test_a_broken_handler_is_an_error_and_leaves_nothing(tmp_path, monkeypatch):
    def broken(*arguments):
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr(tracing, "write_operator", broken)
    with pytest.raises(ValueError, match="broken on purpose"):
        export.to_onnx(models.language_model("gru", layers=1), tmp_path / "m.onnx")
    assert os.listdir(tmp_path) == []
    assert not logging.getLogger("tf2onnx").handlers


def test_a_handler_that_swaps_gates_is_found_out(tmp_path, monkeypatch):
    from keras_rnnlm.export.onnx import operators

    def swapped(cell):
        found = operators._lstm(cell)
        found.tensors["W"] = np.roll(found.tensors["W"], cell.units, axis=0)
        return found

    monkeypatch.setitem(operators.WRITERS, layers.LSTM.cell_class, swapped)
    with pytest.raises(ValueError, match="does not compute what the model does: its outputs are off"):
        export.to_onnx(models.language_model(layers=1), tmp_path / "m.onnx")
    assert os.listdir(tmp_path) == []


class Foreign(keras.layers.Layer):
    """Something that ONNX has no operator for."""

    def call(self, x):
        import tensorflow as tf

        return tf.math.betainc(tf.sigmoid(x), tf.sigmoid(x), tf.sigmoid(x))


def test_an_unsupported_layer_is_an_error_and_leaves_nothing(tmp_path):
    inputs = keras.Input((None, 3), name="x")
    model = keras.Model(inputs, Foreign()(layers.GRU(4)(inputs)))
    for write, file in ((export.to_onnx, "m.onnx"), (export.to_litert, "m.tflite")):
        with pytest.raises(ValueError, match="Betainc|betainc"):
            write(model, tmp_path / file)
    assert os.listdir(tmp_path) == []


def test_what_stood_there_stays_when_an_export_fails(tmp_path):
    (tmp_path / "m.onnx").write_text("before")
    with pytest.raises(ValueError, match="off by"):
        export.to_onnx(models.language_model(layers=1), tmp_path / "m.onnx", tolerance=1e-12)
    assert (tmp_path / "m.onnx").read_text() == "before" and len(os.listdir(tmp_path)) == 1


@pytest.mark.parametrize(
    "file, options, message",
    [
        ("m.tflite", {}, "ends in .onnx"),
        ("m.onnx", {"opset": 15}, "at least 18"),
        ("m.onnx", {"quantize": "int4"}, "'int8', 'float16' or None"),
        ("m.onnx", {"padding": "left"}, '"right" or None'),
        ("no/such/m.onnx", {}, "no folder"),
    ],
)
def test_wrong_arguments_are_told(file, options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        export.to_onnx(models.language_model("gru", layers=1), tmp_path / file, **options)


@pytest.mark.parametrize("library", [layers, keras.layers])
def test_stateful_layers_are_refused(library, tmp_path):
    inputs = keras.Input((None, 3), batch_size=2, name="x")
    model = keras.Model(inputs, library.GRU(4, stateful=True)(inputs))
    for write, file in WRITERS:
        with pytest.raises(ValueError, match="^'gru.*' is stateful"):
            write(model, tmp_path / file)


def test_keras_itself_exports_no_stateful_layer(tmp_path):
    inputs = keras.Input((None, 3), batch_size=2, name="x")
    model = keras.Model(inputs, layers.GRU(4, stateful=True)(inputs))
    model(np.zeros((2, 5, 3), "float32"))
    with pytest.raises(ValueError, match="stateful"):
        model.export(tmp_path / "m.onnx", format="onnx", verbose=False)
