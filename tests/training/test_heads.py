"""What a run tells a head: its settings, and how frequent the tokens are."""

import types

import numpy as np
import pytest
from keras import ops

from keras_rnnlm.training import tasks
from keras_rnnlm.training.recipes.recipe import Recipe

SMALL = dict(units=4, layers=1, cell="simple_rnn", cell_options={"unroll": True}, tied=False)


def begun(text, kind, **settings):
    """A model that a run begins with."""
    recipe = Recipe(**SMALL, **settings)
    vocabulary = types.SimpleNamespace(vocabulary_size=8, kind=kind)
    task = tasks.task_of(recipe)
    model = task.build(recipe, vocabulary)
    task.begin(model, types.SimpleNamespace(splits={"train": np.array(text)}), recipe)
    return model


@pytest.mark.parametrize("unigram_bias", [True, False])
def test_an_adaptive_head_takes_the_order_of_the_text_s_symbols(unigram_bias):
    settings = dict(head="adaptive", head_options={"cutoffs": [2]}, unigram_bias=unigram_bias)
    model = begun([7] * 9 + [3] * 5 + [4], "bpe", **settings)
    assert ops.convert_to_numpy(model.head.ids)[:3].tolist() == [7, 3, 4]
    assert ops.convert_to_numpy(model.head.head_bias).any() == unigram_bias
    # A vocabulary of words has this order, and one who says which is taken at his word.
    assert begun([0] * 9 + [1] * 5, "word", **settings).head.order == "ids"
    settings["head_options"] = {"cutoffs": [2], "order": "ids"}
    assert begun([0] * 9 + [1] * 5, "bpe", **settings).head.order == "ids"


def test_a_sampled_head_draws_the_text_s_symbols():
    model = begun([7] * 90 + [3] * 20, "char", head="sampled", head_options={"num_sampled": 2}, unigram_bias=False)
    chances = np.exp(ops.convert_to_numpy(model.head.log_chance))
    assert np.argsort(-chances)[:2].tolist() == [7, 3]
    np.testing.assert_allclose(chances[0] / chances[3], 1 / 21, rtol=1e-4)


def test_a_vocabulary_that_is_too_small_is_told_in_one_line():
    with pytest.raises(
        ValueError, match="head 'adaptive' chooses its `cutoffs` for a vocabulary of 1,000 tokens"
    ) as told:
        begun([1], "char", head="adaptive")
    assert "\n" not in str(told.value)
