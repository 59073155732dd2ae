"""What attended to what, as a picture."""

import numpy as np


def plot_attention(weights, source, target, axes=None):
    """Draws attention, a row for each symbol of the target, and returns the axes of matplotlib.

    Args:
        weights: (target, source), such as `Translation.attention`: white at 0, black at 1.
        source: list of strings, what each column stands for.
        target: list of strings, what each row stands for.
        axes: of matplotlib; by default of the size that the strings need.

    Example:

    >>> axes = plot_attention(np.eye(2), ["a", "house"], ["ein", "Haus"])
    >>> [label.get_text() for label in axes.get_yticklabels()]
    ['ein', 'Haus']
    """
    weights = np.asarray(weights, "float64")
    if weights.shape != (len(target), len(source)):
        raise ValueError(
            "`weights` are a number for each symbol of the target and of the source, here of shape "
            f"{(len(target), len(source))}. Received: shape {weights.shape}"
        )
    if axes is None:
        import matplotlib.pyplot as plt

        size = (1.5 + 0.3 * len(source), 1.5 + 0.3 * len(target))
        axes = plt.subplots(figsize=size, layout="constrained")[1]
    axes.imshow(weights, cmap="Greys", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    how = dict(parse_math=False)  # a dollar is a dollar
    axes.set_xticks(range(len(source)), list(source), rotation=90, **how)
    axes.set_yticks(range(len(target)), list(target), **how)
    axes.xaxis.tick_top()
    return axes
