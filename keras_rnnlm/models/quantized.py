"""Where the weights of models become integers: in what is exported."""


class QuantizedInExports:
    """A model that Keras does not quantise.

    A head that reads an embedding's table would read it without its scales, and no exporter knows Keras's own way.
    """

    def quantize(self, mode=None, **kwargs):
        raise ValueError(
            f'The weights of a {type(self).__name__} become integers in what is exported: `quantize="int8"` of '
            "`keras_rnnlm.export`, or `keras-rnnlm export RUN --quantize int8`. "
            f"Received: quantize({mode!r})"
        )
