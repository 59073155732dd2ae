"""By how much the recurrent matrices of a network can stretch what passes through them."""

import dataclasses

import numpy as np
from keras import ops

from keras_rnnlm.diagnostics.steps import layers_of
from keras_rnnlm.layers import RecurrentStack
from keras_rnnlm.schema import is_count


@dataclasses.dataclass(frozen=True)
class SingularValues:
    """The largest singular values of recurrent matrices.

    Attributes:
        names: of the matrices: "layer 0, recurrent_kernel, f" is the columns of the forget gate in the first layer.
        values: for each matrix, an array of its largest singular values, the largest first.

    >>> print(SingularValues(["recurrent_kernel, h"], [np.array([1.2, 0.9])]))
    recurrent_kernel, h   1.200   0.900
    """

    names: list
    values: list

    def __str__(self):
        width = max(len(name) for name in self.names)
        rows = [" ".join(f"{value:7.3f}" for value in values) for values in self.values]
        return "\n".join(f"{name:{width}} {row}" for name, row in zip(self.names, rows))

    def plot(self, axes=None):
        """Draws the values of each matrix, from the largest on, and returns the axes of matplotlib."""
        if axes is None:
            import matplotlib.pyplot as plt

            axes = plt.subplots()[1]
        for name, values in zip(self.names, self.values):
            axes.plot(np.arange(1, len(values) + 1), values, "o-", label=name)
        axes.axhline(1.0, color="gray", linewidth=0.5)
        axes.set(xlabel="singular value, from the largest on", ylabel="value")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend()
        return axes


def singular_values(model, k=5):
    """The `k` largest singular values of every recurrent matrix, gate by gate.

    In h' = tanh(x@W + h@U + b) the gradient by h is the gradient by h', times slopes of at most 1, times U transposed:
    the linear part of a step stretches a gradient by at most U's largest singular value. Where that is below 1, the
    gradient must vanish; above 1, it may explode, and need not. In a gated cell this holds for what each gate reads of
    h; what a state carries past the matrices (f*c in an LSTM) has no part in it.

    Args:
        model: a LanguageModel, a recurrent layer, a RecurrentStack, or a chain of layers, as in `gradient_flow`; built.
        k: how many. A smaller matrix gives all that it has.

    Example:

    >>> layer = keras_rnnlm.layers.SimpleRNN(8, recurrent_initializer="orthogonal")
    >>> layer.build((None, None, 3))
    >>> print(singular_values(layer, k=3))
    layer 0, recurrent_kernel, h   1.000   1.000   1.000
    """
    if not is_count(k):
        raise ValueError(f"`k` is a whole number of singular values, at least 1. Received: k={k!r}")
    names, values = [], []
    layers = [(f"layer {number}", layer) for number, layer in enumerate(layers_of(model))]
    if isinstance(model, RecurrentStack):
        layers += [(f"layer {number} backwards", layer) for number, layer in enumerate(model.backwards)]
    for which, layer in layers:
        cell = getattr(layer, "cell", None)
        if cell is None:
            continue
        if not cell.built:
            raise ValueError(f"`model` has weights once it is built, or called. Received: {layer.name!r}, not built")
        products = cell.products()
        for name, kernel in cell.kernels(cell.read_weights()).items():
            kernel, gates = ops.convert_to_numpy(kernel).astype("float64"), products.get(name)
            blocks = {name: kernel}
            if gates:
                blocks = {f"{name}, {gate}": m for gate, m in zip(gates, np.split(kernel, len(gates), axis=1))}
            names += [f"{which}, {name}" for name in blocks]
            values += [np.linalg.svd(matrix, compute_uv=False)[:k] for matrix in blocks.values()]
    return SingularValues(names, values)
