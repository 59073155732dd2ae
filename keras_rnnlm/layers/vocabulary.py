"""The output layer of a language model: features to logits over the vocabulary, and to a loss without logits."""

import types

import keras
from keras import ops

from keras_rnnlm.layers.cross_entropy import cross_entropy, linear_cross_entropy


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class VocabularyLogits(keras.layers.Layer):
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

    def __init__(
        self, vocabulary_size, use_bias=True, kernel_initializer="glorot_uniform", bias_initializer="zeros", **kwargs
    ):
        super().__init__(**kwargs)
        self.vocabulary_size, self.use_bias = vocabulary_size, use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self._tied = types.SimpleNamespace(to=None)  # where Keras does not look: the embedding is no part of this layer

    def tie(self, embedding):
        if self.built:
            raise ValueError(f"{self.name!r} has a kernel of its own already: tie it before it is built")
        self._tied.to = embedding

    def build(self, input_shape):
        embedding = self._tied.to
        if embedding is not None:
            table, needed = (embedding.input_dim, embedding.output_dim), (self.vocabulary_size, input_shape[-1])
            if table != needed:
                raise ValueError(
                    "A tied output layer reads the embedding's table, so the table must be (vocabulary, features) = "
                    f"{needed}. Received: an embedding of {table}"
                )
        else:
            self.kernel = self.add_weight(
                name="kernel", shape=(self.vocabulary_size, input_shape[-1]), initializer=self.kernel_initializer
            )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(self.vocabulary_size,), initializer=self.bias_initializer)
        self.built = True

    def _weights(self):
        kernel = self.kernel if self._tied.to is None else self._tied.to.embeddings
        bias = None if self.bias is None else ops.cast(self.bias, self.compute_dtype)
        return ops.cast(kernel, self.compute_dtype), bias

    def call(self, features):
        kernel, bias = self._weights()
        logits = ops.matmul(ops.cast(features, self.compute_dtype), ops.transpose(kernel))
        return logits if bias is None else logits + bias

    def losses_of(self, features, targets):
        """`-log p(target)`, float32 in the shape of `targets`, without gradients and without all the logits."""
        kernel, bias = self._weights()
        rows = self._rows(features)
        return ops.reshape(cross_entropy(rows, kernel, bias, ops.reshape(targets, (-1,))), ops.shape(targets))

    def total_loss(self, features, targets, weights):
        """The weighted sum of the losses, which carries the gradients, and the losses, which carry none."""
        kernel, bias = self._weights()
        flat = [ops.reshape(tensor, (-1,)) for tensor in (targets, weights)]
        total, losses = linear_cross_entropy(self._rows(features), kernel, bias, *flat)
        return total, ops.reshape(losses, ops.shape(targets))

    def _rows(self, features):
        return ops.reshape(ops.cast(features, self.compute_dtype), (-1, features.shape[-1]))

    def get_config(self):
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
        }
