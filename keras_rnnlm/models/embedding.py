"""The embedding of a language model: Keras's, which looks up no more than the rows that are asked for."""

import keras
from keras import ops

from keras_rnnlm.recurrence import backend


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class Embedding(keras.layers.Embedding):
    """`keras.layers.Embedding`, without a copy of its table at every step.

    On TensorFlow a table of which single rows were read or updated is copied whenever it is read as a whole. In half
    precision Keras would cast the whole of it.
    """

    def add_weight(self, *args, **kwargs):
        return super().add_weight(*args, **{**kwargs, "autocast": False})

    def call(self, inputs):
        table = self.embeddings
        rows = backend.rows(table, inputs) if hasattr(table, "value") else None
        return super().call(inputs) if rows is None else ops.cast(rows, self.compute_dtype)
