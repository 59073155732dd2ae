"""The full softmax, trained on a sample of the vocabulary."""

import keras
import numpy as np
from keras import ops

from keras_rnnlm.heads.cross_entropy import LossOfLogits, in_chunks, plus
from keras_rnnlm.heads.large import as_initial, check_large
from keras_rnnlm.heads.vocabulary import VocabularyLogits
from keras_rnnlm.recurrence import backend
from keras_rnnlm.schema import is_whole

PROPOSALS = ("unigram", "log_uniform")
NONE = -1e30  # the logit of what is not there


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class SampledSoftmax(VocabularyLogits):
    """`VocabularyLogits`, which learns from each target among a sample of the other tokens (Jean et al. 2015).

    Every step draws `num_sampled` different tokens, the same for all its targets: token w with a probability c_w in
    proportion to the proposal, and 1 where that would be more. The loss is the cross-entropy of the target among them,
    of logits from which `log c_w` is subtracted. Logits, generation and evaluation are exact. The perplexity that
    training logs estimates that of the whole vocabulary.

    Args:
        vocabulary_size: how many logits.
        num_sampled: how many tokens a step draws. Default: a sixteenth of the vocabulary, from 256 to 8,192.
        proposal: "unigram": how frequent tokens are, which `read_frequencies` is told before training. Until then, and
            with "log_uniform" for good, `log((id + 2) / (id + 1))`: the most frequent tokens have the lowest ids.
        use_bias, kernel_initializer, bias_initializer: as in `VocabularyLogits`.

    Example:

    >>> model = keras_rnnlm.models.LanguageModel(8000, units=8, head="sampled")
    >>> model.head.num_sampled
    500
    """

    can_be_divided = False

    def __init__(self, vocabulary_size, num_sampled=None, proposal="unigram", **kwargs):
        super().__init__(vocabulary_size, **kwargs)
        if num_sampled is None:
            check_large(vocabulary_size, "sampled", "num_sampled")
            num_sampled = min(max(256, vocabulary_size // 16), 8192)
        if not is_whole(num_sampled, 1) or num_sampled > vocabulary_size:
            raise ValueError(
                f"`num_sampled` is a whole number from 1 to the vocabulary's {vocabulary_size:,}. "
                f"Received: num_sampled={num_sampled!r}"
            )
        if proposal not in PROPOSALS:
            raise ValueError(f'`proposal` is "unigram" or "log_uniform". Received: proposal={proposal!r}')
        self.num_sampled, self.proposal = int(num_sampled), proposal
        self.seed_generator = keras.random.SeedGenerator()

    @property
    def reads_frequencies(self):
        return self.proposal == "unigram"

    def build(self, input_shape):
        super().build(input_shape)
        ranks = np.arange(self.vocabulary_size)
        tables = _tables(np.log((ranks + 2) / (ranks + 1)), self.num_sampled)
        # The sums of the chances up to each token, in two parts, for float32 alone would round them.
        self.whole, self.fraction, self.log_chance = (
            self.add_weight(
                name=name,
                shape=(self.vocabulary_size,),
                dtype=dtype,
                trainable=False,
                autocast=False,
                initializer=as_initial(table),
            )
            for (name, dtype), table in zip(_TABLES.items(), tables)
        )

    def read_frequencies(self, frequencies):
        if self.proposal != "unigram":
            return
        for name, table in zip(_TABLES, _tables(self.checked_frequencies(frequencies), self.num_sampled)):
            getattr(self, name).assign(table)

    def draw(self):
        """`num_sampled` different ids, drawn by their chances."""
        size, count = self.vocabulary_size, self.num_sampled
        start = 1 - keras.random.uniform((), dtype="float32", seed=self.seed_generator)  # above 0
        # Points lie on a line at equal distances of 1. Token w has a piece of the line, of its chance's length, and is
        # drawn where a point lies in it: `last` counts the points up to its end, from -1.
        last = ops.cast(self.whole, "int32") - ops.cast(ops.cast(self.fraction, "float32") < start, "int32")
        before = ops.concatenate([ops.full((1,), -1, dtype="int32"), last[:-1]], axis=0) + 1
        ids = ops.arange(size, dtype="int32")
        # Those that are drawn come first, in places of their own as all others: nothing is written twice.
        places = ops.where(last >= before, before, count + ids - before)
        return ops.scatter_update(ops.zeros((size,), dtype="int32"), places[:, None], ids)[:count]

    def total_loss(self, features, targets, weights):
        """An estimate of `Head.total_loss`, from a sample of the vocabulary."""
        rows, drawn = self._rows(features), self.draw()
        labels, weights = (ops.reshape(tensor, (-1,)) for tensor in (ops.cast(targets, "int32"), weights))
        known = ops.logical_and(labels >= 0, labels < self.vocabulary_size)
        labels = ops.clip(labels, 0, self.vocabulary_size - 1)
        ids = ops.concatenate([drawn, labels], axis=0)
        kernel = self._table
        # First read, then cast: rows, not the table.
        vectors = ops.cast(ops.take(ops.cast(kernel, kernel.dtype), ids, axis=0), self.compute_dtype)
        log_chances = ops.take(ops.cast(self.log_chance, "float32"), ids, axis=0)
        offsets = -log_chances
        if self.bias is not None:
            offsets = offsets + ops.cast(ops.take(ops.cast(self.bias, self.bias.dtype), ids, axis=0), "float32")
        count = self.num_sampled
        # TensorFlow does not know the length of what it cuts from rows of any number.
        table, beside = ops.reshape(vectors[:count], (count, kernel.shape[1])), ops.reshape(offsets[:count], (count,))
        own = ops.sum(ops.cast(rows, "float32") * ops.cast(vectors[count:], "float32"), axis=-1) + offsets[count:]
        # A target that was drawn stands among the others already.
        places = ops.full((self.vocabulary_size,), count, dtype="int32")
        places = ops.scatter_update(places, drawn[:, None], ops.arange(count, dtype="int32"))
        places = ops.take(places, labels, axis=0)
        own = ops.where(places < count, NONE, ops.where(known, own, float("nan")))
        total, losses = in_chunks(BESIDE, rows, table, beside, places, weights, [own])
        losses = _among_all(ops.where(known, losses, float("nan")), log_chances[count:])
        return total, ops.reshape(losses, ops.shape(targets))

    def get_config(self):
        return {**super().get_config(), "num_sampled": self.num_sampled, "proposal": self.proposal}


_TABLES = {"whole": "int32", "fraction": "float32", "log_chance": "float32"}


def _tables(proposal, count):
    """The chances of being among `count` different tokens, as sums in two parts, and as logarithms."""
    proposal = np.asarray(proposal, "float64")
    ordered = np.sort(proposal)[::-1]
    # The first so many are always drawn, the others in proportion.
    rates = (count - np.arange(len(ordered))) / np.cumsum(ordered[::-1])[::-1]
    rate = rates[np.argmax(ordered * rates <= 1 + 1e-12)]
    chances = np.minimum(1, proposal * rate)
    sums = np.cumsum(chances)
    sums[-1] = count
    whole = np.floor(sums)
    return whole.astype("int32"), (sums - whole).astype("float32"), np.log(chances).astype("float32")


def _among_all(losses, log_chances):
    """The losses among all tokens, as far as those that were drawn tell: of a target that is not one of a sample."""
    others = losses + ops.log(-ops.expm1(-ops.maximum(losses, 1e-12)))  # the logarithm of their sum beside the target's
    return ops.softplus(others - log_chances)


def _losses(logits, bias, targets, own):
    return backend.softmax_cross_entropy(_joined(logits, bias, own), targets)[0]


def _slopes(logits, bias, targets, weights, own):
    losses, slopes = backend.softmax_cross_entropy(_joined(logits, bias, own), targets)
    slopes = slopes * weights[:, None]
    return losses, ops.cast(slopes[:, :-1], keras.backend.standardize_dtype(logits.dtype)), slopes[:, -1]


def _joined(logits, bias, own):
    return ops.concatenate([plus(logits, bias), own[:, None]], axis=-1)


# Of logits with one more in each row, which comes last.
BESIDE = LossOfLogits(_losses, _slopes)
