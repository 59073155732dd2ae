"""How well sentences are ranked for questions, by a model and by their words alone."""

import numpy as np

from keras_rnnlm.training import tasks


def of_ranks(scores, right):
    """The mean reciprocal rank of the right ones and the accuracy at 1, of lists of scores. Of equals the first wins.

    >>> of_ranks([[0.1, 0.7, 0.2], [0.5, 0.5]], [2, 0])
    {'mrr': 0.75, 'accuracy': 0.5}
    """
    ranks = [_rank(np.asarray(found), k) for found, k in zip(scores, right)]
    return {"mrr": float(np.mean([1 / rank for rank in ranks])), "accuracy": float(np.mean([r == 1 for r in ranks]))}


def _rank(scores, right):
    """From 1; the last where a score is no number."""
    return 1 + int((~(scores[:right] < scores[right])).sum() + (~(scores[right + 1 :] <= scores[right])).sum())


class RankScorer(tasks.Scorer):
    """The loss a question, the mean reciprocal rank, which decides, and the accuracy: how often the right one is first.

    Args:
        batch: questions side by side: it changes the speed alone.
    """

    decides, larger_is_better = "mrr", True

    def __init__(self, model, batch=16):
        from keras_rnnlm.models.compiled import compiled

        super().__init__(model)
        self.batch = batch
        self._logits = compiled(model, lambda inputs: model(inputs))

    def score(self, split, progress=None):
        from keras import ops, tree

        stream, scores, right = split.stream(self.batch, shuffle=False), [], []
        for k, (inputs, wanted, weights) in enumerate(stream.batches()):
            logits = self._logits(tree.map_structure(ops.convert_to_tensor, inputs))
            found = ops.convert_to_numpy(ops.cast(logits, "float32")).astype("float64")
            scores += list(found[weights > 0])
            right += list(wanted[weights > 0])
            if progress is not None:
                progress(k + 1, stream.steps())
        losses = [np.logaddexp.reduce(found) - found[k] for found, k in zip(scores, right)]
        return {"loss": float(np.mean(losses)), **of_ranks(scores, right), "questions": len(right)}


def tf_idf(question, sentences, weights):
    """The cosine of a question and each of its sentences, as vectors of each word's count by its weight.

    Args:
        question: the numbers of its words.
        sentences: those of the words of each.
        weights: the inverse document frequency of a word, by its number.

    >>> tf_idf([0, 1], [[0, 0, 2], [1], [2]], np.array([0.1, 1.0, 0.5])).round(3)
    array([0.037, 0.995, 0.   ])
    """
    words, asked = np.unique(question, return_counts=True)
    asked, scores = asked * weights[words], []
    length = np.linalg.norm(asked)
    for sentence in sentences:
        own, counts = np.unique(sentence, return_counts=True)
        found = counts * weights[own]
        _, mine, its = np.intersect1d(words, own, return_indices=True)
        scores.append(asked[mine] @ found[its] / max(length * np.linalg.norm(found), 1e-12))
    return np.array(scores)


def shared_words(question, sentences, weights):
    """The sum of the weights of the words that a sentence has of the question, each counted once."""
    return np.array([weights[np.intersect1d(question, sentence)].sum() for sentence in sentences])
