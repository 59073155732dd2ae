"""Questions with the sentences that may answer them: SQuAD's JSON, JSON lines, rows of a table.

And the two simple rules by which a passage is cut into sentences, and a text into words.
"""

import json
import re
import typing

from keras_rnnlm.schema import is_whole

_WORD = re.compile(r"\w+|[^\w\s]")
_END = re.compile(r"""[.!?]["'”’)\]]*\s+(?=["'“‘(\[]*[^\W_a-z])|\n""")
_FIRST = re.compile(r"""["'“‘(\[]*.""")
_SHORT = re.compile(
    r"""["'“‘(\[]*(?:(?:[^\W\d_]\.)+|(?:Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|Gen|Col|Lt|Rev|Mt|No|vs|ca|cf|al|Inc|Ltd|Co)\.)"""
)
KEYS = '{"question": ..., "sentences": [...], "right": 0}, or {"question": ..., "context": ..., "answers": ...}'


class Question(typing.NamedTuple):
    """A question and the sentences of its passage.

    Attributes:
        question: its text.
        sentences: their texts, a tuple, in their order.
        right: the number of the one that answers it, from 0 on; None where that is not told.
        place: where it was read, for messages.
    """

    question: str
    sentences: tuple
    right: int | None = None
    place: str = ""


def words_of(text):
    """The words of a text in lower case: letters and digits that stand together; any other sign is a word by itself.

    >>> words_of("Who won Super Bowl 50?")
    ['who', 'won', 'super', 'bowl', '50', '?']
    """
    return [word.lower() for word in _WORD.findall(text)]


def sentences_of(passage):
    """The sentences of a passage, each with the place where it begins.

    A sentence ends at a line end, and at ".", "!" or "?" where white space follows and then a capital letter or a
    digit, quotation marks and brackets aside. It does not end after single letters and usual short forms: "J.", "U.S.",
    "Dr.".

    >>> sentences_of("Dr. No left. Who saw him? Nobody.")
    [(0, 'Dr. No left.'), (13, 'Who saw him?'), (26, 'Nobody.')]
    """
    found, begin = [], 0
    for match in _END.finditer(passage):
        last = passage[begin : match.start() + 1].split()[-1:]
        if passage[match.start()] == "." and last and _SHORT.fullmatch(last[0]):
            continue
        if "\n" not in match[0] and _FIRST.match(passage, match.end())[0][-1].islower():
            continue  # a small letter of another alphabet
        found.append((begin, match.end()))
        begin = match.end()
    found.append((begin, len(passage)))
    spans = [(a + len(text) - len(text.lstrip()), text.strip()) for a, b in found for text in [passage[a:b]]]
    return [(begin, text) for begin, text in spans if text]


def questions(lines, name="the file"):
    """Yields the `Question`s of a file.

    It holds SQuAD's JSON, or an object a line, or a list of objects: a question with its `sentences` and the number of
    the `right` one, or with a `context` that is cut into sentences, of which the one is right that holds the first
    `answer_start` in `answers`.
    """
    text = "\n".join(line.rstrip("\r\n") for line in lines)
    try:
        whole = json.loads(text)
    except RecursionError as error:
        raise ValueError(f"{name} is nested too deep") from error
    except ValueError:
        whole = None
    if isinstance(whole, dict) and isinstance(whole.get("data"), list):
        yield from _of_squad(whole["data"], name)
    elif isinstance(whole, list):
        for number, row in enumerate(whole, 1):
            yield question_of(row, f"{name}, object {number:,}")
    else:
        for number, line in enumerate(text.split("\n"), 1):
            if not line.strip():
                continue
            place = f"{name}, line {number:,}"
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{place}: an object of JSON is {KEYS}. Received: {line[:60]!r}") from error
            yield question_of(row, place)


def _of_squad(articles, name):
    for article in articles:
        title = article.get("title", "without a title") if isinstance(article, dict) else article
        try:
            for paragraph in article["paragraphs"]:
                for row in paragraph["qas"]:
                    yield question_of({**row, "context": paragraph["context"]}, f"{name}, article {title!r}")
        except (TypeError, KeyError) as error:
            raise ValueError(
                f"{name}, article {title!r}: in SQuAD's JSON an article has `paragraphs`, and each of these "
                f"a `context` and `qas` ({type(error).__name__}: {error})"
            ) from error


def question_of(row, place):
    """The `Question` of an object, or of a row of a table."""
    if not isinstance(row, dict) or not isinstance(row.get("question"), str) or not row["question"].strip():
        raise _wrong(place, row)
    asked = _checked(row["question"].strip(), place)
    if "sentences" in row:
        sentences, right = row["sentences"], row.get("right")
        if not _are_texts(sentences):
            raise ValueError(f"{place}: `sentences` is a list of texts, one or more. Received: {sentences!r:.60}")
        if right is not None and not (is_whole(right, 0) and right < len(sentences)):
            raise ValueError(
                f"{place}: `right` is the number of the right sentence, from 0 to {len(sentences) - 1}. "
                f"Received: {right!r:.60}"
            )
        if right is not None and not words_of(sentences[right]):
            raise ValueError(f"{place}: the right sentence has no words. Received: {sentences[right]!r}")
        return Question(asked, tuple(_checked(text, place) for text in sentences), right, place)
    passage = row.get("context")
    if not isinstance(passage, str) or not passage.strip():
        raise _wrong(place, row)
    found, start = sentences_of(_checked(passage, place)), _start(row, place)
    if start is not None and start >= len(passage):
        raise ValueError(
            f"{place}: an answer begins in its context, which has {len(passage):,} characters. "
            f"Received: answer_start={start}"
        )
    right = None if start is None else max(k for k, (begin, _) in enumerate(found) if begin <= start or not k)
    return Question(asked, tuple(text for _, text in found), right, place)


def _checked(text, place):
    try:
        text.isascii() or text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{place}: this is no text of Unicode: {error}") from error
    return text


def _start(row, place):
    """The first `answer_start`; None where there is none."""
    answers = row.get("answers")
    if isinstance(answers, dict):  # a list of each, as tables have them
        starts = answers.get("answer_start")
    else:
        starts = [one.get("answer_start") if isinstance(one, dict) else one for one in _listed(answers)]
    starts = _listed(starts)
    if not starts:
        return None
    if not is_whole(starts[0], 0):
        raise ValueError(f"{place}: `answer_start` is a whole number, 0 or above. Received: {starts[0]!r:.60}")
    return int(starts[0])


def _listed(value):
    return [] if value is None else value if isinstance(value, (list, tuple)) else [value]


def _are_texts(value):
    return isinstance(value, (list, tuple)) and len(value) > 0 and all(isinstance(text, str) for text in value)


def _wrong(place, row):
    received = ", ".join(map(str, row)) if isinstance(row, dict) else repr(row)
    return ValueError(f"{place}: a question is {KEYS}. Received: {received:.80}")
