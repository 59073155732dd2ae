"""What the studies show: intervals that stay within the data, a style for each network, and runs that diverged."""

import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from keras_rnnlm.training.studies import (
    adding,
    clockwork,
    copy_memory,
    depth,
    pictures,
    reber,
    summaries,
    vanishing,
    variants,
)

VANISHING = (*vanishing.LINEAR, *vanishing.ORTHOGONAL, *vanishing.FORGET_BIAS, "GRU")
PICTURES = {
    "vanishing": VANISHING,
    "adding": adding.MODELS,
    "copy": tuple(copy_memory.MODELS),
    "timing": ("LSTM", "LSTM, peepholes"),
    "depth": tuple(depth.CONNECTIONS),
    "reber": tuple(reber.MODELS),
    "clockwork": tuple(clockwork.MODELS),
    "variants": (*variants.VARIANTS, *variants.OTHERS),
}


def figure_of(study, results):
    figure = Figure(figsize=(8, 5), layout="constrained")
    study.draw(study.SETTINGS["full"], results, figure)
    FigureCanvasAgg(figure).draw()
    return figure


def gradients(seeds=2):
    """Results of `vanishing`: the trained networks are others than the fresh ones."""
    norms = {"h": [0.5, 0.1, 0.02], "c": [0.4, 0.2, 0.1]}
    return [
        dict(network=network, training=training, seed=seed, norms=norms if "LSTM" in network else {"h": norms["h"]})
        for training in ("fresh", "clipped")
        for network in VANISHING
        for seed in range(seeds)
        if training == "fresh" or network not in vanishing.LINEAR
    ]


def bits(model, values):
    return [
        dict(model=model, learning_rate=0.01, seed=k, seconds=1.0, units=8, weights=9, validation=value, test=value)
        for k, value in enumerate(values)
    ]


# Intervals


def test_an_interval_in_a_table_stays_within_the_data():
    errors = [0.0002, 0.0003, 0.0004, 0.002, 0.003, 0.02]
    results = [
        dict(model="lstm", learning_rate=0.01, seed=k, error=error, losses=[error], weights=1, seconds=1.0)
        for k, error in enumerate(errors)
    ]
    (row,) = adding.table(adding.SETTINGS["full"], results)
    found = row["mean squared error"]
    assert min(errors) <= found["low"] < found["median"] < found["high"] <= max(errors)
    assert found["median"] == pytest.approx(0.0012)


@pytest.mark.parametrize("n", [6, 7, 10, 50])
def test_the_interval_of_a_median_holds_the_true_one_nearly_as_often_as_it_says(n):
    rng = np.random.default_rng(n)
    held = []
    for values in np.exp(rng.normal(size=(200, n))):
        found = summaries.median(values.tolist())
        assert min(values) <= found["low"] <= found["median"] <= found["high"] <= max(values)
        held.append(found["low"] <= 1 <= found["high"])
    assert np.mean(held) > 0.88


def test_too_few_seeds_have_a_range_and_no_interval():
    found = summaries.median([3.0, 1.0, 2.0, 5.0, 4.0])
    assert (found["low"], found["high"], found["least"], found["most"]) == (None, None, 1, 5)
    assert summaries.cell(found) == "3 (1 to 5)"
    assert summaries.mean([3.0, 1.0, 2.0, 5.0, 4.0])["low"] is None


def test_a_run_that_diverged_is_counted_and_stands_above_all_others():
    found = summaries.median([2.0, 2.1, 2.2, 2.3, 2.4, 92.0, None], beyond=7)
    assert (found["median"], found["diverged"], found["most"]) == (2.3, 2, 2.4)
    assert found["low"] >= 2 and found["high"] is None
    assert summaries.median([2.0, None, 92.0], beyond=7)["median"] is None
    (row,) = variants.table(variants.SETTINGS["full"], bits("NOAF", [2.7, 91.5, 2.8]))
    assert summaries.cell(row["test, bits"]) == "2.8 (2.7 to 2.8), 1 diverged"


# Styles


@pytest.mark.parametrize("name", PICTURES)
def test_the_networks_of_a_picture_have_styles_of_their_own(name):
    styles = [pictures.STYLES[network] for network in PICTURES[name]]
    assert all(a != b for a, b in itertools.combinations(styles, 2))


def seen(color, matrix):
    """A colour in CIE L*a*b*, as by an eye whose sight `matrix` makes of linear RGB."""
    rgb = np.array([int(color[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    rgb = np.clip(matrix @ np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4), 0, 1)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ rgb
    x, y, z = np.cbrt(xyz / [0.9505, 1, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


# Machado et al. (2009): all of a kind of cones is missing.
SIGHT = {
    "full": np.eye(3),
    "no red": np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]),
    "no green": np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]),
    "no blue": np.array([[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]]),
}


@pytest.mark.parametrize("sight", SIGHT)
def test_networks_of_one_line_style_differ_in_colour_for_every_eye(sight):
    for networks in PICTURES.values():
        for a, b in itertools.combinations([pictures.STYLES[network] for network in networks], 2):
            if a["linestyle"] == b["linestyle"]:
                assert np.linalg.norm(seen(a["color"], SIGHT[sight]) - seen(b["color"], SIGHT[sight])) > 15, (a, b)


def test_a_network_has_one_colour_in_every_panel():
    colors = {}
    for axes in figure_of(vanishing, gradients()).axes:
        for line, label in zip(*axes.get_legend_handles_labels()):
            colors.setdefault(label, set()).add(line.get_color())
    assert set(colors) == set(VANISHING) and all(len(found) == 1 for found in colors.values())


# Panels


def test_the_legend_is_beside_the_panels_and_names_each_network_once():
    figure = figure_of(vanishing, gradients())
    (legend,) = figure.legends
    assert sorted(text.get_text() for text in legend.get_texts()) == sorted(VANISHING)
    box = legend.get_window_extent()
    for axes in figure.axes:
        assert axes.get_legend() is None and not box.overlaps(axes.get_window_extent())


def test_many_runs_are_a_median_and_a_band_and_few_are_lines():
    for runs, lines, bands in ((6, 1, 1), (5, 6, 0)):
        axes = Figure().subplots()
        pictures.curves(axes, {"GRU": [{"losses": [k + 1.0, k + 2.0]} for k in range(runs)]}, every=50)
        assert (len(axes.lines), len(axes.collections)) == (lines, bands)
        np.testing.assert_array_equal(axes.lines[0].get_xydata(), [[50, (runs + 1) / 2], [100, (runs + 3) / 2]])


@pytest.mark.parametrize("runs", [3, 6])
def test_a_curve_that_diverges_is_counted_at_the_edge_and_sets_no_scale(runs):
    axes = Figure().subplots()
    results = [{"losses": [3.0, 2.0, 1.0]} for _ in range(runs - 1)] + [{"losses": [3.0, None, 1e9]}]
    pictures.curves(axes, {"GRU": results})
    assert axes.get_ylim()[1] < 4
    assert [text.get_text() for text in axes.texts] == [f"1 of {runs} diverged"]
    (marker,) = [line for line in axes.lines if line.get_marker() == "^"]
    assert marker.get_xdata().tolist() == [2]


def test_runs_that_diverged_are_at_the_edge_and_leave_the_scale_to_the_others():
    results = bits("V", [2.5, 2.6, 2.7]) + bits("NOAF", [2.9, 91.5, 538.0]) + bits("GRU", [None, None, None])
    figure = figure_of(variants, results)
    (axes,) = figure.axes
    assert axes.get_xlim()[0] > 2 and axes.get_xlim()[1] < 4
    assert [text.get_text() for text in axes.texts] == ["2 of 3 diverged", "3 of 3 diverged"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["V", "NOAF", "GRU"]
