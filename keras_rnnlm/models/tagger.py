"""The tagger: a tag for each word of a sentence, from the words and their characters."""

import types

import keras
import numpy as np
from keras import ops

from keras_rnnlm.layers import CRF
from keras_rnnlm.layers.crf import log_probabilities_of
from keras_rnnlm.models.signatures import Signature
from keras_rnnlm.models.tally import Tally
from keras_rnnlm.models.words import WordModel, check_counts, read_both
from keras_rnnlm.optimizers import replicas
from keras_rnnlm.viterbi import best_tags


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class Tagger(WordModel):
    """Words and their characters, a stack of bidirectional recurrent layers, and a tag for each word.

    `model({"words": words, "characters": characters})` is (batch, time) and (batch, time, characters of a word) to the
    logits of the tags, (batch, time, tags). Id 0 is padding in both: it changes nothing for the words beside it. A
    word's characters are embedded, convolved three at a time, and the largest value of each filter is what the word is
    spelled like. A conditional random field scores how tags follow on each other (Ma and Hovy 2016).

    `compile` needs an optimizer alone. `fit` takes tags as targets, integers (batch, time), whatever number where the
    word is padding, and sample weights, if given, one number a word or one a sentence. The loss is -log p(tags), a mean
    over words, and NaN where a target is no tag, unless its weight is 0 and, with a conditional random field, that of
    the word after it, too. `tag` gives the best tags.

    Args:
        words, characters, tags: how many ids there are of each, in words and characters with the padding.
        units: width of the recurrent layers in each direction, or a list of the width of each.
        layers, cell, cell_options, connection: of the recurrent layers, as in a `LanguageModel`.
        word_dim: width of the words' embedding.
        character_dim: width of the characters' embedding.
        filters: how many filters read the characters; 0: none, and `characters` are not looked at.
        dropout: fraction dropped, in training, of what the recurrent layers read and give.
        word_dropout: fraction of the words that are, in training, known by their characters alone: their id is 1, as
            that of words that are not in the vocabulary is.
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
        word_dropout=0.0,
        crf=True,
        allowed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_counts(words=words, characters=characters, tags=tags, word_dim=word_dim, character_dim=character_dim)
        if filters != 0:
            check_counts(filters=filters)
        if not 0 <= word_dropout < 1:
            raise ValueError(f"`word_dropout` is 0 or above and below 1. Received: word_dropout={word_dropout!r}")
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
            word_dropout=word_dropout,
            crf=bool(crf),
            allowed=None if allowed is None else np.asarray(allowed).tolist(),
        )
        self._make_layers(self._arguments)
        self.nats = keras.metrics.Mean(name="nats")
        self.build()

    def _make_layers(self, a):
        options = {"dtype": self.dtype_policy}
        self.draws = keras.random.SeedGenerator(name="draws") if a.word_dropout else None
        self._make_encoder(a, options)
        self.logits = keras.layers.Dense(a.tags, name="logits", **options)
        self.crf = CRF(a.tags, a.allowed, name="crf", **options) if a.crf else None

    def build(self, input_shape=None):
        if self.built:
            return
        a = self._arguments
        self._build_encoder()
        self.logits.build((None, None, self.stack.output_width))
        if self.crf is not None:
            self.crf.build((None, None, a.tags))
        self.built = True

    def call(self, inputs, training=False):
        x = self._encoded(*read_both(inputs), training)
        return self.logits(self.dropout(x, training=training))

    def _embedded(self, words, training):
        return super()._embedded(self._hidden(words) if training else words, training)

    def _hidden(self, words):
        """With some of the words as unknown ones."""
        if not self._arguments.word_dropout:
            return words
        drawn = keras.random.uniform(ops.shape(words), seed=self.draws) < self._arguments.word_dropout
        return ops.where(ops.logical_and(drawn, ops.not_equal(words, 0)), ops.ones_like(words), words)

    # What it learns from

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        shown = ops.not_equal(read_both(x)[0], 0)
        if y is None:
            raise ValueError("Targets are the numbers of tags, (batch, time). Received: none")
        losses, weights = self._losses_of(y_pred, y, shown), ops.cast(shown, "float32")
        if sample_weight is not None:
            given = ops.cast(sample_weight, "float32")
            weights = weights * (ops.expand_dims(given, 1) if len(given.shape) == 1 else given)
            losses = ops.where(ops.equal(weights, 0), 0, losses)  # only there may a tag be unknown
        self.nats.update_state(
            ops.reshape(ops.stop_gradient(losses), (-1,)), sample_weight=ops.reshape(ops.stop_gradient(weights), (-1,))
        )
        words = ops.sum(ops.cast(shown, "float32"))
        return replicas.mean_loss(ops.sum(losses * weights), words, self.losses)

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

    def losses_of(self, inputs, tags):
        """The logits, and -log p of each word's tag, (batch, time), zeros where it is padding."""
        logits = self(inputs)
        return logits, self._losses_of(logits, tags, ops.not_equal(read_both(inputs)[0], 0))

    def tag(self, inputs, batch_size=32):
        """The best tags, int32 (batch, time), of arrays as `fit` takes them; zeros where the words are padding."""
        words = ops.convert_to_numpy(read_both(inputs)[0])
        logits = self.predict(inputs, batch_size=batch_size, verbose=0)
        return best_tags(logits, words != 0, **self.chain())

    def chain(self):
        """The scores of the CRF as numpy arrays, by what `keras_rnnlm.viterbi.best_tags` calls them; empty without."""
        if self.crf is None:
            return {}
        return dict(zip(("transitions", "start", "end"), map(ops.convert_to_numpy, self.crf.scores())))

    # Elsewhere

    def tally(self):
        return Tally(self.nats.total, self.nats.count, choices=self._arguments.tags, unit="word")

    def signatures(self):
        """What an exported file takes and gives: the logits, and in what it says of itself the scores of the CRF.

        `keras_rnnlm.viterbi.best_tags(logits, words != 0, **loaded.about["chain"])` are the tags. What
        `export.runtime.load` returns does that, and where it has the vocabulary, it tags sentences.
        """
        facts = {"chain": {name: scores.tolist() for name, scores in self.chain().items()}, "sizes": self.sizes}
        call, how = lambda x: {"logits": self(x)}, {"facts": facts, "padding": "right"}
        return [Signature("tag", self._takes(), ("logits",), call, task="tag", **how)]

    @property
    def sizes(self):
        """How many words, characters and labels it knows, as a `Vocabulary` counts them."""
        a = self._arguments
        return {"words": a.words, "characters": a.characters, "labels": a.tags}
