"""Named things in tags: which words each one spans, and how many of them were found."""

import collections
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


def with_beginnings(tags):
    """The same spans, each of which begins with a B, as those of is_bio do.

    >>> with_beginnings(["I-PER", "I-PER", "O", "I-LOC", "B-LOC"])
    ['B-PER', 'I-PER', 'O', 'B-LOC', 'B-LOC']
    """
    found, kind = [], None
    for tag in tags:
        letter, _, new = tag.partition("-")
        begins = letter == "I" and new != kind
        found.append(f"B-{new}" if begins else tag)
        kind = new if letter in ("B", "I") else None
    return found


def are_of_spans(tags):
    """Whether names of tags are O, B-TYPE and I-TYPE, in whatever way spans begin.

    >>> are_of_spans(["O", "I-PER"]), are_of_spans(["O"])
    (True, False)
    """
    return all(map(_BIO.fullmatch, tags)) and any(tag != "O" for tag in tags)


def span_scores(wanted, got, unknown=None, in_detail=False):
    """Precision, recall and F1 of the spans in lists of sentences' tags; all that is found has to be right.

    A span after which an `unknown` tag is wanted is never found: it may go on there. In detail the F1 of each kind of
    span by itself is told, too.

    >>> span_scores([["B-A", "I-A", "O"]], [["B-A", "I-A", "B-A"]])
    {'precision': 0.5, 'recall': 1.0, 'f1': 0.6666666666666666}
    """
    counts = _counted(wanted, got, unknown)
    found = _scores(*(sum(count.values()) for count in counts))
    kinds = set().union(*counts) - {(unknown or "").partition("-")[2]} if in_detail else ()
    return found | {f"f1_of_{kind}": _scores(*(count[kind] for count in counts))["f1"] for kind in sorted(kinds)}


def _counted(wanted, got, unknown):
    """How many spans of each kind are right, are wanted, and were found."""
    right, there, found = (collections.Counter() for _ in range(3))
    for one, other in zip(wanted, got, strict=True):
        tags, one, other = one, spans(one), spans(other)
        lost = {span for span in one if tags[span[2] : span[2] + 1] == [unknown]}
        right.update(kind for kind, *_ in (one - lost) & other)
        there.update(kind for kind, *_ in one)
        found.update(kind for kind, *_ in other)
    return right, there, found


def _scores(right, there, found):
    precision, recall = right / found if found else 0.0, right / there if there else 0.0
    return {"precision": precision, "recall": recall, "f1": 2 * right / (there + found) if there + found else 0.0}
