"""The decoder that attends to an encoder and is fed what it found a step before (Luong et al. 2015)."""

import keras
from keras import ops

from keras_rnnlm.cells.checks import checked_step
from keras_rnnlm.cells.recurrent_cell import RecurrentCell

SCORES = ("dot", "general", "additive")


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class AttentionDecoderCell(RecurrentCell):
    """Layers of cells, attention to an encoder on top of them, and what came of it fed to the next step.

        h1 = cell_1([x; y], h1);  hk = cell_k(h(k-1), hk)          `residual`: layer k also adds h(k-1) to its output
        a_s = softmax_s(score(h, k_s))                             over the s that the mask shows
        c = sum_s a_s e_s
        y = tanh([c; h]@Wc + bc)                                   the output, and the first state

    where h is the last layer's output, and score(h, k) is h.k, or `"additive"`: v.tanh(h@Wq + k), Bahdanau et al.
    (2015). Of a sequence the encoder's states e and keys k stay what they are, so k is computed once, by whoever has
    the encoder: k = e ("dot"), or e@U ("general", the same as h@W.e of Luong et al., and "additive").

    Each step reads `keys`, (batch, encoder time, units), `encoded`, (batch, encoder time, `encoded_units`), and
    `encoded_mask`, booleans (batch, encoder time). A sequence of which the mask shows nothing has c = 0. The step notes
    `attention`, its a_s, and `h`, its y.

    Takes every argument of `keras.layers.SimpleRNNCell`, in its order, but for recurrent_dropout, and by keyword:

    Args:
        cells: `RecurrentCell`s, `units` wide, the lowest first. Their dropouts, but for zoneout and weight drop, are 0.
            Zoneout holds the states that a layer's next step reads, and not what the layer above reads now.
        score: "dot", "general" or "additive".
        encoded_units: how wide the encoder's states are; None: as wide as the units.
        residual: whether each layer but the first adds what it reads to what it gives.
        layer_dropout: fraction dropped, in training, of what each layer but the first reads.

    >>> cell = AttentionDecoderCell(4, cells=[keras_rnnlm.cells.GRUCell(4), keras_rnnlm.cells.LSTMCell(4)])
    >>> reads = {"keys": np.ones((2, 5, 4)), "encoded": np.ones((2, 5, 4)), "encoded_mask": np.ones((2, 5), bool)}
    >>> output, states = cell(np.ones((2, 3)), cell.get_initial_state(2), reads=reads)
    >>> output.shape, cell.state_names
    ((2, 4), ('y', 'layer_0_h', 'layer_1_h', 'layer_1_c'))
    """

    gates = "y"
    takes_mogrifier = False
    reads = ("keys", "encoded", "encoded_mask")
    trace_widths = {"attention": None}
    options = {"cells": (), "score": "general", "encoded_units": None, "residual": False, "layer_dropout": 0.0}

    def check_options(self):
        if self.score not in SCORES:
            raise ValueError(f"`score` is one of {SCORES}. Received: score={self.score!r}")
        if not isinstance(self.cells, (list, tuple)) or not self.cells:
            raise ValueError(f"`cells` is a list of recurrent cells, one at least. Received: cells={self.cells!r}")
        for cell in self.cells:
            self._check_cell(cell)
        if self.recurrent_dropout:
            raise ValueError(
                "A decoder's layers are dropped out by `layer_dropout`, and its recurrent weights by its cells' "
                f"`weight_drop`. Received: recurrent_dropout={self.recurrent_dropout}"
            )
        if self.zoneout:
            raise ValueError(
                f"A decoder's cells have their own `zoneout`, and its output none. Received: zoneout={self.zoneout}"
            )
        names = [f"layer_{k}_{name}" for k, cell in enumerate(self.cells) for name in cell.state_names]
        self.state_names = ("y", *names)
        self.starts_at = {
            f"layer_{k}_{name}": at for k, cell in enumerate(self.cells) for name, at in cell.starts_at.items()
        }

    def _check_cell(self, cell):
        if not isinstance(cell, RecurrentCell):
            raise ValueError(f"`cells` are recurrent cells of keras_rnnlm. Received: {cell!r}")
        if cell.output_size != self.units:
            raise ValueError(
                f"Each cell of a decoder is as wide as the decoder, {self.units}. Received: {cell.name!r} of width "
                f"{cell.output_size}"
            )
        options = ("dropout", "recurrent_dropout", "mogrifier", "learned_initial_state")
        refused = [name for name in options if getattr(cell, name, None)]
        # Such a cell asks for more than its step.
        own = ("project", "read", "recurrence", "whole", "draw_noise")
        refused += [name for name in own if getattr(type(cell), name) is not getattr(RecurrentCell, name)]
        refused += ["reads"] * bool(cell.reads)
        if refused:
            raise ValueError(
                "A cell within a decoder reads its input and its states, and no more: "
                f"{cell.name!r}, a {type(cell).__name__}, cannot be one for {', '.join(refused)}"
            )

    def step(self, dot, x, states, p):
        y, *states = states
        new, h = [], None
        for k, cell in enumerate(self.cells):
            mine, states = states[: cell.number_of_states], states[cell.number_of_states :]
            if k == 0:
                z = dot(y, "feed_kernel", x)
            else:
                read = h * p[f"dropout_{k}"] if f"dropout_{k}" in p else h
                z = dot(read, f"layer_{k}_kernel", p.get(f"input_bias_{k}"))
            after = checked_step(cell, cell.step)(_OfLayer(dot, k), z, tuple(mine), _of_layer(p, k))
            h = after[0] if k == 0 or not self.residual else h + after[0]
            new += after

        if self.score == "additive":
            q = ops.expand_dims(dot(h, "query_kernel"), 1)
            scores = ops.sum(ops.expand_dims(p["score_vector"], -2) * ops.tanh(q + p["keys"]), axis=-1)
        else:
            scores = ops.squeeze(ops.matmul(p["keys"], ops.expand_dims(h, 2)), 2)
        seen = p["encoded_mask"] > 0.5
        a = ops.softmax(ops.where(seen, scores, -1e9), axis=-1)
        a = ops.where(seen, a, ops.zeros_like(a))
        c = ops.squeeze(ops.matmul(ops.expand_dims(a, 1), p["encoded"]), 1)
        y = self.activation(dot(ops.concatenate([c, h], axis=-1), "combine_kernel", p.get("combine_bias")))
        dot.note(attention=a, h=y)
        return y, *new

    def traced(self):
        return ["attention", "h"]

    def gate_names(self):
        return []

    @property
    def state_widths(self):
        return [self.units, *(width for cell in self.cells for width in cell.state_widths)]

    def zoneout_rates(self):
        return [0.0, *(rate for cell in self.cells for rate in cell.zoneout_rates())]

    def draw_noise(self, leading, training):
        if not (training and self.layer_dropout):
            return {}
        ones = ops.ones((*leading, self.units), dtype=self.compute_dtype)
        return {
            f"dropout_{k}": keras.random.dropout(ones, self.layer_dropout, seed=self.seed_generator)
            for k in range(1, len(self.cells))
        }

    # The weights

    def build(self, input_shape):
        features = input_shape[-1]
        for k, cell in enumerate(self.cells):
            if not cell.built:
                cell.build((None, self.units if k else features + self.units))
        self.declared = []
        if self.score == "additive":
            self.declare("query_kernel", (self.units, self.units), "kernel")
            self.declare("score_vector", (self.units,), "kernel")
        width = self.units if self.encoded_units is None else self.encoded_units
        self.declare("combine_kernel", (width + self.units, self.units), "kernel")
        if self.use_bias:
            self.declare("combine_bias", (self.units,), "bias")
        self.declare_what_every_cell_may_have(features)
        self.built = True

    def read_weights(self, training=False):
        own = super().read_weights(training)
        parts = enumerate(cell.read_weights(training) for cell in self.cells)
        return own | {f"layer_{k}_{name}": value for k, part in parts for name, value in part.items()}

    def read(self, inputs, w, mask=None):
        kernel = w["layer_0_kernel"]
        inputs = ops.cast(inputs, kernel.dtype)
        mask = mask[0] if isinstance(mask, (list, tuple)) else mask
        x = ops.matmul(inputs if mask is None else inputs * mask, kernel[: -self.units])
        bias = self.cells[0].input_bias(_of_layer(w, 0))
        return x if bias is None else x + bias

    def kernels(self, w):
        found = {name: w[name] for name in ("query_kernel", "combine_kernel") if name in w}
        found["feed_kernel"] = w["layer_0_kernel"][-self.units :]
        for k, cell in enumerate(self.cells):
            if k:
                found[f"layer_{k}_kernel"] = w[f"layer_{k}_kernel"]
            found |= {f"layer_{k}_{name}": kernel for name, kernel in cell.kernels(_of_layer(w, k)).items()}
        return found

    def parameters(self, w):
        found = {name: w[name] for name in ("score_vector", "combine_bias") if name in w}
        for k, cell in enumerate(self.cells):
            mine = _of_layer(w, k)
            bias = cell.input_bias(mine) if k else None
            found |= {} if bias is None else {f"input_bias_{k}": bias}
            found |= {f"layer_{k}_{name}": value for name, value in cell.parameters(mine).items()}
        return found


class _OfLayer:
    """A `dot` by the kernels of one layer."""

    def __init__(self, dot, k):
        self.dot, self.k = dot, k

    def __call__(self, operand, name, plus=None):
        return self.dot(operand, f"layer_{self.k}_{name}", plus)

    def note(self, **values):
        """What the layers note has no name here."""


def _of_layer(tensors, k):
    """Those of one layer, under its own names."""
    return {
        name.removeprefix(f"layer_{k}_"): value for name, value in tensors.items() if name.startswith(f"layer_{k}_")
    }
