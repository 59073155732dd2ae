"""The package as a whole: imports, registration, command line."""

import configparser
import importlib.metadata
import os
import pathlib
import subprocess
import sys
import time

import pytest

import keras_rnnlm

ROOT = pathlib.Path(__file__).parent.parent
ROOMS = ("keras_rnnlm", "training", "export")
ENVIRONMENT = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}


def python(code, *arguments):
    """Runs a new interpreter and returns what it prints."""
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "keras_rnnlm", *arguments], capture_output=True, text=True, env=ENVIRONMENT
    )


def test_importing_the_package_imports_no_keras():
    assert python("import sys, keras_rnnlm; print('keras' in sys.modules)") == "False"


@pytest.mark.parametrize("order", ["import keras_rnnlm, keras", "import keras, keras_rnnlm"])
def test_classes_are_registered_in_either_order(order):
    name = "keras_rnnlm>LSTM"
    assert python(f"{order}\nprint(keras.saving.get_registered_object({name!r}).__name__)") == "LSTM"


@pytest.mark.parametrize(
    "room", ["cells", "optimizers", *(pytest.param(room, marks=pytest.mark.long) for room in ("heads", "layers"))]
)
def test_any_room_may_be_imported_first(room):
    code = f"""
import keras_rnnlm.{room} as room, sys
from keras_rnnlm import cells, layers, models, optimizers
import keras
assert sys.modules[room.__name__] is room and room.__spec__.origin.endswith("__init__.py")
for name, its in (("LSTM", layers), ("LSTMCell", cells), ("LanguageModel", models), ("ClippedOptimizer", optimizers)):
    assert keras.saving.get_registered_object(f"keras_rnnlm>{{name}}") is getattr(its, name)
"""
    python(code)


def test_the_rooms_beside_the_package_are_its_rooms():
    assert keras_rnnlm.training.__name__ == "keras_rnnlm.training"
    assert keras_rnnlm.export.__name__ == "keras_rnnlm.export"
    with pytest.raises(AttributeError, match="layers, models, optimizers"):
        _ = keras_rnnlm.kitchen


def test_every_folder_of_code_is_installed():
    root, listed = pathlib.Path(__file__).parent.parent, configparser.ConfigParser()
    listed.read(root / "setup.cfg")
    found = [path.parent.relative_to(root) for room in ROOMS for path in (root / room).rglob("__init__.py")]
    names = [".".join(path.parts if path.parts[0] == "keras_rnnlm" else ("keras_rnnlm", *path.parts)) for path in found]
    assert sorted(names) == sorted(listed["options"]["packages"].split())


def test_layers_import_at_most_0_3_seconds_after_keras():
    code = "import time, keras; t = time.time(); import keras_rnnlm.layers; print(time.time() - t)"
    assert any(float(python(code)) < 0.3 for _ in range(3))


def test_help_answers_within_half_a_second():
    def seconds():
        start = time.perf_counter()
        assert "quickstart" in command("--help").stdout
        return time.perf_counter() - start

    assert any(seconds() < 0.5 for _ in range(3))


def test_a_mistake_on_the_command_line_ends_in_one_line():
    done = command("quickstart", "--set", "units=0")
    assert (done.returncode, done.stderr.strip()) == (
        2,
        "keras-rnnlm quickstart: `units` is a whole number, at least 1, or a list of them. Received: units=0",
    )
    assert command("quikstart").returncode == 2


def test_the_version_is_the_same_wherever_it_is_written():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {keras_rnnlm.__version__}\n" in citation
    assert importlib.metadata.version("keras-rnnlm") == keras_rnnlm.__version__
