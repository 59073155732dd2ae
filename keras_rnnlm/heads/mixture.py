"""A mixture of softmaxes: a weighted mean of several distributions, whose logarithm has no low rank."""

import keras
from keras import ops

from keras_rnnlm.heads.cross_entropy import LossOfLogits, in_chunks, losses_in_chunks, plus
from keras_rnnlm.heads.vocabulary import VocabularyLogits
from keras_rnnlm.recurrence import backend
from keras_rnnlm.schema import is_count


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class MixtureOfSoftmaxes(VocabularyLogits):
    """The mean of several softmaxes over one kernel, each of features of its own (Yang et al. 2018).

        z_k = tanh(features @ P_k + c_k)
        p(w) = sum_k softmax_k(features @ prior)[k] * softmax_w(z_k @ kernel.T + bias)[w]

    A step costs as much as that of so many full softmaxes. The logits are the logarithms of the probabilities.

    Args:
        vocabulary_size: how many logits.
        components: how many softmaxes.
        width: of the kernel. Default: where tied, the table's, which it must be; else the features'.
        use_bias, kernel_initializer, bias_initializer: as in `VocabularyLogits`.

    Example:

    >>> model = keras_rnnlm.models.LanguageModel(100, units=16, head="mixture", head_options={"components": 3})
    >>> round(float(ops.sum(ops.exp(model(np.zeros((1, 1), "int32"))))), 4)
    1.0
    """

    can_be_divided = False

    def __init__(self, vocabulary_size, components=5, width=None, **kwargs):
        super().__init__(vocabulary_size, **kwargs)
        for name, value in (("components", components), ("width", 1 if width is None else width)):
            if not is_count(value):
                raise ValueError(f"`{name}` is a positive integer. Received: {name}={value!r}")
        self.components, self.width = components, width

    def build(self, input_shape):
        features = input_shape[-1]
        width = self.width or (features if self.tied_to is None else self.tied_to.output_dim)
        self.prior = self.add_matrix("prior", (features, self.components))
        self.projection = self.add_matrix("projection", (features, self.components * width))
        self.projection_bias = self.add_weight(
            name="projection_bias", shape=(self.components * width,), initializer="zeros"
        )
        super().build((*input_shape[:-1], width))

    def read(self, features):
        """What the kernel is multiplied with, (..., components, width)."""
        projection, bias = (ops.cast(w, self.compute_dtype) for w in (self.projection, self.projection_bias))
        z = ops.tanh(ops.matmul(super().read(features), projection) + bias)
        return ops.reshape(z, (*ops.shape(features)[:-1], self.components, z.shape[-1] // self.components))

    def log_priors(self, features):
        """The logarithms of the components' shares, float32, (..., components)."""
        logits = ops.matmul(super().read(features), ops.cast(self.prior, self.compute_dtype))
        return ops.log_softmax(ops.cast(logits, "float32"), axis=-1)

    def call(self, features):
        kernel, bias = self._weights()
        kernel, mixed = ops.transpose(kernel), []
        z, priors = self.read(features), self.log_priors(features)
        for k in range(self.components):  # one after the other: side by side, all of their logits would be held at once
            logits = plus(ops.matmul(z[..., k, :], kernel), bias)
            mixed.append(ops.log_softmax(logits, axis=-1) + priors[..., k : k + 1])
        largest = mixed[0]
        for logs in mixed[1:]:
            largest = ops.maximum(largest, logs)
        return ops.cast(largest + ops.log(sum(ops.exp(logs - largest) for logs in mixed)), self.compute_dtype)

    def losses_of(self, features, targets):
        losses = losses_in_chunks(
            MIXTURE, *self._given(features), ops.reshape(targets, (-1,)), [self._priors(features)]
        )
        return ops.reshape(losses, ops.shape(targets))

    def total_loss(self, features, targets, weights):
        flat = [ops.reshape(tensor, (-1,)) for tensor in (targets, weights)]
        total, losses = in_chunks(MIXTURE, *self._given(features), *flat, [self._priors(features)])
        return total, ops.reshape(losses, ops.shape(targets))

    def _given(self, features):
        z = self.read(features)
        return ops.reshape(z, (-1, *z.shape[-2:])), *self._weights()

    def _priors(self, features):
        return ops.reshape(self.log_priors(features), (-1, self.components))

    def get_config(self):
        return {**super().get_config(), "components": self.components, "width": self.width}


def _losses(logits, bias, targets, log_priors):
    return _mixed(backend.softmax_cross_entropy(plus(logits, bias), _of_each(targets, log_priors))[0], log_priors)[0]


def _slopes(logits, bias, targets, weights, log_priors):
    losses, slopes = backend.softmax_cross_entropy(plus(logits, bias), _of_each(targets, log_priors))
    losses, posteriors = _mixed(losses, log_priors)
    shares = posteriors * weights[:, None]  # of the row's gradient that go to each component
    slopes = ops.cast(slopes * ops.reshape(shares, (-1, 1)), keras.backend.standardize_dtype(logits.dtype))
    return losses, slopes, -shares


def _of_each(targets, log_priors):
    return ops.repeat(targets, log_priors.shape[-1])


def _mixed(losses, log_priors):
    """The losses of the mixture, (n,), and how probable each component is given the target, (n, components)."""
    joint = log_priors - ops.reshape(losses, (-1, log_priors.shape[-1]))
    largest = ops.max(joint, axis=-1, keepdims=True)
    powers = ops.exp(joint - largest)
    sums = ops.sum(powers, axis=-1, keepdims=True)
    return -(largest + ops.log(sums))[:, 0], powers / sums


MIXTURE = LossOfLogits(_losses, _slopes)
