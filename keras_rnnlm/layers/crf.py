"""A linear-chain conditional random field: the tags of a sequence, each with its neighbours in mind."""

import keras
import numpy as np
from keras import ops

from keras_rnnlm.cells.dot import state_dtype
from keras_rnnlm.layers.chain import FORBIDDEN, NEVER, Chain
from keras_rnnlm.layers.stackable import check_mask, mask_of
from keras_rnnlm.schema import is_count


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class CRF(keras.layers.Layer):
    """A linear-chain conditional random field (Lafferty et al. 2001) over the scores of each step's tags.

        score(y) = start[y_1] + sum_t potentials[t, y_t] + sum_t transitions[y_t-1, y_t] + end[y_T]
        p(y) = exp score(y) / sum over all y' of exp score(y')

    Called on potentials it returns log p(y_t | y_t-1) at each step, for every tag y_t-1 and every tag y_t: numbers of
    shape (batch, time, tags, tags). They say all of p and need no weights beside them, so that what reads them has no
    link to this layer: `CRFLoss` and `CRFAccuracy` in `compile`, `Viterbi` for the best tags. At the first step all
    y_t-1 have the same numbers, and masked steps have zeros. Where the rest is in half precision, this is in float32.

    A mask may hide any steps, at the end, at the beginning or between: the tags of the others follow on each other.

    Args:
        tags: how many different tags there are.
        allowed: which tag may follow on which, see `allowed_transitions`: booleans, (tags + 1, tags + 1), where
            `allowed[i, j]` is about j after i, the last row about j at the start, the last column about i at the end.
            None allows everything. What is forbidden scores -10,000: it is never decoded, and a target that contains
            it has a loss as large.
        initializer, regularizer, constraint: of the weights, `transitions`, (tags, tags), `start` and `end`, (tags,).

    Call arguments:
        potentials: (batch, time, tags), scores of any size: logits, not probabilities.
        mask: booleans, (batch, time).

    Example: a tagger, and the same with the best tags as its output.

    >>> words = keras.Input((None,), dtype="int32")
    >>> x = keras.layers.Embedding(100, 8, mask_zero=True)(words)
    >>> x = keras.layers.Bidirectional(keras_rnnlm.layers.LSTM(8, return_sequences=True))(x)
    >>> model = keras.Model(words, CRF(5)(keras.layers.Dense(5)(x)))
    >>> model.compile("adam", CRFLoss(), metrics=[CRFAccuracy()])  # fit(words, tags), both integers (batch, time)
    >>> tagger = keras.Sequential([model, Viterbi()])
    >>> tagger.output_shape
    (None, None)
    """

    def __init__(self, tags, allowed=None, initializer="zeros", regularizer=None, constraint=None, **kwargs):
        super().__init__(autocast=False, **kwargs)  # potentials that are in float32 already stay so
        if not is_count(tags) or tags < 2:
            raise ValueError(f"`tags` is a number of tags: an integer, 2 or more. Received: tags={tags!r}")
        self.tags, self.allowed, self.supports_masking = int(tags), _checked(allowed, tags), True
        self.initializer = keras.initializers.get(initializer)
        self.regularizer = keras.regularizers.get(regularizer)
        self.constraint = keras.constraints.get(constraint)
        self.to_come = Chain("log sum", self.tags, state_dtype(self.compute_dtype), go_backwards=True)

    def build(self, potentials_shape):
        if len(potentials_shape) != 3 or potentials_shape[-1] != self.tags:
            raise ValueError(
                f"`potentials` are a number for each tag at each step: shape (batch, time, {self.tags}). "
                f"Received: shape {tuple(potentials_shape)}"
            )
        how = dict(initializer=self.initializer, regularizer=self.regularizer, constraint=self.constraint)
        self.transitions = self.add_weight(name="transitions", shape=(self.tags, self.tags), autocast=False, **how)
        self.start = self.add_weight(name="start", shape=(self.tags,), autocast=False, **how)
        self.end = self.add_weight(name="end", shape=(self.tags,), autocast=False, **how)
        self.built = True

    def call(self, potentials, mask=None):
        return self._log_probabilities(potentials, mask)

    def log_likelihood(self, potentials, tags, mask=None):
        """log p(tags) of each sequence, (batch,).

        Args:
            potentials, mask: as in a call.
            tags: integers, (batch, time). NaN is the answer to one at a step that counts that is no tag.
        """
        return ops.sum(log_probabilities_of(self._log_probabilities(potentials, mask), tags), axis=1)

    def decode(self, potentials, mask=None):
        """The most probable tags of each sequence, (batch, time), 0 where it is masked, and their log p, (batch,)."""
        return best_tags(self._log_probabilities(potentials, mask))

    def marginals(self, potentials, mask=None):
        """The probability of each tag at each step, (batch, time, tags); zeros where it is masked."""
        log_probabilities = self._log_probabilities(potentials, mask)
        there, one = _there(log_probabilities), _identity(self.tags, self.to_come.compute_dtype)
        steps = ops.where(_over(there, 2), ops.exp(log_probabilities), one)
        # Any tag may stand before the first: all have the same numbers for it.
        before = ops.zeros_like(log_probabilities[:, 0, 0]) + 1 / self.tags
        vectors = Chain("sum", self.tags, self.to_come.compute_dtype)(steps, before)
        return ops.where(_over(there, 1), vectors, 0)

    def _log_probabilities(self, potentials, mask):
        mask, dtype = mask_of(potentials, mask), self.to_come.compute_dtype
        potentials = ops.cast(ops.convert_to_tensor(potentials), dtype)
        if not self.built:
            self.build(potentials.shape)
        if mask is None:
            there = ops.ones_like(potentials[:, :, 0], dtype="bool")
        else:
            check_mask(mask, *potentials.shape[:2])
            there = ops.reshape(ops.cast(mask, "bool"), ops.shape(potentials)[:2])
        transitions, start, end = self.scores()
        potentials = ops.where(_over(there, 1), potentials, 0)  # whatever stands there has no gradient then

        # The later tag stands before the earlier one: the chain goes from the end to the beginning.
        steps = ops.expand_dims(potentials, 3) + ops.transpose(transitions)
        held = ops.where(_identity(self.tags, dtype) > 0, 0.0, NEVER)
        last = ops.zeros_like(potentials[:, 0]) + end
        before = self.to_come(ops.where(_over(there, 2), steps, ops.cast(held, dtype)), last)
        ahead = potentials + ops.concatenate([before[:, 1:], ops.expand_dims(last, 1)], axis=1)

        scores = ops.expand_dims(ahead, 2) + ops.where(_over(_first(there), 2), start, transitions)
        return ops.where(_over(there, 2), ops.log_softmax(scores, axis=-1), 0)

    def scores(self):
        """The scores of transitions, of starts and of ends, with those of what is forbidden in their place."""
        dtype = self.to_come.compute_dtype
        scores = [ops.cast(weight, dtype) for weight in (self.transitions, self.start, self.end)]
        if self.allowed is None:
            return scores
        a = np.array(self.allowed)
        return [ops.where(may, s, FORBIDDEN) for may, s in zip((a[:-1, :-1], a[-1, :-1], a[:-1, -1]), scores)]

    def compute_output_spec(self, potentials, mask=None):
        return keras.KerasTensor((*potentials.shape, self.tags), dtype=self.to_come.compute_dtype)

    def compute_mask(self, potentials, mask=None):
        return mask

    def get_config(self):
        return {
            **super().get_config(),
            "tags": self.tags,
            "allowed": self.allowed,
            "initializer": keras.initializers.serialize(self.initializer),
            "regularizer": keras.regularizers.serialize(self.regularizer),
            "constraint": keras.constraints.serialize(self.constraint),
        }


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class Viterbi(keras.layers.Layer):
    """The most probable tags, int32 (batch, time), of what a `CRF` gives; zeros where it is masked.

    Args:
        return_scores: return the logarithm of their probability, too: (batch,).

    >>> potentials = np.array([[[0.0, 2.0], [0.5, 0.0], [0.0, 1.0]]])
    >>> ops.convert_to_numpy(Viterbi()(CRF(2)(potentials))).tolist()
    [[1, 0, 1]]
    """

    def __init__(self, return_scores=False, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.return_scores, self.supports_masking = bool(return_scores), True

    def call(self, log_probabilities):
        tags, scores = best_tags(log_probabilities)
        return (tags, scores) if self.return_scores else tags

    def compute_output_spec(self, log_probabilities):
        _check_log_probabilities(log_probabilities)
        tags = keras.KerasTensor(log_probabilities.shape[:2], dtype="int32")
        scores = keras.KerasTensor(log_probabilities.shape[:1], dtype=log_probabilities.dtype)
        return (tags, scores) if self.return_scores else tags

    def compute_mask(self, log_probabilities, mask=None):
        return [mask, None] if self.return_scores else mask

    def get_config(self):
        return {**super().get_config(), "return_scores": self.return_scores}


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class CRFLoss(keras.losses.Loss):
    """-log p(tags), a mean over the steps that are not masked, of what a `CRF` gives.

    Targets are integers, (batch, time) or (batch, time, 1). Sample weights are a number a sequence, (batch,), or one a
    step, (batch, time).

    >>> chain = CRF(2)(np.zeros((1, 3, 2)))
    >>> round(float(CRFLoss()(np.array([[0, 1, 1]]), chain)), 4)  # eight sequences, all equally probable
    0.6931
    """

    def __call__(self, y_true, y_pred, sample_weight=None):
        weights = _by_step(sample_weight)
        if weights is not None and len(weights.shape) == 2:  # a mask is multiplied into them, on PyTorch in place
            weights = weights * ops.ones(ops.shape(y_pred)[:2], dtype=weights.dtype)
        return super().__call__(y_true, y_pred, weights)

    def call(self, y_true, y_pred):
        return -log_probabilities_of(y_pred, y_true)


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class CRFAccuracy(keras.metrics.Mean):
    """The fraction of the tags that is right in the most probable sequences, of what a `CRF` gives.

    Targets and sample weights are those of a `CRFLoss`.

    >>> accuracy = CRFAccuracy()
    >>> accuracy.update_state(np.array([[1, 1]]), CRF(2)(np.array([[[0.0, 2.0], [0.0, 2.0]]])))
    >>> float(accuracy.result())
    1.0
    """

    def __init__(self, name="accuracy", dtype=None):
        super().__init__(name=name, dtype=dtype)

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_pred = ops.convert_to_tensor(y_pred)
        tags, _ = best_tags(y_pred)
        weights = ops.cast(_there(y_pred), self.dtype)
        if sample_weight is not None:
            weights = weights * ops.cast(_by_step(sample_weight), self.dtype)
        right = ops.cast(ops.equal(tags, ops.reshape(ops.cast(y_true, "int32"), ops.shape(tags))), self.dtype)
        return super().update_state(ops.reshape(right, (-1,)), sample_weight=ops.reshape(weights, (-1,)))


def allowed_transitions(names, scheme="BIO"):
    """Which tag may follow on which in spans of words, for a `CRF`.

    Args:
        names: the tags in their order: "O", "B-PER", "I-PER", ...
        scheme: "BIO", where spans begin with B and continue with I, or "BIOES", where they end with E, and S is a span
            of one word.

    Returns:
        A list of lists of booleans, (tags + 1, tags + 1): the last row is of the start, the last column of the end.

    >>> allowed_transitions(["O", "B-PER", "I-PER"])
    [[True, True, False, True], [True, True, True, True], [True, True, True, True], [True, True, False, True]]
    """
    if scheme not in ("BIO", "BIOES"):
        raise ValueError(f'`scheme` is "BIO" or "BIOES". Received: scheme={scheme!r}')
    names = list(names)
    parts = [str(name).partition("-")[::2] for name in names]
    odd = [n for n, (letter, kind) in zip(names, parts) if letter not in list(scheme) or (letter == "O") != (not kind)]
    if odd or len(set(names)) != len(names):
        raise ValueError(
            f'`names` are different tags, each "O" or one of {", ".join(scheme.replace("O", ""))} with what it is of, '
            f'as in "B-PER". Received: {odd or names}'
        )

    def may_follow(before, after):
        within = before[0] == "B" or before[0] == "I"
        if after[0] in ("I", "E"):
            return within and before[1] == after[1]
        return scheme == "BIO" or not within

    outside = ("O", "")
    return [[may_follow(before, after) for after in [*parts, outside]] for before in [*parts, outside]]


def log_probabilities_of(log_probabilities, tags):
    """log p of the tag of each step, given the tag before it, (batch, time); zeros where it is masked."""
    log_probabilities = ops.convert_to_tensor(log_probabilities)
    _check_log_probabilities(log_probabilities)
    tags = ops.convert_to_tensor(tags)
    if len(tags.shape) == 3 and tags.shape[-1] == 1:
        tags = ops.squeeze(tags, -1)
    if len(tags.shape) != 2:
        raise ValueError(f"Tags are integers, (batch, time). Received: shape {tuple(tags.shape)}")
    tags, there, number_of_tags = ops.cast(tags, "int32"), _there(log_probabilities), log_probabilities.shape[-1]
    batch, time = ops.shape(log_probabilities)[:2]
    is_known = ops.logical_and(tags >= 0, tags < number_of_tags)
    tags = ops.where(is_known, tags, 0)

    # The tag before a step is that of the last step before it that counts.
    place = ops.cumsum(ops.ones_like(tags), axis=1) - 1
    of_number = ops.sort(ops.where(there, place, place + time), axis=1)  # those that count come first, in their order
    number = ops.cumsum(ops.cast(there, "int32"), axis=1) - 1
    before = ops.take_along_axis(of_number, ops.maximum(number - 1, 0), axis=1)
    before = ops.minimum(before, time - 1)
    tag_before = ops.take_along_axis(tags, before, axis=1)
    known_before = ops.logical_or(number <= 0, ops.take_along_axis(ops.cast(is_known, "int32"), before, axis=1) > 0)

    flat = ops.reshape(log_probabilities, (batch, time, number_of_tags**2))
    chosen = ops.take_along_axis(flat, ops.expand_dims(tag_before * number_of_tags + tags, 2), axis=2)[:, :, 0]
    return ops.where(there, ops.where(ops.logical_and(is_known, known_before), chosen, float("nan")), 0)


def best_tags(log_probabilities):
    """The most probable tags, (batch, time), and their log p, (batch,), by the algorithm of Viterbi (1967)."""
    log_probabilities = ops.stop_gradient(ops.convert_to_tensor(log_probabilities))
    _check_log_probabilities(log_probabilities)
    tags, dtype = log_probabilities.shape[-1], keras.backend.standardize_dtype(log_probabilities.dtype)
    there, one = _there(log_probabilities), _identity(tags, dtype)
    held = ops.cast(ops.where(one > 0, 0.0, NEVER), dtype)
    steps = ops.where(_over(there, 2), log_probabilities, held)
    nowhere = ops.zeros_like(steps[:, 0, 0])
    so_far = Chain("max", tags, dtype)(steps, nowhere)
    last = so_far[:, -1]

    # From the last tag back to the first: which tag was the best before each. A tag is a vector with a single 1.
    before = ops.concatenate([ops.expand_dims(nowhere, 1), so_far[:, :-1]], axis=1)
    best = ops.swapaxes(ops.cast(_best(ops.expand_dims(before, 3) + steps, axis=2), dtype), 2, 3)
    best_last = ops.cast(_best(last, axis=1), dtype)
    chosen = Chain("sum", tags, dtype, go_backwards=True)(best, best_last)
    chosen = ops.concatenate([chosen[:, 1:], ops.expand_dims(best_last, 1)], axis=1)
    found = ops.sum(ops.cast(chosen > 0.5, "int32") * ops.arange(tags, dtype="int32"), axis=-1)
    return ops.where(there, found, 0), ops.max(last, axis=-1)


# By operators that every format has: for indexing with None, and for Keras's argmax, some have none.


def _over(of_steps, axes):
    """Booleans (batch, time), with one or two axes more."""
    return ops.reshape(of_steps, (*ops.shape(of_steps), *[1] * axes))


def _first(of_steps, axis=1):
    """The first of the booleans along an axis that is True."""
    return ops.logical_and(of_steps, ops.cumsum(ops.cast(of_steps, "int32"), axis=axis) == 1)


def _best(scores, axis):
    """Where the first of the largest scores is."""
    return _first(ops.equal(scores, ops.max(scores, axis=axis, keepdims=True)), axis)


def _there(log_probabilities):
    """Which steps are not masked: those of which the numbers are not all zero."""
    return ops.any(log_probabilities != 0, axis=(2, 3))


def _identity(size, dtype):
    return ops.eye(size, dtype=dtype)


def _by_step(sample_weight):
    """Sample weights that broadcast over time."""
    if sample_weight is None:
        return None
    sample_weight = ops.convert_to_tensor(sample_weight)
    return ops.expand_dims(sample_weight, 1) if len(sample_weight.shape) == 1 else sample_weight


def _check_log_probabilities(log_probabilities):
    shape = tuple(log_probabilities.shape)
    if len(shape) != 4 or shape[2] != shape[3]:
        raise ValueError(f"What a CRF gives has the shape (batch, time, tags, tags). Received: shape {shape}")


def _checked(allowed, tags):
    """`allowed` as a configuration holds it."""
    if allowed is None:
        return None
    found = np.asarray(allowed)
    if found.shape != (tags + 1, tags + 1) or found.dtype != bool:
        raise ValueError(
            "`allowed` are booleans, the last row being of the start, the last column of the end: shape (tags + 1, "
            f"tags + 1) = {(tags + 1, tags + 1)}. Received: shape {found.shape} of {found.dtype}"
        )
    return found.tolist()
