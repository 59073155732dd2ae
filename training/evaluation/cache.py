"""The continuous cache of Grave, Joulin & Usunier (2017): words that came lately after states like this one."""

import numpy as np
from keras import ops

from keras_rnnlm.schema import is_count
from keras_rnnlm.training.evaluation.mixtures import best_weight, mixed
from keras_rnnlm.training.evaluation.scorer import Scorer

# What is tried of `sharpness`, in units of the mean square length of the model's features.
SHARPNESSES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)


class CacheScorer(Scorer):
    """As `Scorer`, with a memory of the last `size` tokens mixed into the model's probabilities.

        p(w) = (1 - weight) p_model(w) + weight p_cache(w)
        p_cache(w) ~ sum over the remembered i with w_(i+1) = w of exp(sharpness h_t . h_i)

    h is what the output layer reads. Nothing is learned but the two numbers, which `tune` takes from a text.

    Args:
        model, options: as of `Scorer`. The text is read as one, or as `batch` rows with a memory each.
        size: how many tokens are remembered.

    Attributes:
        weight, sharpness: 0 and 0, the model as it is, until they are set, by `tune` say.
    """

    weight, sharpness = 0.0, 0.0

    def __init__(self, model, *, size=2000, **options):
        super().__init__(model, **options)
        if not is_count(size):
            raise ValueError(f"`size` is how many tokens a cache remembers, at least 1. Received: size={size!r}")
        if self.end is not None:
            raise ValueError("A cache remembers what came before: a model of sentences by themselves has none")
        self.size = size
        self._trying = None

    def tune(self, tokens, progress=None):
        """Takes the weight and the sharpness with which a text is the likeliest."""
        self._trying, plain, cached = [], [], []
        for losses, weights in self._scored(self._stream(tokens), progress):
            plain.append(losses[0][weights > 0])
            cached.append(losses[1:, weights > 0])
        tried, self._trying = self._trying, None
        plain, cached = np.concatenate(plain), np.concatenate(cached, axis=1)
        weights = [best_weight(plain, losses) for losses in cached]
        best = int(np.argmin([mixed(plain, losses, weight).mean() for losses, weight in zip(cached, weights)]))
        self.weight, self.sharpness = weights[best], tried[best]

    def settings(self):
        return {"cache_size": self.size, "cache_weight": self.weight, "cache_sharpness": self.sharpness}

    def _scored(self, stream, progress):
        self._memories = [Memory(self.size) for _ in range(stream.batch)]
        return super()._scored(stream, progress)

    def _model_reads(self, tokens, targets, states):
        hidden, states = self.model.hidden(tokens, states)
        return [self.model.head.losses_of(hidden, targets), ops.cast(hidden, "float32")], states

    def _read(self, tokens, targets, states):
        (losses, hidden), states = super()._read(tokens, targets, states)
        losses, hidden, targets = (ops.convert_to_numpy(tensor) for tensor in (losses, hidden, targets))
        if self._trying == []:
            square = np.mean(np.sum(np.square(hidden, dtype=np.float64), axis=-1))
            self._trying = [float(sharpness / max(square, 1e-12)) for sharpness in SHARPNESSES]
        sharpnesses = [self.sharpness] if self._trying is None else self._trying
        cached = [m.read(h, t, sharpnesses) for m, h, t in zip(self._memories, hidden, targets)]
        cached = np.stack(cached, axis=1)  # (sharpnesses, rows, time)
        cached = np.where(np.isnan(cached), losses, cached)
        if self._trying is None:
            return mixed(losses, cached[0], self.weight).astype(np.float32), states
        return np.concatenate([losses[None], cached]), states


class Memory:
    """The features after which each of the last tokens of one text came.

    Args:
        size: how many.
    """

    def __init__(self, size):
        self.size, self._features, self._tokens = size, None, np.zeros(0, np.int64)

    def read(self, features, targets, sharpnesses):
        """Losses of a window's targets by what came before each, (sharpnesses, time), and remembers the window.

        NaN where nothing came before.

        Args:
            features: (time, width), what the output layer reads.
            targets: (time,), the tokens that follow.
            sharpnesses: numbers.
        """
        if self._features is None:
            self._features = features[:0]
        before = len(self._tokens)
        features = np.concatenate([self._features, features])
        tokens = np.concatenate([self._tokens, targets])
        place, now = np.arange(len(tokens)), np.arange(before, len(tokens))[:, None]
        seen = (place < now) & (place >= now - self.size)
        same = seen & (tokens == targets[:, None])
        scores = features[before:] @ features.T
        found = [_log_share(np.where(seen, sharpness * scores, -np.inf), same) for sharpness in sharpnesses]
        self._features, self._tokens = features[-self.size :], tokens[-self.size :]
        return -np.stack(found)


def _log_share(scores, chosen):
    """`log(sum of exp over the chosen / sum over all)` of each row; NaN where all are minus infinity."""
    largest = scores.max(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        parts = np.exp(scores - largest)
        return np.log((parts * chosen).sum(axis=1) / parts.sum(axis=1))
