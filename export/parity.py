"""Whether an export computes what the Keras model does: it is run in its own runtime before anyone else runs it."""

import dataclasses
import math
import types

import numpy as np

from keras_rnnlm.export.bounds import BOUNDS, PERPLEXITY
from keras_rnnlm.export.runtime.models import ExportedLanguageModel
from keras_rnnlm.perplexity import perplexity

CASES = ((3, 7), (1, 1))  # batch and time
LONGER = ((2, 40),)  # and of a language model
WINDOW = 64  # tokens of a real text at a time


@dataclasses.dataclass(frozen=True)
class Parity:
    """What was measured.

    Attributes:
        error: the largest error of an output.
        state_error: the largest error of a state that a language model hands on.
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


def measure(interface, engine, quantize=None, padding=None, tokens=None, seed=0):
    """Runs an export beside the model: whole sequences and, of a language model, halves and single steps.

    Args:
        interface: of the model.
        engine: the export in its own runtime: `run` and `step`, from a dict of numpy arrays to a dict of numpy arrays.
        quantize, padding: as in the export. In int8 the states begin at zero, as a text's do: how it rounds states that
            no text leads to is no measure of it.
        tokens: ids of a real text, for a language model.
        seed: of the random inputs.
    """
    if tokens is not None and len(tokens) < 2:
        raise ValueError(f"`tokens` are at least two ids: the first is not predicted. Received: tokens={tokens!r}")
    rng, states = np.random.default_rng(seed), {state.output for state in interface.states}
    worst = {True: 0.0, False: 0.0}  # of the states, of the other outputs

    def compare(wanted, got):
        if set(wanted) - set(got):
            raise ValueError(f"The export does not give {sorted(set(wanted) - set(got))}, only {sorted(got)}")
        for name, value in wanted.items():
            worst[name in states] = _largest(worst[name in states], difference(value, got[name]))

    for batch, time in CASES + LONGER if interface.states else CASES:
        inputs = interface.example(rng, batch, time, padding, from_zeros=quantize == "int8")
        wanted = interface.numpy(inputs)
        compare(wanted, engine.run(inputs))
        if interface.states:
            compare(wanted, _by_steps(interface, engine.step, inputs))
            if time > 1:
                compare(wanted, _in_two(interface, engine.run, inputs, time // 2))
    found = {}
    if tokens is not None and interface.states:
        for name, of in (("wanted_perplexity", interface.numpy), ("perplexity", engine.run)):
            found[name] = perplexity(-np.mean(log_probabilities(interface, of, tokens)))
    return Parity(worst[False], worst[True], **found)


def _in_two(interface, run, inputs, half):
    """The same, the states handed from a first call to a second."""
    first = run({**inputs, "tokens": inputs["tokens"][:, :half]})
    carried = {state.name: first[state.output] for state in interface.states}
    second = run({**carried, "tokens": inputs["tokens"][:, half:]})
    return {**second, "logits": np.concatenate([first["logits"], second["logits"]], axis=1)}


def _by_steps(interface, step, inputs):
    """The same, a token at a time."""
    carried, logits = {state.name: inputs[state.name] for state in interface.states}, []
    for tokens in inputs["tokens"].T:
        outputs = step({"tokens": np.ascontiguousarray(tokens), **carried})
        carried = {state.name: outputs[state.output] for state in interface.states}
        logits.append(outputs["logits"])
    return {**outputs, "logits": np.stack(logits, axis=1)}


def log_probabilities(interface, run, tokens):
    """Of every token of a text but the first, by the model or by an export."""
    states = map(dataclasses.astuple, interface.states)
    model = ExportedLanguageModel(types.SimpleNamespace(run=run), None, interface.vocabulary_size, states)
    return model.score(tokens, WINDOW)["log_probabilities"]


def difference(wanted, got):
    """The largest error, relative to the largest number where that is above 1; infinite for what is no number."""
    wanted, got = np.asarray(wanted, "float64"), np.asarray(got, "float64")
    if wanted.shape != got.shape:
        raise ValueError(f"An output should be of shape {wanted.shape}. The export gives {got.shape}")
    if not wanted.size:
        return 0.0
    if not np.isfinite(got).all():
        return math.inf
    return float(np.abs(wanted - got).max() / max(1.0, np.abs(wanted).max()))


def _largest(a, b):
    return b if math.isnan(b) else max(a, b)
