"""One program over several devices, on JAX: what the devices tell each other, and that they learn what one does."""

import json
import subprocess
import sys

import keras
import pytest

from tests.test_package import ENVIRONMENT

pytest.importorskip("jax")
pytestmark = pytest.mark.skipif(keras.backend.backend() != "jax", reason="it runs on JAX, and is the same elsewhere")

MOST_KERNELS = 15  # of a step of the loops over time
CODE = r"""
import json, math
import jax, keras, numpy as np
from benchmarks.compiled_programs import Program
from keras_rnnlm.distribution import DataParallel
from keras_rnnlm.heads import cross_entropy
from keras_rnnlm.models import LanguageModel
from keras_rnnlm.optimizers import ClippedOptimizer
from keras_rnnlm.training.streams import Contiguous

VOCABULARY, BATCH, TIME = 97, 8, 7
cross_entropy.CHUNK = 3 * VOCABULARY  # logits: five chunks of each of four devices' rows
text = np.random.default_rng(0).integers(0, VOCABULARY, 500)
stream = Contiguous(text, BATCH, TIME, start=0)


def made():
    options = {"peephole": True, "coupled": True}
    model = LanguageModel(VOCABULARY, units=12, layers=2, cell_options=options, dropout=0.3, seed=1)
    model.compile(ClippedOptimizer(keras.optimizers.SGD(1.0), max_norm=0.5))
    return model


def learned(model):
    model.fit(stream.dataset(), verbose=0)
    weights = [np.asarray(w) for w in model.get_weights()]
    return float(model.perplexity.result()), weights + model.get_states(BATCH)


def compiled(model):
    state = model._get_jax_state(
        trainable_variables=True, non_trainable_variables=True, optimizer_variables=True, metrics_variables=True
    )
    layout = keras.distribution.distribution().get_data_layout
    windows = keras.tree.map_structure(
        lambda a: keras.distribution.distribute_tensor(a, layout(a.shape)), next(stream.windows())
    )
    step = jax.jit(model.train_step, out_shardings=(None, model._get_state_sharding_spec()))
    return Program(step.lower(state, windows).compile().as_text())


one = learned(made())
keras.distribution.set_distribution(DataParallel())
model = made()
several = learned(model)
program = compiled(model)
gradient = sum(4 * math.prod(v.shape) for v in model.trainable_variables)
differences = [float(np.abs(a - b).max()) for a, b in zip(one[1], several[1])]
shards = [len(v.value.sharding.device_set) for v in model.carried.variables]
rows = [v.value.sharding.shard_shape(v.shape)[0] for v in model.carried.variables]
found = [program.collectives(), program.loops(), gradient]
print(json.dumps([found, one[0], several[0], max(differences), shards, rows]))
"""


def test_devices_tell_each_other_gradients_alone_and_learn_what_one_does():
    flags = ENVIRONMENT.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"
    environment = {**ENVIRONMENT, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    (found, loops, gradient), one, several, difference, shards, rows = json.loads(done.stdout)
    assert set(found) == {"all-reduce"}, found
    assert 0.9 < found["all-reduce"]["bytes"] / gradient < 1.1
    over_time = [loop["kernels"] for loop in loops if loop["steps"] == 7]
    assert len(over_time) == 4 and max(over_time) <= MOST_KERNELS, loops
    assert several == pytest.approx(one, rel=1e-5) and difference < 1e-5
    assert set(shards) == {4} and set(rows) == {2}
