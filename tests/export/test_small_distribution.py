"""keras-rnnlm-runtime: the package for small machines, written from the same sources under its own name."""

import os
import pathlib
import re
import runpy
import subprocess
import sys

import pytest

from keras_rnnlm import export
from keras_rnnlm.export import runtime
from keras_rnnlm.text import Tokenizer
from tests.export.models import run_directory

SETUP = pathlib.Path(__file__).parent.parent.parent / "runtime" / "setup.py"
ALONE = """
import sys
class Nowhere:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("keras_rnnlm", "keras", "tensorflow", "tf2onnx", "onnx", "jax", "torch"):
            raise ModuleNotFoundError(f"No module named {name!r}")
sys.meta_path.insert(0, Nowhere())
from keras_rnnlm_runtime.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    runpy.run_path(str(SETUP))["write_package"](folder)
    return folder


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "run"
    run_directory(run, Tokenizer.train("word", ["the cat sat\n"]), cell="gru", layers=1, units=4)
    export.export_run(run, run.parent / "exported", ["onnx", "litert"])
    return run.parent / "exported"


def alone(site, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(site)}
    return subprocess.run(
        [sys.executable, "-c", ALONE, *map(str, arguments)], capture_output=True, text=True, env=environment
    )


@pytest.mark.parametrize("kind", ["onnx", "litert"])
def test_it_writes_what_the_whole_package_writes(site, exported, kind):
    done = alone(site, "run", exported, "--format", kind, "--prompt", "the", "--length", "9", "--seed", "3")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "the" + runtime.load(exported, kind).generate("the", 9, seed=3) + "\n"


def test_it_verifies(site, exported):
    done = alone(site, "verify", exported)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("equal to the Keras model") == 2


def test_it_has_no_other_commands_and_says_mistakes_in_one_line(site, tmp_path):
    assert "There is no command 'train': there are run, predict, verify." in alone(site, "train").stderr
    done = alone(site, "run", tmp_path / "nowhere")
    assert (done.returncode, done.stderr) == (2, f"keras-rnnlm-runtime run: There is no {tmp_path / 'nowhere'}\n")
    (tmp_path / "recipe.toml").write_text("")
    done = alone(site, "predict", tmp_path, tmp_path / "recipe.toml")
    assert done.returncode == 2 and "is a run, which Keras computes: export it where" in done.stderr


def test_it_shares_no_file_and_imports_nothing_of_the_whole_package(site):
    assert os.listdir(site) == ["keras_rnnlm_runtime"]
    for file in site.rglob("*.py"):
        assert not re.search(r"^\s*(from|import) keras_rnnlm\b", file.read_text(), flags=re.M), file
