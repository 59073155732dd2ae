"""The backends learn alike: one recipe from the same weights has the same losses, and each reads what another wrote."""

import importlib.util
import os
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_rnnlm import training
from keras_rnnlm.quiet import BACKENDS
from keras_rnnlm.training.runs.curves import read_history
from keras_rnnlm.training.tasks.language_model import LanguageModeling
from tests.test_package import ENVIRONMENT
from tests.training import killed_runs

SETTINGS = """tokenizer=char units=8 layers=2 cell_options.peephole=true tied=false embedding_dim=4 batch=8 window=8
eval_batch=4 optimizer=adam learning_rate=0.01 max_norm=0.1 epochs=3 log_every=10 split=90/10""".split()
# Of 51 steps from these weights, on JAX.
TRAINED = [2.45087, 2.44253, 2.42501, 2.4109, 2.39739, 2.40797]
VALIDATED = [2.44549, 2.4217, 2.41476]


def losses(out, kind):
    return [record["loss"] for record in read_history(out / "history.jsonl") if record["kind"] == kind]


def test_a_recipe_has_the_losses_that_it_has_on_every_backend(tmp_path, monkeypatch):
    def begin(self, model, data, recipe):
        random = np.random.default_rng(0)
        for weight in model.trainable_variables:
            weight.assign(random.normal(scale=0.3, size=weight.shape))

    monkeypatch.setattr(LanguageModeling, "begin", begin)
    killed_runs.write_text(tmp_path / "text.txt", lines=45)
    assert training.train(tmp_path / "text.txt", tmp_path / "run", changes=SETTINGS, quiet=True)
    assert losses(tmp_path / "run", "train") == pytest.approx(TRAINED, rel=1e-3)
    assert losses(tmp_path / "run", "valid") == pytest.approx(VALIDATED, rel=1e-3)


def train(backend, *arguments):
    command = [sys.executable, "-m", "keras_rnnlm", "train", *map(str, arguments), "--quiet", "--backend", backend]
    done = subprocess.run(command, env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.long
@pytest.mark.parametrize("writer", BACKENDS)
def test_what_one_backend_began_all_resume_alike(writer, tmp_path):
    """By the checkpoint of one, each of them learns for 51 steps more; this one reads the models that they leave."""
    if any(importlib.util.find_spec(backend) is None for backend in BACKENDS):
        pytest.skip("it needs all backends")
    killed_runs.write_text(tmp_path / "text.txt", lines=45)
    words = [word for setting in SETTINGS for word in ("--set", setting)]
    train(writer, tmp_path / "text.txt", "--out", tmp_path / "begun", *words, "--set", "epochs=1")
    found = []
    for backend in BACKENDS:
        out = shutil.copytree(tmp_path / "begun", tmp_path / backend)
        train(backend, "--out", out, "--resume", "--set", "epochs=4")
        model = keras.saving.load_model(out / "model.keras")
        tokens = np.random.default_rng(0).integers(0, model.vocabulary_size, (2, 30))
        read = model.losses_of(tokens[:, :-1], tokens[:, 1:])[0]
        found.append([*losses(out, "train"), *losses(out, "valid"), float(keras.ops.mean(read))])
    assert len(found[0]) >= 6 + 4 + 1
    for got in found[1:]:
        assert got == pytest.approx(found[0], rel=1e-3)
