"""What a network does, and what runs it."""

from keras_rnnlm.diagnostics.kernels import explain_kernel

__all__ = ["explain_kernel"]
