"""Sentences in columns: a word and what is known of it a line, an empty line between sentences, as CoNLL has them."""

import re

CONLL_U = 10  # columns: ID, FORM, LEMMA, UPOS, ...
_ID = re.compile(r"\d+")
_NO_WORD = re.compile(r"\d+[-.]\d+")  # the ID of several words that are written as one, or of one that is not written


class Columns:
    """Reads sentences.

    Columns are separated by tabs where the first line has one, else by white space. A line of white space alone ends
    a sentence. A line that begins a sentence with "# " is a comment, unless it has as many columns as the words have:
    "#", "#tag" and "1-2" may be words. A line that begins a sentence and holds "-DOCSTART-", as CoNLL-2003 begins a
    document, is passed over. Where the first column numbers the words and they are read from another, as in CoNLL-U,
    lines of the numbers "1-2" and "1.1" are passed over.

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
        for rows, form in self._sentences(lines, name, tags):
            words, found = form.of(rows)
            yield words, found if tags else None

    def placed(self, lines, name="the file"):
        """As `sentences`, and the number of each word's line, from 1 on."""
        for rows, form in self._sentences(lines, name, tags=True):
            yield *form.of(rows), [number for number, _ in rows]

    def unlabelled(self, lines, name, vocabulary):
        """The words of each sentence of a file whose tags, if any, are not read.

        A ValueError where it plainly has a sentence a line: all but the first word of each would be passed over.
        """
        found = list(self._sentences(lines, name, tags=False))
        if found and _has_a_sentence_a_line(found, vocabulary):
            cells = found[0][0][0][1]
            raise ValueError(
                f"{name}: {_columns(len(cells))} without tags, of which only one is read: put one word a line, and an "
                f"empty line between sentences. Received: {' '.join(cells)[:80]!r}"
            )
        return [form.of(rows)[0] for rows, form in found]

    def _sentences(self, lines, name, tags):
        """The number and the cells of each line of a sentence, and the `_Form` of all."""
        form, rows = None, []
        for number, line in enumerate(lines, 1):
            line = line.rstrip("\r\n")
            if not line.strip(" \t"):
                if rows:
                    yield rows, form
                rows = []
                continue
            if not rows and "-DOCSTART-" in line.split():
                continue
            if _is_comment(line, form, begins=not rows):
                continue
            form = form or _Form(line, self.word, self.tag if tags else None, tags, f"{name}, line {number}")
            cells = form.cells(line)
            if len(cells) != form.width:
                raise ValueError(
                    f"{name}, line {number}: {_columns(len(cells))}, and the lines before have {form.width}. Put one "
                    "word a line, each with the same columns, and an empty line between sentences. "
                    f"Received: {line[:80]!r}"
                )
            if form.numbered and _NO_WORD.fullmatch(cells[0]):
                continue
            word, tag = cells[form.word], cells[form.tag] if tags else ""
            if not word or tags and not tag:
                raise ValueError(
                    f"{name}, line {number}: the {'word' if not word else 'tag'} is empty. Received: {line[:80]!r}"
                )
            rows.append((number, cells))
        if rows:
            yield rows, form


class _Form:
    """What the first line tells of all."""

    def __init__(self, line, word, tag, tags, where):
        self.separator, self.tags = "\t" if "\t" in line else None, tags
        cells = self.cells(line)
        self.width = len(cells)
        is_conll_u = self.width == CONLL_U and _ID.match(cells[0])
        word = None if self.width == 1 and not tags else word  # words alone
        self.word = (word or (2 if is_conll_u else 1)) - 1
        self.tag = (tag or (4 if is_conll_u else 2)) - 1
        if tags and self.word == self.tag:
            raise ValueError(
                f"{where}: words and tags are read from the same column, {self.tag + 1}: name another one. "
                f"Received: {line[:80]!r}"
            )
        self.numbered = self.word > 0 and _ID.match(cells[0]) is not None
        for what, column in (("words", self.word), ("tags", self.tag)):
            if column >= self.width and (what == "words" or tags):
                raise ValueError(
                    f"{where}: {_columns(self.width)}, and {what} are read from the column {column + 1}. "
                    f"Received: {line[:80]!r}"
                )

    def of(self, rows):
        """The words of a sentence, and where they are read its tags."""
        return [cells[self.word] for _, cells in rows], [cells[self.tag] for _, cells in rows] if self.tags else None

    def cells(self, line):
        return line.split() if self.separator is None else line.split(self.separator)


def _is_comment(line, form, begins):
    if not begins or not (line.startswith("# ") or line == "#"):
        return False
    # A space may be what separates the columns, and "#" a word.
    return "\t" not in line and (form is None or form.separator == "\t" or len(form.cells(line)) != form.width)


def _has_a_sentence_a_line(found, vocabulary):
    """Whether what spaces separate are words of a sentence: no tags are among them, and most of them are known words.

    Or each sentence is one line: a file in columns has longer ones.
    """
    form, labels, known = found[0][1], set(vocabulary.labels), set(vocabulary.words)
    lines = [cells for rows, _ in found for _, cells in rows]
    others = [k for k in range(form.width) if k != form.word]
    if form.separator is not None or not others:
        return False
    if any(2 * sum(cells[k] in labels for cells in lines) >= len(lines) for k in others):
        return False
    if all(len(rows) == 1 for rows, _ in found):
        return True
    words = sum((cells[k].lower() if vocabulary.lower else cells[k]) in known for cells in lines for k in others)
    return 2 * words > len(lines) * len(others)


def _columns(count):
    return "1 column" if count == 1 else f"{count} columns"
