"""The cross-entropy of a linear layer over a large vocabulary, a chunk of the logits at a time."""

import keras
from keras import ops

from keras_rnnlm.cells.dot import cast, state_dtype
from keras_rnnlm.recurrence import backend

CHUNK = 2**23  # logits that are held at a time: 32 MB, and as fast as all of them


def linear_cross_entropy(hidden, kernel, bias, targets, weights, *, chunk=None):
    """`-log softmax(hidden @ kernel.T + bias)[target]`, with its gradient formed in the same pass.

    Nothing of the size (n, vocabulary) exists: a chunk of logits becomes losses and gradients, and is gone. Nor are the
    logits computed a second time for the gradient.

    Args:
        hidden: (n, features).
        kernel: (vocabulary, features): an embedding table, or a matrix that lies like one.
        bias: (vocabulary,), or None.
        targets: integers, (n,).
        weights: (n,), what each loss is multiplied by in the sum.
        chunk: how many of the n rows to hold logits of. Default: `CHUNK` logits' worth.

    Returns:
        The sum of weights times losses, a float32 scalar, which carries the gradients of `hidden`, `kernel` and `bias`;
        and the losses, float32 of shape (n,), which carry none.
    """
    tensors = [hidden, kernel] + [bias] * (bias is not None) + [targets, weights]

    def forward(flat, keep):
        hidden, kernel, *bias, targets, weights = flat
        return _in_chunks(hidden, kernel, *(bias or [None]), targets, weights, chunk, keep)

    def backward(gradients, cotangents):
        # In float32, before anything is rounded: a mean over many rows, and a loss scale, come with the cotangent.
        if cotangents[0] is None:
            return [None] * len(tensors)
        scaled = [cast(gradient, "float32") * cotangents[0] for gradient in gradients]
        return [cast(gradient, tensor.dtype) for gradient, tensor in zip(scaled, tensors)] + [None, None]

    return backend.custom_gradient(forward, backward)(*tensors)


def cross_entropy(hidden, kernel, bias, targets, *, chunk=None):
    """The losses alone, (n,), for evaluation: no gradient is formed."""
    weights = ops.zeros_like(targets, dtype="float32")
    (_, losses), _ = _in_chunks(hidden, kernel, bias, targets, weights, chunk, keep=False)
    return losses


def _in_chunks(hidden, kernel, bias, targets, weights, chunk, keep):
    """`[total, losses]`, and, if they are to be kept, the total's gradients by hidden, kernel and bias."""

    def body(sums, inputs):
        hidden, targets, weights = inputs
        logits = ops.matmul(hidden, ops.transpose(kernel))
        logits = cast(logits if bias is None else logits + bias, "float32")
        losses, slopes = backend.softmax_cross_entropy(logits, targets)
        new = [sums[0] + ops.sum(losses * weights)]
        if not keep:
            return new, (losses,)
        slopes = slopes * weights[:, None]
        rounded = cast(slopes, hidden.dtype)
        new += [sums[1] + cast(ops.matmul(ops.transpose(rounded), hidden), sums[1].dtype)]
        new += [s + cast(ops.sum(slopes, axis=0), s.dtype) for s in sums[2:]]
        return new, (losses, ops.matmul(rounded, kernel))

    sums = [ops.zeros((), dtype="float32")]
    if keep:
        dtype = state_dtype(keras.backend.standardize_dtype(kernel.dtype))
        sums += [ops.zeros(tensor.shape, dtype=dtype) for tensor in (kernel, bias) if tensor is not None]
    most = chunk or max(1, CHUNK // kernel.shape[0])
    rows = hidden.shape[0] if hidden.shape[0] is not None else ops.shape(hidden)[0]
    if isinstance(rows, int) and rows <= most:
        sums, outputs = body(sums, (hidden, targets, weights))
    else:
        chunks = ops.maximum(-(-rows // most), 1) if not isinstance(rows, int) else -(-rows // most)
        size = -(-rows // chunks)  # as many chunks, of one size

        def cut(tensor):
            padded = ops.pad(tensor, [(0, chunks * size - rows)] + [(0, 0)] * (len(tensor.shape) - 1))
            return ops.reshape(padded, (chunks, size, *tensor.shape[1:]))

        sums, outputs = backend.scan(body, sums, (cut(hidden), cut(targets), cut(weights)))
        outputs = [ops.reshape(y, (chunks * size, *y.shape[2:]))[:rows] for y in outputs]
    losses, *of_hidden = outputs
    return [sums[0], losses], [*of_hidden, *sums[1:]]
