"""BLEU and chrF of what a model wrote, as sacrebleu computes them."""

from keras_rnnlm.installed import import_extra


def import_sacrebleu():
    return import_extra("sacrebleu", "`--bleu`", "sacrebleu", "bleu")


def bleu(written, references):
    """BLEU and chrF of texts beside a list of references for each, of which there may be one or several.

    Returns:
        A dict: `bleu` and `chrf`, both of 0 to 100, over all texts, with sacrebleu's own cutting into words.

    >>> bleu(["a cat sat on the mat"], [["the cat sat on the mat", "a cat sat on the mat"]])["bleu"]
    100.0
    """
    sacrebleu = import_sacrebleu()
    # The first references of all, then the second of all, and so on.
    most = max(map(len, references))
    columns = [[right[k] if k < len(right) else None for right in references] for k in range(most)]
    metrics = {"bleu": sacrebleu.BLEU(), "chrf": sacrebleu.CHRF()}
    return {name: round(metric.corpus_score(written, columns).score, 4) for name, metric in metrics.items()}
