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


def plot_regions(weights, image, target, grid=None):
    """Draws where in a picture each symbol attended, a panel for each, and returns the figure of matplotlib.

    Args:
        weights: (target, regions), such as `Translation.attention` of a translator of pictures.
        image: (height, width) or (height, width, channels), bytes or numbers from 0 to 1.
        target: list of strings, one a panel.
        grid: how many rows and columns of regions there are, as `ImageEncoder.grid` has it. None: as many as regions
            that are squares make.

    Example:

    >>> figure = plot_regions(np.eye(4), np.zeros((8, 8)), ["a", "seven", "left", "of"])
    >>> [axes.get_title() for axes in figure.axes]
    ['a', 'seven', 'left', 'of']
    """
    import matplotlib.pyplot as plt

    weights, image = np.asarray(weights, "float64"), np.asarray(image)
    image = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    height, width = image.shape[:2]
    if grid is None:
        rows = round((weights.shape[-1] * height / width) ** 0.5)
        grid = (rows, weights.shape[-1] // max(rows, 1))
    if weights.shape != (len(target), grid[0] * grid[1]):
        raise ValueError(
            "`weights` are a number for each symbol of the target and each region, here of shape "
            f"{(len(target), grid[0] * grid[1])}. Received: shape {weights.shape}"
        )
    columns = min(6, max(len(target), 1))
    rows = -(-len(target) // columns)
    figure, panels = plt.subplots(rows, columns, figsize=(1.8 * columns, 2 * rows), squeeze=False, layout="constrained")
    for panel in panels.flat[len(target) :]:
        panel.remove()
    for panel, word, row in zip(panels.flat, target, weights):
        panel.imshow(image, cmap="Greys_r")
        extent = (-0.5, width - 0.5, height - 0.5, -0.5)
        panel.imshow(row.reshape(grid), cmap="inferno", alpha=0.6, vmin=0, extent=extent, interpolation="nearest")
        panel.set_title(word, parse_math=False)
        panel.set_axis_off()
    return figure
