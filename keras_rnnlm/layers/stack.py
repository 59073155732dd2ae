"""Recurrent layers on top of each other, their states one flat list."""

import keras
from keras import ops

from keras_rnnlm.layers.recurrent import Recurrent

CONNECTIONS = (None, "residual", "dense", "highway")


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class RecurrentStack(keras.layers.Layer):
    """A stack of recurrent layers. Layer l reads x_l and gives h_l; `connection` says what the next one reads.

        None      x_(l+1) = h_l
        residual  x_(l+1) = x_l + h_l
        dense     x_(l+1) = [x_0; h_1; ...; h_l]
        highway   x_(l+1) = t h_l + (1 - t) x_l,  t = sigmoid(x_l W_l + b_l), with b_l = -1 at first: mostly carried

    Args:
        layers: the `keras_rnnlm.layers.Recurrent` layers, such as `LSTM(units)`. They are made to return sequences and
            states.
        connection: None, "residual", "dense" or "highway".
        dropout: the fraction of what each layer but the first reads that is dropped, in training.

    It is called with `(sequences, states=None)` and returns the last x and the flat list of new states, layer by layer,
    each (batch, units) and float32. `step(x, states)` is one step of the same.

    Example:

    >>> stack = RecurrentStack([keras_rnnlm.layers.GRU(4), keras_rnnlm.layers.LSTM(4)], connection="residual")
    >>> output, states = stack(np.zeros((2, 7, 4)))
    >>> output.shape, len(states)
    ((2, 7, 4), 3)
    """

    def __init__(self, layers, connection=None, dropout=0.0, **kwargs):
        super().__init__(autocast=False, **kwargs)
        if connection not in CONNECTIONS:
            raise ValueError(f"`connection` is one of {CONNECTIONS}. Received: connection={connection!r}")
        layers = list(layers)
        if not layers or not all(isinstance(layer, Recurrent) for layer in layers):
            raise ValueError(f"`layers` is a list of recurrent layers of keras_rnnlm.layers. Received: {layers}")
        for layer in layers:
            if layer.go_backwards or layer.stateful or layer.return_trace:
                raise ValueError(
                    f"A layer of a stack runs forwards, is handed its states and returns no trace. Received: "
                    f"go_backwards={layer.go_backwards}, stateful={layer.stateful}, return_trace={layer.return_trace} "
                    f"in {layer.name!r}"
                )
            layer.return_sequences = layer.return_state = True
        self.layers, self.connection = layers, connection
        self.dropout = keras.layers.Dropout(dropout, dtype=self.dtype_policy)
        self.gates = []
        if connection == "highway":
            closed = keras.initializers.Constant(-1.0)
            self.gates = [
                keras.layers.Dense(
                    layer.cell.units, "sigmoid", bias_initializer=closed, dtype=self.dtype_policy, name=f"highway_{k}"
                )
                for k, layer in enumerate(layers)
            ]

    def build(self, sequences_shape, states_shape=None):
        batch, width = sequences_shape[0], sequences_shape[-1]
        for k, layer in enumerate(self.layers):
            units = layer.cell.units
            if self.connection in ("residual", "highway") and width != units:
                raise ValueError(
                    f"A {self.connection} connection adds what layer {k} reads to what it gives, so both must be "
                    f"equally wide. Received: features of width {width}, {units} units"
                )
            layer.build((batch, None, width))
            if self.gates:
                self.gates[k].build((batch, width))
            width = width + units if self.connection == "dense" else units
        self.output_width = width
        self.built = True

    def call(self, sequences, states=None, training=False):
        if states is None:
            states = self.initial_states(ops.shape(sequences)[0])

        def run(layer, x, states):
            output, *states = layer(x, initial_state=states, training=training)
            return output, states

        return self._through(run, sequences, states, training)

    def step(self, x, states):
        """One step, without a loop: x is (batch, features)."""
        return self._through(lambda layer, x, states: layer.cell.call(x, states), x, states, training=False)

    def _through(self, run, x, states, training):
        self._check(states)
        x, states, new = ops.cast(x, self.compute_dtype), list(states), []
        for k, layer in enumerate(self.layers):
            mine, states = states[: layer.cell.number_of_states], states[layer.cell.number_of_states :]
            read = self.dropout(x, training=training) if k else x
            h, mine = run(layer, read, mine)
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

    def initial_states(self, batch_size):
        return [state for layer in self.layers for state in layer.get_initial_state(batch_size)]

    def state_sizes(self):
        """The width of each state, in the order of the list."""
        return [layer.cell.units for layer in self.layers for _ in range(layer.cell.number_of_states)]

    def _check(self, states):
        wanted = self.state_sizes()
        shapes = [tuple(getattr(state, "shape", ())) for state in states]
        if len(shapes) != len(wanted) or any(len(s) != 2 or s[1] not in (None, w) for s, w in zip(shapes, wanted)):
            raise ValueError(
                f"`states` is a flat list of {len(wanted)} tensors of shape (batch, units), units being {wanted}. "
                f"Received shapes: {shapes}"
            )

    def get_config(self):
        return {
            **super().get_config(),
            "layers": [keras.saving.serialize_keras_object(layer) for layer in self.layers],
            "connection": self.connection,
            "dropout": self.dropout.rate,
        }

    @classmethod
    def from_config(cls, config):
        layers = [keras.saving.deserialize_keras_object(layer) for layer in config["layers"]]
        return cls(**{**config, "layers": layers})
