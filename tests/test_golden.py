"""What version 0.1.0 wrote is read for good: its models, a run, the run's exports."""

import json
import os
import pathlib
import shutil

import keras
import numpy as np
import pytest

from keras_rnnlm import export, training
from keras_rnnlm.__main__ import main
from keras_rnnlm.export import runtime

GOLDEN = pathlib.Path(os.environ.get("KERAS_RNNLM_DATA", "nowhere")) / "golden-0.1.0"
MODELS = ("lstm", "gru", "grid_lstm", "depth_gated_lstm", "gate_recurrence", "mogrifier")

pytestmark = [
    pytest.mark.skipif(not GOLDEN.is_dir(), reason="KERAS_RNNLM_DATA holds no golden-0.1.0"),
    pytest.mark.xdist_group(__name__),
]


@pytest.fixture(scope="module")
def expected():
    return json.loads((GOLDEN / "expected.json").read_text())


def assert_equal(found, wanted):
    np.testing.assert_allclose(keras.ops.convert_to_numpy(found), np.array(wanted), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_a_language_model_computes_what_it_did(expected, name):
    model, tokens = keras.models.load_model(GOLDEN / f"{name}.keras"), np.array(expected["tokens"], "int32")
    shapes = [state.shape for state in model.initial_states(len(tokens))]
    states = [0.3 * np.cos(np.arange(np.prod(shape))).reshape(shape).astype("float32") for shape in shapes]
    logits, after = model(tokens, states=states, return_states=True)
    assert_equal(logits, expected[name]["logits"])
    for state, wanted in zip(after, expected[name]["states_after"], strict=True):
        assert_equal(state, wanted)


def test_any_other_model_computes_what_it_did(expected):
    tagger = keras.models.load_model(GOLDEN / "tagger.keras")
    assert_equal(tagger(np.array(expected["tagger"]["words"])), expected["tagger"]["outputs"])


def test_a_run_is_read_and_resumes(tmp_path):
    run = shutil.copytree(GOLDEN / "run", tmp_path / "run")
    recipe = training.Recipe.load(run / "recipe.toml")
    assert recipe.task == "language_model" and recipe.units == 32
    before = training.read_history(run / "history.jsonl")
    assert main(["train", "--out", str(run), "--resume", "--set", "epochs=3", "--quiet"]) == 0
    after = training.read_history(run / "history.jsonl")
    assert after[: len(before)] == before
    valid = [record for record in after if record["kind"] == "valid"]
    assert [record["epoch"] for record in valid] == [1, 2, 3] and valid[2]["loss"] < valid[1]["loss"]
    again = training.load_run(run)
    assert again.recipe.epochs == 3 and again.model.count_params() > 10_000


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="one backend is enough: no model of Keras runs")
def test_exports_are_whole_and_answer_alike():
    reports = export.verify(GOLDEN / "exported")
    assert list(reports) == ["saved_model", "onnx", "litert"]
    for report in reports.values():
        assert "problem" not in report and report["error"] < 1e-5
    texts = {runtime.load(GOLDEN / "exported", kind).generate("First", 20, seed=1) for kind in reports}
    assert len(texts) == 1 and len(texts.pop()) == 20
