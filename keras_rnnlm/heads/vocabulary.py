"""The full softmax: a logit for each token of the vocabulary, and a loss without all the logits."""

import keras
import numpy as np
from keras import ops

from keras_rnnlm.heads.cross_entropy import cross_entropy, linear_cross_entropy
from keras_rnnlm.heads.head import Head
from keras_rnnlm.recurrence import backend


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class VocabularyLogits(Head):
    """`logits = features @ kernel.T + bias`, where the kernel may be an embedding's own table.

    Args:
        vocabulary_size: how many logits.
        use_bias: whether there is a bias.
        kernel_initializer, bias_initializer: as in `keras.layers.Dense`.

    `tie(embedding)`, before the first call, makes the kernel the table of a `keras.layers.Embedding`.

    Example:

    >>> layer = VocabularyLogits(10)
    >>> layer(np.zeros((2, 3, 4))).shape
    (2, 3, 10)
    """

    can_be_tied = can_be_divided = True

    def __init__(
        self, vocabulary_size, use_bias=True, kernel_initializer="glorot_uniform", bias_initializer="zeros", **kwargs
    ):
        super().__init__(vocabulary_size, kernel_initializer, **kwargs)
        self.use_bias = use_bias
        self.bias_initializer = keras.initializers.get(bias_initializer)

    def build(self, input_shape):
        self.check_table(input_shape[-1])
        if self.tied_to is None:
            self.kernel = self.add_weight(
                name="kernel", shape=(self.vocabulary_size, input_shape[-1]), initializer=self.kernel_initializer
            )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(self.vocabulary_size,), initializer=self.bias_initializer)
        self.built = True

    def read(self, features):
        """What the kernel is multiplied with, in the compute dtype: the features. A subclass may project them."""
        return ops.cast(features, self.compute_dtype)

    def call(self, features):
        kernel, bias = self._weights()
        logits = ops.matmul(self.read(features), ops.transpose(kernel))
        return logits if bias is None else logits + bias

    def losses_of(self, features, targets):
        """As `Head.losses_of`, without gradients and without all the logits."""
        kernel, bias = self._weights()
        losses = cross_entropy(self._rows(features), kernel, bias, ops.reshape(targets, (-1,)), axis=self._axis())
        return ops.reshape(losses, ops.shape(targets))

    def total_loss(self, features, targets, weights):
        """As `Head.total_loss`, without all the logits."""
        kernel, bias = self._weights()
        flat = [ops.reshape(tensor, (-1,)) for tensor in (targets, weights)]
        total, losses = linear_cross_entropy(self._rows(features), kernel, bias, *flat, axis=self._axis())
        return total, ops.reshape(losses, ops.shape(targets))

    def begin_with_frequencies(self, frequencies):
        self.read_frequencies(frequencies)
        if self.bias is not None:
            self.bias.assign(np.log(self.checked_frequencies(frequencies)))

    @property
    def _table(self):
        """The variable that the kernel is: of its own, or the embedding's."""
        return self.kernel if self.tied_to is None else self.tied_to.embeddings

    def _axis(self):
        return backend.divided_over(self._table) if self.can_be_divided else None

    def _weights(self):
        bias = None if self.bias is None else ops.cast(self.bias, self.compute_dtype)
        return ops.cast(self._table, self.compute_dtype), bias

    def _rows(self, features):
        read = self.read(features)
        return ops.reshape(read, (-1, read.shape[-1]))

    def get_config(self):
        return {
            **super().get_config(),
            "use_bias": self.use_bias,
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
        }
