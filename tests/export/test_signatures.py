"""What a model says of itself by `signatures`: states of any shape, of a model that is none of language."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_rnnlm import export
from keras_rnnlm.export import runtime
from keras_rnnlm.export.interface import interface_of
from keras_rnnlm.models.signatures import Signature, State, Tensor


class Sums(keras.Model):
    """What was read so far, of matrices, times a weight."""

    def __init__(self, number=1):
        super().__init__(name="sums")
        self.number = number
        self.weight = self.add_weight(shape=(3,), initializer="uniform", name="weight")
        self.built = True

    def signatures(self):
        def whole(given):
            sums = given["before"][:, None] + ops.cumsum(given["x"], axis=1)
            return {"sums": sums * self.weight, "after": sums[:, -1]}

        def step(given):
            sums = given["before"] + given["x"]
            return {"sums": sums * self.weight, "after": sums}

        x, state = Tensor("x", (None, None, 2, 3), "float32"), State("before", "after", (2, 3))
        signature = Signature("running", (x,), ("sums",), whole, (state,), splits_in_time=True, step=step)
        return [signature] * self.number


@pytest.fixture(scope="module")
def model():
    return Sums()


@pytest.mark.parametrize(
    "write, name",
    [(export.to_onnx, "m.onnx"), (export.to_litert, "m.tflite"), (export.to_saved_model, "m")],
    ids=["onnx", "litert", "saved_model"],
)
def test_states_of_any_shape_go_in_and_out(model, write, name, tmp_path):
    made = write(model, tmp_path / name)
    assert made.parity.error < 1e-5 and made.parity.state_error < 1e-5 and made.parity.perplexity is None
    loaded = runtime.load(tmp_path / name)
    assert type(loaded) is runtime.ExportedModel
    description = loaded.engine.description
    assert description["states"] == [["before", "after", [2, 3]]] and description["signature"] == "running"
    assert [tensor["name"] for tensor in description["inputs"]] == ["x", "before"]
    x = np.random.default_rng(0).normal(size=(2, 4, 2, 3)).astype("float32")
    found = loaded.run({"x": x, "before": np.ones((2, 2, 3), "float32")})
    assert list(found) == ["sums", "after"]
    np.testing.assert_allclose(found["after"], 1 + x.sum(axis=1), rtol=1e-5)
    one = loaded.engine.step({"x": x[:, 0], "before": np.ones((2, 2, 3), "float32")})
    np.testing.assert_allclose(one["sums"], found["sums"][:, 0], rtol=1e-5, atol=1e-6)


def test_a_step_that_computes_something_else_is_told(model, tmp_path, monkeypatch):
    (signature,) = model.signatures()
    wrong = Signature(**{**vars(signature), "step": lambda given: {"sums": given["x"], "after": given["x"]}})
    monkeypatch.setattr(Sums, "signatures", lambda self: [wrong])
    with pytest.raises(ValueError, match="does not compute what the model does: its outputs are off"):
        export.to_litert(model, tmp_path / "m.tflite")
    assert not (tmp_path / "m.tflite").exists()


@pytest.mark.parametrize("number, found", [(0, "none"), (2, "running, running")])
def test_an_export_holds_one_signature(number, found):
    with pytest.raises(ValueError, match=f"An export holds one signature, and the `signatures` of 'sums' are {found}"):
        interface_of(Sums(number))


def test_a_file_that_says_too_little_for_its_task_is_told(model, tmp_path, monkeypatch):
    (signature,) = model.signatures()
    monkeypatch.setattr(Sums, "signatures", lambda self: [signature])
    export.to_onnx(model, tmp_path / "m.onnx")
    told = runtime.engines.Onnx(tmp_path / "m.onnx", None).description
    monkeypatch.setattr(runtime.engines.description, "read", lambda text, path: {**told, "task": "language_model"})
    with pytest.raises(ValueError, match="m.onnx is damaged: of itself it says that `vocabulary_size` is missing"):
        runtime.load(tmp_path / "m.onnx")
