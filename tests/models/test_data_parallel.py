"""One program over several devices, on JAX: what the devices tell each other, and that they learn what one does."""

import json
import subprocess
import sys

import keras
import pytest

from tests.test_package import ENVIRONMENT

pytest.importorskip("jax")
pytestmark = pytest.mark.skipif(keras.backend.backend() != "jax", reason="it runs on JAX, and is the same elsewhere")

CODE = r"""
import collections, json, math, re
import jax, keras, numpy as np
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


def collectives(model):
    state = model._get_jax_state(
        trainable_variables=True, non_trainable_variables=True, optimizer_variables=True, metrics_variables=True
    )
    layout = keras.distribution.distribution().get_data_layout
    windows = keras.tree.map_structure(
        lambda a: keras.distribution.distribute_tensor(a, layout(a.shape)), next(stream.windows())
    )
    step = jax.jit(model.train_step, out_shardings=(None, model._get_state_sharding_spec()))
    found, size = collections.Counter(), 0
    kinds = "all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter"
    for line in step.lower(state, windows).compile().as_text().splitlines():
        if match := re.search(rf"= (.*?) ({kinds})(-start)?\(", line):
            found[match[2]] += 1
            shapes = re.findall(r"32\[([\d,]+)\]", match[1])  # f32 and s32; of scalars there are few
            size += sum(4 * math.prod(map(int, shape.split(","))) for shape in shapes)
    return found, size / sum(4 * math.prod(v.shape) for v in model.trainable_variables)


one = learned(made())
keras.distribution.set_distribution(DataParallel())
model = made()
several = learned(model)
found, share = collectives(model)
differences = [float(np.abs(a - b).max()) for a, b in zip(one[1], several[1])]
shards = [len(v.value.sharding.device_set) for v in model.carried.variables]
rows = [v.value.sharding.shard_shape(v.shape)[0] for v in model.carried.variables]
print(json.dumps([found, share, one[0], several[0], max(differences), shards, rows]))
""".replace("\\\\", "\\")


def test_devices_tell_each_other_gradients_alone_and_learn_what_one_does():
    flags = ENVIRONMENT.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"
    environment = {**ENVIRONMENT, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    found, share, one, several, difference, shards, rows = json.loads(done.stdout)
    assert set(found) == {"all-reduce"}, found
    assert 0.9 < share < 1.1
    assert several == pytest.approx(one, rel=1e-5) and difference < 1e-5
    assert set(shards) == {4} and set(rows) == {2}
