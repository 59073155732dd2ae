"""What was exported, as something to call."""

import math

import numpy as np

from keras_rnnlm import generation
from keras_rnnlm.generation.beam import log_softmax


class ExportedModel:
    """A model in its runtime: `run(inputs)` from a dict of numpy arrays to a dict of numpy arrays.

    Several threads may call it at once. ONNX Runtime and TensorFlow compute side by side. In LiteRT calls take turns: a
    second interpreter would hold the weights a second time. Where that is worth it, load the file once more.
    """

    def __init__(self, engine, kind):
        self.engine, self.format = engine, kind

    def run(self, inputs):
        return self.engine.run(inputs)


class ExportedLanguageModel(ExportedModel):
    """A language model in its runtime. Nothing is kept between calls: states are arguments and results.

    Several threads may call it at once, as any `ExportedModel`; what `stream` returns is one thread's at a time.

    Attributes:
        format: "onnx", "litert" or "saved_model".
        vocabulary_size: the number of ids.
        tokenizer: to and from ids; None where the export came without one.
    """

    def __init__(self, engine, kind, vocabulary_size, states, tokenizer=None):
        super().__init__(engine, kind)
        self.vocabulary_size, self.tokenizer = vocabulary_size, tokenizer
        self._states = [tuple(state) for state in states]  # name, name when it comes out, width

    def initial_states(self, batch_size=1):
        """Zeros: a list, layer by layer, each (batch_size, units)."""
        return [np.zeros((batch_size, units), "float32") for _, _, units in self._states]

    def step(self, tokens, states):
        """One token of each row, int (batch,), to the logits of the next, (batch, vocabulary), and the new states."""
        tokens = self._checked(tokens, 1)
        if not len(tokens):
            return np.zeros((0, self.vocabulary_size), "float32"), list(states)
        outputs = self.engine.step({"tokens": tokens, **self._named(states, len(tokens))})
        return outputs["logits"], [outputs[name] for _, name, _ in self._states]

    def logits(self, tokens, states=None):
        """Whole sequences, int (batch, time), to logits (batch, time, vocabulary) and the states at their end."""
        tokens = self._checked(tokens, 2)
        states = self.initial_states(len(tokens)) if states is None else states
        named = self._named(states, len(tokens))
        if not tokens.size:  # no step at all: some runtimes abort the process
            return np.zeros((*tokens.shape, self.vocabulary_size), "float32"), list(states)
        outputs = self.engine.run({"tokens": tokens, **named})
        return outputs["logits"], [outputs[name] for _, name, _ in self._states]

    def score(self, text, window=256):
        """How probable a text is: a dict of `log_probability`, the total in nats, and `log_probabilities`, by token.

        Args:
            text: a string; or ids, of which the first is given and the others are predicted.
            window: tokens at a time, which bounds the memory.
        """
        ids = self._checked(self._ids(text), 1)
        found, states = [], self.initial_states(1)
        for start in range(0, len(ids) - 1, window):
            part = ids[start : start + window + 1]
            logits, states = self.logits(part[None, :-1], states)
            logs = log_softmax(logits[0].astype("float64"))
            found += logs[np.arange(len(logs)), part[1:]].tolist()
        return {"tokens": ids[1:].tolist(), "log_probability": math.fsum(found), "log_probabilities": found}

    def generate(self, prompt="", length=200, sampler=None, **options):
        """Goes on from a prompt, or from several: the new text, or ids where ids came in.

        Args:
            prompt: a string; or a list of strings; or a list of lists of ids.
            length: tokens to write.
            sampler: of `keras_rnnlm.generation`: `Greedy()`, `Sample(...)`, `Beam(...)`. Default: `Sample()`.
            options: `seed`, `stop`, `repetition_penalty`, as in `keras_rnnlm.generation.generate`.
        """
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        ids = [self._ids(p) for p in prompts]
        states = self.initial_states(len(ids))
        written = generation.generate(self.step, states, ids, length, sampler, prefill=self._prefill, **options)
        if prompts and not isinstance(prompts[0], str):
            return written
        texts = [generation.TextStream(self.tokenizer.decode, begun).whole(new) for begun, new in zip(ids, written)]
        return texts[0] if isinstance(prompt, str) else texts

    def stream(self, prompt="", length=200, sampler=None, **options):
        """Like `generate` for one prompt, but yields each piece of text, or each id, as soon as it is there."""
        ids = self._ids(prompt)
        written = generation.stream(
            self.step, self.initial_states(1), [ids], length, sampler, prefill=self._prefill, **options
        )
        new = (token for (token,) in written)
        return generation.TextStream(self.tokenizer.decode, ids).pieces(new) if isinstance(prompt, str) else new

    def _prefill(self, tokens, mask, states):
        """Reads prompts at once where they are equally long, else step by step."""
        if mask.all():
            return self.logits(tokens, states)[1]
        for place in range(tokens.shape[1]):
            _, new = self.step(tokens[:, place], states)
            states = [np.where(mask[:, place, None], n, s) for n, s in zip(new, states)]
        return states

    def _ids(self, text):
        if not isinstance(text, str):
            return [int(id) for id in text]
        if self.tokenizer is None:
            raise ValueError(
                "This export came without its tokenizer.json, so it takes ids, not text: put the file beside it"
            )
        return [self.tokenizer.start, *self.tokenizer.encode(text).tolist()]

    def _checked(self, tokens, dimensions):
        tokens = np.asarray(tokens)
        if tokens.ndim != dimensions or (tokens.size and tokens.dtype.kind not in "iu"):
            raise ValueError(
                f"Tokens are integers of shape {'(batch,)' if dimensions == 1 else '(batch, time)'}. "
                f"Received: {tokens.dtype} of shape {tokens.shape}"
            )
        if tokens.size and not 0 <= tokens.min() <= tokens.max() < self.vocabulary_size:
            raise ValueError(
                f"Ids are from 0 to {self.vocabulary_size - 1}. Received: ids from {tokens.min()} to {tokens.max()}"
            )
        return np.ascontiguousarray(tokens, "int32")

    def _named(self, states, batch):
        states = [np.ascontiguousarray(state, "float32") for state in states]
        wanted = [(batch, units) for _, _, units in self._states]
        if [state.shape for state in states] != wanted:
            raise ValueError(
                f"`states` are {len(wanted)} arrays of shapes {wanted}. Received: {[state.shape for state in states]}"
            )
        return {name: state for (name, _, _), state in zip(self._states, states)}
