"""What was exported, as something to call."""

import collections.abc
import math

import numpy as np

from keras_rnnlm.schema import NUMBER, Each, Rule, check


def _is_numbers(value):
    """Whether it is a number, or lists of them."""
    return all(map(_is_numbers, value)) if isinstance(value, list) else isinstance(value, bool) or NUMBER.fits(value)


NUMBERS = Each(Rule("numbers, or lists of them", _is_numbers))


def taken(inputs, types, which):
    """Arrays of the types that a model takes; a number that would be cut off, or a foreign name, is refused."""
    if foreign := sorted(map(str, set(inputs) - set(types))):
        raise ValueError(
            f"{which} a dict of arrays by name, with {', '.join(types)}. Received beside: {', '.join(foreign)}"
        )
    found = {}
    for name, value in inputs.items():
        value, wanted = np.asarray(value), np.dtype(types[name])
        is_number = value.dtype.kind in ("fiub" if wanted.kind == "f" else "iub")
        fits = is_number and (
            wanted.kind not in "iu"
            or not value.size
            or np.iinfo(wanted).min <= value.min()
            and value.max() <= np.iinfo(wanted).max
        )
        if not fits:
            raise ValueError(f"{name!r} is of {wanted}. Received: {value.max() if is_number else value.dtype}")
        found[name] = value.astype(wanted, copy=False)
    return found


class ExportedModel:
    """A model in its runtime: `run(inputs)` from a dict of numpy arrays to a dict of numpy arrays.

    Several threads may call it at once. ONNX Runtime and TensorFlow compute side by side. In LiteRT calls take turns: a
    second interpreter would hold the weights a second time. Where that is worth it, load the file once more.

    A subclass is how the files of a task answer, without Keras. It adds methods of its own, and overrides what is its
    own of the rest: what the command `run` shows, and what is compared with the Keras model.

    Attributes:
        takes_text: whether it needs its task's vocabulary, which then lies beside the file or in it.
        takes_ids: whether all whole numbers that it takes are ids.
        asked: the options of the command `run` that it reads, besides the prompt; None: `show` says what it does not.
        manifest: the schema of what a manifest says of the model and of what is checked.

    >>> loaded = keras_rnnlm.export.runtime.load("exported")
    >>> isinstance(loaded, ExportedModel), loaded.format
    (True, 'onnx')
    """

    takes_text = False
    takes_ids = False
    asked = None
    manifest = {"check": {"inputs": NUMBERS, "outputs": NUMBERS}}

    def __init__(self, engine, kind, about=None, tokenizer=None, missing=None):
        """Args: about: what the file says of itself. tokenizer: its vocabulary. missing: why there is none."""
        self.engine, self.format, self.about = engine, kind, about or {}
        self.tokenizer = tokenizer
        self._missing = missing or "This model came without a tokenizer or vocabulary, so it takes ids, not text"

    @classmethod
    def of(cls, engine, kind, about, tokenizer=None, missing=None):
        """From what the file says of itself."""
        return cls(engine, kind, about, tokenizer, missing)

    def run(self, inputs):
        """What the model gives, a dict of arrays by name, for arrays by name, as it takes them in Keras."""
        types = {tensor["name"]: tensor["dtype"] for tensor in self.about.get("inputs", ())}
        is_by_name = isinstance(inputs, collections.abc.Mapping)
        if not is_by_name or any(name not in inputs for name in types):
            came = ", ".join(map(str, inputs)) or "none" if is_by_name else type(inputs).__name__
            raise ValueError(f"`run` takes a dict of arrays by name, with {', '.join(types)}. Received: {came}")
        return self.engine.run(self._checked(inputs, types) if types else inputs)

    def _checked(self, inputs, types):
        """Of the types that the file takes. Ids are from 0 on: some runtimes count others from the end."""
        is_of_a_task = "task" in self.about  # whose vocabulary may give more than a file takes
        found = taken({n: inputs[n] for n in types} if is_of_a_task else inputs, types, "`run` takes")
        if self.takes_ids:
            for name, value in found.items():
                if value.dtype.kind == "i" and value.size and value.min() < 0:
                    raise ValueError(f"{name!r} are ids, from 0 on. Received: {value.min()}")
        return found

    def __repr__(self):
        taken = [f"{t['name']} {t['dtype']} {tuple(t.get('shape', ()))}" for t in self.about.get("inputs", ())]
        what = f": {', '.join(taken)} -> {', '.join(self.about.get('outputs', ()))}" if taken else ""
        return f"<{type(self).__name__}, {self.format}{what}>"

    def reader(self):
        """The tokenizer, or what else its task knows symbols by, or a ValueError that says why there is none."""
        if self.tokenizer is None:
            raise ValueError(self._missing)
        return self.tokenizer

    @classmethod
    def check_belongs(cls, vocabulary, about, name):
        """Raises where a vocabulary, which messages call `name`, has other symbols than the model."""
        if "vocabulary_size" in about and vocabulary.vocabulary_size > about["vocabulary_size"]:
            raise ValueError(
                f"{name} has {vocabulary.vocabulary_size} ids, the model {about['vocabulary_size']}: they do not "
                "belong together"
            )

    # On the command line

    def show(self, options, settings, prompts):
        """What the command `run` prints."""
        raise ValueError(f"{options.artifact} holds no model that answers to text: nothing to write with")

    def predict(self, file, *, encoding="utf-8", batch_size=32):
        """What the command `predict` finds of a file, which it reads in its own way: yields lines and records.

        A line is what is printed; its record is an object for JSON that says the same, or None where there is none.
        """
        raise ValueError("This model has no task that predicts something of a file: `generate` or `run` has it write")

    # Beside the Keras model

    def check_of(self, rng, example):
        """What is checked wherever an export is verified, as JSON. `example(rng, batch, time)` draws inputs."""
        inputs = example(rng, 2, 5)
        found = {"inputs": inputs, "outputs": self.run(inputs)}
        return {way: {name: value.tolist() for name, value in arrays.items()} for way, arrays in found.items()}

    def error_of(self, check):
        """The largest error of what was checked."""
        types = {tensor["name"]: tensor["dtype"] for tensor in self.about.get("inputs", ())}
        if set(types) != set(check["inputs"]):
            raise ValueError(f"The export takes {sorted(types)}, and what is checked are {sorted(check['inputs'])}")
        try:
            found = self.run({name: np.array(value, types[name]) for name, value in check["inputs"].items()})
        except Exception as error:  # of numpy's and the runtimes' own kinds
            raise ValueError(
                f"The export does not take what is checked: {' '.join(str(error).split())[:200]}"
            ) from error
        missing = set(check["outputs"]) - set(found)
        if missing:
            raise ValueError(f"The export does not give {sorted(missing)}, only {sorted(found)}")
        return max((difference(value, found[name]) for name, value in check["outputs"].items()), default=math.inf)

    @classmethod
    def check_about(cls, about):
        """Raises where what a file says of itself is not what this class reads of it."""
        check(about, cls.manifest.get("model", {}))

    @classmethod
    def check_manifest(cls, manifest):
        """Raises where a manifest does not hold what `verify` and `load` read of it."""
        check(manifest, cls.manifest)

    @staticmethod
    def held_out(data, say):
        """What to compare an export on, of a run's folder of data, by `perplexity(found)`; None where there is none."""
        return None


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
