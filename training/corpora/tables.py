"""Tables as texts: every row of one column is a document."""

import dataclasses
import functools

from keras_rnnlm.training.corpora.table_files import format_of
from keras_rnnlm.training.corpora.text_files import TextDocument, TextFile, closed_text

# What a column of text is usually called. Where exactly one is called so, it is the one that is read.
USUAL = ("text", "review", "sentence", "content", "body", "comment", "message", "tweet", "document", "article")


def text_file(path, encoding="utf-8", column=None):
    """The file as text, or as a table where it is one."""
    file = TextFile(path, encoding)
    kind = format_of(file)
    return file if kind is None else Table(path, encoding, kind, column)


class Table(TextFile):
    """A file whose rows are texts, in the column that was asked for, or in the one that plainly is the text's."""

    def __init__(self, path, encoding, kind, wanted=None):
        super().__init__(path, encoding)
        self._kind, self._wanted = kind, wanted

    @functools.cached_property
    def rows(self):
        return self._kind(self, self._wanted)

    @functools.cached_property
    def column(self):
        """The name of the column that is read."""
        columns, wanted = self.rows.columns, self._wanted
        if wanted in columns:
            return wanted
        if wanted is not None:
            raise ValueError(f"{self.name} has no column {wanted!r}. {self.listing()}")
        texts = [name for name, is_text in columns.items() if is_text]
        usual = [name for name in texts if name.lower() in USUAL]
        for plain in (usual, texts):
            if len(plain) == 1:
                return plain[0]
        raise ValueError(
            f"{self.name} is a table, and no column is plainly its text: name one by `--text-column NAME` "
            f'(text_column="NAME"). {self.listing()} To learn the file as it stands, with its signs, pass it as `-`.'
        )

    def listing(self):
        """Which columns there are, for a message."""
        columns = self.rows.columns
        found = [repr(name) if is_text else f"{name!r} (no text)" for name, is_text in columns.items()]
        return f"It has the columns {', '.join(found)}." if found else "It has no columns."

    def document(self):
        return Rows(self)

    def is_binary(self):
        return False

    def texts(self):
        """Yields (number of the line or row, text that ends in a line end), without the empty ones."""
        for number, cell in self.rows.cells(self.column):
            text = self.checked(number, cell)
            if text is not None:
                yield number, text

    def checked(self, number, cell):
        """A cell of the column as a text that ends in a line end, or None: it is empty."""
        if cell is None or cell == "":
            return None
        if not isinstance(cell, str):
            raise ValueError(
                f"{self.place(number)}: {self.column!r} is a text in every row. Received: {str(cell)[:60]!r}"
            )
        try:
            cell.isascii() or cell.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"{self.place(number)}: {self.column!r} is no text of Unicode: {error}") from error
        return closed_text(cell)

    def place(self, number):
        return f"{self.name}, {self.rows.counted} {number:,}"


@dataclasses.dataclass(frozen=True)
class Rows:
    """The rows of a table that begin from the character `start` to the one before `stop`, each a document."""

    file: Table
    start: int = 0
    stop: int | None = None

    @property
    def name(self):
        return self.file.name

    def __iter__(self):
        position = 0
        for number, text in self.file.texts():
            if self.stop is not None and position >= self.stop:
                self.file.check()
                return
            if position >= self.start:
                yield TextDocument(self.file.place(number), text)
            position += len(text)

    def length(self):
        return sum(len(text) for _, text in self.file.texts())

    def cut_from(self, position, limit):
        """The place of the first row that begins there or later."""
        here = 0
        for _, text in self.file.texts():
            if here >= position:
                break
            here += len(text)
        return here

    def describe(self):
        """What its texts depend on, for a fingerprint."""
        return [self.file.path, *self.file.stamp, self.file.encoding, self.file.column, self.start, self.stop]
