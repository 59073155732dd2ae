"""How far back a loss looks: its gradient by the states of earlier steps."""

import dataclasses

import keras
import numpy as np
from keras import ops

from keras_rnnlm.diagnostics.steps import steps
from keras_rnnlm.models import LanguageModel, ids
from keras_rnnlm.recurrence import backend


@dataclasses.dataclass(frozen=True)
class GradientFlow:
    """The norms of a gradient by the states before the loss.

    Attributes:
        names: of the states: "layer 0, h" is that of the first layer, "layer 0, c" its cell, where it has one.
        norms: (states, steps): `norms[i, k]` is the norm of the gradient of the loss at the last step by state i, k + 1
            steps before the step's end; of a batch, the root of the mean square.

    >>> GradientFlow(["layer 0, h"], np.array([[1.0, 0.5, 0.25]])).fall()
    4.0
    """

    names: list
    norms: np.ndarray

    def fall(self, state=0, start=1, end=None):
        """By what factor the norm falls between two distances; above 1 it vanishes, below 1 it explodes."""
        norms = self.norms[state]
        return float(norms[start - 1] / norms[-1 if end is None else end - 1])

    def plot(self, axes=None, label=""):
        """Draws the norms against the distance, and returns the axes of matplotlib.

        Several flows are compared on the same `axes`, where `label` begins the names of one in the legend.
        """
        if axes is None:
            import matplotlib.pyplot as plt

            axes = plt.subplots()[1]
        for name, norms in zip(self.names, self.norms):
            axes.semilogy(np.arange(1, len(norms) + 1), norms, label=f"{label}: {name}" if label else name)
        axes.set(xlabel="steps before the loss", ylabel="norm of the gradient by the state")
        axes.legend()
        return axes


def gradient_flow(model, inputs, targets=None, states=None, seed=0):
    """The gradient of the loss at the last step by the states at every step before it.

    Args:
        model: a LanguageModel, a recurrent layer, a RecurrentStack, or a `keras.Sequential` or functional model that is
            one chain of recurrent layers and of layers that work step by step, such as Embedding and Dense.
        inputs: of a LanguageModel, tokens (batch, time); else what the model reads, (batch, time, ...).
        targets: of a LanguageModel, which needs them, the token after the last one, (batch,): the loss is its
            cross-entropy. Of the others, the loss is the output of the last step in a random direction of length 1.
        states: to begin with; zeros by default.
        seed: of the random direction.

    Example:

    >>> layer = keras_rnnlm.layers.LSTM(8)
    >>> flow = gradient_flow(layer, np.random.normal(size=(4, 20, 3)))
    >>> flow.names, flow.norms.shape
    (['layer 0, h', 'layer 0, c'], (2, 20))

    >>> model, tokens = keras_rnnlm.models.LanguageModel(10, units=8, layers=1), np.arange(20).reshape(4, 5) % 10
    >>> gradient_flow(model, tokens[:, :-1], tokens[:, -1]).norms.shape
    (2, 4)
    """
    walk = steps(model, inputs, states)
    step, states, sequences = walk.step, walk.states, walk.sequences
    loss = _loss(model, targets, seed)
    pulls = []
    for t in range(sequences.shape[1]):
        x = sequences[:, t]
        if t + 1 < sequences.shape[1]:
            states, pull = backend.vjp(lambda *states, x=x: step(x, list(states))[1], tuple(states))
        else:
            total, pull = backend.vjp(lambda *states, x=x: [loss(step(x, list(states))[0])], tuple(states))
        pulls.append(pull)
    gradients, norms = [ops.ones_like(total[0])], []
    for pull in reversed(pulls):
        gradients = [ops.zeros_like(s) if g is None else g for s, g in zip(states, pull(gradients))]
        squares = [np.square(ops.convert_to_numpy(g).astype("float64")).sum() / len(g) for g in gradients]
        norms.append(np.sqrt(squares))
    return GradientFlow(walk.state_names(), np.stack(norms, axis=1))


def _loss(model, targets, seed):
    """The loss of the last output, the sum over the batch, so that rows do not shrink each other's gradient."""
    if isinstance(model, LanguageModel):
        if targets is None:
            raise ValueError(
                "The loss of a LanguageModel is that of the token after the last one of each row, (batch,): pass "
                "`gradient_flow(model, tokens[:, :-1], tokens[:, -1])`. Received: targets=None"
            )
        ids.check(targets, model.vocabulary_size, ids.TARGETS)
        targets = ops.convert_to_tensor(targets, dtype="int32")

        def cross_entropy(output):
            logits = ops.cast(model.head(output), "float32")
            return ops.sum(keras.losses.sparse_categorical_crossentropy(targets, logits, from_logits=True))

        return cross_entropy
    if targets is not None:
        raise ValueError(f"Only a LanguageModel has `targets`. Received: targets={targets!r}")
    rng = np.random.default_rng(seed)

    def in_a_direction(output):
        direction = rng.normal(size=output.shape[-1])
        direction = ops.convert_to_tensor(direction / np.linalg.norm(direction), dtype=output.dtype)
        return ops.sum(output * direction)

    return in_a_direction
