"""The backends learn alike: one recipe from the same weights has the same losses."""

import numpy as np
import pytest

from keras_rnnlm import training
from keras_rnnlm.training.runs.curves import read_history
from keras_rnnlm.training.tasks.language_model import LanguageModeling
from tests.training import killed_runs

SETTINGS = """tokenizer=char units=8 layers=2 cell_options.peephole=true tied=false embedding_dim=4 dropout=0 batch=8
window=8 eval_batch=4 optimizer=adam learning_rate=0.01 max_norm=0.1 epochs=3 log_every=10 split=90/10""".split()
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
