"""The classifier: a class for a whole text, from its words and, if wanted, their characters."""

import numbers
import re
import types

import keras
import numpy as np
from keras import ops

from keras_rnnlm.layers import EncoderAttention
from keras_rnnlm.layers.dropout import Dropout
from keras_rnnlm.models.pooling import max_over_time, mean_over_time
from keras_rnnlm.models.recurrent_layers import from_config
from keras_rnnlm.models.regularizers import WordDropout
from keras_rnnlm.models.signatures import Signature
from keras_rnnlm.models.tally import Tally
from keras_rnnlm.models.words import WordModel, check_counts, numbers_of, read_both
from keras_rnnlm.optimizers import replicas
from keras_rnnlm.schema import is_a

POOLINGS = ("last", "mean", "max", "all", "attention")


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class Classifier(WordModel):
    """Words, a stack of recurrent layers, a pooling of what it gives over time, and the logits of the classes.

    `model(words)` is (batch, time) to (batch, classes). Id 0 is padding: it changes nothing for the words beside it.
    With `characters`, inputs are a dict of `words` and `characters`, (batch, time, characters of a word), which are
    read as a `Tagger` reads them.

    `compile` needs an optimizer alone, and takes `metrics=["accuracy"]`. `fit` takes classes as targets, integers
    (batch,), and sample weights, if given, one number a text. The loss is -log p(class), a mean over texts, and NaN
    where a target is no class. `classify` gives the best classes, `probabilities` those of all.

    Args:
        words: how many ids of words there are, with the padding.
        classes: how many classes there are.
        units: width of the recurrent layers in each direction, or a list of the width of each.
        layers, cell, cell_options, connection: of the recurrent layers, as in a `LanguageModel`.
        characters: how many ids of characters there are, with the padding; None: they are not read.
        word_dim: width of the words' embedding.
        character_dim: width of the characters' embedding.
        filters: how many filters read the characters.
        dropout: fraction dropped, in training, of what the recurrent layers read and of what the logits are made of.
        embedding_dropout: fraction of the words' types whose embedding is zero, in training, wherever they occur.
        locked_dropout: whether a mask of `dropout` is the same at all steps of a text.
        bidirectional: whether texts are read backwards, too.
        pooling: what becomes of the outputs of all steps: the "last" one (of each direction), their "mean", their
            "max", "all" three side by side, or "attention": the last one attends to all of them (Bahdanau et al. 2015),
            see `keras_rnnlm.layers.EncoderAttention`. A text without words has zeros, or by attention what these
            combine to.

    Example:

    >>> model = Classifier(50, classes=2, units=8, cell_options={"peephole": True})
    >>> model(np.ones((3, 6), "int32")).shape
    (3, 2)
    """

    def __init__(
        self,
        words,
        classes,
        units=100,
        layers=1,
        cell="lstm",
        cell_options=None,
        connection=None,
        *,
        characters=None,
        word_dim=100,
        character_dim=30,
        filters=30,
        dropout=0.5,
        embedding_dropout=0.0,
        locked_dropout=False,
        bidirectional=True,
        pooling="all",
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_counts(words=words, classes=classes, word_dim=word_dim)
        if characters is not None:
            check_counts(characters=characters, character_dim=character_dim, filters=filters)
        if pooling not in POOLINGS:
            raise ValueError(f"`pooling` is one of {POOLINGS}. Received: pooling={pooling!r}")
        if not (is_a(embedding_dropout, numbers.Real) and 0 <= embedding_dropout < 1):
            raise ValueError(
                "`embedding_dropout` is the fraction of the words that is dropped, from 0 to below 1. "
                f"Received: embedding_dropout={embedding_dropout!r}"
            )
        # In a namespace, where Keras does not look for layers.
        self._arguments = types.SimpleNamespace(
            words=int(words),
            classes=int(classes),
            units=units,
            layers=layers,
            cell=cell,
            cell_options=cell_options,
            connection=connection,
            characters=characters,
            word_dim=word_dim,
            character_dim=character_dim,
            filters=0 if characters is None else filters,
            dropout=dropout,
            embedding_dropout=embedding_dropout,
            locked_dropout=bool(locked_dropout),
            bidirectional=bool(bidirectional),
            pooling=pooling,
        )
        self._make_layers(self._arguments)
        self.nats = keras.metrics.Mean(name="nats")
        self.build()

    def _make_layers(self, a):
        options = {"dtype": self.dtype_policy}
        self._make_encoder(a, options, bidirectional=a.bidirectional, locked_dropout=a.locked_dropout)
        self.word_dropout = None
        if a.embedding_dropout:
            self.word_dropout = WordDropout(a.words, a.embedding_dropout, name="word_dropout", **options)
        self.output_dropout = Dropout(a.dropout, name="output_dropout", **options)
        self.logits = keras.layers.Dense(a.classes, name="logits", **options)

    def build(self, input_shape=None):
        if self.built:
            return
        a = self._arguments
        self._build_encoder()
        width, self.attention = self.stack.output_width, None
        if a.pooling == "attention":
            self.attention = EncoderAttention(width, "additive", dtype=self.dtype_policy, name="attention")
            self.attention.build((None, width), (None, None, width))
        self.logits.build((None, 3 * width if a.pooling == "all" else width))
        self.built = True

    @classmethod
    def from_language_model(cls, model, classes, *, rows=None, **options):
        """A classifier that begins with the embedding and the stack of a `LanguageModel`, its weights copied.

        It reads in the model's direction alone.

        Args:
            model: the `LanguageModel`.
            classes: how many classes there are.
            rows: for each id of a word the model's, or -1 where it has none: such words begin in the middle of all.
                Default: its ids plus 1, as 0 is padding here.
            options: further arguments of a `Classifier`, such as `pooling`, but for those that say what is taken over.
                Of `dropout`, `embedding_dropout` and `locked_dropout` the defaults are the model's.

        Example:

        >>> language_model = keras_rnnlm.models.LanguageModel(30, units=8, layers=2)
        >>> model = Classifier.from_language_model(language_model, classes=3, pooling="max")
        >>> model(np.ones((2, 5), "int32") + 1).shape
        (2, 3)
        """
        taken = ("units", "layers", "cell", "cell_options", "connection")
        fixed = {"words", "characters", "word_dim", "bidirectional", *taken} & set(options)
        if fixed:
            raise ValueError(
                f"What begins with a language model has its network: drop {', '.join(sorted(fixed))}. "
                f"Received: {', '.join(f'{name}={options[name]!r}' for name in sorted(fixed))}"
            )
        config = from_config(model.get_config())
        kept = (*taken, "dropout", "embedding_dropout", "locked_dropout")
        given = {"dtype": model.dtype_policy, **{name: config[name] for name in kept}, **options}
        words = model.vocabulary_size + 1 if rows is None else len(rows)
        width = model.embedding.output_dim
        made = cls(words, classes, word_dim=width, bidirectional=False, **given)
        made.take_over(model, rows)
        return made

    def take_over(self, model, rows=None):
        """Copies the weights of a `LanguageModel`'s embedding and stack, which are of the same shapes.

        `rows` are those of `from_language_model`.
        """
        table = ops.convert_to_numpy(model.embedding.embeddings)
        rows = np.arange(-1, len(table)) if rows is None else np.asarray(rows)
        if rows.ndim != 1 or rows.min() < -1 or rows.max() >= len(table):
            raise ValueError(
                f"`rows` are ids of the language model, from 0 to {len(table) - 1}, or -1. Received: {rows.min()} to "
                f"{rows.max()}"
            )
        given = [np.where(rows[:, None] < 0, table.mean(axis=0), table[rows]), *model.stack.get_weights()]
        mine = [*self.embedding.weights, *self.stack.weights]
        shapes = [tuple(weight.shape) for weight in mine], [weight.shape for weight in given]
        if shapes[0] != shapes[1]:
            raise ValueError(
                "The embedding and the stack of the language model do not fit: the classifier has weights of shapes "
                f"{shapes[0]}. Received: {shapes[1]}"
            )
        for variable, weight in zip(mine, given):
            variable.assign(weight)

    # The network

    def call(self, inputs, training=False):
        words, characters = self._read(inputs)
        x = self._encoded(words, characters, training)
        pooled = self._pooled(x, ops.not_equal(words, 0), training)
        return self.logits(self.output_dropout(pooled, training=training))

    def _read(self, inputs):
        if self._arguments.characters is not None:
            return read_both(inputs)
        words = inputs
        if isinstance(inputs, dict):
            if set(inputs) != {"words"}:
                raise ValueError(f"Inputs are `words`, alone or in a dict. Received: {sorted(inputs)}")
            words = inputs["words"]
        if len(words.shape) != 2:
            raise ValueError(f"`words` are integers (batch, time). Received: shape {tuple(words.shape)}")
        return words, None

    def _embedded(self, words, training):
        x = super()._embedded(words, training)
        return x if self.word_dropout is None else self.word_dropout(x, words, training=training)

    def _pooled(self, x, shown, training):
        """What the logits are made of: (batch, width)."""
        kind, there = self._arguments.pooling, ops.expand_dims(ops.cast(shown, "float32"), 2)
        outputs = ops.cast(x, "float32")  # a sum over thousands of words is too much for half precision
        found = []
        if kind in ("last", "all", "attention"):
            found.append(self._last(outputs, there))
        if kind in ("mean", "all"):
            found.append(mean_over_time(outputs, shown))
        if kind in ("max", "all"):
            found.append(max_over_time(outputs, shown))
        if kind == "attention":
            (last,) = found
            return self.attention(ops.cast(last, x.dtype), x, encoded_mask=shown, training=training)
        return ops.cast(ops.concatenate(found, axis=-1), x.dtype)

    def _last(self, outputs, there):
        """The outputs at the last word; of what was read backwards, at the first one."""
        number = ops.cumsum(there, axis=1)
        last = ops.sum(ops.where(ops.equal(number, number[:, -1:]), outputs, 0) * there, axis=1)
        if not self._arguments.bidirectional:
            return last
        first = ops.sum(ops.where(ops.equal(number, 1), outputs, 0) * there, axis=1)
        return ops.where(ops.convert_to_tensor(self._read_backwards()), first, last)

    def _read_backwards(self):
        """Of each feature that the stack gives whether it was read backwards, (1, width)."""
        stack, a = self.stack, self._arguments
        reading = [[False] * layer.output_width + [True] * layer.output_width for layer in stack.layers]
        if a.connection == "dense":  # in front stands what the first layer reads
            return np.array([sum(reading, [False] * (a.word_dim + a.filters))])
        return np.array([reading[-1]])

    # What it learns from

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        logs = ops.log_softmax(ops.cast(y_pred, "float32"), axis=-1)
        classes = numbers_of(y, "the numbers of classes")
        is_known = ops.logical_and(classes >= 0, classes < self._arguments.classes)
        chosen = ops.take_along_axis(logs, ops.expand_dims(ops.where(is_known, classes, 0), 1), axis=1)[:, 0]
        losses = ops.where(is_known, -chosen, float("nan"))
        weights = ops.ones_like(losses)
        if sample_weight is not None:
            weights = ops.reshape(ops.cast(sample_weight, "float32"), (-1,))
            losses = ops.where(ops.equal(weights, 0), 0, losses)  # of those without a weight no class need be known
        self.nats.update_state(ops.stop_gradient(losses), sample_weight=ops.stop_gradient(weights))
        return replicas.mean_loss(ops.sum(losses * weights), ops.shape(losses)[0], self.losses)

    def probabilities(self, inputs, batch_size=32):
        """Of each class, float32 (batch, classes), of arrays as `fit` takes them."""
        logits = self.predict(inputs, batch_size=batch_size, verbose=0)
        return ops.convert_to_numpy(ops.softmax(ops.cast(logits, "float32"), axis=-1))

    def classify(self, inputs, batch_size=32):
        """The best classes, int32 (batch,), of arrays as `fit` takes them."""
        return self.predict(inputs, batch_size=batch_size, verbose=0).argmax(axis=-1).astype("int32")

    def groups(self):
        """Its layers as a `LayerwiseOptimizer` has them: patterns of variables' paths, from the top to the bottom."""
        names = [re.escape(layer.name) for layer in self.stack.layers]
        of_stack = [f"/stack/({name}(_backwards)?|highway_{k})/" for k, name in enumerate(names)]
        return [*reversed(of_stack), "/(words|characters|convolution)/"]

    # Elsewhere

    def tally(self):
        return Tally(self.nats.total, self.nats.count, choices=self._arguments.classes, unit="text")

    def signatures(self):
        """What an exported file takes and gives: the logits of the classes."""
        a = self._arguments
        facts = {"words": a.words, "classes": a.classes}
        facts |= {} if a.characters is None else {"characters": a.characters}
        call = lambda x: {"logits": self(x)}  # noqa: E731
        return [Signature("classify", self._takes(), ("logits",), call, task="classify", facts=facts, padding="right")]
