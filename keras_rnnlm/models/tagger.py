"""The tagger: a tag for each word of a sentence, from the words and their characters."""

import types

import keras
import numpy as np
from keras import ops

from keras_rnnlm.layers import CRF, RecurrentStack
from keras_rnnlm.layers.crf import log_probabilities_of
from keras_rnnlm.models import ids
from keras_rnnlm.models.embedding import Embedding
from keras_rnnlm.models.recurrent_layers import recurrent_layers
from keras_rnnlm.models.signatures import Signature, Tensor
from keras_rnnlm.models.tally import Tally
from keras_rnnlm.schema import is_count
from keras_rnnlm.viterbi import best_tags


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class Tagger(keras.Model):
    """Words and their characters, a stack of bidirectional recurrent layers, and a tag for each word.

    `model({"words": words, "characters": characters})` is (batch, time) and (batch, time, characters of a word) to the
    logits of the tags, (batch, time, tags). Id 0 is padding in both: it changes nothing for the words beside it. A
    word's characters are embedded, convolved three at a time, and the largest value of each filter is what the word is
    spelled like. A conditional random field scores how tags follow on each other (Ma and Hovy 2016).

    `compile` needs an optimizer alone. `fit` takes tags as targets, integers (batch, time), whatever number where the
    word is padding, and sample weights, if given, one number a word or one a sentence. The loss is -log p(tags), a mean
    over words, and NaN where a target is no tag. `tag` gives the best tags.

    Args:
        words, characters, tags: how many ids there are of each, in words and characters with the padding.
        units: width of the recurrent layers in each direction, or a list of the width of each.
        layers, cell, cell_options, connection: of the recurrent layers, as in a `LanguageModel`.
        word_dim: width of the words' embedding.
        character_dim: width of the characters' embedding.
        filters: how many filters read the characters; 0: none, and `characters` are not looked at.
        dropout: fraction dropped, in training, of what the recurrent layers read and give.
        crf: whether a conditional random field says how tags follow on each other. Without it each is chosen alone.
        allowed: which tags may follow on which, see `keras_rnnlm.layers.allowed_transitions`; needs `crf`.

    Example:

    >>> model = Tagger(50, 20, tags=5, units=8, cell_options={"peephole": True})
    >>> words, characters = np.ones((2, 6), "int32"), np.ones((2, 6, 4), "int32")
    >>> model({"words": words, "characters": characters}).shape
    (2, 6, 5)
    """

    def __init__(
        self,
        words,
        characters,
        tags,
        units=100,
        layers=2,
        cell="lstm",
        cell_options=None,
        connection=None,
        *,
        word_dim=100,
        character_dim=30,
        filters=30,
        dropout=0.5,
        crf=True,
        allowed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        _check_counts(words=words, characters=characters, tags=tags, word_dim=word_dim, character_dim=character_dim)
        if filters != 0:
            _check_counts(filters=filters)
        if allowed is not None and not crf:
            raise ValueError("`allowed` is of a conditional random field: pass crf=True. Received: crf=False")
        # In a namespace, where Keras does not look for layers.
        self._arguments = types.SimpleNamespace(
            words=int(words),
            characters=int(characters),
            tags=int(tags),
            units=units,
            layers=layers,
            cell=cell,
            cell_options=cell_options,
            connection=connection,
            word_dim=word_dim,
            character_dim=character_dim,
            filters=filters,
            dropout=dropout,
            crf=bool(crf),
            allowed=None if allowed is None else np.asarray(allowed).tolist(),
        )
        self._make_layers(self._arguments)
        self.nats = keras.metrics.Mean(name="nats")
        self.build()

    def _make_layers(self, a):
        options = {"dtype": self.dtype_policy}
        self.embedding = Embedding(a.words, a.word_dim, name="words", **options)
        if a.filters:
            self.character_embedding = Embedding(a.characters, a.character_dim, name="characters", **options)
            self.convolution = keras.layers.Conv1D(
                a.filters, 3, padding="same", activation="relu", name="convolution", **options
            )
        stacked = recurrent_layers(types.SimpleNamespace(**vars(a), initial_range=None), options)
        self.stack = RecurrentStack(stacked, a.connection, a.dropout, bidirectional=True, name="stack", **options)
        self.dropout = keras.layers.Dropout(a.dropout, name="dropout", **options)
        self.logits = keras.layers.Dense(a.tags, name="logits", **options)
        self.crf = CRF(a.tags, a.allowed, name="crf", **options) if a.crf else None

    def build(self, input_shape=None):
        if self.built:
            return
        a = self._arguments
        self.embedding.build((None, None))
        if a.filters:
            self.character_embedding.build((None, None))
            self.convolution.build((None, None, a.character_dim))
        self.stack.build((None, None, a.word_dim + a.filters))
        self.logits.build((None, None, self.stack.output_width))
        if self.crf is not None:
            self.crf.build((None, None, a.tags))
        self.built = True

    def call(self, inputs, training=False):
        words, characters = _read(inputs)
        x = _looked_up(self.embedding, words)
        if self._arguments.filters:
            x = ops.concatenate([x, self._spelled(characters)], axis=-1)
        x, _ = self.stack(self.dropout(x, training=training), mask=ops.not_equal(words, 0), training=training)
        return self.logits(self.dropout(x, training=training))

    def _spelled(self, characters):
        """What the filters find in each word: (batch, time, filters)."""
        batch, time, length = ops.shape(characters)
        flat = ops.reshape(characters, (-1, length))
        shown = ops.expand_dims(ops.cast(ops.not_equal(flat, 0), self.compute_dtype), 2)
        found = self.convolution(_looked_up(self.character_embedding, flat) * shown) * shown  # none is below 0
        return ops.reshape(ops.max(found, axis=1), (batch, time, self._arguments.filters))

    # What it learns from

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        shown = ops.not_equal(_read(x)[0], 0)
        losses, weights = self._losses_of(y_pred, y, shown), ops.cast(shown, "float32")
        if sample_weight is not None:
            given = ops.cast(sample_weight, "float32")
            weights = weights * (ops.expand_dims(given, 1) if len(given.shape) == 1 else given)
        self.nats.update_state(
            ops.reshape(ops.stop_gradient(losses), (-1,)), sample_weight=ops.reshape(ops.stop_gradient(weights), (-1,))
        )
        words = ops.maximum(ops.sum(ops.cast(shown, "float32")), 1)
        return sum(self.losses, start=ops.sum(losses * weights) / words)

    def _losses_of(self, logits, tags, shown):
        """-log p of each word's tag, given the tags before it, (batch, time); zeros where it is padding."""
        logits = ops.cast(logits, "float32")
        if self.crf is not None:
            return -log_probabilities_of(self.crf(logits, mask=shown), tags)
        tags = ops.cast(tags, "int32")
        is_known = ops.logical_and(tags >= 0, tags < self._arguments.tags)
        logs = ops.log_softmax(logits, axis=-1)
        chosen = ops.take_along_axis(logs, ops.expand_dims(ops.where(is_known, tags, 0), 2), axis=2)[:, :, 0]
        return ops.where(shown, ops.where(is_known, -chosen, float("nan")), 0)

    def tag(self, inputs, batch_size=32):
        """The best tags, int32 (batch, time), of arrays as `fit` takes them; zeros where the words are padding."""
        words = ops.convert_to_numpy(_read(inputs)[0])
        logits = self.predict(inputs, batch_size=batch_size, verbose=0)
        return best_tags(logits, words != 0, **self._chain())

    def _chain(self):
        if self.crf is None:
            return {}
        return dict(zip(("transitions", "start", "end"), map(ops.convert_to_numpy, self.crf.scores())))

    # Elsewhere

    def tally(self):
        return Tally(self.nats.total, self.nats.count, choices=self._arguments.tags, unit="word")

    def signatures(self):
        """What an exported file takes and gives: the logits, and in what it says of itself the scores of the CRF.

        `keras_rnnlm.viterbi.best_tags(logits, words != 0, **loaded.about["chain"])` are the tags.
        """
        a = self._arguments
        words = Tensor("words", (None, None), "int32", below=a.words)
        characters = Tensor("characters", (None, None, None), "int32", below=a.characters)
        facts = {"chain": {name: scores.tolist() for name, scores in self._chain().items()}}
        return [Signature("tag", (words, characters), ("logits",), lambda x: {"logits": self(x)}, facts=facts)]

    def get_config(self):
        return {**super().get_config(), **vars(self._arguments)}


def _looked_up(embedding, given):
    """The rows of a table. Of an id that has none it is an error, or NaN."""
    poison, x = ids.poison(given, embedding.input_dim, is_tied=False), embedding(given)
    return x if poison is None else x + ops.cast(poison, x.dtype)


def _read(inputs):
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


def _check_counts(**given):
    for name, value in given.items():
        if not is_count(value):
            raise ValueError(f"`{name}` is a positive integer. Received: {name}={value!r}")
