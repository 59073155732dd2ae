"""Logits divided by a temperature: the correction of a model that is too sure of itself, or not sure enough."""

import numpy as np
from keras import ops

from keras_rnnlm.models.compiled import compiled
from keras_rnnlm.training.evaluation.scorer import Scorer

LOGITS = 1 << 24  # held at once
TRIED = np.geomspace(0.5, 2.0, 13)


class TemperatureScorer(Scorer):
    """As `Scorer`, with the logits divided by a temperature before the softmax (Guo et al., 2017).

    One number for all tokens: which of them is the likeliest stays as it was.

    Attributes:
        temperature: 1, the model as it is, until `tune` finds a better one.
    """

    temperature = 1.0

    def __init__(self, model, **options):
        super().__init__(model, **options)
        if self.end is None:  # elsewhere the window is where sentences are cut
            self.window = max(1, min(self.window, LOGITS // (self.batch * model.vocabulary_size)))
        self._losses_at = compiled(model, self._at_temperatures)
        self._trying = False

    def tune(self, tokens, progress=None):
        """Takes the temperature at which a text is the likeliest."""
        self._trying, total = True, 0.0
        for losses, weights in self._scored(self._stream(tokens), progress):
            total = total + (losses * weights[..., None]).sum((0, 1), dtype=np.float64)
        self._trying = False
        self.temperature = float(np.exp(_lowest(np.log(TRIED), total)))

    def settings(self):
        return {"temperature": self.temperature}

    def _read(self, tokens, targets, states):
        temperatures = TRIED if self._trying else [self.temperature]
        tensors = [ops.convert_to_tensor(float(t), dtype="float32") for t in temperatures]
        losses, states = self._losses_at(tokens, targets, tensors, states)
        return losses if self._trying else losses[..., 0], states

    def _at_temperatures(self, tokens, targets, temperatures, states):
        hidden, states = self.model.hidden(tokens, states)
        logits = ops.cast(self.model.head(hidden), "float32")
        chosen = ops.take_along_axis(logits, ops.cast(targets, "int32")[..., None], axis=-1)[..., 0]
        losses = [ops.logsumexp(logits / t, axis=-1) - chosen / t for t in temperatures]
        return ops.stack(losses, axis=-1), states


def _lowest(places, values):
    """Where the parabola through the lowest of some values and its neighbours is lowest."""
    k = int(np.clip(np.argmin(values), 1, len(values) - 2))
    a, b, _ = np.polyfit(places[k - 1 : k + 2] - places[k], values[k - 1 : k + 2], 2)
    step = places[1] - places[0]
    return places[k] + (np.clip(-b / (2 * a), -step, step) if a > 0 else 0.0)
