"""The cross-entropy of a linear layer over a large vocabulary, a chunk of the logits at a time."""

import keras
from keras import ops

from keras_rnnlm.cells.dot import cast, state_dtype
from keras_rnnlm.recurrence import backend

CHUNK = 2**24  # logits that are held at a time, where there are more than twice as many: 64 MB in float32


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
        chunk: how many of the n rows to hold logits of. Default: all of up to two chunks of `CHUNK` logits, else one.

    Returns:
        The sum of weights times losses, a float32 scalar, which carries the gradients of `hidden`, `kernel` and `bias`;
        and the losses, float32 of shape (n,), which carry none.
    """
    tensors = [hidden, kernel] + [bias] * (bias is not None) + [targets, weights]

    def forward(flat, keep):
        hidden, kernel, *bias, targets, weights = flat
        return _in_chunks(hidden, kernel, *(bias or [None]), targets, weights, chunk, keep)

    def backward(gradients, cotangents):
        if cotangents[0] is None:
            return [None] * len(tensors)
        scaled = backend.scaled(gradients, cotangents[0])  # which a loss scale comes with
        return [cast(gradient, tensor.dtype) for gradient, tensor in zip(scaled, tensors)] + [None, None]

    def plain(flat):
        hidden, kernel, *bias, targets, weights = flat
        losses = _losses(backend.product(hidden, kernel, transpose_b=True), *(bias or [None]), targets)
        return [ops.sum(losses * ops.stop_gradient(weights)), ops.stop_gradient(losses)]

    return backend.custom_gradient(forward, backward, plain)(*tensors)


def cross_entropy(hidden, kernel, bias, targets, *, chunk=None):
    """The losses alone, (n,), for evaluation: no gradient is formed."""
    weights = ops.zeros_like(targets, dtype="float32")
    (_, losses), _ = _in_chunks(hidden, kernel, bias, targets, weights, chunk, keep=False)
    return losses


def losses_of_logits(logits, targets):
    """The losses, (n,), of logits that are there as a whole, (n, vocabulary), with their gradient."""
    return _losses(logits, None, targets)


def _slopes(logits, bias, targets, weights):
    """The losses of a chunk, and the weighted gradients by its logits, in their dtype."""
    losses, slopes = backend.softmax_cross_entropy(_plus(logits, bias), targets)
    return losses, cast(slopes * weights[:, None], keras.backend.standardize_dtype(logits.dtype))


def _losses(logits, bias, targets):
    return backend.softmax_cross_entropy(_plus(logits, bias), targets)[0]


_slopes_in_one_pass, _losses_in_one_pass = backend.in_one_pass(_slopes), backend.in_one_pass(_losses)


def _plus(logits, bias):
    logits = cast(logits, "float32")
    return logits if bias is None else logits + cast(bias, "float32")


def _in_chunks(hidden, kernel, bias, targets, weights, chunk, keep):
    """`[total, losses]`, and, if they are to be kept, the total's gradients by hidden, kernel and bias."""

    def body(sums, inputs):
        hidden, targets, weights = inputs
        logits = backend.product(hidden, kernel, transpose_b=True)
        if not keep:
            losses = _losses_in_one_pass(logits, bias, targets)
            return [_add(sums[0], ops.sum(losses * weights))], (losses,)
        losses, slopes = _slopes_in_one_pass(logits, bias, targets, weights)
        found = [ops.sum(losses * weights), backend.product(slopes, hidden, transpose_a=True)]
        if bias is not None:  # a sum over rows as a product, which is faster
            found.append(backend.product(ops.ones_like(slopes[:, :1]), slopes, transpose_a=True)[0])
        return [_add(total, part) for total, part in zip(sums, found)], (losses, backend.product(slopes, kernel))

    most = chunk or max(1, CHUNK // kernel.shape[0])
    rows = hidden.shape[0] if hidden.shape[0] is not None else ops.shape(hidden)[0]
    if isinstance(rows, int) and rows <= (chunk or 2 * most):  # to cut in two is slower, in more it is not
        sums, outputs = body([None, None, None], (hidden, targets, weights))
    else:
        chunks = ops.maximum(-(-rows // most), 1) if not isinstance(rows, int) else -(-rows // most)
        size = -(-rows // chunks)  # as many chunks, of one size

        def cut(tensor):
            padded = ops.pad(tensor, [(0, chunks * size - rows)] + [(0, 0)] * (len(tensor.shape) - 1))
            return ops.reshape(padded, (chunks, size, *tensor.shape[1:]))

        dtype = state_dtype(keras.backend.standardize_dtype(kernel.dtype))
        summed = [weight for weight in (kernel, bias) if keep and weight is not None]
        sums = [ops.zeros((), dtype="float32"), *(ops.zeros(weight.shape, dtype=dtype) for weight in summed)]
        sums, outputs = backend.scan(body, sums, (cut(hidden), cut(targets), cut(weights)))
        outputs = [ops.reshape(y, (chunks * size, *y.shape[2:]))[:rows] for y in outputs]
    losses, *gradients = outputs
    return [sums[0], losses], gradients + sums[1:]


def _add(total, part):
    return part if total is None else total + cast(part, total.dtype)
