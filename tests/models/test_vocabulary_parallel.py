"""A vocabulary that is divided over devices, on JAX and in plain Python: the model learns what it does on one."""

import json
import subprocess
import sys

import keras
import pytest

from keras_rnnlm.distribution import VocabularyParallel
from keras_rnnlm.heads import HEADS
from keras_rnnlm.models import LanguageModel
from tests.test_package import ENVIRONMENT

pytest.importorskip("jax")
pytestmark = pytest.mark.skipif(keras.backend.backend() != "jax", reason="JAX alone divides weights over devices")

LEARNS = """
import json, sys
import keras
import numpy as np
from keras_rnnlm.distribution import VocabularyParallel
from keras_rnnlm.heads import cross_entropy
from keras_rnnlm.models import LanguageModel
from keras_rnnlm.optimizers import ClippedOptimizer
from keras_rnnlm.training.streams import Contiguous

VOCABULARY, BATCH = 96, 8
cross_entropy.CHUNK = 3 * VOCABULARY
stream = Contiguous(np.random.default_rng(0).integers(0, VOCABULARY, 500), BATCH, 7, start=0)


def learned(options):
    model = LanguageModel(VOCABULARY, layers=1, dropout=0.3, seed=1, **options)
    model.compile(ClippedOptimizer(keras.optimizers.Adam(0.01), max_norm=0.5))
    history = model.fit(stream.dataset().repeat(), epochs=3, steps_per_epoch=8, verbose=0).history
    table = model.embedding.embeddings
    shapes = [list(v.value.sharding.shard_shape(v.shape)) for v in model.optimizer.variables if v.shape == table.shape]
    return [history["perplexity"], model.evaluate(stream.dataset(), verbose=0), shapes]


found = []
for options in json.loads(sys.argv[1]):
    keras.distribution.set_distribution(None)
    one = learned(options)
    keras.distribution.set_distribution(VocabularyParallel(shards=2))
    found.append([one, learned(options)])
print(json.dumps(found))
"""


@pytest.mark.long
def test_a_divided_vocabulary_learns_what_one_device_does():
    models = [{"units": 12, "tied": True}, {"units": 12, "embedding_dim": 6, "tied": True, "head": "projected"}]
    flags = ENVIRONMENT.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"
    environment = {**ENVIRONMENT, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    command = [sys.executable, "-c", LEARNS, json.dumps(models)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    for (one, wanted, _), (several, got, shapes) in json.loads(done.stdout.splitlines()[-1]):
        assert several == pytest.approx(one, rel=1e-5) and got == pytest.approx(wanted, rel=1e-5)
        assert len(shapes) == 2 and all(rows == 48 for rows, _ in shapes)  # Adam's moments


@pytest.mark.parametrize("kind, message", [("sampled", "Received: the head SampledSoftmax"), ("full", 'name="logits"')])
def test_a_head_that_cannot_be_divided_is_refused(kind, message):
    head = HEADS[kind](1000)
    keras.distribution.set_distribution(VocabularyParallel(shards=1))
    try:
        with pytest.raises(ValueError, match=message):
            LanguageModel(1000, units=4, layers=1, head=head)
    finally:
        keras.distribution.set_distribution(None)
