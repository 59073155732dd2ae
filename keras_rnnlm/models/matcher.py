"""The matcher: which of the sentences of a passage answers a question."""

import types

import keras
from keras import ops

from keras_rnnlm.cells.dot import state_dtype
from keras_rnnlm.layers import EncoderAttention, RecurrentStack
from keras_rnnlm.models.pooling import max_over_time, mean_over_time
from keras_rnnlm.models.recurrent_layers import recurrent_layers
from keras_rnnlm.models.signatures import Signature, Tensor
from keras_rnnlm.models.tally import Tally
from keras_rnnlm.models.words import WordModel, check_counts, numbers_of
from keras_rnnlm.optimizers import replicas
from keras_rnnlm.schema import is_whole

NOWHERE = -1e9  # the logit of a sentence that is padding
QUICK = 8.0  # so much faster than others learn the weights of sums over a sentence, which begin at zero


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class Matcher(WordModel):
    """A question and the sentences of its passage, read in both directions, and a logit for each sentence.

        q_j = stack([word_j; features_j])           of the question
        x_t = stack([word_t; f_t])                  of a sentence and its features, by the same layers
        y_t = attention(x_t, q)                     each word of a sentence attends to the question
        z_t = matching([y_t; f_t])                  recurrent, in both directions
        logit = v . tanh([max_t z_t; mean_t z_t] W + b) + sum_t (u . z_t + w . [f_t; f_t f_t])

    So a sum over the words that a sentence has of the question, by their weight, is at hand from the first step on.

    `model(inputs)` is a dict to the logits of the sentences, (batch, sentences). The dict holds the `question`,
    integers (batch, time), and the `sentences`, integers (batch, sentences, time), and with `features` numbers beside
    each word: `question_features` (batch, time, features) and `sentence_features` (batch, sentences, time, features).
    Id 0 is padding: it changes nothing for the words beside it, and a sentence without words is none.
    `keras_rnnlm.text.WeightedVocabulary.encode` makes such a dict. A logit depends on the question and its own sentence
    alone.

    `compile` needs an optimizer alone, and takes `metrics=["accuracy"]`. `fit` takes as targets the numbers of the
    right sentences, integers (batch,), and sample weights, if given, one number a question. The loss is -log p(right
    sentence) by the softmax over the sentences, a mean over questions, and NaN where a target is no sentence. `rank`
    gives the sentences from the best one down.

    Args:
        words: how many ids of words there are, with the padding.
        units: width of the recurrent layers in each direction, or a list of the width of each.
        layers, cell, cell_options, connection: of the recurrent layers that read, as in a `LanguageModel`.
        features: how many numbers stand beside each word; those of a `WeightedVocabulary` are whether it occurs in the
            question, as it is or in another form, its weight, the first again for words that are there for the first
            time, and a weight within the passage. 0: the words are all that is read.
        word_dim: width of the words' embedding.
        matching_units: width of the layer that reads what the attention gave, in each direction; None: the last of
            `units`.
        score: how words attend, see `keras_rnnlm.layers.EncoderAttention`.
        dropout: fraction dropped, in training, of what layers read.

    Example:

    >>> model = Matcher(50, units=8, features=0)
    >>> model({"question": np.ones((2, 5), "int32"), "sentences": np.ones((2, 3, 7), "int32")}).shape
    (2, 3)
    """

    def __init__(
        self,
        words,
        units=64,
        layers=1,
        cell="lstm",
        cell_options=None,
        connection=None,
        *,
        features=4,
        word_dim=100,
        matching_units=None,
        score="general",
        dropout=0.3,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_counts(words=words, word_dim=word_dim)
        if not is_whole(features, 0):
            raise ValueError(f"`features` counts numbers beside a word, from 0. Received: features={features!r}")
        if matching_units is not None:
            check_counts(matching_units=matching_units)
        # In a namespace, where Keras does not look for layers.
        self._arguments = types.SimpleNamespace(
            words=int(words),
            units=units,
            layers=layers,
            cell=cell,
            cell_options=cell_options,
            connection=connection,
            features=int(features),
            word_dim=word_dim,
            matching_units=matching_units,
            score=score,
            dropout=dropout,
        )
        self._make_layers(self._arguments)
        self.nats = keras.metrics.Mean(name="nats")
        self.build()

    def _make_layers(self, a):
        options = {"dtype": self.dtype_policy}
        self._make_encoder(a, options)
        width = a.matching_units or (a.units[-1] if isinstance(a.units, (list, tuple)) else a.units)
        one = types.SimpleNamespace(**{**vars(a), "units": width, "layers": 1, "initial_range": None})
        self.matching = RecurrentStack(recurrent_layers(one, options), bidirectional=True, name="matching", **options)
        self.hidden = keras.layers.Dense(2 * width, "tanh", name="hidden", **options)
        self.logit = keras.layers.Dense(1, use_bias=False, name="logit", **options)  # all sentences would have the bias
        self.of_words = keras.layers.Dense(1, use_bias=False, dtype=state_dtype(self.compute_dtype), name="of_words")
        if a.features:
            how = {"use_bias": False, "kernel_initializer": "zeros", "dtype": self.of_words.dtype_policy}
            self.of_features = keras.layers.Dense(1, name="of_features", **how)

    def build(self, input_shape=None):
        if self.built:
            return
        a = self._arguments
        self._build_encoder(a.features)
        width = self.stack.output_width
        self.attention = EncoderAttention(width, a.score, dtype=self.dtype_policy, name="attention")
        self.attention.build((None, None, width), (None, None, width))
        self.matching.build((None, None, width + a.features))
        self.hidden.build((None, 2 * self.matching.output_width))
        self.logit.build((None, self.hidden.units))
        self.of_words.build((None, None, self.matching.output_width))
        if a.features:
            self.of_features.build((None, None, a.features * (a.features + 3) // 2))
        self.built = True

    # The network

    def call(self, inputs, training=False):
        logits = self._logits(inputs, training)
        return ops.where(_is_there(inputs["sentences"]), logits, NOWHERE)

    def _logits(self, inputs, training=False):
        """Of each sentence, (batch, sentences) in float32; 0 of one without words."""
        question, sentences, of_question, of_sentences = self._read(inputs)
        batch, count, time = ops.shape(sentences)
        words = ops.reshape(sentences, (-1, time))
        shown = ops.not_equal(words, 0)
        asked = self._encoded(question, None, training, of_question)
        x = self._encoded(words, None, training, of_sentences)
        width = self.stack.output_width
        beside = self.attention(
            ops.reshape(x, (batch, -1, width)), asked, encoded_mask=ops.not_equal(question, 0), training=training
        )
        y = self.dropout(ops.reshape(beside, (-1, time, width)), training=training)
        if of_sentences is not None:
            y = ops.concatenate([y, ops.cast(of_sentences, y.dtype)], axis=-1)
        z, _ = self.matching(y, mask=shown, training=training)
        z = ops.cast(z, "float32")
        pooled = ops.concatenate([max_over_time(z, shown), mean_over_time(z, shown)], axis=-1)
        found = self.hidden(self.dropout(ops.cast(pooled, x.dtype), training=training))
        found = ops.cast(self.logit(found)[:, 0], "float32")
        each = ops.cast(self.of_words(z), "float32")
        if of_sentences is not None:
            f = ops.cast(of_sentences, "float32")
            products = [f[..., k : k + 1] * f[..., k:] for k in range(self._arguments.features)]
            each = each + QUICK * ops.cast(self.of_features(ops.concatenate([f, *products], axis=-1)), "float32")
        found = found + ops.sum(ops.where(shown, each[:, :, 0], 0), axis=1)
        return ops.where(_is_there(sentences), ops.reshape(found, (batch, count)), 0)

    def _read(self, inputs):
        """The question, the sentences, and the features of the words of each, those of all sentences as rows."""
        features, names = self._arguments.features, [tensor.name for tensor in self._takes()]
        if not isinstance(inputs, dict) or set(inputs) != set(names):
            received = sorted(inputs) if isinstance(inputs, dict) else type(inputs).__name__
            raise ValueError(f"Inputs are a dict of {', '.join(f'`{name}`' for name in names)}. Received: {received}")
        question, sentences = inputs["question"], inputs["sentences"]
        if len(question.shape) != 2 or len(sentences.shape) != 3:
            raise ValueError(
                "`question` is integers (batch, time), `sentences` integers (batch, sentences, time). Received: shapes "
                f"{tuple(question.shape)} and {tuple(sentences.shape)}"
            )
        if not features:
            return question, sentences, None, None
        for name in ("question_features", "sentence_features"):
            if inputs[name].shape[-1] not in (None, features):
                raise ValueError(
                    f"`{name}` are `features` numbers beside each word, {features}. Received: shape "
                    f"{tuple(inputs[name].shape)}"
                )
        asked, time = ops.shape(question)[1], ops.shape(sentences)[2]
        of_question = ops.reshape(inputs["question_features"], (-1, asked, features))
        return question, sentences, of_question, ops.reshape(inputs["sentence_features"], (-1, time, features))

    # What it learns from

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        logs = ops.log_softmax(ops.cast(y_pred, "float32"), axis=-1)
        right = numbers_of(y, "the numbers of the right sentences")
        there = _is_there(x["sentences"])
        is_known = ops.logical_and(right >= 0, right < ops.shape(logs)[1])
        at = ops.expand_dims(ops.where(is_known, right, 0), 1)
        is_known = ops.logical_and(is_known, ops.take_along_axis(there, at, axis=1)[:, 0])
        losses = ops.where(is_known, -ops.take_along_axis(logs, at, axis=1)[:, 0], float("nan"))
        weights = ops.ones_like(losses)
        if sample_weight is not None:
            weights = ops.reshape(ops.cast(sample_weight, "float32"), (-1,))
        losses = ops.where(ops.equal(weights, 0), 0, losses)  # a row that is padding has no right sentence
        self.nats.update_state(ops.stop_gradient(losses), sample_weight=ops.stop_gradient(weights))
        return replicas.mean_loss(ops.sum(losses * weights), ops.shape(losses)[0], self.losses)

    def rank(self, inputs, batch_size=32):
        """The numbers of the sentences from the best one down, int32 (batch, sentences); those without words last."""
        logits = ops.convert_to_numpy(self.predict(inputs, batch_size=batch_size, verbose=0))
        return (-logits).argsort(axis=1, kind="stable").astype("int32")

    # Elsewhere

    def tally(self):
        return Tally(self.nats.total, self.nats.count, unit="question")

    def _takes(self):
        """The `Tensor`s of its signature."""
        a, beside = self._arguments, ()
        if a.features:
            beside = (
                Tensor("question_features", (None, None, a.features), "float32"),
                Tensor("sentence_features", (None, None, None, a.features), "float32"),
            )
        question = Tensor("question", (None, None), "int32", below=a.words)
        return (question, Tensor("sentences", (None, None, None), "int32", below=a.words), *beside)

    def signatures(self):
        """What an exported file takes and gives: the logit of each sentence, 0 of one without words."""
        a = self._arguments
        facts = {"words": a.words, "features": a.features}
        call = lambda x: {"logits": self._logits(x)}  # noqa: E731
        return [Signature("match", self._takes(), ("logits",), call, task="match", facts=facts, padding="right")]


def _is_there(sentences):
    """Which sentences have a word, (batch, sentences)."""
    return ops.any(ops.not_equal(sentences, 0), axis=-1)
