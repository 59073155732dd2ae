"""Names in their order: tokens, then the states layer by layer; logits, then the states. It is data in each file."""

import json
import os
import pathlib
import shutil

import keras
import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema

from keras_rnnlm import export, layers
from keras_rnnlm.export import litert_file, runtime
from keras_rnnlm.export.interface import interface_of
from keras_rnnlm.export.runtime import description
from tests.export.models import language_model, models, randomized

pytestmark = pytest.mark.filterwarnings("ignore:.*becomes a Loop")

GOLDEN = pathlib.Path(os.environ.get("KERAS_RNNLM_DATA", "nowhere")) / "golden-0.1.0"
FILES = {"onnx": "m.onnx", "litert": "m.tflite", "saved_model": "m"}
WRITERS = {"onnx": export.to_onnx, "litert": export.to_litert, "saved_model": export.to_saved_model}


@pytest.fixture(scope="module")
def model():
    """A layer of each kind whose states are others than h, or h and c, by name or in number."""
    made = [
        layers.GridLSTM(4, depth=2),
        layers.DepthGatedLSTM(4, depth=2),
        layers.LSTM(4, gate_recurrence=True, peephole="o"),
        layers.ClockworkRNN(4, periods=(1, 2)),
    ]
    return randomized(models.LanguageModel(9, layers=made, embedding_dim=4), scale=0.5)


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    folder, interface = tmp_path_factory.mktemp("order"), interface_of(model)
    for kind, write in WRITERS.items():
        write(interface, folder / FILES[kind])
    return folder


def random_states(widths, batch, seed=0):
    rng = np.random.default_rng(seed)
    return [0.5 * rng.normal(size=(batch, width)).astype("float32") for width in widths]


def assert_same(found, wanted):
    """Logits and states, of a file and of Keras."""
    for got, value in zip([found[0], *found[1]], [wanted[0], *wanted[1]], strict=True):
        np.testing.assert_allclose(got, keras.ops.convert_to_numpy(value), atol=1e-5)


@pytest.mark.parametrize("kind", FILES)
def test_a_bare_file_takes_states_in_the_order_of_keras(model, folder, kind):
    loaded = runtime.load(folder / FILES[kind])
    states = random_states(model.stack.state_widths, 2)
    tokens = np.array([[1, 2, 3, 4], [5, 6, 7, 8]], "int32")
    assert_same(loaded.step(tokens[:, 0], states), model.step(tokens[:, 0], states))
    assert_same(loaded.logits(tokens, states), model(tokens, states, return_states=True))


def names_of(model):
    return ["tokens", *model.stack.state_names], ["logits", *(f"{name}_out" for name in model.stack.state_names)]


def listed_in_onnx(path):
    graph = onnx.load(path).graph
    return [value.name for value in graph.input], [value.name for value in graph.output]


def listed_in_litert(path):
    """Of each signature the names of the tensors that its graph lists, and the names that the signature lists."""
    found = {}
    model = litert_file.read(path.read_bytes())
    for signature in model.signatureDefs:
        graph, name = model.subgraphs[signature.subgraphIndex], signature.signatureKey.decode()
        for way, tensors in (("inputs", graph.inputs), ("outputs", graph.outputs)):
            of_tensor = {entry.tensorIndex: entry.name.decode() for entry in getattr(signature, way)}
            found[name, way, "graph"] = [of_tensor[tensor] for tensor in tensors]
            found[name, way, "signature"] = list(of_tensor.values())
    return found


def test_files_list_tokens_first_and_logits_first(model, folder):
    inputs, outputs = names_of(model)
    assert listed_in_onnx(folder / "m.onnx") == (inputs, outputs)
    listed = listed_in_litert(folder / "m.tflite")
    assert len(listed) == 8
    for (_, way, _), names in listed.items():
        assert names == (inputs if way == "inputs" else outputs)


@pytest.mark.parametrize("kind", FILES)
def test_a_file_describes_itself_as_the_manifest_describes_it(model, folder, kind):
    loaded = runtime.load(folder / FILES[kind])
    wanted = interface_of(model).description()
    assert loaded.engine.description == {"format": 1, **json.loads(json.dumps(wanted))}
    assert ([tensor["name"] for tensor in wanted["inputs"]], wanted["outputs"]) == names_of(model)
    given = {"tokens": np.array([[1, 2]], "int32")}
    given |= dict(zip(model.stack.state_names, random_states(model.stack.state_widths, 1)))
    assert list(loaded.run(given)) == wanted["outputs"]


@pytest.mark.parametrize("quantize", ["int8", "float16"])
@pytest.mark.long
def test_small_files_keep_the_order(quantize, tmp_path):
    model = language_model("depth_gated_lstm", layers=1, units=16, tied=True, scale=0.1)
    inputs, outputs = names_of(model)
    export.to_onnx(model, tmp_path / "m.onnx", quantize=quantize)
    export.to_litert(model, tmp_path / "m.tflite", quantize=quantize)
    assert listed_in_onnx(tmp_path / "m.onnx") == (inputs, outputs)
    assert listed_in_litert(tmp_path / "m.tflite")["step", "outputs", "graph"] == outputs
    states = random_states(model.stack.state_widths, 1)
    wanted, _ = model.step(np.array([1]), states)
    for file in ("m.onnx", "m.tflite"):
        np.testing.assert_allclose(runtime.load(tmp_path / file).step([1], states)[0], wanted, atol=3e-2)


@pytest.fixture(scope="module")
def branched():
    """Inputs and outputs that are not in the order of the alphabet."""
    inputs = [keras.Input((5, 3), name=name) for name in ("second", "first", "middle")]
    x = layers.GRU(4)(keras.layers.Concatenate()(inputs))
    return randomized(keras.Model(inputs, {name: keras.layers.Dense(k + 1)(x) for k, name in enumerate("zay")}))


@pytest.mark.parametrize("kind", FILES)
def test_any_model_keeps_its_own_order(branched, kind, tmp_path):
    WRITERS[kind](branched, tmp_path / FILES[kind])
    given = {name: np.ones((2, 5, 3), "float32") for name in ("first", "middle", "second")}
    found = runtime.load(tmp_path / FILES[kind]).run(given)
    assert [(name, value.shape[1]) for name, value in found.items()] == [("z", 1), ("a", 2), ("y", 3)]
    if kind == "onnx":
        assert listed_in_onnx(tmp_path / "m.onnx") == (["second", "first", "middle"], ["z", "a", "y"])
    elif kind == "litert":
        listed = listed_in_litert(tmp_path / "m.tflite")
        assert listed["serving_default", "inputs", "graph"] == ["second", "first", "middle"]
        assert listed["serving_default", "outputs", "graph"] == ["z", "a", "y"]


def test_weights_lie_in_a_litert_file_as_its_schema_asks(folder):
    content = (folder / "m.tflite").read_bytes()
    model = schema.Model.GetRootAs(content, 0)
    buffers = [model.Buffers(k) for k in range(model.BuffersLength())]
    held = [buffer._tab.Vector(buffer._tab.Offset(4)) for buffer in buffers if buffer.DataLength()]
    assert len(held) > 10 and all(place % litert_file.ALIGNED == 0 for place in held)


# What version 0.1.0 wrote, which did not describe itself but in ONNX.


def test_names_are_read_where_a_file_does_not_describe_itself():
    inputs = {"layer_0_c": [-1, 4], "layer_10_h": [-1, 5], "layer_2_h": [-1, 6], "layer_0_h": [-1, 4], "tokens": [-1]}
    outputs = {f"{name}_out": shape for name, shape in inputs.items() if name != "tokens"} | {"logits": [-1, 9]}
    found = description.by_names(inputs, outputs)
    assert [name for name, _, _ in found["states"]] == ["layer_0_h", "layer_0_c", "layer_2_h", "layer_10_h"]
    assert found["states"][2] == ["layer_2_h", "layer_2_h_out", 6] and found["vocabulary_size"] == 9
    for more in ({"image": [-1, 4]}, {"layer_norm": [-1, 4]}, {"layer_1_h": [-1, 4]}):
        assert description.by_names(inputs | more, outputs) == {}


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="KERAS_RNNLM_DATA holds no golden-0.1.0")
def test_an_export_of_version_0_1_0_is_read_as_it_was(tmp_path):
    exported = GOLDEN / "exported"
    for report in export.verify(exported).values():
        assert "problem" not in report and report["error"] < 1e-5
    wanted = runtime.load(exported, "onnx")
    states = random_states([state.shape[1] for state in wanted.initial_states()], 2)
    wanted = wanted.step([1, 2], states)
    for name in ("model.onnx", "model.tflite", "saved_model"):
        assert_same(runtime.load(exported / name).step([1, 2], states), wanted)
        (shutil.copytree if name == "saved_model" else shutil.copyfile)(exported / name, tmp_path / name)
        alone = runtime.load(tmp_path / name)
        assert_same(alone.step([1, 2], states), wanted)
        assert alone.logits([[1, 2, 3]])[0].shape == (1, 3, alone.vocabulary_size)


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "is damaged: it describes itself by"),
        ('{"format": 1, "states": [["a", "b"]], "vocabulary_size": 3}', "is damaged"),
        ('{"format": 1, "states": [["a", "b", 0]], "vocabulary_size": 3}', "is damaged"),
        ('{"format": 1, "states": [["a", "b", 2]]}', "is damaged"),
        ("[]", "is damaged"),
        ('{"format": 1, "outputs": [["a"]]}', "is damaged"),
        ('{"format": 2}', "describes itself in format 2, and this version reads format 1"),
    ],
)
def test_a_description_that_cannot_be_read_is_one_line(text, message):
    with pytest.raises(ValueError, match=f"^m.tflite {message}"):
        description.read(text, "m.tflite")
