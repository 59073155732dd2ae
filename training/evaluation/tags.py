"""How well a tagger tags."""

import numpy as np

from keras_rnnlm.text.vocabulary import UNKNOWN
from keras_rnnlm.training import tasks
from keras_rnnlm.training.evaluation.spans import is_bio, span_scores
from keras_rnnlm.training.streams import Examples
from keras_rnnlm.viterbi import best_tags

UNKNOWN_TAG = "I-?"  # of a word whose tag the training text lacks: a span that is never found, where tags are BIO


class TagScorer(tasks.Scorer):
    """Scores sentences: the loss a word, the share of right tags, and of tags B-TYPE and I-TYPE the spans.

    Precision, recall and F1 are of spans that are right as a whole, as seqeval counts them. F1 says which model is
    best; where tags are no BIO, the accuracy does. In detail the F1 of each kind of span is told, too. A tag that the
    training text lacks is never given, and its word wrong; its sentence is left out of the loss.

    Args:
        labels: the names of the tags.
        batch: sentences side by side: it changes the speed alone.
    """

    larger_is_better = True

    def __init__(self, model, labels, batch=16):
        from keras_rnnlm.models.compiled import compiled

        super().__init__(model)
        self.labels, self.batch, self.has_spans = [*labels, UNKNOWN_TAG], batch, is_bio(labels)
        self.decides = "f1" if self.has_spans else "accuracy"
        self._read = compiled(model, lambda words, characters, tags: list(self._losses(words, characters, tags)))

    def _losses(self, words, characters, tags):
        return self.model.losses_of({"words": words, "characters": characters}, tags)

    def score(self, split, progress=None):
        import keras

        stream = Examples(split.lengths, self._element(split), self.batch, shuffle=False)
        chain, tags, losses = self.model.chain(), np.zeros(len(split.tokens), np.int32), np.zeros(len(split.tokens))
        steps = stream.steps()
        for number, ((chosen, _), (inputs, wanted)) in enumerate(zip(stream.chosen(), stream.batches())):
            given = [inputs["words"], inputs["characters"], np.maximum(wanted, 0)]
            logits, found = map(keras.ops.convert_to_numpy, self._read(*map(keras.ops.convert_to_tensor, given)))
            decoded = best_tags(logits, inputs["words"] != 0, **chain)
            for k, row in enumerate(chosen):
                begin, end = split.bounds[row], split.bounds[row + 1]
                tags[begin:end], losses[begin:end] = decoded[k, : end - begin], found[k, : end - begin]
            if progress is not None:
                progress(number + 1, steps)
        return self._measures(split, tags, losses)

    @staticmethod
    def _element(split):
        return lambda *which: (split.inputs(*which), split.labels_of_words(*which))

    def _measures(self, split, tags, losses):
        of = np.repeat(np.arange(len(split)), split.lengths)  # the sentence of each word
        known = ~np.isin(of, of[split.labels < 0])
        right, new = tags == split.labels, split.words[split.tokens] == UNKNOWN
        found = {"loss": float(losses[known].mean()) if known.any() else 0.0, "accuracy": float(right.mean())}
        if new.any():
            found["accuracy_of_new_words"] = float(right[new].mean())
        if self.has_spans:
            both = [self._named(ids, split.bounds) for ids in (split.labels, tags)]
            found |= span_scores(*both, UNKNOWN_TAG, self.in_detail)
        return found

    def _named(self, ids, bounds):
        return [[self.labels[k] for k in ids[a:b]] for a, b in zip(bounds, bounds[1:])]
