"""Words and their characters, read by recurrent layers: what a tagger, a classifier and a matcher have in common."""

import types

import keras
from keras import ops

from keras_rnnlm.layers import RecurrentStack
from keras_rnnlm.layers.dropout import dropout_layer
from keras_rnnlm.models import ids
from keras_rnnlm.models.embedding import Embedding
from keras_rnnlm.models.quantized import QuantizedInExports
from keras_rnnlm.models.recurrent_layers import from_config, recurrent_layers, to_config
from keras_rnnlm.models.signatures import Tensor
from keras_rnnlm.models.targets import rank_of
from keras_rnnlm.optimizers.wrapping import compile_again
from keras_rnnlm.schema import is_count


class WordModel(QuantizedInExports, keras.Model):
    """A model that begins with words: embedded, with what they are spelled like, and read by a stack.

    A subclass keeps its arguments in `self._arguments`: `words`, `characters`, `word_dim`, `character_dim`, `filters`,
    `dropout` and those of the stack. Id 0 is padding in both: it changes nothing for the words beside it.
    """

    def _make_encoder(self, a, options, bidirectional=True, locked_dropout=False):
        self.embedding = Embedding(a.words, a.word_dim, name="words", **options)
        if self._filters:
            self.character_embedding = Embedding(a.characters, a.character_dim, name="characters", **options)
            self.convolution = keras.layers.Conv1D(
                a.filters, 3, padding="same", activation="relu", name="convolution", **options
            )
        stacked = a.layers
        if not isinstance(stacked, (list, tuple)):
            stacked = recurrent_layers(types.SimpleNamespace(**vars(a), initial_range=None), options)
        how = {"bidirectional": bidirectional, "locked_dropout": locked_dropout, **options}
        self.stack = RecurrentStack(stacked, a.connection, a.dropout, name="stack", **how)
        self.dropout = dropout_layer(a.dropout, locked_dropout, name="dropout", **options)

    def compile(self, optimizer="rmsprop", loss=None, **kwargs):
        """As `keras.Model.compile`, without a loss: the model brings its own."""
        if loss is not None:
            raise ValueError(f"A {type(self).__name__} brings its loss: drop `loss`. Received: loss={loss!r}")
        super().compile(optimizer=optimizer, **kwargs)

    def compile_from_config(self, config):
        compile_again(self, config)

    def _build_encoder(self, beside=0):
        """`beside` is how many features stand beside each word."""
        a = self._arguments
        self.embedding.build((None, None))
        if self._filters:
            self.character_embedding.build((None, None))
            self.convolution.build((None, None, a.character_dim))
        self.stack.build((None, None, a.word_dim + self._filters + beside))

    @property
    def _filters(self):
        return getattr(self._arguments, "filters", 0)  # a model that reads words alone has no such argument

    def _encoded(self, words, characters, training, beside=None):
        """What the stack gives: (batch, time, width). `beside` are features of the words, (batch, time, features)."""
        x = self._embedded(words, training)
        if self._filters:
            x = ops.concatenate([x, self._spelled(characters)], axis=-1)
        x = self.dropout(x, training=training)
        if beside is not None:
            x = ops.concatenate([x, ops.cast(beside, x.dtype)], axis=-1)
        x, _ = self.stack(x, mask=ops.not_equal(words, 0), training=training)
        return x

    def _embedded(self, words, training):
        """The words alone, (batch, time, word_dim)."""
        return _looked_up(self.embedding, words)

    def _spelled(self, characters):
        """What the filters find in each word: (batch, time, filters)."""
        batch, time, length = ops.shape(characters)
        flat = ops.reshape(characters, (-1, length))
        shown = ops.expand_dims(ops.cast(ops.not_equal(flat, 0), self.compute_dtype), 2)
        found = self.convolution(_looked_up(self.character_embedding, flat) * shown) * shown  # none is below 0
        return ops.reshape(ops.max(found, axis=1), (batch, time, self._filters))

    def _takes(self):
        """The `Tensor`s of its signature."""
        a = self._arguments
        words = Tensor("words", (None, None), "int32", below=a.words)
        if a.characters is None:
            return (words,)
        return words, Tensor("characters", (None, None, None), "int32", below=a.characters)

    def get_config(self):
        return {**super().get_config(), **to_config(vars(self._arguments))}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**from_config(config))


def _looked_up(embedding, given):
    """The rows of a table. Of an id that has none it is an error, or NaN."""
    poison, x = ids.poison(given, embedding.input_dim, is_tied=False), embedding(given)
    return x if poison is None else x + ops.cast(poison, x.dtype)


def read_both(inputs):
    """The words and the characters that came in."""
    if not isinstance(inputs, dict) or set(inputs) != {"words", "characters"}:
        received = sorted(inputs) if isinstance(inputs, dict) else type(inputs).__name__
        raise ValueError(f"Inputs are a dict of `words` and `characters`. Received: {received}")
    words, characters = inputs["words"], inputs["characters"]
    if len(words.shape) != 2 or len(characters.shape) != 3:
        raise ValueError(
            "`words` are integers (batch, time), `characters` integers (batch, time, characters of a word). Received: "
            f"shapes {tuple(words.shape)} and {tuple(characters.shape)}"
        )
    return words, characters


def numbers_of(y, what):
    """Targets that are a number a row, int32 (batch,). `what` they are is for messages."""
    if y is None:
        raise ValueError(f"Targets are {what}, a number a row, (batch,). Received: none")
    rank = rank_of(y)
    if rank is not None and (rank not in (1, 2) or rank == 2 and y.shape[1] not in (1, None)):
        raise ValueError(f"Targets are {what}, a number a row, (batch,). Received: shape {tuple(y.shape)}")
    return ops.reshape(ops.cast(y, "int32"), (-1,))


def check_counts(**given):
    for name, value in given.items():
        if not is_count(value):
            raise ValueError(f"`{name}` is a positive integer. Received: {name}={value!r}")
