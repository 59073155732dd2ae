"""The interface that a model has to its output layer."""

import types

import keras
import numpy as np
from keras import ops

from keras_rnnlm.heads.cross_entropy import losses_of_logits
from keras_rnnlm.initializers import another


class Head(keras.layers.Layer):
    """Features to logits over a vocabulary, and to a loss.

    `head(features)` is (..., features) to (..., vocabulary): numbers of which the softmax is the distribution, such as
    the logarithms of the probabilities. They are exact, in training as in evaluation and in exported files.

    A subclass makes its weights in `build` and gives the logits in `call`. The losses here are formed of all logits at
    once: a head for a large vocabulary forms `losses_of` and `total_loss` by `keras_rnnlm.heads.cross_entropy`, a chunk
    at a time. `total_loss`, which is for training, may be an estimate of the sum of `losses_of`.

    A head that can read an embedding's table says so, `can_be_tied = True`, and finds the embedding in `tied_to`, or
    None there. The model ties it before it is built. One that has to know how frequent the tokens are says
    `reads_frequencies = True`, and `read_frequencies` is called before training. One whose matrix may be divided over
    devices by tokens says `can_be_divided = True`.

    Args:
        vocabulary_size: how many logits.
        kernel_initializer: of its matrices.

    Example, the logits of two matrices in place of a large one:

    >>> class Factorised(Head):
    ...     def build(self, input_shape):
    ...         options = {"initializer": self.kernel_initializer}
    ...         self.into = self.add_weight(name="into", shape=(input_shape[-1], 2), **options)
    ...         self.out = self.add_weight(name="out", shape=(2, self.vocabulary_size), **options)
    ...     def call(self, features):
    ...         return ops.matmul(ops.matmul(features, self.into), self.out)
    >>> model = keras_rnnlm.models.LanguageModel(10, units=4, layers=1, head=Factorised)
    >>> model(np.zeros((2, 3), "int32")).shape
    (2, 3, 10)
    """

    can_be_tied = False
    reads_frequencies = False
    can_be_divided = False

    def __init__(self, vocabulary_size, kernel_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.kernel_initializer, self.matrices = keras.initializers.get(kernel_initializer), 0
        self._tied = types.SimpleNamespace(to=None)  # where Keras does not look: the embedding is no part of this layer

    @property
    def tied_to(self):
        """The embedding whose table it reads, or None."""
        return self._tied.to

    def tie(self, embedding):
        """Has it read the table of a `keras.layers.Embedding` in place of a matrix of its own."""
        if not self.can_be_tied:
            raise ValueError(f"A {type(self).__name__} reads no embedding's table: leave it untied")
        if self.built:
            raise ValueError(f"{self.name!r} has a kernel of its own already: tie it before it is built")
        self._tied.to = embedding

    def check_table(self, width):
        """Raises unless the table that it reads has so many columns, and a row for each token."""
        embedding, needed = self.tied_to, (self.vocabulary_size, width)
        table = needed if embedding is None else (embedding.input_dim, embedding.output_dim)
        if table != needed:
            raise ValueError(
                "A tied output layer reads the embedding's table, so the table must be (vocabulary, features) = "
                f"{needed}. Received: an embedding of {table}"
            )

    def add_matrix(self, name, shape):
        """A weight that begins as `kernel_initializer` has it: each with random numbers of its own."""
        self.matrices += 1
        return self.add_weight(name=name, shape=shape, initializer=another(self.kernel_initializer, self.matrices))

    def losses_of(self, features, targets):
        """`-log p(target)`, float32 in the shape of `targets`, for evaluation."""
        return ops.stop_gradient(self._differentiable(features, targets))

    def total_loss(self, features, targets, weights):
        """The weighted sum of the losses, which carries the gradients, and the losses, which carry none."""
        losses = self._differentiable(features, targets)
        return ops.sum(losses * weights), ops.stop_gradient(losses)

    def _differentiable(self, features, targets):
        logits = ops.reshape(self(features), (-1, self.vocabulary_size))
        return ops.reshape(losses_of_logits(logits, ops.reshape(targets, (-1,))), ops.shape(targets))

    def read_frequencies(self, frequencies):
        """Told how often each token occurs, (vocabulary,), before training: it changes no weight that learns."""

    def begin_with_frequencies(self, frequencies):
        """The same, for a head with a bias to begin with them. It includes `read_frequencies`."""

    def checked_frequencies(self, frequencies):
        """In float64, or a ValueError: of a token that never occurs the logarithm would be no number."""
        frequencies = np.asarray(frequencies, "float64")
        if frequencies.shape != (self.vocabulary_size,):
            raise ValueError(
                f"Frequencies of tokens are {self.vocabulary_size} numbers. Received: shape {frequencies.shape}"
            )
        if not (np.isfinite(frequencies).all() and (frequencies > 0).all()):
            raise ValueError(
                "Frequencies of tokens are numbers above 0: add 1 to each where some never occur. Received: others"
            )
        return frequencies

    def get_config(self):
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
