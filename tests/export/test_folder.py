"""An export folder: made, verified, run without Keras, damaged."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

from keras_rnnlm import __main__, export
from keras_rnnlm.export import runtime
from keras_rnnlm.export.commands import verify as verify_command
from keras_rnnlm.export.manifest import read_manifest
from keras_rnnlm.generation import Beam, Greedy, Sample
from keras_rnnlm.text import Tokenizer
from keras_rnnlm.training import encode_corpus, open_corpus
from tests.export.models import regressor, run_directory

TEXT = "the cat sat on the mat\nthe dog ate the log\n" * 30
FORMATS = ("saved_model", "onnx", "litert")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """What a run leaves behind."""
    run, tokenizer = tmp_path_factory.mktemp("runs") / "run", Tokenizer.train("char", [TEXT])
    model = run_directory(run, tokenizer, units=24, options={"peephole": True, "coupled": True})
    (run.parent / "text.txt").write_text(TEXT)
    corpus = open_corpus([str(run.parent / "text.txt")])
    encode_corpus(corpus, tokenizer, run / "data")
    return run, model, tokenizer


@pytest.fixture(scope="module")
def folder(trained):
    out = trained[0].parent / "exported"
    assert __main__.main(["export", str(trained[0]), "--out", str(out)]) == 0
    return out


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


def test_the_folder_holds_three_formats_and_says_what_they_are(folder):
    assert sorted(os.listdir(folder)) == [
        "manifest.json",
        "model.onnx",
        "model.tflite",
        "saved_model",
        "tokenizer.json",
    ]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert [entry["format"] for entry in manifest["artifacts"]] == list(FORMATS)
    for entry in manifest["artifacts"]:
        assert 0 < entry["parity"]["error"] < 1e-5
        assert entry["parity"]["perplexity"] == pytest.approx(entry["parity"]["wanted_perplexity"], rel=1e-4)
        assert entry["bytes"] > 1000
    assert manifest["model"]["inputs"][0] == {"name": "tokens", "shape": [None, None], "dtype": "int32"}


@pytest.mark.parametrize("sampler", [Greedy(), Sample(temperature=0.8, top_k=10)])
def test_the_same_prompt_and_seed_write_the_same_text_everywhere(folder, trained, sampler):
    _, model, tokenizer = trained
    ids = [tokenizer.start, *tokenizer.encode("the ").tolist()]
    (wanted,) = model.generate([ids], 200, sampler, seed=3)
    for kind in FORMATS:
        assert runtime.load(folder, kind).generate("the ", 200, sampler, seed=3) == tokenizer.decode(wanted)


@pytest.mark.parametrize("kind", FORMATS)
def test_one_interface_for_the_three_formats(folder, trained, kind):
    _, model, tokenizer = trained
    loaded = runtime.load(folder, kind, threads=1)
    assert (loaded.format, loaded.vocabulary_size) == (kind, tokenizer.vocabulary_size)
    tokens, states = np.array([[1, 2, 3], [4, 5, 6]]), loaded.initial_states(2)
    wanted, wanted_states = model(tokens, return_states=True)
    logits, after = loaded.logits(tokens)
    np.testing.assert_allclose(logits, np.array(wanted), atol=1e-5)
    for column in tokens.T:
        last, states = loaded.step(column, states)
    np.testing.assert_allclose(last, logits[:, -1], atol=1e-5)
    for a, b, c in zip(states, after, wanted_states):
        np.testing.assert_allclose(a, b, atol=1e-5)
        np.testing.assert_allclose(b, np.array(c), atol=1e-5)
    text = "the cat"
    scored = loaded.score(text, window=3)
    assert len(scored["log_probabilities"]) == len(text)
    assert scored["log_probability"] == pytest.approx(sum(scored["log_probabilities"]))
    assert scored["log_probabilities"] == pytest.approx(loaded.score(text)["log_probabilities"], abs=1e-5)
    assert "".join(loaded.stream(text, 20, seed=1)) == loaded.generate(text, 20, seed=1)
    assert list(loaded.stream([1, 2], 5)) == loaded.generate([[1, 2]], 5)[0]
    several = loaded.generate(["the", "a log"], 10, seed=2)
    assert len(several) == 2 and several[0] == loaded.generate("the", 10, seed=2)
    assert loaded.generate("the", 5, Beam(3)) == tokenizer.decode(
        model.generate([[tokenizer.start, *tokenizer.encode("the")]], 5, Beam(3))[0]
    )


@pytest.mark.parametrize("kind", FORMATS)
def test_what_crashes_runtimes_does_not_reach_them(folder, kind):
    loaded = runtime.load(folder, kind)
    logits, states = loaded.logits(np.zeros((2, 0), int))
    assert logits.shape == (2, 0, loaded.vocabulary_size) and [s.shape for s in states] == [(2, 24)] * 4
    assert loaded.step(np.zeros(0, int), loaded.initial_states(0))[0].shape == (0, loaded.vocabulary_size)
    assert loaded.score("")["log_probability"] == 0
    for tokens in ([[0.5]], [1], [[loaded.vocabulary_size]], [[-1]]):
        with pytest.raises(ValueError, match="Tokens are integers|Ids are from"):
            loaded.logits(np.array(tokens))
    for last in (loaded.vocabulary_size, -1):  # which no call reads: it is only looked up
        with pytest.raises(ValueError, match="Ids are from"):
            loaded.score([1, last])
    with pytest.raises(ValueError, match=r"4 arrays of shapes \[\(1, 24\)"):
        loaded.step([1], loaded.initial_states(2))


def test_files_alone_are_loaded_too(folder, tmp_path):
    for name in ("model.onnx", "model.tflite", "saved_model"):
        source = folder / name
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, tmp_path / name)
        loaded = runtime.load(tmp_path / name)
        assert loaded.generate([[1, 2]], 5) == runtime.load(folder / name).generate([[1, 2]], 5)
        if name == "model.onnx":  # which holds its tokenizer
            assert loaded.generate("the", 5) == runtime.load(folder).generate("the", 5)
        else:
            with pytest.raises(ValueError, match="without its tokenizer.json"):
                loaded.generate("the", 5)


@pytest.mark.parametrize("name", ["model.tflite", "saved_model"])
def test_a_file_alone_takes_the_tokenizer_beside_it(folder, tmp_path, name):
    (shutil.copytree if name == "saved_model" else shutil.copyfile)(folder / name, tmp_path / name)
    shutil.copyfile(folder / "tokenizer.json", tmp_path / "tokenizer.json")
    assert runtime.load(tmp_path / name).generate("the", 5) == runtime.load(folder / name).generate("the", 5)
    # Another's, or a broken one, leaves it taking ids, and text is told why.
    Tokenizer.train("char", [TEXT + "0123456789"]).save(tmp_path / "tokenizer.json")
    for message in ("do not belong together", "cannot be read"):
        loaded = runtime.load(tmp_path / name)
        assert loaded.tokenizer is None and len(loaded.generate([[1, 2]], 5)[0]) == 5
        with pytest.raises(ValueError, match=message):
            loaded.generate("the", 5)
        (tmp_path / "tokenizer.json").write_text("{}")


WITHOUT_KERAS = """
import sys
class Nowhere:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("keras", "tensorflow", "tf2onnx", "onnx", "matplotlib", "jax", "torch", {missing!r}):
            raise ModuleNotFoundError(f"No module named {{name!r}}")
sys.meta_path.insert(0, Nowhere())
from keras_rnnlm import __main__
code = __main__.main(sys.argv[1:])
assert not {{"keras", "tensorflow", "onnx"}} & set(sys.modules)
sys.exit(code)
"""


def without_keras(*arguments, missing=""):
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_KERAS.format(missing=missing), *map(str, arguments)],
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("kind", ["onnx", "litert"])
def test_neither_keras_nor_tensorflow_is_needed(folder, kind):
    done = without_keras("run", folder, "--format", kind, "--prompt", "the ", "--length", "20", "--seed", "3")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "the " + runtime.load(folder, kind).generate("the ", 20, seed=3) + "\n"


def test_verify_says_which_runtimes_are_missing(folder):
    done = without_keras("verify", folder, missing="ai_edge_litert")
    assert done.returncode == 0, done.stderr
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert "pip install tensorflow" in lines["saved_model"] and "pip install ai-edge-litert" in lines["litert"]
    assert "equal to the Keras model" in lines["onnx"]


def test_a_missing_runtime_is_one_line(folder):
    done = without_keras("run", folder, "--format", "onnx", missing="onnxruntime")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert "pip install onnxruntime" in done.stderr


def test_verify_runs_everything(folder, capsys):
    assert __main__.main(["verify", str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == list(FORMATS) and all(report["error"] < 1e-5 for report in found.values())


def changed(file):
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def cut(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.parametrize("damage", [changed, cut, os.remove])
@pytest.mark.parametrize("name", ["model.onnx", "model.tflite", "saved_model/saved_model.pb"])
def test_damage_is_told_before_anything_runs(copy, name, damage, capsys):
    damage(copy / name)
    with pytest.raises(ValueError, match="changed, or cut short|is missing"):
        runtime.load(copy, {"model.onnx": "onnx", "model.tflite": "litert"}.get(name, "saved_model"))
    assert __main__.main(["verify", str(copy)]) == 2
    assert "Export again" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["model.onnx", "model.tflite"])
def test_a_file_alone_that_was_cut_is_told(copy, name, tmp_path):
    cut(copy / name)
    shutil.copyfile(copy / name, tmp_path / name)
    with pytest.raises(ValueError, match="damaged, or no"):
        runtime.load(tmp_path / name)


def test_a_tokenizer_that_does_not_match_is_told(copy):
    Tokenizer.train("char", ["something else"]).save(copy / "tokenizer.json")
    with pytest.raises(ValueError, match="tokenizer.json is not the one that was exported"):
        runtime.load(copy, "litert")
    with pytest.raises(ValueError, match="tokenizer.json is not the one that was exported"):
        export.verify(copy)


def test_a_manifest_of_another_world_is_told(copy):
    manifest = copy / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "format": 99}))
    with pytest.raises(ValueError, match="format 99"):
        runtime.load(copy)
    manifest.write_text("{")
    with pytest.raises(ValueError, match="damaged"):
        runtime.load(copy)


@pytest.mark.parametrize(
    "damage",
    [
        lambda manifest: manifest.pop("check"),
        lambda manifest: manifest.pop("tokenizer"),
        lambda manifest: manifest["check"]["log_probabilities"].pop(),
        lambda manifest: manifest["artifacts"].clear(),
        lambda manifest: manifest["artifacts"][0].pop("sha256"),
        lambda manifest: manifest["artifacts"][0].update(format="pickle"),
        lambda manifest: manifest["artifacts"][0].update(quantize="int4"),
        lambda manifest: manifest["artifacts"][0].update(file="../model.onnx"),
    ],
)
def test_a_manifest_with_something_missing_is_told_in_one_line(folder, damage, tmp_path, capsys):
    manifest = read_manifest(folder)
    damage(manifest)
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    for command in ("verify", "run"):
        assert __main__.main([command, str(tmp_path)]) == 2
        told = capsys.readouterr().err
        assert "manifest.json is damaged" in told and len(told.splitlines()) == 1


def test_a_model_that_is_no_language_model_runs(tmp_path):
    export.to_onnx(regressor(), tmp_path / "m.onnx")
    loaded = runtime.load(tmp_path / "m.onnx")
    inputs = {"series": np.ones((1, 12, 3), "float32"), "extra": np.ones((1, 2), "float32")}
    assert [value.shape for value in loaded.run(inputs).values()] == [(1, 1)]
    assert not isinstance(loaded, runtime.ExportedLanguageModel)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--format", "onnx", "--out", "{folder}"], "exists already, and nothing is written over"),
        (["--out", "{tmp}/new"], "no model.keras"),
        (["--out", "."], "--out names the folder to make, as in --out new. Received: ."),
    ],
)
def test_mistakes_end_in_one_line(folder, tmp_path, capsys, arguments, message):
    (tmp_path / "empty").mkdir()
    arguments = [word.format(folder=folder, tmp=tmp_path) for word in arguments]
    assert __main__.main(["export", str(tmp_path / "empty"), *arguments]) == 2
    told = capsys.readouterr().err
    assert message in told and len(told.splitlines()) == 1
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["verify", "{folder}/model.onnx"], "is no export folder"),
        (["run", "{folder}/model.onnx", "--format", "litert"], "is of the format onnx"),
        (["run", "{folder}/manifest.json"], "a .onnx or .tflite file or a folder"),
        (["run", "{folder}", "--threads", "0"], "`threads` is a whole number, at least 1"),
        (["run", "{folder}", "--length", "-1"], "`length` counts the tokens"),
        (["run", "{folder}", "--score", "a", "--top-k", "3"], "--top-k cannot be asked of a text that is scored"),
        (["demo", "{folder}", "--out", "x", "--port", "9"], "--port is of --serve"),
        (["demo", "{folder}", "--out", ".."], "--out names the folder to make, as in --out ../new. Received: .."),
    ],
)
def test_mistakes_with_an_export_end_in_one_line(folder, capsys, arguments, message):
    assert __main__.main([word.format(folder=folder) for word in arguments]) == 2
    shown = capsys.readouterr()
    assert message in shown.err and len(shown.err.splitlines()) == 1 and shown.out == ""


def test_a_folder_is_run_by_the_smallest_runtime_that_is_there(folder):
    assert runtime.load(folder).format == "onnx"


def test_a_tokenizer_with_more_ids_than_the_model_is_not_exported(trained, tmp_path):
    run = shutil.copytree(trained[0], tmp_path / "run")
    Tokenizer.train("char", [TEXT + "0123456789"]).save(run / "tokenizer.json")
    with pytest.raises(ValueError, match="do not belong together"):
        export.export_run(run, tmp_path / "out", ["litert"])
    assert not (tmp_path / "out").exists()


def test_what_is_no_language_model_is_not_exported_as_a_run(trained, tmp_path):
    run = shutil.copytree(trained[0], tmp_path / "run")
    with pytest.raises(
        ValueError, match=r'is a Keras model, .* In Python: .*load_model\(".*run/model.keras"\), "model.onnx"\)'
    ):
        export.export_run(run / "model.keras", tmp_path / "out")
    regressor().save(run / "model.keras")
    with pytest.raises(ValueError, match="holds a Functional"):
        export.export_run(run, tmp_path / "out", ["onnx"])


def test_a_text_of_one_token_predicts_nothing(trained, tmp_path):
    with pytest.raises(ValueError, match="at least two ids"):
        export.to_onnx(trained[1], tmp_path / "m.onnx", tokens=[1])


def test_a_full_disk_leaves_nothing(trained, tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "write_bytes", full)
    with pytest.raises(OSError, match="could not be written: No space left"):
        export.export_run(trained[0], tmp_path / "out", ["onnx"])
    assert os.listdir(tmp_path) == []


def test_an_int8_folder_is_small_and_verified(trained, tmp_path, capsys):
    out = tmp_path / "small"
    assert __main__.main(["export", str(trained[0]), "--out", str(out), "--format", "onnx", "--quantize", "int8"]) == 0
    (line,) = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("model.onnx")]
    parity = read_manifest(out)["artifacts"][0]["parity"]
    assert parity["error"] < 3e-2 and line[2:4] == [f"{parity[name]:.1e}" for name in ("error", "state_error")]
    assert __main__.main(["verify", str(out)]) == 0
    assert runtime.load(out).generate("the", 5)


def test_an_error_without_a_bound_is_no_infinity_in_json(monkeypatch, capsys):
    report = {"file": "model.onnx", "error": float("inf"), "problem": "off by inf"}
    monkeypatch.setattr(verify_command, "verify", lambda folder, trusted: {"onnx": report})
    assert __main__.main(["verify", "folder", "--json"]) == 2
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert found["onnx"]["error"] is None


def test_scores_on_the_command_line(folder, capsys):
    assert __main__.main(["run", str(folder), "--format", "onnx", "--score", "the cat", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["log_probability"] == pytest.approx(runtime.load(folder).score("the cat")["log_probability"], abs=1e-4)
