"""What the pictures of several studies share."""

import numpy as np


def curves(axes, groups, every=1, name="losses", styles=None, legend=True):
    """A line for each result, a colour for each group.

    Args:
        axes: of matplotlib.
        groups: dict of a label to results; each holds its curve, a number every `every` steps, under `name`.
        every: steps from number to number.
        styles: dict of a label to what matplotlib takes of a line, in place of a colour for each.
        legend: whether to say which line is which.
    """
    for k, (label, results) in enumerate(groups.items()):
        style = {"color": f"C{k}", **(styles or {}).get(label, {})}
        for first, result in enumerate(results):
            values = np.array(result[name], "float64")  # None, where a run diverged, is not drawn
            shown = label if first == 0 else None
            axes.plot(every * np.arange(1, len(values) + 1), values, alpha=0.7, label=shown, **style)
    if legend:
        axes.legend()
