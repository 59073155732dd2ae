"""Methods of a model as compiled functions."""

import numpy as np
import pytest
from keras import ops

from keras_rnnlm.models import LanguageModel
from keras_rnnlm.models.compiled import compiled_gradient


def test_what_is_drawn_is_drawn_anew_at_each_call():
    model = LanguageModel(50, units=3, layers=1, seed=1, head="sampled", head_options={"num_sampled": 5})
    tokens = ops.convert_to_tensor(np.array([[1, 2, 3, 1]], "int32"))

    def method(tokens):
        hidden, _ = model.hidden(tokens)
        return model.head.total_loss(hidden, tokens, ops.ones(tokens.shape))[0], []

    gradient = compiled_gradient(model, method)
    at = [variable is model.head.kernel for variable in model.trainable_variables].index(True)
    rows = [ops.convert_to_numpy(ops.any(gradient(tokens)[0][at] != 0, axis=1)) for _ in range(3)]
    assert any((row != rows[0]).any() for row in rows)


def test_the_gradient_of_a_method_is_that_of_small_differences():
    model = LanguageModel(5, units=3, layers=1, seed=1)
    tokens = ops.convert_to_tensor(np.array([[1, 2, 3, 1]], "int32"))

    def method(tokens, states):
        hidden, states = model.hidden(tokens, states)
        squares = ops.square(hidden)
        return ops.sum(squares), [squares, *states]

    gradients, (squares, *states) = compiled_gradient(model, method)(tokens, model.initial_states(1))
    np.testing.assert_allclose(ops.convert_to_numpy(squares), ops.convert_to_numpy(model.hidden(tokens)[0]) ** 2, 1e-5)
    assert len(states) == 2 and len(gradients) == len(model.trainable_variables)
    for variable, gradient in zip(model.trainable_variables, map(ops.convert_to_numpy, gradients)):
        assert gradient.shape == tuple(variable.shape)
        begin, direction = np.array(ops.convert_to_numpy(variable)), np.where(gradient < 0, -1.0, 1.0)
        ends = []
        for step in (2e-3, -2e-3):
            variable.assign(begin + step * direction)
            ends.append(float(ops.sum(ops.square(model.hidden(tokens)[0]))))
        variable.assign(begin)
        assert (ends[0] - ends[1]) / 4e-3 == pytest.approx((gradient * direction).sum(), rel=1e-2, abs=1e-6)
        assert gradient.any() != any(variable is other for other in model.head.trainable_variables)
