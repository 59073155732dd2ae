"""The sampled softmax: whom it draws, how often, and what it learns from them."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_rnnlm.heads import SampledSoftmax, sampled
from keras_rnnlm.models import LanguageModel
from tests.heads.every_head import VOCABULARY, features_and_targets, frequencies, head_of, weights_of
from tests.heads.test_every_head import by_all_logits, tensors, total_of
from tests.support import largest_relative_difference, numpy, value_and_gradients

DRAWS = 400


@pytest.mark.parametrize("proposal", ["unigram", "log_uniform"])
def test_tokens_are_drawn_by_their_chances_and_never_twice(proposal, monkeypatch):
    head = SampledSoftmax(VOCABULARY, num_sampled=9, proposal=proposal)
    head.build((None, 6))
    head.read_frequencies(frequencies())
    wanted = frequencies()
    if proposal == "log_uniform":
        wanted = np.log((np.arange(VOCABULARY) + 2) / (np.arange(VOCABULARY) + 1))
    chances = np.exp(numpy(head.log_chance))
    assert chances.sum() == pytest.approx(9, rel=1e-5) and chances.max() <= 1
    rare = chances < 1  # in proportion to the proposal
    np.testing.assert_allclose(chances[rare] / wanted[rare], chances[rare][0] / wanted[rare][0], rtol=1e-4)
    assert wanted[~rare].min(initial=1) > wanted[rare].max()
    counts = np.zeros(VOCABULARY)
    for k in range(DRAWS):
        monkeypatch.setattr(keras.random, "uniform", lambda *_, k=k, **__: ops.convert_to_tensor(k / DRAWS, "float32"))
        drawn = numpy(head.draw())
        assert len(set(drawn.tolist())) == 9
        counts[drawn] += 1
    np.testing.assert_allclose(counts / DRAWS, chances, atol=1.5 / DRAWS)


def test_every_step_draws_others_and_the_same_seed_the_same():
    keras.utils.set_random_seed(0)
    one = head_of("sampled")[0]
    keras.utils.set_random_seed(0)
    other = head_of("sampled")[0]
    draws = [numpy(one.draw()).tolist() for _ in range(4)]
    assert [numpy(other.draw()).tolist() for _ in range(4)] == draws
    assert len({tuple(drawn) for drawn in draws}) > 1


@pytest.mark.parametrize("case", ["sampled", "sampled, tied"])
def test_of_all_tokens_it_is_the_full_softmax(case):
    head, embedding = head_of(case, num_sampled=VOCABULARY)
    features, *rest = features_and_targets()
    arrays = [features, *(numpy(weight) for weight in weights_of(head, embedding))]
    got, wanted = (
        value_and_gradients(total_of(head, embedding, rest, by), arrays)
        for by in (type(head).total_loss, by_all_logits)
    )
    assert got[0] == pytest.approx(wanted[0], rel=1e-5)
    assert largest_relative_difference(got[1], wanted[1]) < 2e-5


@pytest.mark.parametrize("jit", [False, True])
def test_the_gradient_is_that_of_the_target_among_those_drawn(jit, monkeypatch):
    head, embedding = head_of("sampled, tied")
    drawn = numpy(head.draw())
    monkeypatch.setattr(head, "draw", lambda: ops.convert_to_tensor(drawn))
    features, labels, weights = features_and_targets()
    assert np.isin(labels, drawn).any() and not np.isin(labels, drawn).all()
    there = np.isin(np.arange(VOCABULARY), drawn) | (np.arange(VOCABULARY) == labels[..., None])

    def among_those(head, features, targets, weights):
        logits = head.call(features) - ops.cast(head.log_chance, "float32")
        logs = ops.log_softmax(ops.where(ops.convert_to_tensor(there), logits, -1e9), axis=-1)
        return [-ops.sum(ops.take_along_axis(logs, targets[..., None], axis=-1)[..., 0] * weights)]

    arrays = [features, *(numpy(weight) for weight in weights_of(head, embedding))]
    got, wanted = (
        value_and_gradients(total_of(head, embedding, (labels, weights), by), arrays, jit=jit)
        for by in (type(head).total_loss, among_those)
    )
    assert got[0] == pytest.approx(wanted[0], rel=1e-5)
    assert largest_relative_difference(got[1], wanted[1]) < 2e-5


def test_the_losses_that_are_logged_estimate_those_of_the_whole_vocabulary(monkeypatch):
    head, _ = head_of("sampled", num_sampled=15)
    features, targets, weights = features_and_targets()
    found = []
    for k in range(50):
        monkeypatch.setattr(keras.random, "uniform", lambda *_, k=k, **__: ops.convert_to_tensor(k / 50, "float32"))
        found.append(numpy(ops.stop_gradient(head.total_loss(*tensors(features, targets, weights))[1])))
    np.testing.assert_allclose(
        np.exp(np.mean(found)), np.exp(numpy(head.losses_of(*tensors(features, targets))).mean()), rtol=0.05
    )


def test_it_learns_from_batches_of_any_size():
    model = LanguageModel(30, units=4, layers=1, head="sampled", head_options={"num_sampled": 9})
    model.compile("adam")
    tokens = np.random.default_rng(0).integers(0, 30, (3, 5))
    assert np.isfinite(model.fit(tokens, tokens, batch_size=2, verbose=0).history["loss"]).all()


def test_its_settings_follow_the_vocabulary():
    found = [SampledSoftmax(size).num_sampled for size in (1000, 33_278, 1_000_000)]
    assert found == [256, 2079, 8192]
    head = SampledSoftmax(1000, proposal="log_uniform")
    assert SampledSoftmax.from_config(head.get_config()).get_config() == head.get_config()
    with pytest.raises(ValueError, match="Frequencies of tokens are numbers above 0"):
        SampledSoftmax(1000).read_frequencies(np.zeros(1000))
    for name, options in (("full", None), ("adaptive", {"cutoffs": [10]})):
        head = LanguageModel(30, units=4, layers=1, head=name, head_options=options).head
        for wrong, message in (
            (np.arange(30), "above 0: add 1 to each"),
            (np.ones(29), r"30 numbers. Received: shape \(29,\)"),
        ):
            with pytest.raises(ValueError, match=message):
                head.begin_with_frequencies(wrong)


def test_tokens_that_are_always_drawn_leave_the_rest_to_the_others():
    sums, fraction, logs = sampled._tables([5, 1, 1, 1, 1, 1], 3)
    np.testing.assert_allclose(np.exp(logs), [1, 0.4, 0.4, 0.4, 0.4, 0.4], rtol=1e-6)
    np.testing.assert_allclose(sums + fraction, [1, 1.4, 1.8, 2.2, 2.6, 3], rtol=1e-6)
