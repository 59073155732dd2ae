"""What an export says of itself: what was quantized, what was compared, what it takes, what went wrong."""

import os
import resource
import shutil

import keras
import numpy as np
import pytest

from keras_rnnlm import __main__, export, layers
from keras_rnnlm.export.manifest import read_manifest
from keras_rnnlm.export.runtime.language_model import CHECKED
from keras_rnnlm.text import Tokenizer
from keras_rnnlm.training import encode_corpus, open_corpus
from tests.export.models import language_model, randomized, run_directory

TEXT = "the cat sat on the mat\n" * 30


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of a model that no quantization makes smaller."""
    folder = tmp_path_factory.mktemp("runs")
    tokenizer = Tokenizer.train("bpe", [TEXT], vocabulary_size=260)
    run_directory(folder / "run", tokenizer, cell="gru", layers=1, units=4)
    (folder / "text.txt").write_text(TEXT)
    encode_corpus(open_corpus([str(folder / "text.txt")]), tokenizer, folder / "run" / "data")
    return folder / "run"


@pytest.fixture
def copy(run, tmp_path):
    return shutil.copytree(run, tmp_path / "run")


@pytest.fixture(scope="module")
def folder(run):
    export.export_run(run, run.parent / "exported", ["onnx"])
    return run.parent / "exported"


@pytest.mark.parametrize("write, name", [(export.to_onnx, "m.onnx"), (export.to_litert, "m.tflite")])
def test_a_quantization_that_changes_nothing_is_told(write, name, tmp_path):
    with pytest.warns(UserWarning, match="quantize='int8' changed nothing"):
        made = write(language_model("gru", layers=1, units=4), tmp_path / name, quantize="int8")
    assert (made.quantize, made.quantized) == (None, 0)
    assert made.parity.error < 1e-5


@pytest.mark.parametrize("quantize", ["int8", "float16"])
def test_the_weights_that_were_quantized_are_counted(quantize, tmp_path):
    model = language_model("gru", layers=1, units=40, scale=0.1, vocabulary=100)
    large = sum(int(np.prod(weight.shape)) for weight in model.weights if len(weight.shape) == 2)
    for write, name in ((export.to_onnx, "m.onnx"), (export.to_litert, "m.tflite")):
        made = write(model, tmp_path / name, quantize=quantize, tolerance=0.2)  # in int8 a small model is off by much
        assert made.quantize == quantize
        assert large - 300 <= made.quantized <= large + 500  # biases of a gate may be among them


WRITERS = [(export.to_onnx, "m.onnx"), (export.to_litert, "m.tflite"), (export.to_saved_model, "m")]


@pytest.fixture
def of_two():
    first, second = keras.Input((None, 40), name="first"), keras.Input((None, 40), name="second")
    states = layers.LSTM(40, peephole=True)(keras.layers.Concatenate()([first, second]))
    return randomized(keras.Model([first, second], states), scale=0.05)


@pytest.mark.parametrize("write, name", WRITERS)
def test_an_error_is_that_of_the_samples_that_are_given(write, name, of_two, tmp_path):
    ones, more = np.ones((2, 9, 40)), {} if name == "m" else {"quantize": "int8"}
    by_any = write(of_two, tmp_path / name, **more).parity.error
    by_ones = write(of_two, tmp_path / name, samples={"second": ones, "first": ones}, **more).parity.error
    assert 0 < by_ones <= 0.02
    if more:
        assert by_ones != by_any
        nothing = np.zeros((1, 3, 40), int)
        assert write(of_two, tmp_path / name, samples=[nothing] * 2, **more).parity.error < 0.1 * by_any


def test_samples_of_a_language_model_begin_with_zeros(tmp_path):
    model, tokens = language_model("gru", layers=1, units=4), np.ones((2, 5), int)
    for given in (tokens, [tokens], {"tokens": tokens}):
        assert export.to_saved_model(model, tmp_path / "m", samples=given).parity.error < 1e-5


def test_samples_that_do_not_fit_are_told(of_two, tmp_path):
    with pytest.raises(ValueError, match="`tokens` are of models that predict them"):
        export.to_saved_model(of_two, tmp_path / "m", tokens=[1, 2, 3])
    ones = np.ones((2, 9, 40))
    for given, message in (
        (ones, "`samples` are 2 arrays, first, second. Received: 1"),
        ({"first": ones}, "`samples` have no second. Received: first"),
        ({"first": ones, "second": ones, "third": ones}, "Received beside: third"),
        ([ones, ones.astype(str)], "'second' is of float32. Received: <U32"),
        ([ones, ones[:, :, 1:]], r"'second' is of shape \(None, None, 40\). Received: shape \(2, 9, 39\)"),
        ([ones[:0], ones[:0]], r"Received: shape \(0, 9, 40\)"),
        ([ones * np.nan, ones], "does not compute what the model does"),
    ):
        with pytest.raises(ValueError, match=message):
            export.to_saved_model(of_two, tmp_path / "m", samples=given)


def test_a_saved_model_says_that_it_stays_in_float32_and_takes_ids(run, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["export", str(run), "--out", str(out), "--format", "saved_model", "--quantize", "int8"]
    assert __main__.main(command) == 0
    told = capsys.readouterr().err.splitlines()
    assert "keras-rnnlm export: warning: A SavedModel stays in float32: quantize='int8' is of ONNX and LiteRT" in told
    assert "saved_model stays in float32" in told
    (line,) = [line for line in told if "takes ids, not text" in line]
    assert line.endswith("tokenizers of the kind bpe")
    (entry,) = read_manifest(out)["artifacts"]
    assert (entry["quantize"], entry["quantized"]) == (None, 0)


def test_run_and_generate_name_each_other(run, folder, capsys):
    assert __main__.main(["run", str(run)]) == 2
    assert f"`keras-rnnlm generate {run}`" in capsys.readouterr().err
    for artifact in (folder, folder / "model.onnx"):
        assert __main__.main(["generate", str(artifact)]) == 2
        assert f"`keras-rnnlm run {artifact}`" in capsys.readouterr().err


def test_a_manifest_holds_nothing_of_the_text(run, folder):
    manifest = read_manifest(folder)
    vocabulary = manifest["model"]["vocabulary_size"]
    random = np.random.default_rng(0).integers(0, vocabulary, CHECKED + 1)
    assert manifest["check"]["tokens"] == random.tolist()
    assert manifest["artifacts"][0]["parity"]["perplexity"] is not None  # which was measured on the text
    tokenizer = Tokenizer.load(run / "tokenizer.json")
    words = {int(id) for id in tokenizer.encode(TEXT)}
    assert not words <= set(manifest["check"]["tokens"])


@pytest.mark.parametrize("damage", ["{", '{"splits": {"train": {"shards": []}}}'])
def test_a_damaged_index_is_told(copy, damage, tmp_path):
    (copy / "data" / "index.json").write_text(damage)
    with pytest.warns(UserWarning, match=r"index.json is damaged .* not compared with the model on held-out text"):
        manifest = export.export_run(copy, tmp_path / "out", ["onnx"])
    assert manifest["artifacts"][0]["parity"]["perplexity"] is None


def test_a_run_without_its_text_says_what_is_not_compared(copy, tmp_path):
    shutil.rmtree(copy / "data")
    said = []
    export.export_run(copy, tmp_path / "out", ["onnx"], say=said.append)
    assert f"{copy / 'data'} is not there: perplexities are not compared, only outputs on random tokens" in said


@pytest.mark.parametrize("kind, size", [("saved_model", 1000), ("litert", 1000)])
def test_a_full_disk_is_one_line_whoever_writes(run, kind, size, tmp_path, capfd):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        code = __main__.main(["export", str(run), "--out", str(tmp_path / "out"), "--format", kind])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    told = [line for line in capfd.readouterr().err.splitlines() if line.startswith("keras-rnnlm")]
    assert code == 2 and len(told) == 1 and "could not be written: " in told[0]
    assert os.listdir(tmp_path) == []
