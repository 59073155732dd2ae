"""A ClippedOptimizer inside `fit`: what it reports, how it is saved, on more than one device."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_rnnlm.optimizers import ClippedOptimizer, ClippingReport
from tests.optimizers.steps import assert_close, counts, sgd, state
from tests.support import BACKEND

only_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="tf.IndexedSlices and tf.function")


def new_model(optimizer, embedding=True, **options):
    keras.utils.set_random_seed(7)
    inputs = [keras.Input((4,), dtype="int32"), keras.layers.Embedding(6, 3)] if embedding else [keras.Input((4, 1))]
    model = keras.Sequential([*inputs, keras.layers.Flatten(), keras.layers.Dense(1)])
    model.compile(optimizer, "mse", **options)
    return model


def data(batches=4, embedding=True):
    rng = np.random.default_rng(8)
    # Few tokens, so that every batch repeats some.
    x = rng.integers(0, 3, size=(8 * batches, 4)) if embedding else rng.normal(size=(8 * batches, 4, 1))
    return x, rng.normal(size=(8 * batches, 1))


def fit(model, epochs=1, callbacks=(), **options):
    x, y = options.pop("data", data())
    return model.fit(
        x, y, batch_size=8, shuffle=False, verbose=0, epochs=epochs, callbacks=list(callbacks), **options
    ).history


class BatchLogs(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.logs = []

    def on_train_batch_end(self, batch, logs=None):
        self.logs.append(dict(logs))


def test_fit_logs_what_was_clipped():
    optimizer = ClippedOptimizer("adam", 0.5, percentile=50, window=2)
    batches = BatchLogs()
    history = fit(new_model(optimizer), 2, [ClippingReport(), batches], validation_data=data(1))
    assert set(batches.logs[0]) == {"loss", "gradient_norm", "clipped_norm", "clip_rate", "skipped_steps"}
    norms = np.array([logs["gradient_norm"] for logs in batches.logs])
    clipped = np.array([logs["clipped_norm"] for logs in batches.logs])
    limits = [0.5, 0.5] + [min(0.5, norms[i - 2 : i].mean()) for i in range(2, 8)]
    np.testing.assert_allclose(clipped, np.minimum(norms, limits), rtol=1e-5)
    for epoch, part in enumerate((slice(0, 4), slice(4, 8))):
        np.testing.assert_allclose(history["gradient_norm"][epoch], norms[part].mean(), rtol=1e-5)
        np.testing.assert_allclose(history["clipped_norm"][epoch], clipped[part].mean(), rtol=1e-5)
        rates = np.cumsum(norms[part] > limits[part]) / np.arange(1, 5)
        np.testing.assert_allclose([logs["clip_rate"] for logs in batches.logs[part]], rates)
        assert history["clip_rate"][epoch] == rates[-1]
    assert history["skipped_steps"] == [0, 0]
    assert counts(optimizer)[0] == 8


def test_reading_once_an_epoch_reports_the_same_epochs():
    batches = BatchLogs()
    seen, unseen = (
        fit(new_model(ClippedOptimizer("adam", 0.5)), 2, callbacks)
        for callbacks in ([ClippingReport()], [ClippingReport(every_batch=False), batches])
    )
    for name in ("gradient_norm", "clipped_norm", "clip_rate", "skipped_steps"):
        np.testing.assert_allclose(seen[name], unseen[name], rtol=1e-5)
    assert set(batches.logs[0]) == {"loss"}


def test_fit_skips_bad_batches_and_reports_them():
    x, y = data(embedding=False)
    results = []
    for bad in (False, True):
        model = new_model(ClippedOptimizer("adam", 0.1), embedding=False)
        parts = [(x[8 * i : 8 * i + 8], y[8 * i : 8 * i + 8]) for i in range(4)]
        if bad:
            parts.insert(2, (np.full_like(parts[0][0], np.nan), parts[0][1]))
        together = np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
        history = fit(model, 1, [ClippingReport()], data=together)
        assert history["skipped_steps"] == [int(bad)]
        assert np.isfinite(history["gradient_norm"]).all()
        results.append(model.get_weights())
    assert_close(*results)


def test_an_epoch_of_skipped_steps_has_no_norm():
    x, y = data(1, embedding=False)
    history = fit(
        new_model(ClippedOptimizer("adam"), embedding=False), 1, [ClippingReport()], data=(np.full_like(x, np.nan), y)
    )
    assert history["skipped_steps"] == [1]
    assert np.isnan([history["gradient_norm"][0], history["clipped_norm"][0], history["clip_rate"][0]]).all()


@pytest.mark.parametrize("inside", [True, False])
def test_the_report_finds_the_optimizer_beside_a_loss_scale(inside):
    scaler = keras.optimizers.LossScaleOptimizer
    optimizer = (
        ClippedOptimizer(scaler(sgd()), 1e-3, name="clipped") if inside else scaler(ClippedOptimizer(sgd(), 1e-3))
    )
    history = fit(new_model(optimizer), 1, [ClippingReport()])
    plain = fit(new_model(ClippedOptimizer(sgd(), 1e-3)), 1, [ClippingReport()])
    for name in ("loss", "gradient_norm", "clipped_norm", "clip_rate"):
        np.testing.assert_allclose(history[name], plain[name], rtol=1e-4)


def test_the_report_needs_a_clipped_optimizer():
    with pytest.raises(ValueError, match="reports what a ClippedOptimizer did"):
        fit(new_model("adam"), 1, [ClippingReport()])


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_trains(policy):
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy(policy)
    try:
        model = new_model(ClippedOptimizer(keras.optimizers.SGD(0.0), 0.1))
    finally:
        keras.mixed_precision.set_dtype_policy(before)
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer) == (policy == "mixed_float16")
    # The first float16 gradients may overflow and be dropped. With a learning rate of 0 the others are all the same.
    history = fit(model, 4, [ClippingReport()], data=data(1))
    exact = fit(new_model(ClippedOptimizer(keras.optimizers.SGD(0.0), 0.1)), 1, [ClippingReport()], data=data(1))
    np.testing.assert_allclose(history["gradient_norm"][-1], exact["gradient_norm"][0], rtol=0.02)
    np.testing.assert_allclose(history["clipped_norm"][-1], 0.1, rtol=1e-5)


def test_the_callbacks_that_set_the_learning_rate_work():
    model = new_model(ClippedOptimizer(sgd(), 0.5))
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5)
    plateau = keras.callbacks.ReduceLROnPlateau(
        monitor="gradient_norm", mode="max", min_delta=1e9, patience=1, factor=0.1
    )
    fit(model, 2, [ClippingReport(), schedule, plateau])
    np.testing.assert_allclose(float(model.optimizer.learning_rate), 0.025, rtol=1e-6)
    assert model.optimizer.learning_rate is model.optimizer.inner_optimizer.learning_rate


@pytest.mark.parametrize("kind", ["plain", "inside", "outside", "accumulating"])
def test_a_loaded_model_continues_as_the_saved_one(kind, tmp_path):
    def adam(**options):
        # On JAX, Keras cannot call `fit` twice with a moving average: weights and averages then share their memory.
        options["use_ema"] = BACKEND != "jax"
        return keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.05, 2, 0.9), **options)

    def clipped(inner):
        return ClippedOptimizer(inner, 0.5, percentile=60, window=3)

    optimizer = {
        "plain": lambda: clipped(adam()),
        "inside": lambda: clipped(keras.optimizers.LossScaleOptimizer(adam(), dynamic_growth_steps=3)),
        "outside": lambda: keras.optimizers.LossScaleOptimizer(clipped(adam()), dynamic_growth_steps=3),
        # Three into four batches: the file is written with a half-filled accumulator.
        "accumulating": lambda: clipped(adam(gradient_accumulation_steps=3)),
    }[kind]()
    model = new_model(optimizer)
    fit(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for a, b in zip(state(loaded.optimizer), state(model.optimizer)):
        np.testing.assert_array_equal(a, b)
    going_on, resumed = fit(model, 2, [ClippingReport()]), fit(loaded, 2, [ClippingReport()])
    assert going_on == resumed
    for a, b in zip(state(loaded.optimizer, loaded.weights), state(model.optimizer, model.weights)):
        np.testing.assert_array_equal(a, b)


def test_the_file_holds_the_inner_optimizers_state_once(tmp_path):
    import h5py

    model = new_model(ClippedOptimizer("adam"))
    fit(model)
    model.save_weights(tmp_path / "model.weights.h5")
    sizes = []
    with h5py.File(tmp_path / "model.weights.h5") as file:
        file["optimizer"].visititems(lambda _, item: sizes.append(item.size) if hasattr(item, "size") else None)
    assert sum(sizes) == sum(np.size(value) for value in state(model.optimizer))


def test_weights_of_a_model_with_another_optimizer_or_none_are_loaded(tmp_path):
    for k, optimizer in enumerate(("adam", None)):
        first, path = new_model(optimizer), tmp_path / f"{k}.weights.h5"
        if optimizer:
            fit(first)
        first.save_weights(path)
        model = new_model(ClippedOptimizer("adam"))
        model.optimizer.build(model.trainable_variables)
        with pytest.warns(UserWarning, match="no state of a ClippedOptimizer, whose own stays as it is"):
            model.load_weights(path)
        for one, other in zip(model.get_weights(), first.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_state_that_does_not_fit_is_refused(tmp_path):
    model = new_model(ClippedOptimizer("adam"))
    fit(model)
    with pytest.raises(ValueError, match="not that of a ClippedOptimizer with these arguments"):
        ClippedOptimizer("adam", percentile=50).load_own_variables({v.name: 0 for v in model.optimizer.variables})


@only_tensorflow
@pytest.mark.parametrize("compiled", [False, True])
def test_an_embedding_trains_with_the_norm_of_its_dense_gradient(compiled):
    import tensorflow as tf

    model = new_model(ClippedOptimizer(sgd(), 0.01), jit_compile=compiled)
    x, y = data(1)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((model(x) - y) ** 2)
    grads = tape.gradient(loss, [v.value for v in model.trainable_variables])
    assert isinstance(grads[0], tf.IndexedSlices)
    norm = np.sqrt(sum(np.sum(tf.convert_to_tensor(g).numpy() ** 2) for g in grads))
    history = fit(model, 1, [ClippingReport()], data=(x, y))
    np.testing.assert_allclose(history["gradient_norm"][0], norm, rtol=1e-4)


MIRRORED = """
import keras, numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from keras_rnnlm.optimizers import ClippedOptimizer, ClippingReport

def train(strategy, wrap, by):
    with strategy.scope():
        keras.utils.set_random_seed(1)
        layers = [keras.Input((4, 1)), keras.layers.SimpleRNN(3), keras.layers.Dense(1)]
        model = keras.Sequential(layers)
        model.compile(wrap(keras.optimizers.SGD(0.5, momentum=0.5), by), "mse", jit_compile=False)
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(24, 4, 1)), rng.normal(size=(24, 1))
    x[8:12] = np.nan  # one replica's half of the second batch
    history = model.fit(x, y, batch_size=8, shuffle=False, verbose=0, callbacks=[ClippingReport()]).history
    return model.get_weights(), history

def clipped(inner, by):
    return ClippedOptimizer(inner, 0.05, by=by)

def scaled(inner, by):
    return ClippedOptimizer(keras.optimizers.LossScaleOptimizer(inner, initial_scale=16.0), 0.05, by=by)

for wrap, by in (clipped, "global"), (scaled, "global"), (scaled, "value"):
    one, one_history = train(tf.distribute.get_strategy(), wrap, by)
    two, two_history = train(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]), wrap, by)
    for a, b in zip(one, two):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    for name in ("gradient_norm", "clipped_norm", "clip_rate", "skipped_steps"):
        np.testing.assert_allclose(one_history[name], two_history[name], rtol=1e-4)
    assert two_history["skipped_steps"] == [1], two_history
print("agreed")
"""


@only_tensorflow
@pytest.mark.long
def test_two_replicas_clip_the_gradient_of_the_whole_batch():
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path), CUDA_VISIBLE_DEVICES="")
    # A process of its own: TensorFlow splits a processor into two devices before its first use only.
    run = subprocess.run([sys.executable, "-c", MIRRORED], env=environment, capture_output=True, text=True)
    assert run.stdout.strip().endswith("agreed"), run.stderr[-3000:]
