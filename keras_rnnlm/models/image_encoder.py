"""Pictures to regions (Xu et al. 2015)."""

import keras
from keras import ops

from keras_rnnlm.layers.dropout import Dropout
from keras_rnnlm.models.encoder import Encoder
from keras_rnnlm.schema import is_count
from keras_rnnlm.sources import Image


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class ImageEncoder(Encoder):
    """A small convolutional network, from random weights: each place is a region of the picture, row after row.

        x_k = maxpool_2x2(relu(conv_3x3(x_(k-1))))                 for each of the `filters`
        e = x_n@W + position;  summary = mean of the e

    So a region is 2 ** blocks wide and high, and `grid` says how many there are. The position is learned, so that the
    decoder can tell what is where.

    Args:
        units: how wide each region's vector is.
        shape: of the pictures: height, width, channels.
        filters: the number of filters of each block.
        dropout: fraction dropped, in training, of the regions' vectors.

    >>> encoder = ImageEncoder(8, shape=(32, 48, 1), filters=(4, 4))
    >>> encoded, mask, summary = encoder(np.zeros((2, 32, 48, 1)))
    >>> encoded.shape, encoder.grid, summary.shape
    ((2, 96, 8), (8, 12), (2, 8))
    """

    def __init__(self, units, shape, filters=(32, 64, 128), dropout=0.0, **kwargs):
        if not isinstance(filters, (list, tuple)) or not filters or not all(map(is_count, filters)):
            raise ValueError(f"`filters` is a list of numbers of filters, one a block. Received: filters={filters!r}")
        super().__init__(units, Image(shape), **kwargs)
        self.filters = [int(number) for number in filters]
        height, width, _ = self.source.shape
        side = 2 ** len(self.filters)
        self.grid = (-(-height // side), -(-width // side))
        how = dict(padding="same", activation="relu", kernel_initializer="he_uniform", dtype=self.dtype_policy)
        self.convolutions = [
            keras.layers.Conv2D(number, 3, name=f"convolution_{k}", **how) for k, number in enumerate(self.filters)
        ]
        self.pool = keras.layers.MaxPooling2D(2, padding="same", name="pool", dtype=self.dtype_policy)
        self.regions = keras.layers.Dense(units, name="regions", dtype=self.dtype_policy)
        self.dropout = Dropout(dropout, name="dropout", dtype=self.dtype_policy)

    @classmethod
    def made_for(cls, translator, **options):
        return super().made_for(translator, **{"dropout": translator.dropout, **options})

    def build(self, input_shape=None):
        shape = (None, *self.source.shape)
        for layer in self.convolutions:
            layer.build(shape)
            shape = (None, -(-shape[1] // 2), -(-shape[2] // 2), layer.filters)
        self.regions.build((None, None, shape[-1]))
        rows, columns = self.grid
        self.position = self.add_weight(name="position", shape=(rows * columns, self.units), initializer="zeros")
        self.built = True

    def call(self, source, training=False):
        x = ops.cast(source, self.compute_dtype)
        for layer in self.convolutions:
            x = self.pool(layer(x))
        rows, columns = self.grid
        x = ops.reshape(x, (-1, rows * columns, self.filters[-1]))
        x = self.regions(x) + ops.cast(self.position, self.compute_dtype)
        x = self.dropout(x, training=training)
        summary = ops.mean(x, axis=1)
        return x, ops.ones_like(x[:, :, 0], dtype="bool"), summary

    def get_config(self):
        shape, dropout = list(self.source.shape), self.dropout.rate
        return {
            **super().get_config(),
            "units": self.units,
            "shape": shape,
            "filters": self.filters,
            "dropout": dropout,
        }
