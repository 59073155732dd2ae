"""The embedding of a language model: Keras's, which looks up no more than the rows that are asked for."""

import keras
from keras import ops


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
        if keras.backend.backend() != "tensorflow" or not hasattr(table, "value"):
            return super().call(inputs)
        import tensorflow as tf

        return ops.cast(tf.gather(table.value, ops.cast(inputs, "int32")), self.compute_dtype)
