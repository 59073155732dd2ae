"""What a network does, and what runs it."""

from keras_rnnlm.diagnostics.gradient_flow import GradientFlow, gradient_flow
from keras_rnnlm.diagnostics.kernels import explain_kernel

__all__ = ["GradientFlow", "explain_kernel", "gradient_flow"]
