"""The loop forward and the loop back: what `run` compiles once for equal steps."""

import dataclasses
import functools

from keras import ops, tree

from keras_rnnlm.cells.dot import Dot, cast
from keras_rnnlm.recurrence import backend
from keras_rnnlm.recurrence.together import Together

BESIDE = ("mask", "noise")  # what rides beside x


def up_to(length, sequence):
    return sequence if length is None else sequence[:length]


class Given:
    """Hands back the products that `Dot` kept, and notes what they were made of."""

    def __init__(self, kept):
        self.kept, self.calls, self.notes = kept, [], {}

    def __call__(self, operand, name, plus=None):
        y = self.kept[len(self.calls)]
        self.calls.append((operand, name, plus))
        return y

    def note(self, **values):
        self.notes.update(values)


@dataclasses.dataclass
class Call:
    """One `dot` of a step, as the gradient needs to know it."""

    name: str
    state: int | None = None  # its operand is this state, or else
    operand: int | None = None  # this output of the step
    plus: int | str | None = None  # what it adds: this output of the step, or "x" itself


def forward_scan(step, args, fixed, emit, unroll, keep=False, trace=False, together=None):
    dtype = args["states"][0].dtype
    constants = {name: cast(value, dtype) for name, value in fixed.get("constants", {}).items()}
    p = {name: cast(value, dtype) for name, value in (args["params"] | args.get("reads", {})).items()} | constants
    kernels, stored = _for_the_loop(args["kernels"]), backend.dtype_in_the_loop(args["x"].dtype)

    def body(states, inputs):
        dot, x = Dot(kernels, dtype), cast(inputs["x"], dtype)
        if "projection" in args:
            x = Dot(args["projection"], dtype)(inputs["x"], "kernel")
            x = x + cast(args["projection"]["bias"], dtype) if "bias" in args["projection"] else x
        new = [cast(state, dtype) for state in step(dot, x, states, p | _of_this_step(inputs, dtype))]
        if "mask" in inputs:
            new = [ops.where(m, n, s) for m, n, s in zip(_masks(inputs["mask"], states), new, states)]
        out = {"emitted": [cast(_noted(dot, i) if isinstance(i, str) else new[i], stored) for i in emit]}
        if keep:
            out["kept"] = [cast(y, stored) for y in dot.kept]
            # The states before a step that are emitted stand, one step earlier, among the emitted ones.
            others = [i for i in range(len(states)) if i not in emit or states[i].dtype != stored]
            if together is None:
                out["before"] = {str(i): states[i] for i in others}
            else:
                # So do the others here: what is read of a state once it was replaced has to be copied first.
                out = {"together": together.join(out | {"after": {str(i): new[i] for i in others}})}
        if trace:
            out["notes"] = {name: cast(value, stored) for name, value in dot.notes.items()}
        return new, out

    inputs = {"x": args["x"]} | {name: fixed[name] for name in BESIDE if name in fixed}
    return backend.scan(body, args["states"], inputs, length=fixed.get("length"), unroll=unroll)


class Loops:
    """The loop forward and the loop back, each compiled once, and the products around them.

    >>> loops = Loops(lambda dot, x, states, p: (x + states[0],), emit=(0,), unroll=True, projected=False)
    >>> args = {"x": ops.ones((3, 2, 4)), "states": [ops.zeros((2, 4))], "kernels": {}, "params": {}}
    >>> (final,), out = loops.forward(args, {}, keep=False)
    >>> float(final[0, 0])
    3.0
    """

    def __init__(self, step, emit, unroll, projected):
        self.emit, self.projected = emit, projected
        self.calls = []  # the products of a step: the same at every step, so known once one was traced
        self.together = Together() if backend.writes_together() and not unroll else None

        # Their names are those of the programs that XLA compiles.
        def loop_forward_keeping(args, fixed):
            return forward_scan(step, args, fixed, emit, unroll, keep=True, together=self.together)

        def loop_forward(args, fixed):
            return forward_scan(step, args, fixed, emit, unroll)

        def loop_back(read):
            return backward_scan(step, read, self.calls, emit, unroll, projected, self.together)

        parts = loop_forward_keeping, loop_forward, loop_back
        # Written out, each step is compiled by itself, which takes minutes and gains nothing.
        self._kept, self._run, self._back = parts if unroll else map(backend.region, parts)

    def forward(self, args, fixed, keep):
        final, out = (self._kept if keep else self._run)(args, fixed)
        if keep and self.together is not None:
            return final, out | {"emitted": self.together.part(out["together"])["emitted"]}
        return final, out | {"kept": rounded(out["kept"], args["x"].dtype)} if keep else out

    def backward(self, args, fixed, out, cotangents):
        """The gradients of `args`. `out` holds the states around each step and the products kept in it."""
        kernels, params, dtype = args["kernels"], args["params"], args["states"][0].dtype
        joined = {"together": out["together"]} if "together" in out else {}
        out = {"before": {}} | self.together.part(joined["together"]) if joined else out
        # An x that was projected in the loop was only added to a product, and any tensor of its shape can stand for it.
        x = out["kept"][0] if self.projected else args["x"]
        # Not in the region: to compile a transposition takes a tenth of a second.
        transposed = {name: ops.transpose(kernel) for name, kernel in _for_the_loop(kernels).items()}
        before, after = dict(out["before"]), dict(out.get("after", {}))
        after |= {str(i): emitted for i, emitted in zip(self.emit, out["emitted"]) if str(i) not in before | after}
        for i in range(len(args["states"])):
            if str(i) not in before:
                before[str(i)] = ops.concatenate([args["states"][i][None], after[str(i)][:-1]], axis=0)
        before = [before[str(i)] for i in range(len(before))]
        out = {"before": before} | (joined or {"kept": out["kept"]})
        read = dict(x=x, states=args["states"], params=params, transposed=transposed, out=out, fixed=fixed)
        read["reads"] = args.get("reads", {})
        count = len(self.emit)
        read["arriving"] = {str(i): c for i, c in enumerate(cotangents[:count]) if c is not None}
        read["final"] = {str(i): c for i, c in enumerate(cotangents[count:]) if c is not None}
        (into, sums), steps = self._back(read)
        steps = rounded(steps, args["x"].dtype)

        # What is left are products over all steps, too large to be part of a loop.
        made, dkernels, dx, length = iter(steps["made"]), {}, steps.get("dx"), fixed.get("length")
        for call, dy in zip(self.calls, steps["dy"]):
            operand = next(made) if call.state is None else before[call.state]
            product = _product_over_time(up_to(length, operand), up_to(length, dy))
            dkernels[call.name] = _add(dkernels.get(call.name), product)
            if call.plus == "x":
                dx = _add(dx, dy)
        gradients = {
            "states": into,
            "kernels": {name: dkernels.get(name, ops.zeros_like(kernel)) for name, kernel in kernels.items()},
            "params": {name: cast(sums[name], value.dtype) for name, value in params.items()},
        }
        if "reads" in args:
            gradients["reads"] = {name: cast(sums[name], value.dtype) for name, value in args["reads"].items()}
        if not self.projected:
            return {"x": ops.zeros_like(args["x"]) if dx is None else dx, **gradients}
        kernel = args["projection"]["kernel"]
        projection = {"kernel": _product_over_time(up_to(length, args["x"]), up_to(length, dx))}
        if "bias" in args["projection"]:
            projection["bias"] = cast(ops.sum(cast(dx, dtype), axis=(0, 1)), kernel.dtype)
        if backend.shards() > 1:
            by_x = ops.matmul(dx, ops.transpose(kernel))
        else:
            by_x = backend.product(ops.reshape(dx, (-1, kernel.shape[1])), kernel, transpose_b=True)
        return {"x": ops.reshape(by_x, ops.shape(args["x"])), "projection": projection, **gradients}

    def backward_by_segments(self, args, fixed, between, cotangents, size):
        """The same from the states between segments alone, the last segment first."""
        count, sums, dx = len(self.emit), None, []
        parts = list(segments(args, fixed, size))
        final = list(cotangents[count:])
        for k, (part, part_fixed) in reversed(list(enumerate(parts))):
            arriving = [None if c is None else c[k * size : (k + 1) * size] for c in cotangents[:count]]
            part = part | {"states": between[k]}
            later = backend.after(tree.flatten((part, part_fixed)), arriving + final)
            _, out = self.forward(*tree.pack_sequence_as((part, part_fixed), later), keep=True)
            found = self.backward(part, part_fixed, out, arriving + final)
            final = found.pop("states")
            dx.append(found.pop("x"))
            sums = found if sums is None else tree.map_structure(lambda a, b: a + b, sums, found)
        return {"x": ops.concatenate(dx[::-1], axis=0), "states": final, **sums}


def segments(args, fixed, size):
    """The arguments and what is fixed, some steps at a time."""
    for first in range(0, args["x"].shape[0], size):
        part = slice(first, first + size)
        timed = {name: tree.map_structure(lambda m: m[part], fixed[name]) for name in BESIDE if name in fixed}
        yield args | {"x": args["x"][part]}, fixed | timed


def backward_scan(step, read, calls, emit, unroll, projected, together=None):
    """The loop back through time: the gradients by the states, by the step's own weights and by what it reads, and what
    each step made.

    It notes in `calls` which products a step has.
    """
    states, transposed, params, out, fixed = (read[name] for name in ("states", "transposed", "params", "out", "fixed"))
    dtype, batch = states[0].dtype, ops.shape(states[0])[0]
    stored = backend.dtype_in_the_loop(read["x"].dtype)
    # The step's own weights are differentiated example by example: the loop then adds tensors of one shape, and the
    # sum over the batch is taken once, after it.
    own = {name: ops.broadcast_to(cast(value, dtype), (batch, *value.shape)) for name, value in params.items()}
    own |= {name: cast(value, dtype) for name, value in read["reads"].items()}
    named = list(dict.fromkeys(name for name in emit if isinstance(name, str)))
    final = [cast(read["final"][str(i)], dtype) if str(i) in read["final"] else None for i in range(len(states))]
    final = [ops.zeros_like(s) if c is None else c for s, c in zip(states, final)]
    constants = {name: cast(value, dtype) for name, value in fixed.get("constants", {}).items()}

    def outputs_of(x, states, kept, own, noise):
        """The step as a function without products: its new states, what it emits, and what its dots are made of."""
        dot = Given(kept)
        outputs, found = list(step(dot, x, states, own | constants | noise)), []
        outputs += [cast(_noted(dot, name), dtype) for name in named]
        for operand, name, plus in dot.calls:
            call = Call(name, state=next((i for i, state in enumerate(states) if state is operand), None))
            if call.state is None:
                call.operand = len(outputs)
                outputs.append(operand)
            if plus is x:
                call.plus = "x"
            elif plus is not None:
                call.plus = len(outputs)
                outputs.append(plus)
            found.append(call)
        calls[:] = found  # at once: another thread may be reading the same
        return outputs

    def body(carry, inputs):
        if together is not None:
            inputs = inputs | {"kept": together.part(inputs["together"])["kept"]}
        d, sums = carry
        of_named = dict.fromkeys(named)
        for i, cotangent in inputs["arriving"].items():
            i = emit[int(i)]
            if isinstance(i, str):
                of_named[i] = _add(of_named[i], cast(cotangent, dtype))
                continue
            d = [a + cast(cotangent, dtype) if j == i else a for j, a in enumerate(d)]
        held = None
        if "mask" in inputs:
            masks = _masks(inputs["mask"], d)
            held = [ops.where(m, ops.zeros_like(a), a) for m, a in zip(masks, d)]
            d = [ops.where(m, a, ops.zeros_like(a)) for m, a in zip(masks, d)]

        x, kept = cast(inputs["x"], dtype), [cast(y, dtype) for y in inputs["kept"]]
        of_this_step = functools.partial(outputs_of, noise=_of_this_step(inputs, dtype))
        outputs, pull = backend.vjp(of_this_step, (x, inputs["before"], kept, own))
        d = d + list(of_named.values())
        d = d + [None] * (len(outputs) - len(d))
        into = [None] * len(states)
        dx, dstates, dkept, down = pull(d)
        stale = False
        dy = [None] * len(calls)
        for k, call in reversed(list(enumerate(calls))):
            if stale:
                dx, dstates, dkept, down = pull(d)
                stale = False
            kernel = transposed[call.name]
            dy[k] = cast(ops.zeros_like(kept[k]) if dkept[k] is None else dkept[k], kernel.dtype)
            da = cast(ops.matmul(dy[k], kernel), dtype)
            if call.state is not None:
                into[call.state] = _add(into[call.state], da)
            else:
                d[call.operand] = _add(d[call.operand], da)
                stale = True
            if isinstance(call.plus, int):
                d[call.plus] = _add(d[call.plus], cast(dy[k], dtype))
                stale = True
        if stale:
            dx, dstates, dkept, down = pull(d)

        into = [_add(a, b) for a, b in zip(into, dstates)]
        into = [ops.zeros_like(s) if a is None else a for s, a in zip(states, into)]
        if held is not None:
            into = [a + h for a, h in zip(into, held)]
        sums = {name: s if down[name] is None else s + down[name] for name, s in sums.items()}
        made = [outputs[call.operand] for call in calls if call.operand is not None]
        out = {"dy": dy, "made": [cast(a, stored) for a in made]}
        if dx is not None and projected:
            raise ValueError("A step whose x is projected in the loop may only add it to a product: `dot(h, name, x)`.")
        if dx is not None:
            out["dx"] = cast(dx, stored)
        if together is not None:
            out = of_back.join(out)
        return (into, sums), out

    inputs = {"x": read["x"], **out, "arriving": read["arriving"]}
    inputs |= {name: fixed[name] for name in BESIDE if name in fixed}
    start, of_back = (final, {name: ops.zeros_like(value) for name, value in own.items()}), Together()
    (into, sums), steps = backend.scan(body, start, inputs, length=fixed.get("length"), reverse=True, unroll=unroll)
    steps = steps if together is None else of_back.part(steps)
    return (into, sums | {name: ops.sum(sums[name], axis=0) for name in params}), steps


def _of_this_step(inputs, dtype):
    """The noise that rides beside this step's x."""
    return {name: cast(value, dtype) for name, value in inputs.get("noise", {}).items()}


def _noted(dot, name):
    if name not in dot.notes:
        raise ValueError(f"The step notes no {name!r} that could be returned. It notes {sorted(dot.notes)}")
    return dot.notes[name]


def _for_the_loop(kernels):
    """The kernels in the dtype in which the backend multiplies by them step by step."""
    return {name: cast(kernel, backend.dtype_in_the_loop(kernel.dtype)) for name, kernel in kernels.items()}


def rounded(made, dtype):
    """What a loop made, in the dtype of the computation: all steps at once, where a loop is not in half precision."""
    return tree.map_structure(lambda value: cast(value, dtype), made)


def _masks(mask, states):
    """A mask for each state."""
    return list(mask) if isinstance(mask, (list, tuple)) else [mask] * len(states)


def _product_over_time(operand, dy):
    """The gradient of a kernel from its operands and the adjoints of its products at all steps: one product."""
    operand = cast(operand, dy.dtype)
    if backend.shards() > 1:  # steps and rows as one axis would be no device's own
        axes = list(range(len(dy.shape) - 1))
        return ops.tensordot(operand, dy, axes=[axes, axes])
    operand = ops.reshape(operand, (-1, operand.shape[-1]))
    return backend.product(operand, ops.reshape(dy, (-1, dy.shape[-1])), transpose_a=True)


def _add(a, b):
    return b if a is None else a if b is None else a + b
