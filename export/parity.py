"""Whether an export computes what the Keras model does: it is run in its own runtime before anyone else runs it."""

import dataclasses
import math
import types

import numpy as np

from keras_rnnlm.export.bounds import BOUNDS, PERPLEXITY
from keras_rnnlm.export.interface import layers_of
from keras_rnnlm.export.runtime.answers import answer_of
from keras_rnnlm.export.runtime.models import difference, taken
from keras_rnnlm.layers.stackable import fits

CASES = ((3, 7), (1, 1))  # batch and time
LONGER = ((2, 40),)  # and of what splits in time
LENGTHS = (40, 200, 1000)  # that are tried where a model takes no sequences as short as these


@dataclasses.dataclass(frozen=True)
class Parity:
    """What was measured.

    Attributes:
        error: the largest error of an output.
        state_error: the largest error of a state that is handed on.
        perplexity, wanted_perplexity: of the tokens that were given, by the export and by Keras; or None.
    """

    error: float
    state_error: float = 0.0
    perplexity: float | None = None
    wanted_perplexity: float | None = None

    def problems(self, quantize, tolerance=None):
        bound, found = BOUNDS[quantize] if tolerance is None else tolerance, []
        for what, error in (("outputs", self.error), ("states", self.state_error)):
            if what == "states" and quantize == "int8":
                continue  # a cell sums its errors, which the outputs hardly show: they are what counts
            if not error <= bound:  # not a number is a problem, too
                found.append(f"its {what} are off by {error:.1e}, and {bound:.0e} is the most")
        if self.perplexity is not None:
            off = abs(self.perplexity / self.wanted_perplexity - 1)
            if not off <= PERPLEXITY[quantize]:
                found.append(f"its perplexity is {self.perplexity:.4g} where Keras has {self.wanted_perplexity:.4g}")
        return found


def measure(interface, engine, quantize=None, padding=None, tokens=None, samples=None, seed=0):
    """Runs an export beside the model: whole sequences and, of what splits in time, halves and single steps.

    Args:
        interface: of the model.
        engine: the export in its own runtime: `run` and `step`, from a dict of numpy arrays to a dict of numpy arrays;
            of what begins with another function, `ask(name, inputs)`, which gives what that does.
        quantize, padding: as in the export. In int8 the states begin at zero, as a text's do: how it rounds states that
            no text leads to is no measure of it.
        tokens: what a task's answer measures a perplexity of: ids of a real text.
        samples: inputs to compare on, too; in int8 in place of random ones.
        seed: of the random inputs.
    """
    if tokens is not None and len(tokens) < 2:
        raise ValueError(f"`tokens` are at least two ids: the first is not predicted. Received: tokens={tokens!r}")
    told = answer_of(interface.description(), trusted=True)
    if tokens is not None and not hasattr(told, "perplexity"):
        raise ValueError("`tokens` are of models that predict them: other models are compared on `samples`")
    rng, states = np.random.default_rng(seed), {state.output for state in interface.states}
    worst = {True: 0.0, False: 0.0}  # of the states, of the other outputs

    def compare(wanted, got):
        if set(wanted) - set(got):
            raise ValueError(f"The export does not give {sorted(set(wanted) - set(got))}, only {sorted(got)}")
        for name, value in wanted.items():
            worst[name in states] = _largest(worst[name in states], difference(value, got[name]))

    signature = interface.signature

    def compare_ways(inputs, wanted, time):
        compare(wanted, engine.run(inputs))
        if signature.step is not None:
            compare(wanted, _by_steps(signature, engine.step, inputs))
        if signature.splits_in_time and time > 1:
            compare(wanted, _in_two(signature, engine.run, inputs, time // 2))

    if samples is not None:
        given = _by_name(interface, samples)
        time = given[signature.inputs[0].name].shape[1] if signature.splits_in_time else 1
        compare_ways(given, interface.numpy(given), time)
    cases = CASES + LONGER if signature.splits_in_time else CASES
    for batch, time in () if samples is not None and quantize == "int8" else cases:
        inputs, wanted = _computed(interface, rng, batch, time, padding, from_zeros=quantize == "int8")
        compare_ways(inputs, wanted, time)
    if interface.begin is not None:
        for batch, time in CASES:
            inputs = interface.begin.example(rng, batch, time, padding)
            compare(interface.begin.numpy(inputs), engine.ask(interface.begin.signature.name, inputs))
    found = {}
    if tokens is not None:
        for name, run in (("wanted_perplexity", interface.numpy), ("perplexity", engine.run)):
            found[name] = answer(interface, run).perplexity(tokens)
    return Parity(worst[False], worst[True], **found)


def _by_name(interface, samples):
    """Arrays by the names of the inputs, of the types that these take."""
    types = {tensor.name: tensor.dtype for tensor in interface.inputs}
    if isinstance(samples, dict):
        found = samples
    else:
        found = list(samples) if isinstance(samples, (list, tuple)) else [samples]
        free = [tensor.name for tensor in interface.signature.inputs]
        if len(found) != len(free):
            raise ValueError(f"`samples` are {len(free)} arrays, {', '.join(free)}. Received: {len(found)}")
        found = dict(zip(free, found))
    states = {state.name for state in interface.states}
    rows = max((len(value) for value in found.values() if np.ndim(value)), default=0)
    found = {
        t.name: np.zeros([rows, *(size or 1 for size in t.shape[1:])], t.dtype)
        for t in interface.inputs
        if t.name in states
    } | found
    if missing := [name for name in types if name not in found]:
        raise ValueError(f"`samples` have no {', '.join(missing)}. Received: {', '.join(map(str, found)) or 'none'}")
    found = taken(found, types, "`samples` are")
    for tensor in interface.inputs:
        shape = found[tensor.name].shape
        if not fits(shape, tensor.shape) or 0 in shape:
            raise ValueError(f"`samples`: {tensor.name!r} is of shape {tuple(tensor.shape)}. Received: shape {shape}")
    return found


def _computed(interface, rng, batch, time, padding, from_zeros):
    """Random inputs, and what Keras makes of them: of more steps where it takes no so few, as a convolution may."""
    import tensorflow as tf

    has_time = any(len(tensor.shape) > 1 and tensor.shape[1] is None for tensor in interface.inputs)
    may_be_longer, failed = interface.task is None and has_time, None
    if may_be_longer and any(getattr(layer, "padding", None) == "valid" for layer in layers_of(interface.model)):
        time += LENGTHS[0]  # of the fewest steps that a convolution takes it may make none
    for length in (time, *(length for length in (7, *LENGTHS) if may_be_longer and length > time)):
        inputs = interface.example(rng, batch, length, padding, from_zeros)
        try:
            wanted = interface.numpy(inputs)
        except (ValueError, tf.errors.OpError) as error:
            if padding is None and "right-padded" in str(error):  # Keras's own layers on a GPU want masks so
                return _computed(interface, rng, batch, time, "right", from_zeros)
            if not may_be_longer:
                raise
            failed = error
            continue
        if not may_be_longer or all(value.size for value in wanted.values()):
            return inputs, wanted
    reason = "nothing comes of them" if failed is None else " ".join(str(failed).split())[:200]
    raise ValueError(f"Keras itself does not compute sequences of {time} to {length} steps: {reason}") from failed


def answer(interface, run):
    """How its task answers, `run`, from a dict of numpy arrays to a dict of numpy arrays, in the place of a runtime."""
    about, begin = interface.description(), interface.begin
    ask = None if begin is None else lambda name, inputs: begin.numpy(inputs)
    return answer_of(about, trusted=True).of(types.SimpleNamespace(run=run, ask=ask), None, about)


def _in_two(signature, run, inputs, half):
    """The same, the states handed from a first call to a second."""
    free = [tensor.name for tensor in signature.inputs]
    first = run({**inputs, **{name: inputs[name][:, :half] for name in free}})
    carried = {state.name: first[state.output] for state in signature.states}
    second = run({**carried, **{name: inputs[name][:, half:] for name in free}})
    return {**second, **{name: np.concatenate([first[name], second[name]], axis=1) for name in signature.outputs}}


def _by_steps(signature, step, inputs):
    """The same, a time step at a time."""
    carried, found = {state.name: inputs[state.name] for state in signature.states}, []
    free = [tensor.name for tensor in signature.inputs]
    for t in range(inputs[free[0]].shape[1]):
        found.append(step({**{name: np.ascontiguousarray(inputs[name][:, t]) for name in free}, **carried}))
        carried = {state.name: found[-1][state.output] for state in signature.states}
    whole = {name: np.stack([outputs[name] for outputs in found], axis=1) for name in signature.outputs}
    return {**found[-1], **whole}


def _largest(a, b):
    return b if math.isnan(b) else max(a, b)
