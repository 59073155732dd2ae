"""What the pictures of several studies share: a style for each network, curves, runs that diverged, and the legend."""

import numpy as np

from keras_rnnlm.training.studies.summaries import ENOUGH, bootstrap, median

# Colours of Okabe and Ito (2008) and of Tol (2021), which the colour-blind can tell apart, at the latest by the line.
# A line for each network, with all the names that studies have for it.
NETWORKS = (
    ("#0072B2", "-", "LSTM", "lstm", "LSTM, forget bias 1 (Keras)", "NP", "one layer"),
    ("#332288", "--", "LSTM, forget bias 0"),
    ("#56B4E9", "-.", "LSTM, forget bias 3", "lstm, forget bias 3"),
    ("#CC79A7", "--", "LSTM, no forget gate", "NFG"),
    ("#D55E00", "--", "LSTM, peepholes", "V"),
    ("#E69F00", "-", "GRU", "gru"),
    ("#009E73", "-", "plain RNN", "simple_rnn", "plain RNN, orthogonal (Keras)"),
    ("#117733", "--", "plain RNN, 0.8 orthogonal"),
    ("#999933", ":", "plain RNN, 1.2 orthogonal"),
    ("#777777", "--", "linear, eigenvalue 0.9"),
    ("#000000", ":", "linear, eigenvalue 1.0"),
    ("#882255", "-.", "linear, eigenvalue 1.1"),
    ("#D55E00", "-", "clockwork"),
    ("#000000", "-", "none"),
    ("#CC79A7", "-", "residual"),
    ("#882255", "--", "dense"),
    ("#E69F00", "-.", "highway"),
    ("#56B4E9", "--", "NIG"),
    ("#332288", ":", "NOG"),
    ("#44AA99", ":", "NIAF"),
    ("#882255", "-", "NOAF"),
    ("#999933", "-.", "CIFG"),
    ("#AA4499", "-.", "FGR"),
    ("#DDCC77", "--", "MUT1"),
    ("#D55E00", ":", "MUT2"),
    ("#CC6677", "-.", "MUT3"),
)
STYLES = {name: {"color": color, "linestyle": line} for color, line, *names in NETWORKS for name in names}


def curves(axes, groups, every=1, name="losses"):
    """The median of each network's runs, and its interval or, of too few runs for one, the runs themselves.

    A run that diverged is infinite from there on, and counted at the upper edge.

    Args:
        axes: of matplotlib.
        groups: dict of a network's name to results; each holds its curve, a number every `every` steps, under `name`.
        every: steps from number to number.
    """
    for network, results in groups.items():
        values = np.array([result[name] for result in results], "float64")  # None becomes NaN
        finite, steps, style = np.isfinite(values), every * np.arange(1, values.shape[1] + 1), STYLES[network]
        values = np.where(np.logical_and.accumulate(finite, axis=1), values, np.inf)
        axes.plot(steps, _shown(np.median(values, axis=0)), label=network, **style)
        if len(values) >= ENOUGH:
            axes.fill_between(steps, *map(_shown, bootstrap(values)), color=style["color"], alpha=0.2, linewidth=0)
        else:
            axes.plot(steps, _shown(values).T, **style, alpha=0.35, linewidth=0.8)
        ends = [np.argmin(run) for run in finite if not run.all()]
        if ends:
            axes.plot(steps[ends], np.ones(len(ends)), "^", **_edge(axes.get_xaxis_transform(), style))
            _count(axes, len(ends), len(values), (steps[max(ends)], 1), axes.get_xaxis_transform(), style, (6, 3))


def dots(axes, groups, name, beyond):
    """A row for each network: its runs, their median and its interval. What is `beyond` or more is at the right edge.

    Args:
        axes: of matplotlib.
        groups: dict of a network's name to results; each holds its number under `name`.
        name: of the numbers.
        beyond: what a run has that diverged.
    """
    axes.plot([], [], "o", color="grey", alpha=0.5, label="a seed")
    axes.plot([], [], "|", color="grey", markersize=18, label="their median")
    for place, (network, results) in enumerate(groups.items()):
        values, style = [result[name] for result in results], STYLES[network]
        found, color = median(values, beyond), style["color"]
        inside = [value for value in values if value is not None and value < beyond]
        axes.plot(inside, [place] * len(inside), "o", color=color, alpha=0.5)
        if found["median"] is not None:
            axes.plot(found["median"], place, "|", color=color, markersize=18)
        if found["low"] is not None and found["high"] is not None:
            axes.plot([found["low"], found["high"]], [place, place], color=color, linewidth=2)
        if found["diverged"]:
            axes.plot(1, place, ">", **_edge(axes.get_yaxis_transform(), style))
            _count(axes, found["diverged"], len(values), (1, place), axes.get_yaxis_transform(), style, (8, -4))
    axes.set_yticks(range(len(groups)), groups)
    axes.set_ylim(len(groups) - 0.5, -0.5)
    axes.grid(axis="x", alpha=0.25)


def legend(figure):
    """One legend of all panels, beside them. A network that is in several is named once."""
    lines = {}
    for axes in figure.axes:
        for line, label in zip(*axes.get_legend_handles_labels()):
            lines.setdefault(label, line)
    figure.legend(lines.values(), lines.keys(), loc="outside right upper", handlelength=3)


def _shown(values):
    return np.where(np.isfinite(values), values, np.nan)


def _edge(transform, style):
    return {"color": style["color"], "transform": transform, "clip_on": False, "zorder": 3}


def _count(axes, diverged, of, place, transform, style, offset):
    axes.annotate(
        f"{diverged} of {of} diverged",
        place,
        xycoords=transform,
        xytext=offset,
        textcoords="offset points",
        color=style["color"],
        fontsize="small",
        annotation_clip=False,
    )
