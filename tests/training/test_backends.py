"""The backends learn alike: one recipe has the same losses on each, and a run may go from one to another."""

import importlib.util
import os
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_rnnlm import training
from keras_rnnlm.training.loop.loop import Loop
from keras_rnnlm.training.runs.curves import read_history
from keras_rnnlm.training.runs.run import RunFolder
from keras_rnnlm.training.tasks.language_model import LanguageModeling
from tests.training import killed_runs

SETTINGS = """tokenizer=char units=8 layers=2 cell_options.peephole=true tied=false embedding_dim=4 dropout=0 batch=8
window=8 eval_batch=4 optimizer=adam learning_rate=0.01 max_norm=0.1 epochs=3 log_every=10 split=90/10""".split()
# What another backend does with a run: it reads the model, and goes on from the checkpoint.
ELSEWHERE = """
import sys
from keras_rnnlm import training
print(training.evaluate(sys.argv[1], "valid", quiet=True)["model"]["bits_per_character"])
assert training.resume(sys.argv[1], changes={"epochs": 2}, quiet=True)
"""
# Of 51 steps from these weights, on JAX.
TRAINED = [2.45085, 2.43166, 2.42206, 2.40355, 2.38641, 2.37584]
VALIDATED = [2.4437, 2.41577, 2.4066]


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


@pytest.mark.parametrize("other", ["tensorflow", "jax", "torch"])
def test_a_run_goes_on_on_another_backend(other, tmp_path):
    if other == keras.backend.backend() or importlib.util.find_spec(other) is None:
        pytest.skip(f"{other} is the backend here, or not installed")
    killed_runs.write_text(tmp_path / "text.txt", lines=45)
    stays, moves = tmp_path / "stays", tmp_path / "moves"
    changes = [*SETTINGS, "epochs=1", "ema=0.9"]
    assert training.train(tmp_path / "text.txt", stays, changes=changes, quiet=True)
    shutil.copytree(stays, moves)
    environment = {**os.environ, "KERAS_BACKEND": other, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", ELSEWHERE, str(moves)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    bits = training.evaluate(stays, "valid", quiet=True)["model"]["bits_per_character"]
    assert float(done.stdout.split()[-1]) == pytest.approx(bits, rel=1e-5)
    assert training.resume(stays, changes={"epochs": 2}, quiet=True)
    (ours, theirs) = (training.evaluate(run, "valid", quiet=True)["model"] for run in (stays, moves))
    assert theirs["bits_per_character"] == pytest.approx(ours["bits_per_character"], rel=1e-4)
    assert losses(moves, "valid")[1] == pytest.approx(losses(stays, "valid")[1], rel=1e-4)
    for run in (stays, moves):
        assert training.resume(run, changes={"epochs": 3}, quiet=True)
    assert losses(moves, "train") == pytest.approx(losses(stays, "train"), rel=1e-3)
    assert len(losses(moves, "valid")) == 3


def test_a_run_that_drops_and_was_killed_ends_as_one_that_was_not(tmp_path, monkeypatch):
    killed_runs.write_text(tmp_path / "text.txt", lines=45)
    changes = [*SETTINGS, "dropout=0.3", "cell_options.dropout=0.2", "epochs=1", "checkpoint_every=4"]
    begin = dict(changes=changes, quiet=True)
    assert training.train(tmp_path / "text.txt", tmp_path / "whole", **begin)
    after_step = Loop.after_step

    def dies(self):
        if self.progress.step == 9:  # the newest checkpoint is of step 8
            raise SystemExit
        return after_step(self)

    with monkeypatch.context() as patched, pytest.raises(SystemExit):
        patched.setattr(Loop, "after_step", dies)
        training.train(tmp_path / "text.txt", tmp_path / "broken", **begin)
    assert training.resume(tmp_path / "broken", quiet=True)
    (step, arrays, _), (same, others, _) = (
        RunFolder(tmp_path / name).checkpoints().read() for name in ("whole", "broken")
    )
    assert step == same > 9 and arrays.keys() == others.keys()
    assert ("random state" in arrays) == (keras.backend.backend() == "torch")
    (tmp_path / "whole" / "model.keras").unlink()
    assert RunFolder(tmp_path / "whole").read_model() is not None  # of the newest checkpoint
    assert [name for name in arrays if not np.array_equal(arrays[name], others[name])] == []
