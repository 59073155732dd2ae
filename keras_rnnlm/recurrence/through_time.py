"""One gradient through time for every cell written as `step(dot, x, states, p)`.

`dot(a, name)` is the only matrix product by a weight that a step may contain. Forward, `dot` multiplies and its
products are kept. Backward, the same step runs once more with the kept products handed back to it, so that nothing is
multiplied twice, and the backend's own autodiff differentiates what remains. The only product in the backward loop is
`dy @ U.T`, one for each `dot`; the gradient of a kernel is then ONE product over all time steps, where plain autodiff
would add a small product into it at every step.
"""

import math

from keras import ops, tree

from keras_rnnlm.recurrence import backend
from keras_rnnlm.recurrence.loops import BESIDE, Loops, forward_scan, rounded, segments, up_to


def run(
    step,
    x,
    states,
    kernels,
    params,
    constants=None,
    *,
    reads=None,
    noise=None,
    projection=None,
    mask=None,
    length=None,
    emit=(0,),
    unroll=False,
    plain=False,
    trace=False,
    remat=False,
    loops=None,
):
    """Runs `step` over time.

    Args:
        step: `step(dot, x, states, p)`, which returns the new states. `p` holds `params`, `constants`, `reads` and, of
            this step, `noise`.
        x: inputs, (time, batch, features).
        states: tensors of shape (batch, units), in the dtype that is carried.
        kernels: dict of the matrices that only `dot` reads.
        params: dict of the step's other weights, each of shape (features,).
        constants: dict of tensors that take no gradient, such as dropout masks.
        reads: dict of tensors of any rank, (batch, ...), which every step reads, such as an encoder's states. Their
            gradient is summed step by step.
        noise: dict of sequences of any rank, (time, batch, ...), which ride beside x and take no gradient.
        projection: dict of `kernel` and, where there is one, `bias`. Then `x` holds the raw inputs, and the step, which
            may only add its x to a product, sees `inputs @ kernel + bias`, computed one step at a time.
        mask: booleans, (time, batch, 1). Where False, the states are held. Or a list of a mask for each state, (time,
            batch, units): a state may hold some of its units.
        length: scalar, how many time steps to run. What lies beyond is padding, and comes out as zeros.
        emit: what to return as sequences: numbers of states, and names of what the step notes, `dot.note(name=value)`,
            which is no state and has a gradient all the same. A mask does not hide the latter.
        unroll: write the loop out.
        plain: leave the whole scan to the backend's autodiff, the reference that the engine is tested against.
        trace: return what the step notes, too: its gates and cells. Implies `plain`.
        remat: keep for the gradient what about the square root of the steps need, and run all of them once more.
        loops: `loops(settings)` returns the `Loops` of the same step and the same settings, so that they are compiled
            once; or None.

    Returns:
        The emitted sequences, (time, batch, units), the final states, and the dict of notes, sequences
        too; empty without `trace`.

    >>> def step(dot, x, states, p):
    ...     return (ops.tanh(dot(states[0], "u", x)),)
    >>> x, h, u = (ops.ones(shape) for shape in ((5, 2, 4), (2, 4), (4, 4)))
    >>> (outputs,), (h,), _ = run(step, x, [h], {"u": u}, {}, plain=True)
    >>> outputs.shape, h.shape
    ((5, 2, 4), (2, 4))
    """
    args = {"x": x, "states": list(states), "kernels": kernels, "params": params}
    args |= {} if projection is None else {"projection": projection}
    args |= {} if reads is None else {"reads": reads}
    fixed = {"constants": constants, "noise": noise, "mask": mask, "length": length}
    fixed = {name: value for name, value in fixed.items() if value is not None}
    if plain or trace:
        final, out = forward_scan(step, args, fixed, emit, unroll, trace=trace)
        return rounded(out["emitted"], x.dtype), final, rounded(out.get("notes", {}), x.dtype)

    structure = (args, fixed)
    settings = (emit, unroll, projection is not None)
    loops = (None if loops is None else loops(settings)) or Loops(step, *settings)
    size = math.isqrt(x.shape[0] - 1) + 1 if remat else None

    def forward(flat, keep):
        args, fixed = tree.pack_sequence_as(structure, list(flat))
        if not remat:
            args, fixed = _padded(args, fixed)
            final, out = loops.forward(args, fixed, keep)
            emitted = rounded(out["emitted"], x.dtype)
            if length is None:
                emitted = [up_to(fixed.get("length"), sequence) for sequence in emitted]
            return [*emitted, *final], (args, fixed, out)
        final, between, emitted = args["states"], [], []
        for part in segments(args, fixed, size):
            between.append(final)
            final, out = loops.forward(part[0] | {"states": final}, part[1], keep=False)
            emitted.append(rounded(out["emitted"], x.dtype))
        return [*(ops.concatenate(parts, axis=0) for parts in zip(*emitted)), *final], (args, fixed, between)

    def backward(saved, cotangents):
        args, fixed, out = saved
        if remat:
            gradients = loops.backward_by_segments(args, fixed, out, cotangents, size)
        elif length is not None or "length" not in fixed:
            gradients = loops.backward(args, fixed, out, cotangents)
        else:
            more = ops.shape(args["x"])[0] - fixed["length"]
            arriving = [None if c is None else _longer(c, more) for c in cotangents[: len(emit)]]
            gradients = loops.backward(args, fixed, out, [*arriving, *cotangents[len(emit) :]])
            gradients["x"] = up_to(fixed["length"], gradients["x"])
        return tree.flatten(gradients) + [None] * len(tree.flatten(structure[1]))

    def by_plain_autodiff(flat):
        args, fixed = tree.pack_sequence_as(structure, list(flat))
        final, out = forward_scan(step, args, fixed, emit, unroll)
        return [*rounded(out["emitted"], x.dtype), *final]

    # By name, what is read, the states and x come last.
    weights = len(tree.flatten(args)) - len(args.get("reads", ())) - len(args["states"]) - 1
    by_engine = backend.custom_gradient(forward, backward, by_plain_autodiff, weights)
    results = list(by_engine(*tree.flatten(structure)))
    return results[: len(emit)], results[len(emit) :], {}


def _padded(args, fixed):
    """Sequences of many lengths, as few of them: the arguments and what is fixed, longer, and the true length."""
    x = args["x"]
    more = None if "length" in fixed else backend.padding(x)
    if more is None:
        return args, fixed
    longer = {name: tree.map_structure(lambda m: _longer(m, more), fixed[name]) for name in BESIDE if name in fixed}
    return args | {"x": _longer(x, more)}, fixed | longer | {"length": ops.shape(x)[0]}


def _longer(sequence, more):
    return ops.pad(sequence, [(0, more)] + [(0, 0)] * (len(sequence.shape) - 1))
