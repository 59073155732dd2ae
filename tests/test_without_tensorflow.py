"""JAX where TensorFlow is not installed: all but the exports."""

import json
import subprocess
import sys

import numpy as np
import pytest

from keras_rnnlm import installed
from tests.test_package import ENVIRONMENT

pytest.importorskip("jax")

# What follows cannot import TensorFlow.
ABSENT = "import sys; sys.modules['tensorflow'] = None; from keras_rnnlm.__main__ import main\n"
SETTINGS = "tokenizer=char units=8 layers=1 batch=4 window=6 epochs=2 dropout=0.2 log_every=5 retries=0".split()

TRAINS = """
import numpy as np
from keras_rnnlm.training.streams import Contiguous
from keras_rnnlm.training.streams.examples import Examples, padded
from keras_rnnlm.training.streams.without_tensorflow import Batches
from keras_rnnlm.models import LanguageModel
from keras_rnnlm.optimizers import ClippedOptimizer
import keras

def same(got, wanted):
    got, wanted = list(got), list(wanted)
    assert len(got) == len(wanted)
    for a, b in zip(got, wanted):
        keras.tree.map_structure(np.testing.assert_array_equal, a, b)

stream = Contiguous(np.arange(200) % 11, 4, 7, start=0, random=True)
for first in (0, 3, stream.steps(1)):
    dataset = stream.dataset(1, first)
    assert isinstance(dataset, Batches) and len(dataset) == stream.steps(1) - first
    same(dataset, stream.windows(1, first))
    same((dataset[k] for k in range(len(dataset))), stream.windows(1, first))
short = Contiguous(np.arange(200) % 11, 4, 7, start=0)
again, windows = short.dataset().repeat(), list(short.windows())
same((again[k] for k in range(5, 20)), [windows[k % 8] for k in range(5, 20)])
examples = Examples([3, 9, 4], lambda chosen, batch, time: (padded([np.arange(k) for k in chosen], batch, time),), 2)
same(examples.dataset(1, 1), examples.batches(1, 1))
same((examples.dataset(1)[k] for k in range(2)), examples.batches(1))
model = LanguageModel(11, units=4, layers=1)
model.compile(ClippedOptimizer("adam"))
try:
    model.fit(Contiguous(np.arange(200) % 12, 4, 7, start=0).dataset(), verbose=0)
except ValueError as error:
    assert "ids of the vocabulary, integers from 0 to 10. Received: 11" in str(error)
else:
    raise AssertionError("an id outside of the vocabulary")
assert main(sys.argv[1].split()) == 0
assert main(sys.argv[2].split()) == 0
assert main(sys.argv[3].split()) == 2
"""


def run(code, *arguments, **environment):
    command = [sys.executable, "-c", ABSENT + code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={**ENVIRONMENT, **environment})


def test_whether_there_is_tensorflow_is_found_without_an_import(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    assert not installed.has_tensorflow()
    monkeypatch.delitem(sys.modules, "tensorflow")
    assert installed.has_tensorflow() and "tensorflow" not in sys.modules


def test_jax_trains_and_writes_without_tensorflow(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("the cat sat on the mat. the dog sat on the log.\n" * 12)
    out = tmp_path / "run"
    settings = " ".join(f"--set {setting}" for setting in SETTINGS)
    train = f"train {text} --out {out} --quiet --split 80/10/10 {settings}"
    generate = f"generate {out} --prompt the --length 5"
    export = f"export {out} --out {tmp_path / 'exported'}"
    done = run(TRAINS, train, generate, export, KERAS_BACKEND="jax")
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    losses = [record["loss"] for record in records if record["kind"] == "valid"]
    assert len(losses) == 2 and losses[1] < losses[0] < np.log(40)
    assert done.stderr.splitlines()[-1].endswith(
        "An export to SavedModel, ONNX or LiteRT needs TensorFlow, which is not installed here: pip install tensorflow"
    )


def test_the_backend_tensorflow_without_tensorflow_says_what_to_do():
    done = run("sys.exit(main(['bench']))", KERAS_BACKEND="tensorflow")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1] == (
        "keras-rnnlm bench: Keras's backend tensorflow needs TensorFlow, which is not installed here: "
        "pip install tensorflow, or set KERAS_BACKEND to jax or torch"
    )
