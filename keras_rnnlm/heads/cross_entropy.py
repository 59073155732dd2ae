"""The cross-entropy of a linear layer over a large vocabulary, a chunk of the logits at a time."""

import functools
import math

import keras
from keras import ops

from keras_rnnlm.cells.dot import cast, state_dtype
from keras_rnnlm.recurrence import backend

CHUNK = 2**24  # logits that are held at a time, where there are more than twice as many: 64 MB in float32


class LossOfLogits:
    """A loss of rows of logits, for `in_chunks`.

    Args:
        losses: `losses(logits, bias, targets, *more)`, float32 of shape (n,). The logits lie in n rows, or in several
            for each target, one after the other; the bias, or None, is not yet added to them.
        slopes: `slopes(logits, bias, targets, weights, *more)`: the losses; the gradient of their weighted sum by the
            logits, in their dtype; and its gradients by each of `more`, in float32.
    """

    def __init__(self, losses, slopes):
        self.losses, self.slopes = losses, slopes
        self.losses_in_one_pass, self.slopes_in_one_pass = map(backend.in_one_pass, (losses, slopes))


def _losses(logits, bias, targets):
    return backend.softmax_cross_entropy(plus(logits, bias), targets)[0]


def _slopes(logits, bias, targets, weights):
    losses, slopes = backend.softmax_cross_entropy(plus(logits, bias), targets)
    return losses, cast(slopes * weights[:, None], keras.backend.standardize_dtype(logits.dtype))


def plus(logits, bias):
    """In float32."""
    logits = cast(logits, "float32")
    return logits if bias is None else logits + cast(bias, "float32")


SOFTMAX = LossOfLogits(_losses, _slopes)


@functools.cache
def _softmax_on_shares(axis):
    """`SOFTMAX`, where each device of an axis has the logits of its share of the tokens."""

    def both(logits, bias, targets):
        return backend.softmax_cross_entropy_on_shares(axis, plus(logits, bias), targets)

    def slopes(logits, bias, targets, weights):
        losses, slopes = both(logits, bias, targets)
        return losses, cast(slopes * weights[:, None], keras.backend.standardize_dtype(logits.dtype))

    return LossOfLogits(lambda *given: both(*given)[0], slopes)


def linear_cross_entropy(hidden, kernel, bias, targets, weights, *, chunk=None, count=None, axis=None):
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
        count: an integer tensor: the first rows, so many, have a loss, and that of the others is 0. Only the chunks
            that the former lie in are computed.
        axis: of the devices that the vocabulary is divided over, see `backend.divided_over`; None: it is not.

    Returns:
        The sum of weights times losses, a float32 scalar, which carries the gradients of `hidden`, `kernel` and `bias`;
        and the losses, float32 of shape (n,), which carry none.
    """
    return in_chunks(SOFTMAX, hidden, kernel, bias, targets, weights, chunk=chunk, count=count, axis=axis)


def cross_entropy(hidden, kernel, bias, targets, *, chunk=None, count=None, axis=None):
    """The losses alone, (n,), for evaluation: no gradient is formed."""
    return losses_in_chunks(SOFTMAX, hidden, kernel, bias, targets, chunk=chunk, count=count, axis=axis)


def losses_of_logits(logits, targets):
    """The losses, (n,), of logits that are there as a whole, (n, vocabulary), with their gradient."""
    return _losses(logits, None, targets)


def in_chunks(loss, hidden, kernel, bias, targets, weights, more=(), *, chunk=None, count=None, axis=None):
    """As `linear_cross_entropy`, of a `LossOfLogits`, whose gradients by `more`, (n, ...) each, are carried, too.

    `hidden` may be (n, several, features), for as many rows of logits a target.
    """
    tensors = [hidden, kernel, *[bias] * (bias is not None), *more, targets, weights, *[count] * (count is not None)]

    def named(flat):
        hidden, kernel, *rest = flat
        own_bias = None if bias is None else rest.pop(0)
        first = None if count is None else rest.pop()
        *more, targets, weights = rest
        return hidden, kernel, own_bias, targets, weights, more, first

    def forward(flat, keep):
        return _on_shares(axis, *named(flat)[:5], chunk, keep) if axis else _in_chunks(loss, *named(flat), chunk, keep)

    def backward(gradients, cotangents):
        if cotangents[0] is None:
            return [None] * len(tensors)
        scaled = backend.scaled(gradients, cotangents[0])  # which a loss scale comes with
        found = [cast(gradient, tensor.dtype) for gradient, tensor in zip(scaled, tensors)]
        return found + [None] * (len(tensors) - len(found))

    def plain(flat):
        hidden, kernel, bias, targets, weights, more, count = named(flat)
        targets, weights = _of_the_first(count, targets, weights)
        logits = backend.product(_rows_of(hidden), kernel, transpose_b=True)
        losses = loss.losses(logits, bias, targets, *more)
        return [ops.sum(losses * ops.stop_gradient(weights)), ops.stop_gradient(_of_the_first(count, losses)[0])]

    return backend.custom_gradient(forward, backward, plain)(*tensors)


def losses_in_chunks(loss, hidden, kernel, bias, targets, more=(), *, chunk=None, count=None, axis=None):
    """The losses alone, (n,), for evaluation: no gradient is formed."""
    weights = ops.zeros_like(targets, dtype="float32")
    if axis:
        return _on_shares(axis, hidden, kernel, bias, targets, weights, chunk, keep=False)[0][1]
    (_, losses), _ = _in_chunks(loss, hidden, kernel, bias, targets, weights, more, count, chunk, keep=False)
    return losses


def _on_shares(axis, hidden, kernel, bias, targets, weights, chunk, keep):
    """As `_in_chunks`, of `SOFTMAX`: each device has its rows, and the logits of its share of the tokens alone."""

    def of_device(of_rows, of_vocabulary):
        (hidden, targets, weights), (kernel, bias) = of_rows, of_vocabulary
        loss = _softmax_on_shares(axis)
        return _in_chunks(loss, hidden, kernel, bias, targets, weights, (), None, chunk, keep, shards=1)

    return backend.on_shares(of_device, axis, (hidden, targets, weights), (kernel, bias), keep)


def _rows_of(hidden):
    return hidden if len(hidden.shape) == 2 else ops.reshape(hidden, (-1, hidden.shape[-1]))


def _of_the_first(count, *tensors):
    """The tensors, of which all but the first numbers, so many, are 0."""
    if count is None:
        return tensors
    live = ops.arange(ops.shape(tensors[0])[0], dtype="int32") < count
    return [ops.where(live, tensor, ops.zeros_like(tensor)) for tensor in tensors]


def _in_chunks(loss, hidden, kernel, bias, targets, weights, more, count, chunk, keep, shards=None):
    """`[total, losses]`, and, if they are to be kept, the total's gradients by hidden, kernel, bias and more."""
    shards = shards or backend.shards()

    def of_chunk(hidden, targets, weights, *more):
        """Its parts of what is summed, and what there is of each row."""
        rows = _rows_of(hidden)
        logits = backend.product(rows, kernel, transpose_b=True)
        if not keep:
            losses = loss.losses_in_one_pass(logits, bias, targets, *more)
            return [ops.sum(losses * weights)], (losses,)
        losses, slopes, *of_more = loss.slopes_in_one_pass(logits, bias, targets, weights, *more)
        found = [ops.sum(losses * weights), backend.product(slopes, rows, transpose_a=True)]
        if bias is not None:  # a sum over rows as a product, which is faster
            found.append(backend.product(ops.ones_like(slopes[:, :1]), slopes, transpose_a=True)[0])
        of_hidden = backend.product(slopes, kernel)
        if len(hidden.shape) > 2:
            of_hidden = ops.reshape(of_hidden, ops.shape(hidden))
        return found, (losses, of_hidden, *of_more)

    def body(sums, inputs):
        found, of_rows = of_chunk(*inputs)
        return [_add(total, part) for total, part in zip(sums, found)], of_rows

    targets, weights = _of_the_first(count, targets, weights)
    inputs = (hidden, targets, weights, *more)
    most = chunk or max(1, CHUNK // (kernel.shape[0] * math.prod(hidden.shape[1:-1])))
    rows = hidden.shape[0] if hidden.shape[0] is not None else ops.shape(hidden)[0]
    summed = [weight for weight in (kernel, bias) if keep and weight is not None]
    shards = shards if count is None and isinstance(rows, int) and rows % shards == 0 else 1
    own = rows if shards == 1 else rows // shards  # rows of a device, which holds no logits of others
    if count is None and isinstance(rows, int) and own <= (chunk or 2 * most):  # to cut in two is slower, in more not
        sums, outputs = body(_NOTHING, inputs)
    elif shards > 1:
        sums, outputs = _scan_shards(of_chunk, summed, inputs, shards, own, -(-own // most))
        outputs = [ops.reshape(y, (rows, *y.shape[2:])) for y in outputs]
    else:
        chunks = -(-rows // most)
        if not isinstance(rows, int):  # a loop over further chunks than the first needs one to look at
            chunks = ops.maximum(chunks, 1 if count is None else 2)
        size = -(-rows // chunks) if count is None else most  # as many chunks, of one size
        inputs = [_cut(tensor, rows, chunks, size) for tensor in inputs]
        if count is None:
            sums, outputs = backend.scan(body, _zeros(summed), tuple(inputs))
        else:
            sums, outputs = _scan_some(body, tuple(inputs), count, size)
        outputs = [ops.reshape(y, (chunks * size, *y.shape[2:]))[:rows] for y in outputs]
    losses, *gradients = outputs
    return [sums[0], _of_the_first(count, losses)[0]], gradients[:1] + sums[1:] + gradients[1:]


_NOTHING = [None] * 3  # to add the total and the gradients to


def _cut(tensor, rows, chunks, size):
    padded = ops.pad(tensor, [(0, chunks * size - rows)] + [(0, 0)] * (len(tensor.shape) - 1))
    return ops.reshape(padded, (chunks, size, *tensor.shape[1:]))


def _zeros(summed, *before):
    """To add the total and the gradients of these weights to; `before` is the shape that stands before each one's."""
    dtypes = [state_dtype(keras.backend.standardize_dtype(weight.dtype)) for weight in summed]
    zeros = [ops.zeros((*before, *weight.shape), dtype=dtype) for weight, dtype in zip(summed, dtypes)]
    return [ops.zeros(before, dtype="float32"), *zeros]


def _scan_shards(of_chunk, summed, inputs, shards, own, chunks):
    """A batch that is divided over devices stays where it is: a chunk has as many rows of each device's own.

    The sums are each device's, too, until the end: they meet once, and not in every chunk.
    """
    size = -(-own // chunks)

    def cut(tensor):
        rest = tensor.shape[1:]
        rows = ops.reshape(tensor, (shards, own, *rest))
        rows = ops.pad(rows, [(0, 0), (0, chunks * size - own)] + [(0, 0)] * len(rest))
        return ops.swapaxes(ops.reshape(rows, (shards, chunks, size, *rest)), 0, 1)

    def joined(y):
        rest = y.shape[3:]
        return ops.reshape(ops.swapaxes(y, 0, 1), (shards, chunks * size, *rest))[:, :own]

    def body(sums, inputs):
        found, of_rows = backend.for_each_shard(of_chunk)(*inputs)
        return [_add(total, part) for total, part in zip(sums, found)], of_rows

    sums, outputs = backend.scan(body, _zeros(summed, shards), tuple(map(cut, inputs)))
    return [ops.sum(total, axis=0) for total in sums], [joined(y) for y in outputs]


def _scan_some(body, inputs, count, size):
    """The first chunk by itself, for mostly it is all: nothing has to be set to zero and added to."""
    sums, first = body(_NOTHING, tuple(tensor[0] for tensor in inputs))
    if inputs[0].shape[0] == 1:
        return sums, [y[None] for y in first]
    sums = [cast(total, state_dtype(keras.backend.standardize_dtype(total.dtype))) for total in sums]
    further = ops.clip(-(-count // size) - 1, 0, ops.shape(inputs[0])[0] - 1)
    sums, rest = backend.scan_first(body, sums, tuple(tensor[1:] for tensor in inputs), further, like=first)
    return sums, [ops.concatenate([y[None], ys], axis=0) for y, ys in zip(first, rest)]


def _add(total, part):
    return part if total is None else total + cast(part, total.dtype)
