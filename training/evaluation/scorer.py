"""How well a model predicts a text, in units that can be compared."""

import math

import numpy as np

from keras_rnnlm.perplexity import perplexity
from keras_rnnlm.training import tasks
from keras_rnnlm.training.streams import Contiguous, Sentences


def reading(recipe, tokenizer):
    """How the model of a run reads a text, as options of `Scorer`: on and on, or sentence by sentence."""
    by_sentence = {"end": tokenizer.eos, "window": recipe.window} if recipe.mode == "sentences" else {"end": None}
    return {"start": tokenizer.start, **by_sentence}


class Scorer(tasks.Scorer):
    """Scores texts by a language model.

    Args:
        model: a `LanguageModel`.
        start: the token before a text's first.
        batch: the text is cut into as many rows, each with states that are carried from its first token to its last.
            1, as published tables have it, never forgets; more is faster, and at the start of each row but the first
            the model has read one token only.
        window: tokens that are computed at once. It changes the speed alone.
        end: for a model that learnt from sentences by themselves: the token that ends one. Each is then scored by
            itself, however many there are in a batch, and `window` is where the longer ones are cut.

    >>> model = keras_rnnlm.models.LanguageModel(10, units=4, layers=1)
    >>> found = Scorer(model, start=0).score(np.arange(40) % 10)
    >>> 9 < found["perplexity"] < 11  # it has learned nothing yet
    True
    """

    def __init__(self, model, *, start, batch=1, window=64, end=None):
        from keras_rnnlm.models.compiled import compiled

        self.model, self.start, self.batch, self.window, self.end = model, start, batch, window, end
        self._read_by_model = compiled(model, self._model_reads)

    def _model_reads(self, tokens, targets, states):
        """One window: what `_read` is given of it, and the new states."""
        return self.model.losses_of(tokens, targets, states)

    def _read(self, tokens, targets, states):
        """The losses of one window, (rows, time), and the new states. Windows come in the order of the text."""
        return self._read_by_model(tokens, targets, states)

    def score(self, tokens, progress=None):
        """The mean loss in nats a token, and its perplexity."""
        loss = float(np.mean(self.losses(tokens, progress), dtype=np.float64))
        return {"loss": loss, "perplexity": perplexity(loss)}

    def losses(self, tokens, progress=None):
        """`-log p` in nats of every token, float32, in the order of the text. `progress(done, windows)` is told."""
        if not len(tokens):
            raise ValueError("There is nothing to evaluate: the text has no tokens.")
        batch = min(self.batch, len(tokens))
        if self.end is None:
            rows = [[] for _ in range(batch)]
            for losses, weights in self._scored(self._stream(tokens), progress):
                for row, row_losses, row_weights in zip(rows, losses, weights):
                    row.append(row_losses[row_weights > 0])
            return np.concatenate([part for row in rows for part in row])
        stream = self._stream(tokens)
        places = [stream._bounds[batch] for batches, _ in stream._pools(0, 0) for batch in batches]
        found = np.empty(len(tokens), np.float32)
        for begins, (losses, weights) in zip(places, self._scored(stream, progress)):
            for begin, row_losses, row_weights in zip(begins, losses, weights):
                scored = row_losses[row_weights > 0]
                found[begin : begin + len(scored)] = scored
        return found

    def _stream(self, tokens):
        batch = min(self.batch, len(tokens))
        if self.end is None:
            return Contiguous(tokens, batch, self.window, start=self.start)
        return Sentences(tokens, batch, end=self.end, start=self.start, longest=self.window, shuffle=False)

    def _scored(self, stream, progress):
        """For each window its losses and weights, arrays of (rows, time)."""
        import keras

        carry = self.end is None
        fresh = states = self.model.initial_states(stream.batch)
        steps = stream.steps()  # of a long text not found in no time
        for number, (inputs, targets, weights) in enumerate(stream.windows()):
            read = [keras.ops.convert_to_tensor(array) for array in (inputs["tokens"] if carry else inputs, targets)]
            losses, states = self._read(*read, states if carry else fresh)
            if progress is not None:
                progress(number + 1, steps)
            yield keras.ops.convert_to_numpy(losses), weights


def measures(losses, counts, unknown=None):
    """What is said of a text's losses.

    Args:
        losses: `-log p` of every token, in nats.
        counts: an `EncodedSplit`, or anything with its `characters`, `bytes` and `words`.
        unknown: booleans, which tokens stand for an unknown word; None where there are none.

    Returns:
        A dict: the numbers of tokens, characters, bytes and words; nats and bits per token, per character and per byte;
        the perplexity per token and per word; and the share of unknown words and the perplexity without them.

    >>> import types
    >>> found = measures(np.full(4, np.log(8)), types.SimpleNamespace(characters=12, bytes=12, words=2))
    >>> found["bits_per_token"], found["bits_per_character"], round(found["word_perplexity"], 6)
    (3.0, 1.0, 64.0)
    """
    total = float(np.sum(losses, dtype=np.float64))
    result = {"tokens": len(losses), "characters": counts.characters, "bytes": counts.bytes, "words": counts.words}
    for name, count in (("token", len(losses)), ("character", counts.characters), ("byte", counts.bytes)):
        if count:
            result |= {f"nats_per_{name}": total / count, f"bits_per_{name}": total / count / math.log(2)}
    result["perplexity"] = perplexity(total / len(losses))
    if counts.words:
        result["word_perplexity"] = perplexity(total / counts.words)
    if unknown is not None and unknown.any():
        known = losses[~unknown]
        result["unknown"] = float(np.mean(unknown))
        if len(known):
            result["perplexity_without_unknown"] = perplexity(float(np.mean(known, dtype=np.float64)))
    return result
