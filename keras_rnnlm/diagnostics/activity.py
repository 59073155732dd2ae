"""What single units do while a network reads a text, and the text in their colours."""

import dataclasses
import html

import numpy as np

from keras_rnnlm.diagnostics.steps import reads_tokens, steps

ABOVE, BELOW = (0.35, 0.65, 1.0), (1.0, 0.5, 0.4)  # the colours of a unit's extremes; black letters stay readable


@dataclasses.dataclass(frozen=True)
class Activity:
    """The values of a layer's units at each step of a text.

    Attributes:
        name: of the values: "layer 1, c".
        values: (steps, units).

    >>> found = Activity("layer 0, h", np.array([[0.1, 0.5], [0.2, -0.5], [0.3, 0.5]]))
    >>> found.correlations([1, 2, 3]).round(2)
    array([1., 0.])
    """

    name: str
    values: np.ndarray

    def correlations(self, signal):
        """The correlation of each unit with `signal`, a number for each step: (units,), 0 where either is constant.

        The signal may be whether a step is within quotes, or how long its line is so far. The units worth a look come
        first in `np.argsort(-abs(activity.correlations(signal)))`.
        """
        signal = np.asarray(signal, "float64")
        if signal.shape != (len(self.values),):
            raise ValueError(f"`signal` is {len(self.values)} numbers. Received: an array of shape {signal.shape}")
        signal, values = signal - signal.mean(), self.values - self.values.mean(axis=0)
        sizes = np.linalg.norm(signal) * np.linalg.norm(values, axis=0)
        return np.divide(signal @ values, sizes, out=np.zeros(len(sizes)), where=sizes > 1e-9)

    def plot(self, unit, text, axes=None, width=80):
        """Writes the text on the colours of one unit, blue above 0 and red below, and returns the axes of matplotlib.

        Args:
            unit: its number.
            text: list of strings, what each step read, with the spaces between them.
            axes: of matplotlib; by default of the size that the text needs.
            width: characters to a line.
        """
        cells, row, column = [], 0, 0  # (character, row, column, colour)
        for token, colour in zip(text, self._colours(unit, text)):
            for character in token:
                if column == width:
                    row, column = row + 1, 0
                cells.append((character, row, column, colour))
                row, column = (row + 1, 0) if character == "\n" else (row, column + 1)
        page = np.ones((row + 1, width, 3))
        for _, *place, colour in cells:
            page[tuple(place)] = colour
        if axes is None:
            import matplotlib.pyplot as plt

            size = (0.08 * width + 0.5, 0.18 * len(page) + 0.5)
            axes = plt.subplots(figsize=size, layout="constrained")[1]
        axes.imshow(page, aspect="auto", interpolation="nearest")
        for character, row, column, _ in cells:
            character = "↵" if character == "\n" else character if character.isprintable() else " "
            how = dict(ha="center", va="center", family="monospace", fontsize=8, parse_math=False)
            axes.text(column, row, character, **how)
        axes.set(title=f"{self.name}, unit {unit}", xticks=[], yticks=[])
        return axes

    def html(self, unit, text):
        """The text on the colours of one unit as HTML that needs nothing else; the values show under the pointer."""
        spans = []
        for token, colour, values in zip(text, self._colours(unit, text), self.values):
            shown = html.escape(token).replace("\n", "↵\n")
            rgb = ",".join(str(round(255 * part)) for part in colour)
            spans.append(f'<span style="background:rgb({rgb})" title="{values[unit]:.3g}">{shown}</span>')
        style = "white-space:pre-wrap;color:black;background:white"
        page = f'<pre style="{style}" title="{self.name}, unit {unit}">{"".join(spans)}</pre>'
        return page.encode("ascii", "xmlcharrefreplace").decode()  # whatever encoding a file's reader expects

    def _colours(self, unit, text):
        """Of each step, (steps, 3): white at 0, and as strong as can be at the unit's largest value."""
        units = self.values.shape[1]
        if not -units <= unit < units:
            raise ValueError(f"`unit` is the number of one of {units} units. Received: unit={unit!r}")
        if len(text) != len(self.values):
            raise ValueError(
                f"`text` is a list of what each of the {len(self.values)} steps read. Received: {len(text)} strings"
            )
        values = self.values[:, unit, None]
        strength = np.abs(values) / (np.abs(values).max() or 1.0)
        return 1 - strength * (1 - np.where(values > 0, ABOVE, BELOW))


def activity(model, tokens, layer=-1, value="h", states=None):
    """What the units of one layer do at each step of a text (Karpathy et al. 2015).

    Args:
        model: a LanguageModel, a recurrent layer, a RecurrentStack, or a chain of layers, as in `gradient_flow`.
        tokens: of one text, (time,), or what else the model reads of one sequence, (time, features).
        layer: the number of the layer, from below, or from above if negative.
        value: "h", "c" where the layer has a cell, or a gate.
        states: to begin with, each (1, units); zeros by default.

    Example:

    >>> model = keras_rnnlm.models.LanguageModel(128, units=8, layers=2)
    >>> text = 'He said "no"'
    >>> cells = activity(model, [ord(character) for character in text], value="c")
    >>> cells.name, cells.values.shape
    ('layer 1, c', (12, 8))
    >>> quoted = [text[:t].count('"') % 2 for t in range(len(text))]
    >>> best = np.argmax(abs(cells.correlations(quoted)))
    >>> page = cells.html(best, list(text))
    """
    tokens, wanted = np.asarray(tokens), "(time,)" if reads_tokens(model) else "(time, features)"
    if tokens.ndim != len(wanted.split(" ")) or not len(tokens):
        raise ValueError(
            f"`tokens` are of one text, {wanted}, and have at least one step: of a batch, take one row. "
            f"Received: tokens of shape {tokens.shape}"
        )
    walk = steps(model, tokens[None], states)
    if not -len(walk.layers) <= layer < len(walk.layers):
        raise ValueError(f"`layer` is the number of one of {len(walk.layers)} layers. Received: layer={layer!r}")
    layer = layer % len(walk.layers)
    cell = getattr(walk.layers[layer], "cell", None)
    names = [] if cell is None else cell.traced()
    if value not in names:
        raise ValueError(f"`value` is one of what layer {layer} computes, {names}. Received: value={value!r}")
    return Activity(f"layer {layer}, {value}", np.stack([notes[layer][value][0] for notes in walk.notes()]))
