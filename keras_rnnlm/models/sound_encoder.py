"""Recordings to places, each of some frames (Chan et al. 2016)."""

import types

import keras
from keras import ops

from keras_rnnlm.layers import RecurrentStack
from keras_rnnlm.layers.dropout import Dropout
from keras_rnnlm.models.encoder import Encoder
from keras_rnnlm.models.recurrent_layers import recurrent_layers
from keras_rnnlm.schema import is_count
from keras_rnnlm.sources import Sound


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class SoundEncoder(Encoder):
    """A pyramid of recurrent layers in both directions: each reads two steps of the one below as one.

        x_0 = frames;  x_k(t) = layer_k([x_(k-1)(2t); x_(k-1)(2t + 1)])

    So a place is of 2 ** layers frames, a hundredth of a second each. Frames of zeros are padding, at the end of a row.

    Args:
        units: the width, half of it in each direction: an even number.
        rate, mels: of the recordings, see `keras_rnnlm.sources.Sound`.
        layers: how many.
        cell, cell_options: of the layers, as in a `LanguageModel`.
        dropout: fraction dropped, in training, of what each layer but the first reads.

    >>> encoder = SoundEncoder(8, rate=8000, mels=20, layers=2)
    >>> encoded, mask, summary = encoder(np.ones((2, 21, 20)))
    >>> encoded.shape, summary.shape
    ((2, 6, 8), (2, 8))
    """

    task = "transcribe"

    def __init__(self, units, rate=16000, mels=40, layers=3, cell="lstm", cell_options=None, dropout=0.0, **kwargs):
        if not is_count(layers) or layers > 8:
            raise ValueError(f"`layers` is a number of layers, at most 8, each halves the time. Received: {layers!r}")
        if not is_count(units) or units % 2:
            raise ValueError(f"`units` is even, half of it for each direction. Received: units={units!r}")
        super().__init__(units, Sound(rate, mels), autocast=False, **kwargs)
        self.layers, self.cell, self.cell_options = int(layers), cell, cell_options
        described = types.SimpleNamespace(
            layers=self.layers, units=units // 2, cell=cell, cell_options=cell_options, initial_range=None
        )
        options = {"dtype": self.dtype_policy}
        self.stacks = [
            RecurrentStack([layer], bidirectional=True, name=f"layer_{k}", **options)
            for k, layer in enumerate(recurrent_layers(described, options))
        ]
        self.dropout = Dropout(dropout, name="dropout", **options)

    @classmethod
    def made_for(cls, translator, **options):
        shared = {name: getattr(translator, name) for name in ("layers", "cell", "cell_options", "dropout")}
        return super().made_for(translator, **{**shared, **options})

    def build(self, input_shape=None):
        width = self.source.mels
        for stack in self.stacks:
            stack.build((None, None, 2 * width))
            width = self.units
        self.built = True

    def call(self, source, training=False):
        x = ops.cast(source, "float32")
        shown = ops.any(ops.not_equal(x, 0), axis=-1, keepdims=True)
        x = ops.cast(x, self.compute_dtype)
        # Filled up so that no half is left at any layer.
        more, batch = 2 ** len(self.stacks) - 1, ops.shape(x)[0]
        x, shown = _filled_up(x, more), _filled_up(shown, more)
        places = ops.shape(x)[1] // 2 ** len(self.stacks)
        for k, stack in enumerate(self.stacks):
            steps = places * 2 ** (len(self.stacks) - 1 - k)
            width = self.units if k else self.source.mels
            x = ops.reshape(x[:, : 2 * steps], (batch, steps, 2 * width))
            shown = shown[:, : 2 * steps : 2]
            x = self.dropout(x, training=training) if k else x
            x, ended = stack(x, mask=shown[:, :, 0], training=training)
            x = x * ops.cast(shown, x.dtype)  # a masked step repeats the last one, which is none of its pair
        half = len(ended) // 2
        summary = ops.concatenate([ended[0], ended[half]], axis=-1)
        return x, shown[:, :, 0], summary

    def get_config(self):
        cell = self.cell if isinstance(self.cell, str) else keras.saving.get_registered_name(self.cell)
        return {
            **super().get_config(),
            "units": self.units,
            **{"rate": self.source.rate, "mels": self.source.mels, "layers": self.layers},
            **{"cell": cell, "cell_options": self.cell_options, "dropout": self.dropout.rate},
        }


def _filled_up(x, steps):
    return ops.concatenate([x, ops.zeros_like(ops.repeat(x[:, :1], steps, axis=1))], axis=1)
