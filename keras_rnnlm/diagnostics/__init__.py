"""What a network does, and what runs it."""

from keras_rnnlm.diagnostics.activity import Activity, activity
from keras_rnnlm.diagnostics.attention import plot_attention, plot_regions
from keras_rnnlm.diagnostics.gate_use import GateUse, gate_use
from keras_rnnlm.diagnostics.gradient_flow import GradientFlow, gradient_flow
from keras_rnnlm.diagnostics.kernels import explain_kernel
from keras_rnnlm.diagnostics.singular_values import SingularValues, singular_values

__all__ = [
    "Activity",
    "GateUse",
    "GradientFlow",
    "SingularValues",
    "activity",
    "explain_kernel",
    "gate_use",
    "gradient_flow",
    "plot_attention",
    "plot_regions",
    "singular_values",
]
