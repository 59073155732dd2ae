"""Ids outside of the vocabulary are an error or NaN, wherever they come from, and never a number."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_rnnlm.heads.cross_entropy import cross_entropy, linear_cross_entropy
from keras_rnnlm.models.compiled import compiled
from tests.models.test_language_model import VOCABULARY, equal, gradients_of_a_step, one_batch, text, tiny
from tests.support import BACKEND, numpy

BAD = [VOCABULARY, -1, 10**6]
AN_ERROR_OF_IDS = re.compile(r"ids of the vocabulary|not in \[0, 7\)|valid range of \[0, 7\)|out of range")


def with_a_bad_one(ids, bad):
    ids = ids.copy()
    ids[1, 2] = bad
    return ids


def message(what, bad):
    return rf"{what} are ids of the vocabulary, integers from 0 to {VOCABULARY - 1}\. Received: {bad}(?!\d)"


@pytest.mark.parametrize("bad", BAD)
def test_data_with_an_unknown_id_is_an_error_that_names_it(bad):
    tokens, targets = text()
    good = np.ones(tokens.shape, "float32")

    def model():  # a new one each time: an epoch that fails leaves Keras's model without its variables on JAX
        made = tiny()
        made.compile(keras.optimizers.SGD(0.1))
        return made

    for what, x, y in [
        ("Tokens", with_a_bad_one(tokens, bad), targets),
        ("Targets", tokens, with_a_bad_one(targets, bad)),
    ]:
        wanted = message(what, bad)
        for use in (model().fit, model().evaluate):
            with pytest.raises(ValueError, match=wanted):
                use(x, y, verbose=0)
            with pytest.raises(ValueError, match=wanted):
                use(one_batch(x, y, good), verbose=0)
        with pytest.raises(ValueError, match=wanted):
            model().fit(tokens, targets, validation_data=(x, y), verbose=0)
        with pytest.raises(ValueError, match=wanted):
            model().fit(one_batch(tokens, targets), validation_data=one_batch(x, y), verbose=0)
    for data in (with_a_bad_one(tokens, bad), one_batch(with_a_bad_one(tokens, bad), targets)):
        with pytest.raises(ValueError, match=message("Tokens", bad)):
            model().predict(data, verbose=0)


def test_a_later_batch_is_looked_at_too_and_the_data_stay_what_they_are():
    model, (tokens, targets) = tiny(), text()
    model.compile(keras.optimizers.SGD(0.1))
    rows = {"tokens": tokens, "start": np.zeros(len(tokens), "bool")}
    data = tf.data.Dataset.from_tensor_slices((rows, targets.astype("int64"))).batch(1, drop_remainder=True)
    looking = model._checked(data)
    assert (looking.element_spec, len(looking)) == (data.element_spec, len(data))
    model.fit(data, verbose=0)
    bad = tf.data.Dataset.from_tensor_slices((rows, with_a_bad_one(targets, -1))).batch(1, drop_remainder=True)
    with pytest.raises(ValueError, match=message("Targets", -1)):
        model.fit(bad, verbose=0)


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
@pytest.mark.parametrize("bad", BAD)
def test_a_call_with_an_unknown_id_is_an_error(bad, tied):
    model, (tokens, targets) = tiny(tied=tied), text()
    wrong = with_a_bad_one(tokens, bad)
    for call in (lambda: model(wrong), lambda: model.step(wrong[:, 2], model.initial_states(3))):
        with pytest.raises(ValueError, match=message("Tokens", bad)):
            call()
    with pytest.raises(ValueError, match=message("Targets", bad)):
        model.losses_of(ops.convert_to_tensor(tokens), ops.convert_to_tensor(with_a_bad_one(targets, bad)))


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
@pytest.mark.parametrize("jit", [False, True], ids=["", "jit"])
def test_what_only_a_graph_sees_trains_with_nan_or_not_at_all(tied, jit):
    if BACKEND == "torch" and jit:
        pytest.skip("PyTorch compiles for minutes")
    tokens, targets = text()

    def fresh():
        model = tiny(tied=tied)
        model.compile(keras.optimizers.SGD(0.1), jit_compile=jit)
        return model

    model = fresh()
    before = model.get_weights()
    for bad in BAD:
        for x, y in ((with_a_bad_one(tokens, bad), targets), (tokens, with_a_bad_one(targets, bad))):
            model.set_weights(before)
            try:
                logs = model.fit((batch for batch in [(x, y)]), verbose=0).history  # a generator is not looked at
            except Exception as error:
                assert AN_ERROR_OF_IDS.search(str(error)), error
                assert not (jit and BACKEND == "jax"), "JAX computes on"
                if BACKEND == "jax":  # where Keras takes a model's weights away for the time of `fit`, error or not
                    model = fresh()
            else:
                assert np.isnan(logs["loss"]).all() and np.isnan(logs["perplexity"]).all(), (bad, logs)
                assert any(np.isnan(weight).any() for weight in model.get_weights())


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
def test_a_compiled_step_gives_nan_or_an_error(tied):
    model = tiny(tied=tied)
    step = compiled(model, model.step)
    for bad in BAD:
        try:
            logits, states = step(ops.convert_to_tensor([bad, 0], dtype="int32"), model.initial_states(2))
        except Exception as error:
            assert AN_ERROR_OF_IDS.search(str(error)), error
        else:
            for got in (logits, *states):
                assert np.isnan(numpy(got)[0]).all() and np.isfinite(numpy(got)[1]).all()


@pytest.mark.parametrize("of_rows", [False, True], ids=["tokens", "rows"])
def test_a_target_of_weight_0_may_be_any_number(of_rows):
    tokens, targets = text()
    weights = np.ones(len(tokens) if of_rows else tokens.shape, "float32")
    weights[1] = 0
    model = tiny()
    wanted, logs = gradients_of_a_step(model, one_batch(tokens, targets, weights))
    padded = targets.copy()
    padded[1] = np.resize([-1, -100, VOCABULARY], targets.shape[1])
    got, same = gradients_of_a_step(model, one_batch(tokens, padded, weights))
    equal(got, wanted, atol=1e-6)
    assert same == pytest.approx(logs, rel=1e-6)
    found = model.evaluate(tokens, padded, sample_weight=weights, verbose=0)
    assert found == pytest.approx(list(logs.values()), rel=1e-5)


@pytest.mark.parametrize("bad", BAD)
def test_the_loss_of_an_unknown_target_is_nan(bad):
    rng = np.random.default_rng(0)
    hidden, kernel = rng.normal(size=(3, 4)).astype("float32"), rng.normal(size=(VOCABULARY, 4)).astype("float32")
    hidden, kernel, weights = (ops.convert_to_tensor(array) for array in (hidden, kernel, np.ones(3, "float32")))
    targets = ops.convert_to_tensor([1, bad, 2], dtype="int32")

    def losses(chunk=None):
        total, losses = linear_cross_entropy(hidden, kernel, None, targets, weights, chunk=chunk)
        return total, losses, cross_entropy(hidden, kernel, None, targets, chunk=chunk)

    if BACKEND == "tensorflow":
        with pytest.raises(tf.errors.InvalidArgumentError, match="valid range"):
            losses()
        losses = tf.function(losses, jit_compile=True)
    for total, *each in (losses(), losses(chunk=2)):
        assert np.isnan(numpy(total))
        for found in each:
            np.testing.assert_array_equal(np.isnan(numpy(found)), [False, True, False])
