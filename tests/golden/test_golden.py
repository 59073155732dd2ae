"""What earlier versions wrote is read for good, with the same numbers."""

import json
import os
import pathlib
import shutil
import tarfile

import keras
import numpy as np
import pytest

from keras_rnnlm.__main__ import main
from keras_rnnlm.export import runtime
from keras_rnnlm.generation import Greedy
from keras_rnnlm.training import load_run
from tests.golden.make import random_states
from tests.support import numpy, on_tensorflow

# For those who do not have the folders: the same version wrote both.
ARCHIVES = sorted(pathlib.Path(__file__).parent.glob("*.tar.xz"))
NEAR = dict(rtol=1e-5, atol=1e-5)
FOLDERS = sorted(pathlib.Path(os.environ.get("KERAS_RNNLM_DATA", "nowhere")).glob("golden-*"))


@pytest.fixture(scope="module", params=FOLDERS or ARCHIVES, ids=lambda path: path.name)
def golden(request, tmp_path_factory):
    """A folder that a version wrote, to read and to write to."""
    folder = tmp_path_factory.mktemp("golden") / "copy"
    if request.param.is_dir():
        shutil.copytree(request.param, folder)
    else:
        with tarfile.open(request.param) as tar:
            tar.extractall(folder, filter="data")
    return folder


def test_models_give_the_numbers_that_they_gave(golden):
    expected = json.loads((golden / "expected.json").read_text())
    tokens = np.array(expected["tokens"], "int32")
    models = [name for name in expected if (golden / f"{name}.keras").is_file()]
    assert len(models) >= 7
    for name in models:
        model = keras.models.load_model(golden / f"{name}.keras")
        if name == "tagger":
            outputs = model(np.array(expected[name]["words"], "int32"))
            np.testing.assert_allclose(numpy(outputs), expected[name]["outputs"], **NEAR, err_msg=name)
            continue
        logits, after = model(tokens, states=random_states(model, len(tokens)), return_states=True)
        np.testing.assert_allclose(numpy(logits), expected[name]["logits"], **NEAR, err_msg=name)
        for got, want in zip(after, expected[name]["states_after"], strict=True):
            np.testing.assert_allclose(numpy(got), want, **NEAR, err_msg=name)


@on_tensorflow
def test_exports_verify_and_write_the_same(golden, capsys):
    assert main(["verify", str(golden / "exported")]) == 0
    prompt = (golden / "text.txt").read_text()[:5]
    run = load_run(golden / "run")
    begun = [run.tokenizer.start, *run.tokenizer.encode(prompt)]
    (wanted,) = run.model.generate([begun], 12, Greedy())
    for kind in ("saved_model", "onnx", "litert"):
        exported = runtime.load(golden / "exported", kind)
        assert exported.generate([begun], 12, Greedy()) == [wanted]
        assert exported.score(prompt)["log_probability"] < 0


@on_tensorflow
def test_a_run_resumes_and_learns(golden, capsys):
    run = golden / "run"
    before = load_run(run).history
    assert main(["train", "--out", str(run), "--resume", "--quiet", "--set", "epochs=3"]) == 0
    after = load_run(run).history
    assert after[: len(before)] == before and after[-1]["epoch"] == 3
    assert after[-1]["loss"] < before[-1]["loss"]
