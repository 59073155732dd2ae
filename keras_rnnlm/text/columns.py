"""Sentences in columns: a word and what is known of it a line, an empty line between sentences, as CoNLL has them."""

import re

CONLL_U = 10  # columns: ID, FORM, LEMMA, UPOS, ...
_ID = re.compile(r"\d+")
_NO_WORD = re.compile(r"\d+[-.]\d+")  # the ID of several words that are written as one, or of one that is not written


class Columns:
    """Reads sentences.

    Columns are separated by tabs where the first line has one, else by white space. A line of white space alone ends
    a sentence. A line that begins a sentence with "# " is a comment, unless it has as many columns as the words have:
    "#", "#tag" and "1-2" may be words. Where the first column numbers the words and they are read from another, as in
    CoNLL-U, lines of the numbers "1-2" and "1.1" are passed over.

    Args:
        word, tag: which columns hold them, from 1 on. By default the first and the second; of ten columns, as CoNLL-U
            has them, the second and the fourth.

    >>> list(Columns().sentences(["The\\tD", "cat\\tN", "", "It\\tP"]))
    [(['The', 'cat'], ['D', 'N']), (['It'], ['P'])]
    """

    def __init__(self, word=None, tag=None):
        self.word, self.tag = word, tag

    def sentences(self, lines, name="the file", tags=True):
        """Yields the words and the tags of each sentence; without `tags`, words and None, and one column will do."""
        form, words, found = None, [], []
        for number, line in enumerate(lines, 1):
            line = line.rstrip("\r\n")
            if not line.strip(" \t"):
                if words:
                    yield words, found if tags else None
                words, found = [], []
                continue
            if _is_comment(line, form, begins=not words):
                continue
            form = form or _Form(line, self.word, self.tag if tags else None, tags, f"{name}, line {number}")
            cells = form.cells(line)
            if len(cells) != form.width:
                raise ValueError(
                    f"{name}, line {number}: {_columns(len(cells))}, and the lines before have {form.width}. Put an "
                    f"empty line between sentences, and the same columns into every other. Received: {line[:80]!r}"
                )
            if form.numbered and _NO_WORD.fullmatch(cells[0]):
                continue
            word, tag = cells[form.word], cells[form.tag] if tags else ""
            if not word or tags and not tag:
                raise ValueError(
                    f"{name}, line {number}: the {'word' if not word else 'tag'} is empty. Received: {line[:80]!r}"
                )
            words.append(word)
            found.append(tag)
        if words:
            yield words, found if tags else None


class _Form:
    """What the first line tells of all."""

    def __init__(self, line, word, tag, tags, where):
        self.separator = "\t" if "\t" in line else None
        cells = self.cells(line)
        self.width = len(cells)
        is_conll_u = self.width == CONLL_U and word is None and _ID.match(cells[0])
        self.word = (word or (2 if is_conll_u else 1)) - 1
        self.tag = (tag or (4 if is_conll_u else 2)) - 1
        self.numbered = self.word > 0 and _ID.match(cells[0]) is not None
        for what, column in (("words", self.word), ("tags", self.tag)):
            if column >= self.width and (what == "words" or tags):
                raise ValueError(
                    f"{where}: {_columns(self.width)}, and {what} are read from the column {column + 1}. "
                    f"Received: {line[:80]!r}"
                )

    def cells(self, line):
        return line.split() if self.separator is None else line.split(self.separator)


def _is_comment(line, form, begins):
    if not begins or not (line.startswith("# ") or line == "#"):
        return False
    # A space may be what separates the columns, and "#" a word.
    return "\t" not in line and (form is None or form.separator == "\t" or len(form.cells(line)) != form.width)


def _columns(count):
    return "1 column" if count == 1 else f"{count} columns"
