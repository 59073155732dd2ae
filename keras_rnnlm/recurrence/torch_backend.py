"""PyTorch: scan, vector-Jacobian products and a custom gradient."""

import torch
from keras import tree

from keras_rnnlm.recurrence.default_backend import *  # noqa: F403

RANDOM, RANDOM_OF_CUDA = "random state", "random state of cuda"


def random_states():
    """PyTorch's own dropout, which Keras calls where there is no seed, draws from generators of the whole process."""
    found = {RANDOM: torch.get_rng_state().numpy()}
    return found | ({RANDOM_OF_CUDA: torch.cuda.get_rng_state().numpy()} if torch.cuda.is_available() else {})


def set_random_states(states):
    if RANDOM in states:
        torch.set_rng_state(torch.from_numpy(states[RANDOM]))
    if RANDOM_OF_CUDA in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(torch.from_numpy(states[RANDOM_OF_CUDA]))


def scan(body, carry, xs, *, length=None, reverse=False, unroll=False):
    """`body(carry, x) -> (carry, y)` over the first axis of `xs`. Python's own loop: always unrolled."""
    leaves = tree.flatten(xs)
    rows = [leaf.unbind(0) for leaf in leaves]
    if leaves[0].is_meta:  # Keras asks for shapes: one step has them
        carry, y = body(carry, tree.pack_sequence_as(xs, [row[0] for row in rows]))
        return carry, tree.map_structure(lambda value: value.expand(len(rows[0]), *value.shape), y)
    ys = [None] * leaves[0].shape[0]
    for t in reversed(range(len(ys))) if reverse else range(len(ys)):
        carry, ys[t] = body(carry, tree.pack_sequence_as(xs, [row[t] for row in rows]))
    columns = zip(*[tree.flatten(y) for y in ys])
    return carry, tree.pack_sequence_as(ys[0], [torch.stack(column) for column in columns])


def scan_first(body, carry, xs, count, like):
    """`scan` over the first `count` of `xs`, a tensor, as long as that takes: what lies beyond comes out as zeros.

    `like` is a `y` of the body, for its shapes.
    """
    leaves = tree.flatten(xs)
    ys = [y.new_zeros((len(leaves[0]), *y.shape)) for y in tree.flatten(like)]
    for t in range(int(count)):
        carry, y = body(carry, tree.pack_sequence_as(xs, [leaf[t] for leaf in leaves]))
        for stack, value in zip(ys, tree.flatten(y)):
            stack[t] = value
    return carry, tree.pack_sequence_as(like, ys)


def vjp(f, args):
    """`f(*args)`, a list, and `pull(cotangents)`: gradients in the structure of `args`, None where there is none."""
    with torch.enable_grad():
        args = tree.map_structure(lambda a: a.detach().requires_grad_(), args)
        outputs = f(*args)

    def pull(cotangents):
        pairs = [(o, c) for o, c in zip(outputs, cotangents) if c is not None and o.requires_grad]
        targets, cotangents = [o for o, _ in pairs], [c for _, c in pairs]
        sources = tree.flatten(args)
        gradients = torch.autograd.grad(targets, sources, cotangents, retain_graph=True, allow_unused=True)
        return tree.pack_sequence_as(args, list(gradients))

    return [o.detach() for o in outputs], pull


class _Function(torch.autograd.Function):
    # torch.compile frees what a compiled gradient has read, and the pulls of a step read it more than once.
    @staticmethod
    @torch.compiler.disable
    def forward(ctx, forward, backward, plain, *args):
        results, saved = forward(args, keep=True)
        ctx.set_materialize_grads(False)
        # An output kept as an attribute of ctx would be a reference cycle that only the garbage collector frees.
        ctx.save_for_backward(*args, *tree.flatten(saved))
        ctx.structure, ctx.gradient, ctx.plain = tree.map_structure(lambda _: 0, saved), backward, plain
        return tuple(results)

    @staticmethod
    @torch.compiler.disable
    def backward(ctx, *cotangents):
        count = len(ctx.saved_tensors) - len(tree.flatten(ctx.structure))
        if torch.is_grad_enabled():  # the gradients will be differentiated, too
            gradients = _by_plain_autodiff(ctx.plain, ctx.saved_tensors[:count], cotangents)
        else:
            saved = tree.pack_sequence_as(ctx.structure, list(ctx.saved_tensors[count:]))
            gradients = ctx.gradient(saved, list(cotangents))
        return (None, None, None, *gradients)


def _by_plain_autodiff(plain, args, cotangents):
    # Some arguments may be made of others: each as a tensor by itself is differentiated by itself.
    args = [arg.view_as(arg) for arg in args]
    pairs = [(r, c) for r, c in zip(plain(args), cotangents) if c is not None and r.requires_grad]
    wanted = [arg for arg in args if arg.requires_grad]
    if not pairs or not wanted:
        return [None] * len(args)
    results, cotangents = zip(*pairs)
    found = torch.autograd.grad(results, wanted, cotangents, create_graph=True, allow_unused=True)
    found = dict(zip(map(id, wanted), found))
    return [found.get(id(arg)) for arg in args]


def custom_gradient(forward, backward, plain, weights=0):
    """`forward(args, keep) -> (results, saved)`, `backward(saved, cotangents) -> gradients`, all of flat lists.

    `plain(args) -> results` is the same by PyTorch's own gradients: what is asked where they are differentiated, too.
    """

    @torch.compiler.disable
    def call(*args):
        if not torch.is_grad_enabled():
            return forward(args, keep=False)[0]
        return _Function.apply(forward, backward, plain, *args)

    return call


def softmax_cross_entropy(logits, targets):
    """`-log softmax(logits)[target]` of each row, and its gradient: NaN where there is no such target."""
    logs = torch.log_softmax(logits, dim=-1)
    hits = torch.where((targets >= 0) & (targets < logits.shape[-1]), 1.0, torch.nan)
    rows, targets = torch.arange(len(targets), device=targets.device), targets.long().clamp(0, logits.shape[-1] - 1)
    slopes = logs.exp()
    slopes[rows, targets] -= hits
    return -logs[rows, targets] * hits, slopes


def after(tensors, others):
    """The tensors: PyTorch computes in the order of the program."""
    return tensors


def product(a, b, transpose_a=False, transpose_b=False):
    """The product of two matrices."""
    return (a.T if transpose_a else a) @ (b.T if transpose_b else b)


def scaled(tensors, factor):
    """The tensors times a factor."""
    return [(tensor.to(factor.dtype) * factor).to(tensor.dtype) for tensor in tensors]


@torch.compiler.disable
def own_kernel(name, sequences, states, kernel, recurrent_kernel, bias):
    """PyTorch's "lstm" or "gru" over (batch, time, features), with weights as Keras has them: outputs and states."""
    if sequences.is_meta:  # Keras asks for shapes, and PyTorch would write out the loop
        return sequences.new_empty((*sequences.shape[:2], recurrent_kernel.shape[0])), list(states)
    biases = list(bias) if bias.ndim == 2 else [bias, torch.zeros_like(bias)]
    weights = [kernel.T, recurrent_kernel.T, *biases]
    first = [state[None] for state in states]
    # `train` has it keep what the gradient needs; dropout between layers, 0, is the other thing that hangs on it.
    how = dict(has_biases=True, num_layers=1, dropout=0.0, train=torch.is_grad_enabled(), bidirectional=False)
    if name == "lstm":
        outputs, *after = torch.lstm(sequences, first, weights, **how, batch_first=True)
    else:  # r comes before z
        weights = [torch.cat((r, z, n)) for z, r, n in (w.chunk(3) for w in weights)]
        outputs, *after = torch.gru(sequences, first[0], weights, **how, batch_first=True)
    return outputs, [state[0] for state in after]


def is_at_hand(tensor):
    """Whether numpy can look at it without a copy from a device, outside of a graph."""
    return isinstance(tensor, torch.Tensor) and tensor.device.type == "cpu" and not torch.compiler.is_compiling()


def has_gpu():
    return torch.cuda.is_available()
