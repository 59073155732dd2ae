"""How an exported language model answers: it scores texts, and writes."""

import json
import math
import pathlib
import warnings
from collections.abc import Iterable, Iterator

import numpy as np

from keras_rnnlm import generation
from keras_rnnlm.export.runtime.models import ExportedModel, difference
from keras_rnnlm.generation import checks, command
from keras_rnnlm.generation.beam import log_softmax
from keras_rnnlm.perplexity import perplexity
from keras_rnnlm.schema import COUNT, NUMBER, TEXT, is_count, whole

# Tokens that are read at a time: the time that LiteRT takes for a call grows with the square of their number.
WINDOW = 256
MEASURED = 64  # the same, where an export is compared with the model
CHECKED = 64  # random tokens whose log-probabilities by Keras a manifest holds
COMPARED = 2048  # tokens of real text on which perplexities are compared


class ExportedLanguageModel(ExportedModel):
    """A language model in its runtime. Nothing is kept between calls: states are arguments and results.

    Several threads may call it at once, as any `ExportedModel`; what `stream` returns is one thread's at a time.

    Attributes:
        format: "onnx", "litert" or "saved_model".
        vocabulary_size: the number of ids.
        tokenizer: to and from ids; None where the export came without one.

    >>> loaded = keras_rnnlm.export.runtime.load("exported")
    >>> logits, states = loaded.step([10], loaded.initial_states(1))
    >>> logits.shape == (1, loaded.vocabulary_size)
    True
    """

    takes_text = True
    manifest = {
        "model": {"vocabulary_size": whole(2, 2**31 - 1), "states": [(TEXT, TEXT, whole(1, 2**31 - 1))]},
        "check": {"tokens": [COUNT], "log_probabilities": [NUMBER]},
    }

    def __init__(self, engine, kind, vocabulary_size, states, tokenizer=None, missing=None):
        """Args: missing: why there is no tokenizer."""
        super().__init__(engine, kind, {}, tokenizer, missing)
        self.vocabulary_size = vocabulary_size
        self._states = [tuple(state) for state in states]  # name, name when it comes out, width

    @classmethod
    def of(cls, engine, kind, about, tokenizer=None, missing=None):
        return cls(engine, kind, about["vocabulary_size"], about["states"], tokenizer, missing)

    def initial_states(self, batch_size=1):
        """Zeros: a list, layer by layer, each (batch_size, units)."""
        return [np.zeros((batch_size, units), "float32") for _, _, units in self._states]

    def step(self, tokens, states):
        """One token of each row, int (batch,), to the logits of the next, (batch, vocabulary), and the new states."""
        tokens = checks.check_ids(tokens, ("batch",), self.vocabulary_size)
        if not len(tokens):
            return np.zeros((0, self.vocabulary_size), "float32"), list(states)
        outputs = self.engine.step({"tokens": tokens, **self._named(states, len(tokens))})
        return outputs["logits"], [outputs[name] for _, name, _ in self._states]

    def logits(self, tokens, states=None):
        """Whole sequences, int (batch, time), to logits (batch, time, vocabulary) and the states at their end."""
        tokens = checks.check_ids(tokens, ("batch", "time"), self.vocabulary_size)
        states = self.initial_states(len(tokens)) if states is None else states
        parts = list(self._read(tokens, states))
        if not parts:
            return np.zeros((*tokens.shape, self.vocabulary_size), "float32"), list(states)
        return np.concatenate([logits for logits, _ in parts], axis=1), parts[-1][1]

    def _read(self, tokens, states, window=WINDOW):
        """Yields logits and states, `window` tokens at a time."""
        named = self._named(states, len(tokens))
        if not tokens.size:  # no step at all: some runtimes abort the process
            return
        for start in range(0, tokens.shape[1], window):
            part = np.ascontiguousarray(tokens[:, start : start + window])
            outputs = self.engine.run({"tokens": part, **named})
            named = {name: outputs[output] for name, output, _ in self._states}
            yield outputs["logits"], list(named.values())

    def score(self, text, window=WINDOW):
        """How probable a text is: a dict of `log_probability`, the total in nats, and `log_probabilities`, by token.

        Args:
            text: a string; or ids, of which the first is given and the others are predicted.
            window: tokens at a time, at least 1, which bounds the memory.
        """
        if not is_count(window):
            raise ValueError(f"`window` is a whole number, at least 1. Received: window={window!r}")
        ids = checks.check_ids(self._ids(text), vocabulary=self.vocabulary_size)
        found, targets = [], ids[1:]
        for logits, _ in self._read(ids[None, :-1], self.initial_states(1), window):
            logs = log_softmax(logits[0].astype("float64"))
            found += logs[np.arange(len(logs)), targets[len(found) : len(found) + len(logs)]].tolist()
        return {"tokens": targets.tolist(), "log_probability": math.fsum(found), "log_probabilities": found}

    def generate(self, prompt="", length=200, sampler=None, **options):
        """Continues a prompt, or several: the new text, or ids where ids came in.

        Args:
            prompt: a string; or a list of strings; or a list of lists of ids.
            length: tokens to write.
            sampler: of `keras_rnnlm.generation`: `Greedy()`, `Sample(...)`, `Beam(...)`. Default: `Sample()`.
            options: `seed`, `stop`, `repetition_penalty`, as in `keras_rnnlm.generation.generate`.
        """
        ids, are_texts = self._prompts(prompt)
        states = self.initial_states(len(ids))
        written = generation.generate(self.step, states, ids, length, sampler, prefill=self._prefill, **options)
        if not are_texts:
            return written
        texts = [generation.TextStream(self.tokenizer.decode, begun).whole(new) for begun, new in zip(ids, written)]
        return texts[0] if isinstance(prompt, str) else texts

    def stream(self, prompt="", length=200, sampler=None, **options):
        """Like `generate` for one prompt, but yields each piece of text, or each id, as soon as it is there."""
        ids, is_text = self._prompts([prompt])
        written = generation.stream(
            self.step, self.initial_states(1), ids, length, sampler, prefill=self._prefill, **options
        )
        new = (token for (token,) in written)
        return generation.TextStream(self.tokenizer.decode, ids[0]).pieces(new) if is_text else new

    def _prefill(self, tokens, mask, states):
        """Reads prompts side by side, each to its end, many tokens at a time."""
        lengths, states, start = mask.sum(axis=1), [state.copy() for state in states], 0
        for end in np.unique(lengths[lengths > 0]):
            rows = np.flatnonzero(lengths >= end)
            after = [state[rows] for state in states]
            for _, new in self._read(tokens[rows, start:end], after):
                after = new
            for state, new in zip(states, after):
                state[rows] = new
            start = end
        return states

    def _prompts(self, prompts):
        """The ids of each prompt, and whether they came as texts."""
        if isinstance(prompts, Iterable):
            prompts = [prompts] if isinstance(prompts, str) else list(prompts)
            texts = [isinstance(prompt, str) for prompt in prompts]
            if any(texts) and not all(texts):
                raise ValueError(f"Prompts are texts, or lists of ids, not both at once. Received: prompt={prompts!r}")
            prompts = [self._ids(prompt) for prompt in prompts]
        ids = checks.check_prompts(prompts, self.vocabulary_size)
        return ids, all(texts)

    def _ids(self, text):
        if not isinstance(text, str):
            return list(text) if isinstance(text, Iterator) else text
        return [self.reader().start, *self.tokenizer.encode(text).tolist()]

    def _named(self, states, batch):
        states = [np.ascontiguousarray(state, "float32") for state in states]
        wanted = [(batch, units) for _, _, units in self._states]
        if [state.shape for state in states] != wanted:
            raise ValueError(
                f"`states` are {len(wanted)} arrays of shapes {wanted}. Received: {[state.shape for state in states]}"
            )
        return {name: state for (name, _, _), state in zip(self._states, states)}

    # On the command line

    def show(self, options, settings, prompts):
        if options.score is not None:
            command.check_read(options, ("score",), "a text that is scored")
            found = self.score(options.score)
            print(json.dumps(found) if options.json else f"log-probability {found['log_probability']:.4f} nats")
            return
        command.show(
            options,
            prompts,
            texts=lambda: self.generate(prompts, **settings),
            pieces=lambda: self.stream(prompts[0], **settings),
        )

    # Beside the Keras model

    def check_of(self, rng, example):
        tokens = rng.integers(0, self.vocabulary_size, CHECKED + 1).tolist()
        return {"tokens": tokens, "log_probabilities": self.score(tokens, MEASURED)["log_probabilities"]}

    def error_of(self, check):
        return difference(check["log_probabilities"], self.score(check["tokens"])["log_probabilities"])

    @classmethod
    def check_manifest(cls, manifest):
        super().check_manifest(manifest)
        tokens = manifest["check"]["tokens"]
        if len(tokens) != len(manifest["check"]["log_probabilities"]) + 1:
            raise ValueError("it predicts fewer tokens than it holds")
        if max(tokens) >= manifest["model"]["vocabulary_size"]:
            raise ValueError(f"it holds the id {max(tokens)}, beyond the vocabulary")

    def perplexity(self, tokens):
        """Of a text in ids, of which the first is given."""
        return perplexity(-np.mean(self.score(tokens, MEASURED)["log_probabilities"]))

    @staticmethod
    def held_out(data, say):
        """The beginning of the text that a run was validated on; None where the run no longer has it, which is said."""
        if not (data / "index.json").is_file():
            say(f"{data} is not there: perplexities are not compared, only outputs on random tokens")
            return None
        try:
            index = json.loads((data / "index.json").read_text(encoding="utf-8"))
            split = next(index["splits"][name] for name in ("valid", "test", "train") if name in index["splits"])
            file, _, count, _ = split["shards"][0]
            shard = pathlib.Path(index.get("folder", data)) / file
            tokens = np.fromfile(shard, index["dtype"], min(count, COMPARED + 1)).astype("int32")
        except (OSError, ValueError, KeyError, IndexError, StopIteration, TypeError, AttributeError) as error:
            warnings.warn(
                f"{data / 'index.json'} is damaged ({type(error).__name__}: {error}): the export is not compared with "
                "the model on held-out text, only on random tokens",
                stacklevel=3,
            )
            return None
        return tokens if len(tokens) > 1 else None  # the first of which nothing predicts
