"""Dynamic evaluation (Krause et al., 2018): the model learns on from the text that it is scored on."""

import contextlib

import numpy as np
from keras import ops

from keras_rnnlm import recurrence
from keras_rnnlm.models.compiled import compiled_gradient
from keras_rnnlm.training.evaluation.scorer import Scorer

RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
DECAYS = (0.0, 1e-3, 1e-2)


class DynamicScorer(Scorer):
    """As `Scorer`, with a step of gradient descent after each window: what it scores it has not yet learned from.

        w <- w - rate g / (s + r) + decay (s / r) (w_0 - w)

    s is the root of the mean square of g in training, and r that of s over all numbers of a variable: what training
    hardly moved, such as the rows of rare words, does not fly away.

    `observe` takes the s of each weight from a text, the training text, and `tune` the rate and the decay from another.
    The model has its own weights again when a text ends.

    Args:
        model, options: as of `Scorer`, but for `window`: tokens between two steps. Fewer adapt sooner, and take longer.

    Attributes:
        rate, decay: 0 and 0, the model as it is, until they are set, by `tune` say.
    """

    rate, decay = 0.0, 0.0

    def __init__(self, model, *, window=20, **options):
        super().__init__(model, window=window, **options)
        if self.end is not None:
            raise ValueError("A model of sentences by themselves does not read on: it is not evaluated dynamically")
        self._gradient = compiled_gradient(model, self._loss)
        self._variables = list(model.trainable_variables)
        self._learn = recurrence.backend.region(self._one_step)  # in one pass over the weights, on TensorFlow
        self._scales = None

    def observe(self, tokens, windows=300):
        """Takes the mean squares of the gradients from some windows, evenly spread over a text."""
        stream = self._stream(tokens)
        every = max(1, stream.steps() // windows)
        squares, count, states = [0.0] * len(self._variables), 0, self.model.initial_states(stream.batch)
        for number, (inputs, targets, _) in enumerate(stream.windows()):
            if number % every == 0:  # from the states of another place: they settle within a window, nearly
                read = [ops.convert_to_tensor(array) for array in (inputs["tokens"], targets)]
                gradients, (_, *states) = self._gradient(*read, states)
                squares = [s + ops.square(ops.cast(g, "float32")) for s, g in zip(squares, gradients)]
                count += 1
        self._scales = [ops.sqrt(s / count) for s in squares]
        self._means = [ops.maximum(ops.sqrt(ops.mean(s / count)), 1e-30) for s in squares]

    def tune(self, tokens, progress=None):
        """Takes the rate, and then the decay, with which a text is the likeliest."""
        for name, values in (("rate", RATES), ("decay", DECAYS)):
            scores = []
            for value in values:
                setattr(self, name, value)
                scores.append(self.score(tokens, progress)["loss"])
            setattr(self, name, values[int(np.argmin(np.nan_to_num(scores, nan=np.inf)))])

    def settings(self):
        return {"dynamic_rate": self.rate, "dynamic_decay": self.decay, "dynamic_window": self.window}

    def _scored(self, stream, progress):
        if self._scales is None:
            raise ValueError("Dynamic evaluation needs the size of the gradients in training: call `observe` first")
        both = list(zip(self._scales, self._means))
        self._steps = [self.rate / (scale + mean) for scale, mean in both]
        self._pulls = [ops.minimum(self.decay * scale / mean, 1.0) for scale, mean in both]
        with self._put_back():
            yield from super()._scored(stream, progress)

    @contextlib.contextmanager
    def _put_back(self):
        self._begin = [_copy(variable) for variable in self._variables]
        try:
            yield
        finally:
            for variable, value in zip(self._variables, self._begin):
                variable.assign(value)

    def _loss(self, tokens, targets, states):
        hidden, states = self.model.hidden(tokens, states)
        weights = ops.ones_like(targets, dtype="float32") / ops.cast(ops.size(targets), "float32")
        total, _ = self.model.head.total_loss(hidden, targets, weights)
        losses = self.model.head.losses_of(hidden, targets)  # of which `total_loss` may have an estimate alone
        return total, [losses, *states]

    def _read(self, tokens, targets, states):
        gradients, (losses, *states) = self._gradient(tokens, targets, states)
        pulls = list(zip(self._pulls, self._begin)) if self.decay else None
        self._learn(gradients, self._steps, pulls)
        return losses, states

    def _one_step(self, gradients, steps, pulls):
        """`pulls`: of each variable how far it goes back, and to what; or None."""
        for number, (variable, gradient, step) in enumerate(zip(self._variables, gradients, steps)):
            before = ops.convert_to_tensor(variable.value)
            value = before - ops.cast(gradient, variable.dtype) * step
            if pulls is not None:
                pull, begin = pulls[number]
                value = value + pull * (begin - before)
            variable.assign(value)


def _copy(variable):
    return ops.convert_to_tensor(np.array(ops.convert_to_numpy(variable.value)))
