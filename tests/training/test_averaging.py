"""Means of weights, updates of several batches, and batches that grow: what is trained, kept and resumed."""

import itertools
import signal

import numpy as np
import pytest

from keras_rnnlm.training.recipes import consistency
from keras_rnnlm.training.recipes.growth import stream_of
from keras_rnnlm.training.recipes.recipe import Recipe
from keras_rnnlm.training.streams import Contiguous
from tests.support import numpy
from tests.training import test_loop
from tests.training.test_loop import Scripted, assert_same, interrupt, records

make = test_loop.make  # the fixture
LOSSES = [3.0, 2.0, 2.5, 2.6, 1.9, 1.8, 1.7, 1.6]  # of validations: the third and the fourth are worse than the second


def watched(loop):
    """The loop, and what will be its weights after every step."""
    weights = []
    loop.display.training = lambda *_: weights.append([numpy(v).copy() for v in loop.model.trainable_variables])
    return weights


def of_trainable(loop, arrays):
    """Of arrays in the order of `get_weights`, those that are trained."""
    places = {id(weight): k for k, weight in enumerate(loop.model.weights)}
    return [arrays[places[id(variable)]] for variable in loop.model.trainable_variables]


def assert_mean(got, weights):
    for k, array in enumerate(got):
        np.testing.assert_allclose(array, np.mean([step[k] for step in weights], axis=0), rtol=1e-4, atol=1e-6)


def test_the_mean_begins_where_the_validation_loss_has_not_improved(make):
    """2.5 is better than 3.0, which is more than one validation older; 2.6 is worse than 2.0."""
    scorer = Scripted(LOSSES)
    loop = make(scorer=scorer, nt_asgd=1, eval_every=5, log_every=1)
    weights = watched(loop)
    loop.run()
    assert loop.progress.averaging_from == 20
    assert [record["step"] for record in records(loop, "averaging")] == [20]
    assert "from step 20 on, the mean of the weights is validated and saved" in loop.display.lines
    for k, seen in enumerate(scorer.seen):
        step = 5 * (k + 1)
        assert_mean(of_trainable(loop, seen), weights[20:step] if step > 20 else weights[step - 1 : step])
    kept = loop.folder.read_model()
    assert_mean([numpy(variable) for variable in kept.trainable_variables], weights[20:])
    plain = make("plain", scorer=Scripted(LOSSES), eval_every=5, log_every=1)
    others = watched(plain)
    plain.run()
    for one, other in zip(weights[-1], others[-1], strict=True):  # training goes on with the weights themselves
        np.testing.assert_array_equal(one, other)


def test_the_mean_from_an_epoch_on_takes_in_the_weights_of_every_so_many_steps(make):
    loop = make(swa_from=1.5, average_every=3, valid=None, log_every=1)
    weights = watched(loop)
    loop.run()
    assert_mean([numpy(variable) for variable in loop.folder.read_model().trainable_variables], weights[30::3])


def test_a_mean_that_would_never_begin_is_refused():
    consistency.check_averages(Recipe(swa_from=2.5, epochs=3))
    with pytest.raises(ValueError, match="lower `swa_from`, or raise `epochs`. Received: swa_from=3.0, epochs=3"):
        consistency.check_averages(Recipe(swa_from=3, epochs=3))


@pytest.mark.parametrize(
    "changes",
    [
        dict(nt_asgd=1, eval_every=5),
        pytest.param(dict(swa_from=0.7, average_every=4, accumulate=2), marks=pytest.mark.long),
        pytest.param(dict(grow={"2": {"batch": 6, "window": 10}}), marks=pytest.mark.long),
    ],
    ids=["nt_asgd", "swa_from", "grow"],
)
def test_it_resumes_exactly(make, changes):
    def scripted():
        return {"scorer": Scripted(LOSSES)} if "nt_asgd" in changes else {}

    whole = make("whole", log_every=1, **scripted(), **changes)
    whole.run()
    one = scripted()  # no validation is repeated
    for step in (17, 23, 28):
        broken = make("broken", at={step: interrupt(signal.SIGTERM)}, log_every=1, **one, **changes)
        assert broken.restore() == (step > 17)
        assert broken.run() is None
    broken = make("broken", log_every=1, **one, **changes)
    assert broken.restore()
    assert broken.run()
    assert_same(whole, broken)


def test_an_update_of_several_batches_comes_when_all_are_there(make):
    loop = make(accumulate=3, valid=None, log_every=1, epochs=1)
    weights = watched(loop)
    loop.run()
    moved = [not np.array_equal(before[0], after[0]) for before, after in itertools.pairwise(weights)]
    assert moved == [step % 3 == 0 for step in range(2, 21)]
    assert int(numpy(loop.optimizer.steps)) == 6


def test_weights_decay_as_the_recipe_says(make):
    """By the rate times the decay, which for sgd is the gradient of half their squares."""
    ended = []
    for decay in (0.0, 0.5):
        loop = make(str(decay), weight_decay=decay, optimizer="sgd", dropout=0.0, valid=None, log_every=1, epochs=1)
        first = [numpy(v).copy() for v in loop.model.trainable_variables]
        ended.append(watched(loop))
        loop.run()
    for begun, plain, decayed in zip(first, ended[0][0], ended[1][0], strict=True):
        np.testing.assert_allclose(decayed - plain, -0.01 * 0.5 * begun, atol=1e-7)


def test_a_stream_has_each_epochs_batch_and_window():
    text = np.arange(60)
    recipe = Recipe(batch=2, window=5, grow={"3": {"batch": 4}, "4": {"window": 15}})
    stream = stream_of(recipe, lambda recipe: Contiguous(text, recipe.batch, recipe.window, start=0))
    assert stream.carries_states
    assert [stream.steps(epoch) for epoch in range(5)] == [6, 6, 3, 1, 1]
    for epoch, shape in enumerate([(2, 5), (2, 5), (4, 5), (4, 15)]):
        inputs, *_ = next(iter(stream.dataset(epoch)))
        assert inputs["tokens"].shape == shape
        assert stream.lengths(epoch).max() == shape[1]
    with pytest.raises(ValueError, match="A text of 60 tokens fills at most as many rows: lower `batch`"):
        stream_of(Recipe(batch=2, grow={"9": {"batch": 61}}), lambda recipe: Contiguous(text, recipe.batch, 5, start=0))


def test_random_lengths_may_be_multiples_of_a_number():
    stream = Contiguous(np.arange(30_000), 2, 35, start=0, random=True, multiple=10)
    lengths = stream.lengths()
    assert lengths.sum() == 15_000 and not (lengths[:-1] % 10).any()
    assert {*lengths[:-1]} >= {20, 30, 40} and len({*lengths}) < 8
    assert lengths[:-1].mean() == pytest.approx(35, abs=2)
