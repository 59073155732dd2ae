"""Which code runs a recurrent layer, and why."""

import dataclasses

import keras

from keras_rnnlm.layers import Recurrent, fused
from keras_rnnlm.recurrence import NAME

PLATFORMS = ("cpu", "cuda", "tpu")
FUSED = {"cudnn": "cuDNN's fused kernel", "torch": "PyTorch's own kernel for processors"}
LOOPS = {
    "tensorflow": "a loop in a region that XLA compiles by itself, with one gradient through time",
    "jax": "a compiled lax.scan, with one gradient through time",
    "torch": "a Python loop over PyTorch's kernels, with one gradient through time",
}


@dataclasses.dataclass(frozen=True)
class Kernel:
    """What runs a layer, in words, and why no other. `path`: cudnn, torch, loop, unrolled, autodiff or keras."""

    layer: str
    path: str
    description: str
    reasons: tuple

    def __str__(self):
        why = "".join(f"\n  - {reason}" for reason in self.reasons)
        return f"{self.layer}: {self.description}" + (f"; cuDNN does not, because of:{why}" if why else "")


def explain_kernel(layer, mask=False, platform=None):
    """Says which code runs `layer`, and why.

    Args:
        layer: a recurrent layer, or a `keras.layers.Bidirectional` of one.
        mask: whether it is called with a mask.
        platform: where: "cpu", "cuda" or "tpu", for a machine that is not this one. Default: here.

    >>> print(explain_kernel(keras_rnnlm.layers.LSTM(4, peephole=True)).path)
    loop
    >>> print(explain_kernel(keras_rnnlm.layers.LSTM(4), platform="cuda").path)
    cudnn
    """
    if platform not in (None, *PLATFORMS):
        raise ValueError(f"`platform` is one of {', '.join(PLATFORMS)}, or None. Received: platform={platform!r}")
    if isinstance(layer, keras.layers.Bidirectional):
        layer = layer.forward_layer
    if not isinstance(layer, Recurrent):
        if isinstance(layer, keras.layers.RNN):
            reasons = (f"{type(layer).__name__} is not a layer of keras_rnnlm",)
            return Kernel(layer.name, "keras", "Keras's own layer, which chooses by itself", reasons)
        raise ValueError(f"`layer` is a recurrent layer. Received: {layer!r}")
    reasons = tuple(fused.obstacles(layer, mask or None, platform))
    by = fused.kernel_for(layer, mask or None, platform)
    if by is not None:
        return Kernel(layer.name, by, FUSED[by], reasons)
    if layer.return_trace is True:
        return Kernel(layer.name, "autodiff", "a plain loop and the backend's own autodiff, for the trace", reasons)
    if layer.unroll:
        return Kernel(layer.name, "unrolled", "steps written out one after another", reasons)
    return Kernel(layer.name, "loop", LOOPS[NAME], reasons)
