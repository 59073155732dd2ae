"""JAX: scan, vector-Jacobian products and a custom gradient."""

import jax
import jax.numpy as jnp


def scan(body, carry, xs, *, length=None, reverse=False, unroll=False):
    """`body(carry, x) -> (carry, y)` over the first axis of `xs`."""
    total = jax.tree.leaves(xs)[0].shape[0]
    return jax.lax.scan(body, carry, xs, reverse=reverse, unroll=max(total, 1) if unroll else 1)


def vjp(f, args):
    """`f(*args)`, a list, and `pull(cotangents)`, which gives gradients in the structure of `args`."""
    outputs, transpose = jax.vjp(f, *args)

    def pull(cotangents):
        cotangents = [jnp.zeros_like(o) if c is None else c for o, c in zip(outputs, cotangents)]
        return transpose(cotangents)

    return outputs, pull


def custom_gradient(forward, backward):
    """`forward(args, keep) -> (results, saved)`, `backward(saved, cotangents) -> gradients`, both of flat lists."""

    @jax.custom_vjp
    def call(*args):
        return tuple(forward(args, keep=False)[0])

    def call_forward(*args):
        results, saved = forward(args, keep=True)
        return tuple(results), saved

    call.defvjp(call_forward, lambda saved, cotangents: tuple(backward(saved, list(cotangents))))
    return call


def compiled(f):
    """A function compiled once for each shape of its arguments."""
    return jax.jit(f)


def padding(sequences, mask):
    """Nothing: shapes are known here."""
    return {}


def has_gpu():
    return jax.default_backend() == "gpu"
