"""How far the gates of a network are open, unit by unit."""

import dataclasses

import numpy as np

from keras_rnnlm.diagnostics.steps import steps

CLOSED, OPEN = 0.1, 0.9  # where Karpathy et al. (2015) call a gate saturated


@dataclasses.dataclass(frozen=True)
class GateUse:
    """What the gates do over a text: for each gate of each layer, a number for each unit.

    Attributes:
        layers: of each gate, the number of its layer.
        gates: of each gate, its letter.
        mean: of each gate, how far it is open in the mean, (units,).
        open: of each gate, at what share of the steps it is above 0.9, (units,).
        closed: of each gate, at what share of the steps it is below 0.1, (units,).

    `print` shows a table of the means over units.

    >>> share = np.array([0.25, 0.75])
    >>> print(GateUse(layers=[0], gates=["f"], mean=[share], open=[share], closed=[1 - share]))
    gate         mean  > 0.9  < 0.1
    layer 0, f  0.500  50.0%  50.0%
    """

    layers: list
    gates: list
    mean: list
    open: list
    closed: list

    @property
    def names(self):
        return [f"layer {layer}, {gate}" for layer, gate in zip(self.layers, self.gates)]

    def __str__(self):
        width = max(len(name) for name in self.names)
        lines = [f"{'gate':{width}}   mean  > {OPEN}  < {CLOSED}"]
        for name, *columns in zip(self.names, self.mean, self.open, self.closed):
            mean, opened, closed = (column.mean() for column in columns)
            lines.append(f"{name:{width}}  {mean:5.3f}  {opened:5.1%}  {closed:5.1%}")
        return "\n".join(lines)

    def plot(self, axes=None):
        """Draws a point for each unit, by the shares of steps at which its gate is closed and open, coloured by layer.

        Every gate has axes of its own; `axes` are as many, in the order in which the gates first come. Returns them.
        """
        letters = list(dict.fromkeys(self.gates))
        if axes is None:
            import matplotlib.pyplot as plt

            size = (3.5 * len(letters), 3.8)
            axes = plt.subplots(1, len(letters), figsize=size, squeeze=False, layout="constrained")[1][0]
        axes = np.ravel(axes)
        if len(axes) != len(letters):
            raise ValueError(f"`axes` are one for each of the gates {letters}. Received: {len(axes)} axes")
        for letter, panel in zip(letters, axes):
            for layer, gate, opened, closed in zip(self.layers, self.gates, self.open, self.closed):
                if gate == letter:
                    panel.scatter(closed, opened, s=16, alpha=0.5, color=f"C{layer % 10}", label=f"layer {layer}")
            panel.plot([0, 1], [1, 0], color="gray", linewidth=0.5)  # above it no unit can be
            panel.set(title=letter, xlabel=f"share of steps below {CLOSED}", ylabel=f"share of steps above {OPEN}")
            panel.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")
            panel.legend()
        return axes


def gate_use(model, inputs, states=None):
    """How far every gate is open in the mean, and how often it is all but open or closed (Karpathy et al. 2015).

    A unit whose forget gate is mostly open remembers for long; one whose gates are hardly ever either is in use as a
    mixture all the time.

    Args:
        model: a LanguageModel, a recurrent layer, a RecurrentStack, or a chain of layers, as in `gradient_flow`.
        inputs: of a LanguageModel, tokens (batch, time); else what the model reads, (batch, time, ...).
        states: to begin with; zeros by default.

    Example:

    >>> layer = keras_rnnlm.layers.LSTM(8, kernel_initializer="zeros", recurrent_initializer="zeros")
    >>> print(gate_use(layer, np.ones((4, 20, 3))))
    gate         mean  > 0.9  < 0.1
    layer 0, i  0.500   0.0%   0.0%
    layer 0, f  0.731   0.0%   0.0%
    layer 0, o  0.500   0.0%   0.0%
    """
    walk = steps(model, inputs, states)
    cells = {k: layer.cell for k, layer in enumerate(walk.layers) if hasattr(layer, "cell")}
    gates = [(k, name) for k, cell in cells.items() for name in cell.gate_names()]
    if not gates:
        kinds = ", ".join(type(cell).__name__ for cell in cells.values())
        raise ValueError(f"`model` has gates in at least one of its cells. Received: {kinds}")
    total = {gate: 0.0 for gate in gates}
    for notes in walk.notes():
        for k, name in gates:
            value = notes[k][name].astype("float64")
            counts = np.stack([value, value > OPEN, value < CLOSED])
            total[k, name] = total[k, name] + counts.mean(axis=1) / walk.sequences.shape[1]
    numbers = [list(column) for column in zip(*total.values())]
    return GateUse([k for k, _ in gates], [name for _, name in gates], *numbers)
