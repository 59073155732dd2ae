"""Recurrent layers on top of each other, their states one flat list."""

import keras
from keras import ops

from keras_rnnlm.layers.dropout import dropout_layer
from keras_rnnlm.layers.programs import Programs
from keras_rnnlm.layers.stackable import Stackable, mask_of
from keras_rnnlm.unbuilt import deserialized, serialized

CONNECTIONS = (None, "residual", "dense", "highway")


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class RecurrentStack(keras.layers.Layer):
    """A stack of recurrent layers. Layer l reads x_l and gives h_l; `connection` says what the next one reads.

        None      x_(l+1) = h_l
        residual  x_(l+1) = x_l + h_l
        dense     x_(l+1) = [x_0; h_1; ...; h_l]
        highway   x_(l+1) = t h_l + (1 - t) x_l,  t = sigmoid(x_l W_l + b_l), with b_l = -1 at first: mostly carried

    Args:
        layers: layers of keras_rnnlm.layers, such as `LSTM(units)` or `CausalAttention(units, memory)`. They are made
            to return sequences and states.
        connection: None, "residual", "dense" or "highway".
        dropout: the fraction of what each layer but the first reads that is dropped, in training.
        bidirectional: beside each layer goes a copy of it from the end of the sequence to its beginning, with weights
            of its own, and h_l is what the two give, side by side. For encoders: such a stack has no `step`.
        locked_dropout: whether one mask of `dropout` is drawn for all steps of a sequence; otherwise each has its own.

    It is called with `(sequences, states=None, mask=None, reads=None)` and returns the last x and the flat list of new
    states, layer by layer, each (batch, width) and float32: `state_names` and `state_widths` say which they are. A
    masked step holds them. `step(x, states, reads=None)` is one step of the same. `reads` is a dict of what the steps
    of its layers read, (batch, ...): each layer takes its own.

    Example:

    >>> stack = RecurrentStack([keras_rnnlm.layers.GRU(4), keras_rnnlm.layers.LSTM(4)], connection="residual")
    >>> output, states = stack(np.zeros((2, 7, 4)))
    >>> output.shape, len(states)
    ((2, 7, 4), 3)
    """

    def __init__(self, layers, connection=None, dropout=0.0, bidirectional=False, *, locked_dropout=False, **kwargs):
        super().__init__(autocast=False, **kwargs)
        if connection not in CONNECTIONS:
            raise ValueError(f"`connection` is one of {CONNECTIONS}. Received: connection={connection!r}")
        layers = list(layers)
        if any(isinstance(layer, keras.layers.Bidirectional) for layer in layers):
            raise ValueError(
                "Both directions of a stack are made by `bidirectional=True`. Received: a Bidirectional layer"
            )
        if not layers or not all(isinstance(layer, Stackable) for layer in layers):
            raise ValueError(f"`layers` is a list of recurrent layers of keras_rnnlm.layers. Received: {layers}")
        for layer in layers:
            if layer.go_backwards or layer.stateful or layer.return_trace:
                raise ValueError(
                    f"A layer of a stack runs forwards, is handed its states and returns no trace. Received: "
                    f"go_backwards={layer.go_backwards}, stateful={layer.stateful}, return_trace={layer.return_trace} "
                    f"in {layer.name!r}"
                )
            layer.return_sequences = layer.return_state = True
        self.layers, self.connection, self.bidirectional = layers, connection, bool(bidirectional)
        self.backwards = [_backwards(layer) for layer in layers] if bidirectional else []
        loops = Programs()
        for layer in [*self.layers, *self.backwards]:
            layer.loops = loops  # what equal layers need compiled is compiled once
        self.supports_masking = True
        self.locked_dropout = bool(locked_dropout)
        self.dropout = dropout_layer(dropout, locked_dropout, dtype=self.dtype_policy)
        self.gates = []
        if connection == "highway":
            closed = keras.initializers.Constant(-1.0)
            self.gates = [
                keras.layers.Dense(
                    self._width(layer), "sigmoid", bias_initializer=closed, dtype=self.dtype_policy, name=f"highway_{k}"
                )
                for k, layer in enumerate(layers)
            ]

    def build(self, sequences_shape, states_shape=None):
        batch, width = sequences_shape[0], sequences_shape[-1]
        for k, layer in enumerate(self.layers):
            units = self._width(layer)
            if self.connection in ("residual", "highway") and width != units:
                raise ValueError(
                    f"A {self.connection} connection adds what layer {k} reads to what it gives, so both must be "
                    f"equally wide. Received: features of width {width}, {units} units"
                )
            for part in [layer, *self.backwards[k : k + 1]]:
                part.build((batch, None, width))
            if self.gates:
                self.gates[k].build((batch, width))
            width = width + units if self.connection == "dense" else units
        self.output_width = width
        self.built = True

    def call(self, sequences, states=None, mask=None, training=False, reads=None):
        mask = mask_of(sequences, mask)
        if states is None:
            states = self.initial_states(ops.shape(sequences)[0])

        read = self._read_by_layers(reads)

        def run(k, x, states):
            number, how = len(self.layers[k].state_widths), {"mask": mask, "training": training, **read[k]}
            h, *new = self.layers[k](x, initial_state=states[:number], **how)
            if not self.bidirectional:
                return h, new
            back, *ended = self.backwards[k](x, initial_state=states[number:], **how)
            return ops.concatenate([h, ops.flip(back, axis=1)], axis=-1), new + ended

        return self._through(run, sequences, states, training)

    def step(self, x, states, reads=None):
        """One step, without a loop: x is (batch, features)."""
        if self.bidirectional:
            raise ValueError(
                f"{self.name!r} is bidirectional: it has to see a sequence whole, and cannot go step by step"
            )
        read = self._read_by_layers(reads)
        return self._through(lambda k, x, states: self.layers[k].step(x, states, **read[k]), x, states, training=False)

    @property
    def reads(self):
        return tuple(dict.fromkeys(name for layer in self.layers for name in layer.reads))

    def _read_by_layers(self, reads):
        """For each layer the argument `reads` that it takes: no layer of ours reads what it does not name."""
        given = {} if reads is None else reads
        if not isinstance(given, dict) or set(given) != set(self.reads):
            raise ValueError(
                f"`reads` is a dict of what the layers of {self.name!r} read: {', '.join(self.reads) or 'nothing'}. "
                f"Received: {sorted(given) if isinstance(given, dict) else type(given)}"
            )
        return [{"reads": {n: given[n] for n in layer.reads}} if layer.reads else {} for layer in self.layers]

    def _through(self, run, x, states, training):
        self._check(states)
        x, states, new = ops.cast(x, self.compute_dtype), list(states), []
        for k in range(len(self.layers)):
            number = len(self._of_layer(k))
            mine, states = states[:number], states[number:]
            read = self.dropout(x, training=training) if k and training else x
            h, mine = run(k, read, mine)
            h, new = ops.cast(h, self.compute_dtype), new + list(mine)
            if self.connection == "residual":
                x = x + h
            elif self.connection == "dense":
                x = ops.concatenate([x, h], axis=-1)
            elif self.connection == "highway":
                gate = self.gates[k](x)
                x = gate * h + (1 - gate) * x
            else:
                x = h
        return x, new

    def compute_mask(self, inputs, mask=None):
        return (mask, [None] * len(self.state_widths)) if mask is not None else None

    def _width(self, layer):
        """How wide the h of a layer is."""
        return layer.output_width * (2 if self.bidirectional else 1)

    # The states

    def _of_layer(self, k):
        """The name and the width of each state of a layer, both directions."""
        layer = self.layers[k]
        states = [(f"layer_{k}_{name}", width) for name, width in zip(layer.state_names, layer.state_widths)]
        return states + [(f"{name}_backwards", width) for name, width in states if self.bidirectional]

    @property
    def state_names(self):
        return [name for k in range(len(self.layers)) for name, _ in self._of_layer(k)]

    @property
    def state_widths(self):
        return [width for k in range(len(self.layers)) for _, width in self._of_layer(k)]

    def initial_states(self, batch_size):
        pairs = zip(self.layers, self.backwards) if self.bidirectional else zip(self.layers)
        return [state for parts in pairs for part in parts for state in part.get_initial_state(batch_size)]

    def _check(self, states):
        wanted = self.state_widths
        shapes = [tuple(getattr(state, "shape", ())) for state in states]
        if len(shapes) != len(wanted) or any(len(s) != 2 or s[1] not in (None, w) for s, w in zip(shapes, wanted)):
            raise ValueError(
                f"`states` is a flat list of {len(wanted)} tensors of shape (batch, width), the widths being {wanted}. "
                f"Received shapes: {shapes}"
            )

    def get_config(self):
        return {
            **super().get_config(),
            "layers": [serialized(layer) for layer in self.layers],
            "connection": self.connection,
            "dropout": self.dropout.rate,
            "bidirectional": self.bidirectional,
            "locked_dropout": self.locked_dropout,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "layers": [deserialized(layer) for layer in config["layers"]]})


def _backwards(layer):
    """A copy of a layer, with weights of its own, that goes from the end to the beginning."""
    config = layer.get_config()
    if "go_backwards" not in config:
        raise ValueError(
            f"{layer.name!r} only goes forwards, and so does a stack with it. Received: bidirectional=True"
        )
    return type(layer).from_config({**config, "name": f"{layer.name}_backwards", "go_backwards": True})
