"""JAX: scan, vector-Jacobian products and a custom gradient."""

import functools

import jax
import jax.numpy as jnp
import keras
import numpy as np
from keras import ops, tree

from keras_rnnlm.recurrence.default_backend import *  # noqa: F403


def scan(body, carry, xs, *, length=None, reverse=False, unroll=False):
    """`body(carry, x) -> (carry, y)` over the first axis of `xs`.

    On a processor, forward, the slices for the next step are carried through the loop: the TensorFlow backend's `scan`
    says why.
    """
    total = jax.tree.leaves(xs)[0].shape[0]
    if unroll or reverse or jax.default_backend() != "cpu":
        return jax.lax.scan(body, carry, xs, reverse=reverse, unroll=total if unroll else 1)

    def read(t):
        return jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, jnp.minimum(t, total - 1), keepdims=False), xs)

    def step(carry, t):
        carry, x = carry
        carry, y = body(carry, x)
        return (carry, read(t + 1)), y

    (carry, _), ys = jax.lax.scan(step, (carry, read(0)), jnp.arange(total))
    return carry, ys


def scan_first(body, carry, xs, count, like):
    """`scan` over the first `count` of `xs`, a tensor, as long as that takes: what lies beyond comes out as zeros.

    `like` is a `y` of the body, for its shapes. JAX does not differentiate it.
    """
    total = jax.tree.leaves(xs)[0].shape[0]

    def step(t, state):
        carry, ys = state
        carry, y = body(carry, jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, t, keepdims=False), xs))
        return carry, jax.tree.map(lambda stack, value: stack.at[t].set(value), ys, y)

    ys = jax.tree.map(lambda y: jnp.zeros((total, *y.shape), y.dtype), like)
    return jax.lax.fori_loop(0, count, step, (carry, ys))


def vjp(f, args):
    """`f(*args)`, a list, and `pull(cotangents)`: gradients in the structure of `args`, None where there is none."""
    outputs, transpose = jax.vjp(f, *args)
    used = _used(f, args)

    def pull(cotangents):
        cotangents = [jnp.zeros_like(o) if c is None else c for o, c in zip(outputs, cotangents)]
        gradients = tree.flatten(transpose(cotangents))
        return tree.pack_sequence_as(args, [g if u else None for g, u in zip(gradients, used)])

    return outputs, pull


def _used(f, args):
    """Which of the arguments `f` depends on: JAX would give the others a gradient of zeros, to be stored and added."""
    jaxpr = jax.make_jaxpr(f)(*args).jaxpr
    live = {id(variable) for variable in jaxpr.outvars}
    for equation in reversed(jaxpr.eqns):
        if any(id(variable) in live for variable in equation.outvars):
            live |= {id(variable) for variable in equation.invars}
    return [id(variable) in live for variable in jaxpr.invars]


def custom_gradient(forward, backward, plain, weights=0):
    """`forward(args, keep) -> (results, saved)`, `backward(saved, cotangents) -> gradients`, both of flat lists.

    JAX differentiates `backward` by itself: there is no use for `plain`.
    """

    @jax.custom_vjp
    def call(*args):
        return tuple(forward(args, keep=False)[0])

    def call_forward(*args):
        results, saved = forward(args, keep=True)
        return tuple(results), saved

    call.defvjp(call_forward, lambda saved, cotangents: tuple(backward(saved, list(cotangents))))
    return call


def softmax_cross_entropy(logits, targets):
    """`-log softmax(logits)[target]` of each row, and its gradient: NaN where there is no such target."""
    logits = logits - jnp.max(logits, axis=-1, keepdims=True)
    powers = jnp.exp(logits)
    known = (targets >= 0) & (targets < logits.shape[-1])
    sums = jnp.where(known[:, None], jnp.sum(powers, axis=-1, keepdims=True), jnp.nan)
    chosen = jnp.take_along_axis(logits, targets[:, None], axis=-1)
    hits = jnp.arange(logits.shape[-1])[None, :] == targets[:, None]
    return (jnp.log(sums) - chosen)[:, 0], powers / sums - hits


def after(tensors, others):
    """The tensors, such that nothing is computed from them before `others` are there."""
    return jax.lax.optimization_barrier((tensors, others))[0]


def product(a, b, transpose_a=False, transpose_b=False):
    """The product of two matrices."""
    return jnp.matmul(a.T if transpose_a else a, b.T if transpose_b else b)


def scaled(tensors, factor):
    """The tensors times a factor."""
    return [(tensor * factor).astype(tensor.dtype) for tensor in tensors]


def dropout(inputs, rate, noise_shape, seed):
    """As Keras drops, by a mask that is drawn once: otherwise XLA draws it inside of each product that reads it, and a
    TPU's compiler takes minutes for that."""
    if rate == 1:
        return jnp.zeros_like(inputs)
    shape = [own if given is None else given for given, own in zip(noise_shape or inputs.shape, inputs.shape)]
    kept = keras.random.dropout(jnp.ones(shape, inputs.dtype), rate, seed=seed) > 0
    return jnp.where(jax.lax.optimization_barrier(kept), inputs / (1 - rate), jnp.zeros_like(inputs))


def compiled(f, lengths=True):
    return jax.jit(f)


def branch(condition, if_true, if_false):
    """Where nothing is compiled, an `if`: JAX would compile both branches again at every step."""
    if isinstance(condition, jax.core.Tracer):
        return ops.cond(condition, if_true, if_false)
    return if_true() if condition else if_false()


def writes_together():
    return jax.default_backend() == "gpu"


def assigns_in_branches():
    return False


def synchronize(model):
    """`fit` holds the values of the variables elsewhere between its steps."""
    model.jax_state_sync()


def is_at_hand(tensor):
    """Whether numpy can look at it without a copy from a device, outside of a graph."""
    here = isinstance(tensor, jax.Array) and not isinstance(tensor, jax.core.Tracer)
    return here and {device.platform for device in tensor.devices()} == {"cpu"}


def beyond_cudnn(kernel, dtype):
    reasons = ["Keras has no cuDNN GRU on JAX"] if kernel == "gru" else []
    return reasons + ([f"JAX calls cuDNN in float32 alone, and not in {dtype}"] if dtype != "float32" else [])


def by_platform(cuda, otherwise, tensor):
    if isinstance(tensor, jax.core.Tracer):
        return jax.lax.platform_dependent(cuda=cuda, default=otherwise)
    return otherwise() if is_at_hand(tensor) else cuda()


def has_gpu():
    return jax.default_backend() == "gpu"


def shards():
    distribution = keras.distribution.distribution()
    if not isinstance(distribution, (keras.distribution.DataParallel, keras.distribution.ModelParallel)):
        return 1
    mesh = distribution.device_mesh
    return mesh.shape[mesh.axis_names.index(distribution.batch_dim_name)]


def feeding():
    distribution = keras.distribution.distribution()
    if distribution is None or distribution.auto_shard_dataset:  # which takes its part of a batch that all have
        return 1
    return distribution.num_processes


def placed(value):
    """Rows lie on the devices as those of a batch do; what cannot be divided so is on each as a whole."""
    distribution = keras.distribution.distribution()
    if value is None or distribution is None:
        return value
    divides = len(value.shape) and value.shape[0] % shards() == 0 and shards() > 1
    axes = [distribution.batch_dim_name if divides and k == 0 else None for k in range(len(value.shape))]
    layout = keras.distribution.TensorLayout(axes, distribution.device_mesh).backend_layout
    if isinstance(value, jax.Array) and len(value.sharding.device_set) > 1:
        return value if value.sharding.is_equivalent_to(layout, value.ndim) else _moved(layout)(value)
    value = np.asarray(value)
    return jax.make_array_from_callback(value.shape, layout, lambda index: value[index])


@functools.cache
def _moved(layout):
    return jax.jit(lambda x: x, out_shardings=layout)


def whole(tensor):
    if isinstance(tensor, jax.Array) and not (tensor.is_fully_addressable or tensor.is_fully_replicated):
        sharding = tensor.sharding
        tensor = _moved(jax.sharding.NamedSharding(sharding.mesh, jax.sharding.PartitionSpec()))(tensor)
    return ops.convert_to_numpy(tensor)


def divided_over(variable):
    distribution = keras.distribution.distribution()
    if not isinstance(distribution, keras.distribution.ModelParallel):
        return None
    return distribution.get_variable_layout(variable).axes[0]


def on_shares(f, axis, of_rows, of_vocabulary, keep):
    distribution = keras.distribution.distribution()
    batch = distribution.batch_dim_name if of_rows[0].shape[0] % shards() == 0 else None
    rows, share, all_of_it = (jax.sharding.PartitionSpec(*axes) for axes in ([batch], [axis], []))

    def of_device(of_rows, of_vocabulary):
        (total, losses), gradients = f(of_rows, of_vocabulary)
        # Once, after all chunks: a row's gradient comes from all shares, a share's from all rows.
        gradients = [jax.lax.psum(g, axis if k == 0 else batch or ()) for k, g in enumerate(gradients)]
        return [jax.lax.psum(total, batch or ()), losses], gradients

    of_gradients = [rows, *(share for value in of_vocabulary if value is not None)] if keep else []
    return jax.shard_map(
        of_device,
        mesh=distribution.device_mesh.backend_mesh,
        in_specs=(rows, share),
        out_specs=([all_of_it, rows], of_gradients),
        check_vma=False,
    )(of_rows, of_vocabulary)


def softmax_cross_entropy_on_shares(axis, logits, targets):
    share, shares = logits.shape[-1], jax.lax.axis_size(axis)
    own = targets - share * jax.lax.axis_index(axis)
    peaks = jnp.max(logits, axis=-1)
    powers = jnp.exp(logits - peaks[:, None])
    hits = jnp.arange(share)[None, :] == own[:, None]
    chosen = jnp.sum(jnp.where(hits, logits, 0), axis=-1)
    # All that the devices tell each other: a column for what each has found, and one for the target's logit.
    is_own = jnp.arange(shares) == jax.lax.axis_index(axis)
    found = jnp.where(is_own[None, :], (peaks + jnp.log(jnp.sum(powers, axis=-1)))[:, None], 0)
    found = jax.lax.psum(jnp.concatenate([found, chosen[:, None]], axis=-1), axis)
    known = (targets >= 0) & (targets < share * shares)
    logs = jnp.where(known, jax.nn.logsumexp(found[:, :-1], axis=-1), jnp.nan)
    return logs - found[:, -1], powers * jnp.exp(peaks - logs)[:, None] - hits


def for_each_shard(f):
    """`f` on the rows of each shard, those of a shard being one row of the first axis: no device needs another's."""
    return jax.vmap(f)
