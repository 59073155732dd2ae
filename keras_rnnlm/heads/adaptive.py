"""The adaptive softmax: frequent words at once, rare ones by cluster, each at the rows alone that need it."""

import math
import numbers
import warnings

import keras
import numpy as np
from keras import ops

from keras_rnnlm.heads import cross_entropy as chunks
from keras_rnnlm.heads.cross_entropy import plus
from keras_rnnlm.heads.head import Head
from keras_rnnlm.heads.large import as_initial, check_large
from keras_rnnlm.recurrence import backend
from keras_rnnlm.schema import is_a, is_whole

# A cluster is computed at so many times the rows that it is expected at, and again at as many while there are more.
ROOM = 1.25
ROWS = 128  # of a batch whose size is not known
ORDERS = ("ids", "frequencies")


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class AdaptiveSoftmax(Head):
    """A softmax over the most frequent tokens and a few clusters, and one over each cluster (Grave et al. 2017).

        p(w) = p(w | shortlist and clusters)                                 of a frequent token
        p(w) = p(cluster | shortlist and clusters) * p(w | cluster)          of a rare one
        p(w | cluster) = softmax((features @ projection) @ kernel.T + bias)

    Training and evaluation compute a cluster at the rows alone whose target is in it. The logits are the logarithms of
    the probabilities of all tokens, of all clusters.

    Args:
        vocabulary_size: how many logits.
        cutoffs: ranks at which clusters begin: `[2000, 10000]` are a shortlist of the 2,000 most frequent tokens, a
            cluster of the next 8,000 and one of the rest. Default: a sixteenth and a quarter of the vocabulary.
        div_value: the first cluster has features this many times narrower, each further one again: fewer numbers for
            rarer tokens. Where tied, every cluster has the table's width.
        order: "ids": the most frequent tokens have the lowest ids, as a vocabulary of words has them.
            "frequencies": in any order, which `read_frequencies` is told before training; until then, that of the ids.
        use_bias: whether there are biases.
        kernel_initializer: of all matrices.

    Example:

    >>> model = keras_rnnlm.models.LanguageModel(5000, units=8, head="adaptive")
    >>> model.head.cutoffs
    [312, 1250]
    >>> AdaptiveSoftmax(10_000, cutoffs=[1000]).vocabulary_size
    10000
    """

    can_be_tied = True
    reads_frequencies = True

    def __init__(
        self,
        vocabulary_size,
        cutoffs=None,
        div_value=4.0,
        order="ids",
        use_bias=True,
        kernel_initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(vocabulary_size, kernel_initializer, **kwargs)
        if cutoffs is None:
            check_large(vocabulary_size, "adaptive", "cutoffs")
            cutoffs = [vocabulary_size // 16, vocabulary_size // 4]
        self.cutoffs = _checked_cutoffs(cutoffs, vocabulary_size)
        if not is_a(div_value, numbers.Real) or not 1 <= div_value < math.inf:
            raise ValueError(f"`div_value` is a number, at least 1. Received: div_value={div_value!r}")
        if order not in ORDERS:
            raise ValueError(f'`order` is "ids" or "frequencies". Received: order={order!r}')
        self.div_value, self.order, self.use_bias = float(div_value), order, use_bias

    @property
    def clusters(self):
        """Where each begins and ends, in ranks."""
        return list(zip(self.cutoffs, [*self.cutoffs[1:], self.vocabulary_size]))

    def build(self, input_shape):
        features, shortlist, clusters = input_shape[-1], self.cutoffs[0], self.clusters
        self.check_table(features)
        if self.tied_to is None:
            self.head_kernel = self.add_matrix("head_kernel", (shortlist + len(clusters), features))
            widths = [max(1, int(features / self.div_value ** (k + 1))) for k in range(len(clusters))]
            self.projections = [self.add_matrix(f"projection_{k}", (features, w)) for k, w in enumerate(widths)]
            self.kernels = [
                self.add_matrix(f"kernel_{k}", (end - begin, width))
                for k, ((begin, end), width) in enumerate(zip(clusters, widths))
            ]
        else:
            self.cluster_kernel = self.add_matrix("cluster_kernel", (len(clusters), features))
        if self.use_bias:
            self.head_bias = self.add_weight(name="head_bias", shape=(shortlist + len(clusters),), initializer="zeros")
            self.biases = [
                self.add_weight(name=f"bias_{k}", shape=(end - begin,), initializer="zeros")
                for k, (begin, end) in enumerate(clusters)
            ]
        if self.order == "frequencies":
            size = self.vocabulary_size
            options = dict(shape=(size,), dtype="int32", trainable=False, initializer=as_initial(np.arange(size)))
            self.ids, self.ranks = self.add_weight(name="ids", **options), self.add_weight(name="ranks", **options)
        self.built = True

    def call(self, features):
        features, shortlist = ops.cast(features, self.compute_dtype), self.cutoffs[0]
        head_bias, *biases = self._biases()
        if self.tied_to is None:
            head, *tails = self._kernels()
            logits = [ops.matmul(features, ops.transpose(head))]
            for projection, kernel in zip(self._projections(), tails):
                logits.append(ops.matmul(ops.matmul(features, projection), ops.transpose(kernel)))
        else:  # one product with the table: an exported file holds it once
            every = ops.matmul(features, ops.transpose(ops.cast(self.tied_to.embeddings, self.compute_dtype)))
            if self.order == "frequencies":
                every = ops.take(every, ops.cast(self.ids, "int32"), axis=-1)
            first, *logits = ops.split(every, self.cutoffs, axis=-1)
            clusters = ops.matmul(features, ops.transpose(ops.cast(self.cluster_kernel, self.compute_dtype)))
            logits = [ops.concatenate([first, clusters], axis=-1), *logits]
        head, *tails = [ops.log_softmax(plus(part, bias), axis=-1) for part, bias in zip(logits, [head_bias, *biases])]
        logs = [head[..., :shortlist]]
        logs += [tail + head[..., shortlist + k : shortlist + k + 1] for k, tail in enumerate(tails)]
        logs = ops.cast(ops.concatenate(logs, axis=-1), self.compute_dtype)
        return logs if self.order == "ids" else ops.take(logs, ops.cast(self.ranks, "int32"), axis=-1)

    def losses_of(self, features, targets):
        """As `Head.losses_of`, a cluster at the rows alone that need it."""
        return self._by_clusters(features, targets)[1]

    def total_loss(self, features, targets, weights):
        """As `Head.total_loss`, a cluster at the rows alone that need it."""
        return self._by_clusters(features, targets, ops.reshape(weights, (-1,)))

    def _by_clusters(self, features, targets, weights=None):
        """The weighted sum of the losses, or None without weights, and the losses."""
        rows = ops.reshape(ops.cast(features, self.compute_dtype), (-1, features.shape[-1]))
        ranks, clusters = self._ranks(ops.reshape(targets, (-1,))), self.clusters
        count = rows.shape[0] if rows.shape[0] is not None else ops.shape(rows)[0]
        (head, *kernels), (head_bias, *biases) = self._kernels(), self._biases()
        of = sum(ops.cast(ranks >= begin, "int32") for begin, _ in clusters)  # 0: the shortlist; 1: the first cluster
        # Those of a cluster side by side: its rows are the first ones of all, seen from where it begins.
        sorted_rows = ops.argsort(of)
        places, steps = ops.argsort(sorted_rows), ops.arange(count, dtype="int32")

        def loss(rows, kernel, bias, targets, weights, **how):
            if weights is None:
                return None, chunks.cross_entropy(rows, kernel, bias, targets, **how)
            return chunks.linear_cross_entropy(rows, kernel, bias, targets, weights, **how)

        in_head = ops.where(of == 0, ranks, self.cutoffs[0] + of - 1)
        total, losses = loss(rows, head, head_bias, in_head, weights)
        for k, ((begin, end), kernel, bias) in enumerate(zip(clusters, kernels, biases)):
            inside = ops.sum(ops.cast(of == k + 1, "int32"))
            first = ops.sum(ops.cast(of <= k, "int32"))
            chosen = ops.take(sorted_rows, ops.mod(first + steps, count), axis=0)
            read = rows if self.tied_to is not None else ops.matmul(rows, self._projections()[k])
            part, found = loss(
                ops.take(read, chosen, axis=0),
                kernel,
                bias,
                ops.take(ranks, chosen, axis=0) - begin,
                None if weights is None else ops.take(weights, chosen, axis=0),
                count=inside,
                chunk=self._room(count, begin, end),
            )
            total = None if weights is None else total + part
            losses = losses + ops.take(found, ops.mod(places - first, count), axis=0)
        return total, ops.reshape(losses, ops.shape(targets))

    def _ranks(self, targets):
        targets = ops.cast(targets, "int32")
        if self.order == "ids":
            return targets
        size = self.vocabulary_size  # what is none of the vocabulary stays so, and has a loss that is NaN
        ranks = ops.take(ops.cast(self.ranks, "int32"), ops.clip(targets, 0, size - 1), axis=0)
        return ops.where(ops.logical_and(targets >= 0, targets < size), ranks, targets)

    def _room(self, rows, begin, end):
        """At how many rows at a time to compute a cluster: where words are as frequent as words are, all in one go."""
        most = max(1, chunks.CHUNK // (end - begin))
        if not isinstance(rows, int):
            return min(ROWS, most)
        share = math.log((end + 1) / (begin + 1)) / math.log(self.vocabulary_size + 1)
        return min(8 * math.ceil(ROOM * share * rows / 8), rows, most)

    def _kernels(self):
        """By rank: of the shortlist and the clusters themselves, and of each cluster."""
        if self.tied_to is None:
            return [ops.cast(kernel, self.compute_dtype) for kernel in (self.head_kernel, *self.kernels)]
        table = ops.cast(self.tied_to.embeddings, self.compute_dtype)
        if self.order == "frequencies":
            table = _permuted(table, ops.cast(self.ids, "int32"), ops.cast(self.ranks, "int32"))
        first, *tails = ops.split(table, self.cutoffs, axis=0)
        return [ops.concatenate([first, ops.cast(self.cluster_kernel, self.compute_dtype)], axis=0), *tails]

    def _projections(self):
        return [ops.cast(projection, self.compute_dtype) for projection in self.projections]

    def _biases(self):
        if not self.use_bias:
            return [None] * (1 + len(self.cutoffs))
        return [ops.cast(bias, self.compute_dtype) for bias in (self.head_bias, *self.biases)]

    def read_frequencies(self, frequencies):
        """Takes the order from them, or warns where the ids have no such order and the head was told they have."""
        frequencies, shortlist = np.asarray(frequencies, "float64"), self.cutoffs[0]
        ids = np.argsort(-frequencies, kind="stable")
        if self.order == "frequencies":
            self.ids.assign(ids.astype("int32"))
            self.ranks.assign(np.argsort(ids).astype("int32"))
            return
        held, best = (f[:shortlist].sum() / f.sum() for f in (frequencies, frequencies[ids]))
        if held < 0.9 * best:
            warnings.warn(
                f"The ids are not in the order of their frequencies: the first {shortlist:,} are {held:.0%} of the "
                f'text, the most frequent {shortlist:,} are {best:.0%}. With order="frequencies" training is faster',
                stacklevel=2,
            )

    def begin_with_frequencies(self, frequencies):
        self.read_frequencies(frequencies)
        if not self.use_bias:
            return
        by_rank, shortlist = self.checked_frequencies(frequencies), self.cutoffs[0]
        if self.order == "frequencies":
            by_rank = by_rank[ops.convert_to_numpy(self.ids)]
        parts = [by_rank[begin:end] for begin, end in self.clusters]
        self.head_bias.assign(np.log([*by_rank[:shortlist], *(part.sum() for part in parts)]))
        for bias, part in zip(self.biases, parts):
            bias.assign(np.log(part / part.sum()))

    def get_config(self):
        options = ("div_value", "order", "use_bias")
        own = {"cutoffs": list(self.cutoffs), **{name: getattr(self, name) for name in options}}
        return {**super().get_config(), **own}


def _checked_cutoffs(cutoffs, vocabulary_size):
    whole = isinstance(cutoffs, (list, tuple)) and len(cutoffs) > 0 and all(is_whole(cutoff) for cutoff in cutoffs)
    if not whole or not all(a < b for a, b in zip([0, *cutoffs], [*cutoffs, vocabulary_size])):
        raise ValueError(
            f"`cutoffs` are increasing whole numbers above 0 and below the vocabulary's {vocabulary_size:,}, one at "
            f"least. Received: cutoffs={cutoffs!r}"
        )
    return [int(cutoff) for cutoff in cutoffs]


def _permuted(table, order, inverse):
    """The rows of a table in another order; its gradient is in the first one, without a sum over rows."""

    def rows(table, order):
        return ops.take(table, order, axis=0)

    return backend.custom_gradient(
        lambda flat, keep: ([rows(*flat[:2])], [flat[2]]),
        lambda saved, cotangents: [None if cotangents[0] is None else rows(cotangents[0], saved[0]), None, None],
        lambda flat: [rows(*flat[:2])],
    )(table, order, inverse)[0]
