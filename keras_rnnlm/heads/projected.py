"""The full softmax of projected features: for a table of another width."""

import keras
from keras import ops

from keras_rnnlm.heads.vocabulary import VocabularyLogits
from keras_rnnlm.schema import is_count


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class ProjectedLogits(VocabularyLogits):
    """`logits = (features @ projection) @ kernel.T + bias`, where the kernel, or the table, has a width of its own.

    Args:
        vocabulary_size: how many logits.
        width: of the kernel. Default: where tied, the table's, which it must be; else the features'.
        use_bias, kernel_initializer, bias_initializer: as in `VocabularyLogits`.

    Example, layers that are wider than the embedding whose table is read:

    >>> model = keras_rnnlm.models.LanguageModel(100, units=16, embedding_dim=4, tied=True, head="projected")
    >>> model.head.projection.shape
    (16, 4)
    """

    def __init__(self, vocabulary_size, width=None, **kwargs):
        super().__init__(vocabulary_size, **kwargs)
        if not (width is None or is_count(width)):
            raise ValueError(f"`width` is a positive integer, or None. Received: width={width!r}")
        self.width = width

    def build(self, input_shape):
        width = self.width or (input_shape[-1] if self.tied_to is None else self.tied_to.output_dim)
        self.projection = self.add_matrix("projection", (input_shape[-1], width))
        super().build((*input_shape[:-1], width))

    def read(self, features):
        return ops.matmul(super().read(features), ops.cast(self.projection, self.compute_dtype))

    def get_config(self):
        return {**super().get_config(), "width": self.width}
