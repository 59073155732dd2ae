"""The regularizers of a recipe in the model that is built of it."""

import numpy as np
import pytest

from keras_rnnlm.text import Tokenizer
from keras_rnnlm.training.recipes.consistency import OF_CELLS
from keras_rnnlm.training.recipes.recipe import Recipe
from keras_rnnlm.training.tasks import task_of
from tests.support import numpy


@pytest.mark.parametrize(
    "name, value",
    [
        ("locked_dropout", True),
        ("input_dropout", 0.4),
        ("output_dropout", 0.4),
        ("embedding_dropout", 0.4),
        ("weight_drop", 0.4),
        ("recurrent_dropout", 0.4),
        ("zoneout", 0.4),
        ("ar", 2.0),
        ("tar", 1.0),
    ],
)
def test_a_regularizer_of_a_recipe_reaches_the_model_and_acts(name, value):
    others = {
        "dropout": 0.4 if name == "locked_dropout" else 0.0,
        "cell": "simple_rnn",
        "cell_options": {"unroll": True},
    }
    recipe = Recipe(units=8, layers=2, batch=4, **others, **{name: value})
    model = task_of(recipe).build(recipe, Tokenizer.train("char", ["abcdef"]))
    if name in OF_CELLS:
        assert {getattr(layer.cell, name) for layer in model.stack.layers} == {value}
    else:
        assert model.get_config()[name] == value
    if name not in ("ar", "tar"):  # which are no part of the logits
        tokens = np.arange(20).reshape(4, 5) % 6
        learning, alone = (numpy(model(tokens, training=training)) for training in (True, False))
        assert np.abs(learning - alone).max() > 1e-4
