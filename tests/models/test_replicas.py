"""Models under a `tf.distribute` strategy learn as one that is alone."""

import os
import subprocess
import sys

from tests.support import on_tensorflow

MIRRORED = """
import keras, numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from keras_rnnlm.models import Classifier, LanguageModel, Tagger
from keras_rnnlm.optimizers import ClippedOptimizer

VOCABULARY, BATCH, TIME = 11, 4, 6
options = {"unroll": True, "kernel_regularizer": keras.regularizers.L2(0.1)}
alone, mirrored = tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
rng = np.random.default_rng(0)

def text(rows):
    tokens = rng.integers(0, VOCABULARY, (rows, TIME + 1)).astype("int32")
    return tokens[:, :-1], tokens[:, 1:]

def train(strategy, data, max_norm, reduction):
    with strategy.scope():
        model = LanguageModel(VOCABULARY, 5, 1, "simple_rnn", options, seed=3)
        model.compile(ClippedOptimizer(keras.optimizers.SGD(0.5), max_norm), reduction=reduction)
    logs = model.fit(data, verbose=0).history
    return model, {name: values[0] for name, values in logs.items()}, model.evaluate(data, verbose=0)

# Rows of many lengths, and a last batch of which one replica has two rows and the other one.
weights = np.arange(TIME)[None] < np.array([6, 5, 1, 2, 6, 3, 4])[:, None]
padded = tf.data.Dataset.from_tensor_slices((*text(7), weights.astype("float32"))).batch(BATCH)
tokens, targets = [np.stack(np.split(part, 2, axis=1)) for part in text(BATCH)]
inputs = {"tokens": tokens, "start": np.array([[True] * BATCH, [False, True, False, False]])}
windows = tf.data.Dataset.from_tensor_slices((inputs, targets))

for data, max_norm, reduction in (padded, 1e6, "mean"), (windows, 0.05, "sum"):
    one, one_logs, one_found = train(alone, data, max_norm, reduction)
    two, two_logs, two_found = train(mirrored, data, max_norm, reduction)
    for a, b in zip(one.get_weights(), two.get_weights()):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert set(one_logs) >= {"loss", "perplexity", "gradient_norm", "clipped_norm"}
    for name, wanted in one_logs.items():
        np.testing.assert_allclose(two_logs[name], wanted, rtol=1e-5, err_msg=name)
    np.testing.assert_allclose(two_found, one_found, rtol=1e-5)
assert one_logs["clip_rate"] == 1

# The states of all rows, from outside.
(state,), (wanted,) = two.get_states(BATCH), one.get_states()
assert state.shape == (BATCH, 5)
np.testing.assert_allclose(state, wanted, atol=1e-6)
two.set_states([wanted[::-1]])
np.testing.assert_array_equal(two.get_states()[0], wanted[::-1])
two.reset_states()
assert not two.get_states()[0].any()
for call, message in (lambda: two.reset_states(3), "multiple of 2"), (
    lambda: two({"tokens": tokens[0], "start": inputs["start"][0]}), "a part of the rows by each"
):
    try:
        call()
    except ValueError as error:
        assert message in str(error), error
    else:
        raise AssertionError(message)

# Models of examples, of which one replica has more words than the other.
def train_on(strategy, make, data, **options):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = make()
        model.compile(ClippedOptimizer(keras.optimizers.SGD(0.5, **options), 0.05))
    return model, {name: values[0] for name, values in model.fit(data, verbose=0).history.items()}

words = rng.integers(1, VOCABULARY, (7, TIME)) * (weights > 0)
read = {"words": words.astype("int32"), "characters": (words[..., None] % 4).astype("int32")}
one_of = rng.integers(0, 3, 7).astype("int32")
size = {"units": 4, "word_dim": 3, "cell": "simple_rnn", "cell_options": options, "dropout": 0.0}
for make, data in (
    (lambda: Tagger(VOCABULARY, 4, 3, **size, crf=False), (read, rng.integers(0, 3, (7, TIME)).astype("int32"))),
    (lambda: Classifier(VOCABULARY, 3, **size), (read["words"], one_of)),
):
    batches = tf.data.Dataset.from_tensor_slices(data).batch(BATCH)
    (one, one_logs), (two, two_logs) = train_on(alone, make, batches), train_on(mirrored, make, batches)
    for a, b in zip(one.get_weights(), two.get_weights()):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    for name, wanted in one_logs.items():
        np.testing.assert_allclose(two_logs[name], wanted, rtol=1e-5, err_msg=name)
try:
    train_on(mirrored, make, batches, gradient_accumulation_steps=2)
except ValueError as error:
    assert "cannot accumulate" in str(error), error
else:
    raise AssertionError("accumulated")
print("agreed")
"""


@on_tensorflow
def test_two_replicas_learn_report_and_carry_what_one_does():
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path), CUDA_VISIBLE_DEVICES="")
    # A process of its own: TensorFlow splits a processor into two devices before its first use only.
    run = subprocess.run([sys.executable, "-c", MIRRORED], env=environment, capture_output=True, text=True)
    assert run.stdout.strip().endswith("agreed"), run.stderr[-3000:]
