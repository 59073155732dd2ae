"""Attention: of a step to the steps before it, and of a decoder to what an encoder gave."""

import keras
from keras import ops

from keras_rnnlm.cells.dot import state_dtype
from keras_rnnlm.layers.dropout import Dropout
from keras_rnnlm.layers.stackable import Stackable, check_mask, check_states, fits, mask_of
from keras_rnnlm.schema import is_count

SCORES = ("dot", "general", "additive")


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class CausalAttention(Stackable, keras.layers.Layer):
    """Each step attends to itself and to the `memory` steps before it.

        q_t, k_t, v_t = x_t Wq, x_t Wk, x_t Wv
        a_ts = softmax_s(q_t . k_s / sqrt(units / heads))        over t - memory <= s <= t
        c_t = sum_s a_ts v_s
        y_t = activation([c_t; x_t] W + b)

    These are the scaled dot products of Vaswani et al. (2017), each head with its own part of q, k, v and c, the output
    of Luong et al. (2015), and the memory of the last steps of Daniluk et al. (2017). They leave the step itself out;
    here it is seen, so that the first step has something to look at and no step has to look back. Keys know no
    positions: the recurrent layers below bring the order along.

    The memory is the layer's state, keys and values as they were computed. It goes from window to window, so that a
    step sees the same steps wherever windows are cut, and `step` computes what the call does. A LanguageModel stops the
    gradient between windows, as it does for every state. Masked steps are neither seen, stored nor counted; they repeat
    the last output, zeros before the first.

    Args:
        units: width of q, k, v and of the output.
        memory: the number of steps before it that a step sees, in its window and in those before. Time and states grow
            with it; as many as a training window has steps is a good start.
        heads: a divisor of `units`.
        dropout: fraction of the a_ts that is dropped, in training.
        activation: of the output.
        return_state: return the new memory, too.
        seed: of the dropout.

    Call arguments:
        sequences: (batch, time, features).
        initial_state: list of one tensor (batch, memory * (2 * units + 1)): of each step that can still be seen the
            key, the value and a 1. Zeros, the default, are an empty memory.
        mask: booleans, (batch, time).
        training: whether to drop out.

    Example:

    >>> layer = CausalAttention(4, memory=3)
    >>> layer(np.ones((2, 7, 5))).shape
    (2, 7, 4)
    >>> layers = [keras_rnnlm.layers.LSTM(8), CausalAttention(8, memory=16, heads=2)]
    >>> model = keras_rnnlm.models.LanguageModel(100, layers=layers)
    >>> [tuple(state.shape) for state in model.initial_states(1)]
    [(1, 8), (1, 8), (1, 272)]
    """

    def __init__(self, units, memory, heads=1, dropout=0.0, activation="tanh", return_state=False, seed=None, **kwargs):
        super().__init__(autocast=False, **kwargs)  # states stay float32, whatever the compute dtype
        _check_count(units=units)
        _check_count(memory=memory)
        _check_count(heads=heads)
        _check_dropout(dropout)
        if units % heads:
            raise ValueError(f"`heads` is a divisor of `units`. Received: heads={heads}, units={units}")
        self.units, self.memory, self.heads = int(units), int(memory), int(heads)
        self.return_state, self.seed, self.supports_masking = return_state, seed, True
        self.project = keras.layers.Dense(3 * self.units, use_bias=False, dtype=self.dtype_policy, name="project")
        self.dropout = Dropout(dropout, seed=seed, dtype=self.dtype_policy)
        self.combine = keras.layers.Dense(self.units, activation, dtype=self.dtype_policy, name="combine")

    @property
    def output_width(self):
        return self.units

    @property
    def state_names(self):
        return ("memory",)

    @property
    def state_widths(self):
        return [self.memory * (2 * self.units + 1)]

    def get_initial_state(self, batch_size):
        """An empty memory: zeros, in the dtype in which states are carried."""
        return [ops.zeros((batch_size, width), dtype=state_dtype(self.compute_dtype)) for width in self.state_widths]

    def build(self, sequences_shape, initial_state_shape=None):
        width = sequences_shape[-1]
        if not self.project.built:  # a stack builds what was loaded once more
            self.project.build((None, None, width))
            self.combine.build((None, None, self.units + width))
        self.built = True

    def call(self, sequences, initial_state=None, mask=None, training=False):
        mask = mask_of(sequences, mask)
        batch, time = ops.shape(sequences)[:2]
        if initial_state is None:
            initial_state = self.get_initial_state(batch)
        check_states(initial_state, self.state_widths, sequences.shape[0])
        if mask is not None:
            check_mask(mask, *sequences.shape[:2])
            mask = ops.reshape(ops.cast(mask, "bool"), (batch, time))
        (memory,) = keras.tree.flatten(initial_state)
        output, memory = self._attend(sequences, memory, mask, training)
        return (output, memory) if self.return_state else output

    def step(self, x, states):
        """One step: x is (batch, features). Returns the output and the new states."""
        (memory,) = states
        output, memory = self._attend(x[:, None], memory, None, False)
        return output[:, 0], [memory]

    def _attend(self, x, memory, mask, training):
        # Not by indexing with None, which LiteRT has not for sizes that it does not know.
        dtype, carried = self.compute_dtype, state_dtype(self.compute_dtype)
        x = ops.cast(x, dtype)
        batch, time = ops.shape(x)[:2]
        there = ops.ones((batch, time), "bool") if mask is None else mask
        query, window = ops.split(self.project(x), [self.units], axis=-1)
        window = ops.concatenate([window, ops.cast(ops.expand_dims(there, 2), dtype)], axis=-1)
        memory = ops.reshape(ops.cast(memory, carried), (-1, self.memory, 2 * self.units + 1))
        steps = ops.concatenate([memory, ops.cast(window, carried)], axis=1)
        key, value, is_there = ops.split(steps, [self.units, 2 * self.units], axis=-1)

        # The number of each step: from 1 in this window, down from 0 in the memory. What is masked has none of its own.
        back = ops.expand_dims(ops.arange(1 - self.memory, 1), 0)
        number = ops.cumsum(ops.cast(there, "int32"), axis=1)
        numbers = ops.concatenate([back + ops.zeros_like(number[:, :1]), number], axis=1)
        distance = ops.expand_dims(number, 2) - ops.expand_dims(numbers, 1)
        seen = ops.logical_and(distance >= 0, distance <= self.memory)
        seen = ops.logical_and(seen, ops.swapaxes(is_there, 1, 2) > 0.5)

        query = self._by_head(query * (self.units // self.heads) ** -0.5)
        key, value = self._by_head(ops.cast(key, dtype)), self._by_head(ops.cast(value, dtype))
        scores = ops.cast(ops.matmul(query, ops.swapaxes(key, 2, 3)), carried)
        weights = ops.softmax(ops.where(ops.expand_dims(seen, 1), scores, -1e9), axis=-1)
        context = ops.matmul(self.dropout(ops.cast(weights, dtype), training=training), value)
        context = ops.reshape(ops.transpose(context, (0, 2, 1, 3)), (batch, time, self.units))
        output = self.combine(ops.concatenate([context, x], axis=-1))

        if mask is None:
            memory = steps[:, -self.memory :]
        else:
            output = ops.where(ops.expand_dims(number, 2) > 0, _with_number(number, output, number), 0)
            memory = _with_number(back + number[:, -1:], steps, numbers)
        return output, ops.reshape(memory, (-1, *self.state_widths))

    def _by_head(self, z):
        """(batch, steps, units) to (batch, heads, steps, units / heads)."""
        batch, steps = ops.shape(z)[:2]
        return ops.transpose(ops.reshape(z, (batch, steps, self.heads, self.units // self.heads)), (0, 2, 1, 3))

    def compute_mask(self, sequences, mask=None):
        mask = mask[0] if isinstance(mask, (list, tuple)) else mask
        return [mask, None] if self.return_state else mask

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "memory": self.memory,
            "heads": self.heads,
            "dropout": self.dropout.rate,
            "activation": keras.activations.serialize(self.combine.activation),
            "return_state": self.return_state,
            "seed": self.seed,
        }


def _with_number(wanted, steps, numbers):
    """Of each row's steps, (batch, steps, width), the first ones that reach the wanted numbers, (batch, wanted)."""
    before = ops.cast(ops.expand_dims(numbers, 1) < ops.expand_dims(wanted, 2), "int32")
    return ops.take_along_axis(steps, ops.expand_dims(ops.sum(before, axis=-1), 2), axis=1)


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class EncoderAttention(keras.layers.Layer):
    """The states of a decoder, x_t, attend to those of an encoder, e_s.

        score(x_t, e_s) = x_t . e_s                       "dot", Luong et al. (2015)
                          x_t W . e_s                     "general", the same
                          v . tanh(x_t W + e_s U + b)     "additive", Bahdanau et al. (2015); `units` wide
        a_ts = softmax_s(score(x_t, e_s))
        c_t = sum_s a_ts e_s
        y_t = activation([c_t; x_t] Wc + bc)

    Args:
        units: width of the output.
        score: "dot", "general" or "additive".
        dropout: fraction of the a_ts that is dropped, in training.
        activation: of the output.
        seed: of the dropout.

    Call arguments:
        x: (batch, time, features), or of one step (batch, features).
        encoded: (batch, encoder time, width).
        encoded_mask: booleans, (batch, encoder time). Masked steps are not seen; where all are, c_t is zeros.
        training: whether to drop out.
        return_weights: return the a_ts, too, in the shape of x with the encoder's time in place of the features.

    Example:

    >>> layer = EncoderAttention(4, score="additive")
    >>> output, weights = layer(np.ones((2, 5, 3)), np.ones((2, 7, 6)), return_weights=True)
    >>> output.shape, weights.shape
    ((2, 5, 4), (2, 5, 7))
    """

    def __init__(self, units, score="general", dropout=0.0, activation="tanh", seed=None, **kwargs):
        super().__init__(**kwargs)
        _check_count(units=units)
        _check_dropout(dropout)
        if score not in SCORES:
            raise ValueError(f"`score` is one of {SCORES}. Received: score={score!r}")
        self.units, self.score, self.seed, self.supports_masking = int(units), score, seed, True
        make = keras.layers.AdditiveAttention if score == "additive" else keras.layers.Attention
        self.attention = make(dropout=dropout, seed=seed, dtype=state_dtype(self.compute_dtype), name="attention")
        self.combine = keras.layers.Dense(self.units, activation, dtype=self.dtype_policy, name="combine")

    def build(self, x_shape, encoded_shape):
        features, width = x_shape[-1], encoded_shape[-1]
        if self.score == "dot" and features != width:
            raise ValueError(
                'A score of "dot" multiplies what is equally wide; "general" takes any widths. '
                f"Received: x of width {features}, encoded of width {width}"
            )
        query = features
        if self.score != "dot":
            query = width if self.score == "general" else self.units
            self.query = keras.layers.Dense(query, use_bias=False, dtype=self.dtype_policy, name="query")
            self.query.build((None, None, features))
        if self.score == "additive":
            self.key = keras.layers.Dense(self.units, dtype=self.dtype_policy, name="key")
            self.key.build((None, None, width))
        self.attention.build([(None, None, query), (None, None, width), (None, None, query)])
        self.combine.build((None, None, width + features))
        self.built = True

    def call(self, x, encoded, encoded_mask=None, training=False, return_weights=False):
        self._check(x.shape, encoded.shape, encoded_mask)
        steps = x if len(x.shape) == 3 else x[:, None]
        query = steps if self.score == "dot" else self.query(steps)
        key = self.key(encoded) if self.score == "additive" else encoded
        masks = None if encoded_mask is None else [None, ops.cast(encoded_mask, "bool")]
        context, weights = self.attention(
            [query, encoded, key], mask=masks, training=training, return_attention_scores=True
        )
        if masks is not None:
            some = ops.any(masks[1], axis=-1)[:, None, None]
            context, weights = [ops.where(some, value, 0) for value in (context, weights)]
        output = self.combine(ops.concatenate([ops.cast(context, self.compute_dtype), steps], axis=-1))
        results = [output, weights] if return_weights else [output]
        results = results if len(x.shape) == 3 else [result[:, 0] for result in results]
        return tuple(results) if return_weights else results[0]

    def _check(self, x, encoded, mask):
        if len(x) not in (2, 3):
            raise ValueError(
                f"`x` is (batch, time, features), or (batch, features) of one step. Received: shape {tuple(x)}"
            )
        if len(encoded) != 3 or not fits(encoded[:1], x[:1]):
            raise ValueError(
                f"`encoded` is (batch, time, width), with the batch of x, {x[0]}. Received: shape {tuple(encoded)}"
            )
        if mask is not None and not fits(tuple(mask.shape), encoded[:2]):
            raise ValueError(
                "`encoded_mask` is an array with a boolean for each step of `encoded`: shape (batch, time) = "
                f"{tuple(encoded[:2])}. Received: shape {tuple(mask.shape)}"
            )

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "score": self.score,
            "dropout": self.attention.dropout,
            "activation": keras.activations.serialize(self.combine.activation),
            "seed": self.seed,
        }


def _check_count(**given):
    ((name, value),) = given.items()
    if not is_count(value):
        raise ValueError(f"`{name}` is a positive integer. Received: {name}={value!r}")


def _check_dropout(rate):
    if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate <= 1:
        raise ValueError(f"`dropout` is a fraction, from 0 to 1. Received: dropout={rate!r}")
