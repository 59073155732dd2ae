"""The picture of what attended to what."""

import numpy as np
import pytest

from keras_rnnlm.diagnostics import plot_attention


def test_the_picture_has_a_row_for_each_symbol_of_the_target():
    weights = np.array([[0.5, 0.5, 0], [0, 0, 1]])
    axes = plot_attention(weights, ["a", "$b$", "c_1"], ["x", "y"])
    np.testing.assert_array_equal(axes.images[0].get_array(), weights)
    assert axes.images[0].get_clim() == (0, 1)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "$b$", "c_1"]
    assert not axes.get_xticklabels()[1].get_parse_math()
    assert [label.get_text() for label in axes.get_yticklabels()] == ["x", "y"]
    with pytest.raises(ValueError, match=r"here of shape \(2, 2\). Received: shape \(2, 3\)"):
        plot_attention(weights, ["a", "b"], ["x", "y"])
