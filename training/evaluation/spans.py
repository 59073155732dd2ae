"""Named things in tags: which words each one spans, and how many of them were found."""

import re

_BIO = re.compile(r"O|[BI]-.+")


def is_bio(tags):
    """Whether names of tags are O, B-TYPE and I-TYPE, as those of named things are.

    >>> is_bio(["O", "B-PER", "I-PER"]), is_bio(["NOUN", "O"]), is_bio(["O"])
    (True, False, False)
    """
    return all(map(_BIO.fullmatch, tags)) and any(tag.startswith("B-") for tag in tags)


def spans(tags):
    """The spans of a sentence's tags: a set of (type, first word, word after the last).

    An I begins one, too, where nothing of its type goes before it, as conlleval and seqeval have it.

    >>> sorted(spans(["B-PER", "I-PER", "O", "I-LOC", "B-LOC"]))
    [('LOC', 3, 4), ('LOC', 4, 5), ('PER', 0, 2)]
    """
    found, begun, kind = set(), 0, None
    for k, tag in enumerate([*tags, "O"]):
        letter, _, new = tag.partition("-")
        if letter == "I" and new == kind:
            continue
        if kind is not None:
            found.add((kind, begun, k))
        begun, kind = k, new if letter in ("B", "I") else None
    return found


def span_scores(wanted, got):
    """Precision, recall and F1 of the spans in lists of sentences' tags; all that is found has to be right.

    >>> span_scores([["B-A", "I-A", "O"]], [["B-A", "I-A", "B-A"]])
    {'precision': 0.5, 'recall': 1.0, 'f1': 0.6666666666666666}
    """
    right = there = found = 0
    for one, other in zip(wanted, got, strict=True):
        one, other = spans(one), spans(other)
        right, there, found = right + len(one & other), there + len(one), found + len(other)
    precision, recall = right / found if found else 0.0, right / there if there else 0.0
    return {"precision": precision, "recall": recall, "f1": 2 * right / (there + found) if there + found else 0.0}
