"""LiteRT: builtin operators, two signatures, the same numbers."""

import os

import keras
import numpy as np
import pytest
from ai_edge_litert.compiled_model import CompiledModel

from keras_rnnlm import export
from keras_rnnlm.export import litert_file
from tests.export import models

LSTMS = [name for name in models.NATIVE if name.startswith("lstm")]
OTHERS = [name for name in models.NATIVE if not name.startswith("lstm")]


@pytest.mark.parametrize("names", [LSTMS[::2], LSTMS[1::2], OTHERS], ids=["lstms", "more lstms", "others"])
def test_whole_sequences_and_steps_are_the_models(names, tmp_path):
    made = export.to_litert(models.stack_of(names), tmp_path / "m.tflite")
    assert made.parity.error < 1e-5 and made.parity.state_error < 1e-5
    assert not [operator for operator in made.operators if operator.startswith(("FLEX", "CUSTOM"))]
    assert made.operators["WHILE"] == len(names)  # in `score`; a step has no loop


def test_cells_without_an_operator_anywhere_are_exported_too(tmp_path):
    options = {"peephole": True, "peephole_kind": "full", "gate_recurrence": True}
    made = export.to_litert(models.language_model("lstm", options, layers=1), tmp_path / "m.tflite")
    assert made.parity.error < 1e-5


@pytest.mark.parametrize("quantize, share, tied", [("int8", 0.3, False), ("int8", 0.3, True), ("float16", 0.55, True)])
@pytest.mark.long
def test_small_files_compute_nearly_the_same(quantize, share, tied, tmp_path):
    options = {"peephole": True, "coupled": True}
    model = models.language_model("lstm", options, units=200, scale=0.08, tied=tied, vocabulary=500)
    models.assert_small_and_near(export.to_litert, tmp_path / "m.tflite", model, quantize, share)


@pytest.mark.parametrize("make", [models.tagger, models.regressor])
def test_any_model(make, tmp_path):
    made = export.to_litert(make(), tmp_path / "m.tflite")
    assert made.parity.error < 1e-5


def test_a_step_runs_in_the_compiled_model(tmp_path):
    model = models.language_model("gru", layers=1, units=8)
    export.to_litert(model, tmp_path / "m.tflite")
    compiled = CompiledModel.from_file(str(tmp_path / "m.tflite"))
    signature = compiled.get_signature_list()["step"]
    index = compiled.get_signature_index("step")
    given = {"tokens": np.array([4], "int32"), "layer_0_h": np.full((1, 8), 0.1, "float32")}
    inputs, outputs = compiled.create_input_buffers(index), compiled.create_output_buffers(index)
    for name, buffer in zip(signature["inputs"], inputs):
        buffer.write(given[name])
    compiled.run_by_index(index, inputs, outputs)
    logits, states = model.step(given["tokens"], [given["layer_0_h"]])
    wanted = {"logits": keras.ops.convert_to_numpy(logits), "layer_0_h_out": keras.ops.convert_to_numpy(states[0])}
    for name, buffer in zip(signature["outputs"], outputs):
        got = np.array(buffer.read(wanted[name].size, np.float32))
        np.testing.assert_allclose(got, wanted[name].ravel(), atol=1e-5)


def test_a_damaged_operator_is_one_line(tmp_path):
    export.to_litert(models.language_model("gru", layers=1, units=8), tmp_path / "m.tflite")
    file = litert_file.read((tmp_path / "m.tflite").read_bytes())
    for graph in file.subgraphs:
        product = next((o for o in graph.operators if len(o.inputs) == 3), graph.operators[0])
        product.inputs = product.inputs[:1]
    (tmp_path / "m.tflite").write_bytes(litert_file.pack(file))
    with pytest.raises(ValueError, match="m.tflite is damaged") as error:
        loaded = export.runtime.load(tmp_path / "m.tflite")
        loaded.step([1], loaded.initial_states())
    assert "\n" not in str(error.value)


def test_a_wrong_name_is_told(tmp_path):
    with pytest.raises(ValueError, match="ends in .tflite"):
        export.to_litert(models.language_model("gru", layers=1), tmp_path / "m.onnx")
    assert os.listdir(tmp_path) == []
