"""The picture of what attended to what."""

import numpy as np
import pytest

from keras_rnnlm.diagnostics import plot_attention, plot_regions


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


def test_each_symbol_has_a_panel_with_the_regions_over_the_picture():
    weights = np.eye(6)[:2]
    figure = plot_regions(weights, np.zeros((16, 24, 1), "uint8"), ["a", "$7$"])
    assert [axes.get_title() for axes in figure.axes] == ["a", "$7$"]
    picture, regions = figure.axes[1].images
    assert picture.get_array().shape == (16, 24) and regions.get_extent() == [-0.5, 23.5, 15.5, -0.5]
    np.testing.assert_array_equal(regions.get_array(), [[0, 1, 0], [0, 0, 0]])
    with pytest.raises(ValueError, match=r"here of shape \(2, 4\). Received: shape \(2, 6\)"):
        plot_regions(weights, np.zeros((16, 24)), ["a", "b"], grid=(2, 2))
