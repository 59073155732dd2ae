"""Files of rows, read one after the other in bounded memory: CSV, TSV, JSON lines, lists of JSON objects, Parquet."""

import contextlib
import csv
import io
import itertools
import json
import os
import re

from keras_rnnlm.training.corpora.text_files import LONGEST_LINE

LOOKED_AT = 100  # rows that tell which columns hold text


class Separated:
    """CSV and its relatives, with or without a header. Without one the columns are called "1", "2", ...

    Attributes:
        columns: dict of each column's name to whether it holds text, by the first rows.
    """

    counted = "line"

    def __init__(self, file, wanted=None):
        self.file = file
        # Above the limit of Python's module, which is global; below, a mark that is never closed takes all memory.
        csv.field_size_limit(max(csv.field_size_limit(), LONGEST_LINE))
        first = re.sub(r'"[^"]*"', "", next(_lines(file), ""))
        self.separator = "\t" if file.path.removesuffix(".gz").endswith(".tsv") else max(",;\t", key=first.count)
        rows = [cells for _, cells in itertools.islice(self._rows(), LOOKED_AT)] or [[]]
        self.width = len(rows[0])
        named = [name.strip() for name in rows[0]]
        by_number = wanted in map(str, range(1, self.width + 1)) and wanted not in named
        self.has_header = wanted in named or (
            _is_header(named) and not (by_number and _is_like(int(wanted) - 1, named, rows[1:]))
        )
        names = named if self.has_header else [str(number) for number in range(1, self.width + 1)]
        self.numbers = {}
        for number, name in [*enumerate(names), *([(int(wanted) - 1, wanted)] if by_number else [])]:
            self.numbers.setdefault(name, number)
        rows = rows[self.has_header :]
        self.columns = {name: _is_text(row[k] for row in rows if k < len(row)) for name, k in self.numbers.items()}

    def cells(self, column):
        """Yields (line, cell)."""
        number = self.numbers[column]
        for line, cells in itertools.islice(self._rows(), int(self.has_header), None):
            if len(cells) != self.width:
                raise ValueError(
                    f"{self.file.name}, line {line:,}: the row has {len(cells)} cells, and the first row has "
                    f"{self.width}. A cell that holds {self.separator!r} or a line end stands in quotation marks."
                )
            yield line, cells[number]

    def _rows(self):
        """Yields (number of its first line, cells)."""
        reader = csv.reader(_lines(self.file), delimiter=self.separator, strict=True)
        line = 1
        try:
            for cells in reader:
                if cells:
                    yield line, cells
                line = reader.line_num + 1
        except csv.Error as error:
            raise ValueError(
                f"{self.file.name}, line {line:,}: the row cannot be read ({error}). A cell that begins with a "
                "quotation mark ends with one, and those within it are doubled."
            ) from error


class Objects:
    """JSON objects, one a line, or in one list.

    Attributes:
        columns: dict of each key to whether it holds text, by the first objects.
    """

    counted = "line"

    def __init__(self, file, wanted=None):
        self.file = file
        begins = next(file.chunks(), "").lstrip()
        self._rows = self._listed if begins.startswith("[") else self._lined
        values = {}
        for _, row in itertools.islice(self._rows(), LOOKED_AT):
            for key, value in row.items():
                values.setdefault(key, []).append(value)
        self.columns = {key: any(isinstance(v, str) for v in found) for key, found in values.items()}

    def cells(self, column):
        """Yields (line, value)."""
        for line, row in self._rows():
            if column not in row:
                keys = ", ".join(map(repr, row))
                raise ValueError(f"{self.file.name}, line {line:,}: the object has no {column!r}. Received: {keys}")
            yield line, row[column]

    def _lined(self):
        for line, text in enumerate(_lines(self.file), 1):
            if text.strip():
                try:
                    row = json.loads(text)
                except (ValueError, RecursionError) as error:
                    raise self._broken(line, error) from error
                yield line, self._checked(line, row)

    def _listed(self):
        reader = _Values(self.file.chunks())
        try:
            reader.take("[")
            ended = reader.next_character() == "]" and reader.take("]")
            while not ended:
                reader.next_character()
                line = reader.line
                yield line, self._checked(line, reader.value())
                ended = reader.take(",]") == "]"
            if reader.next_character():
                raise _Broken("something follows the end of the list")
        except (_Broken, json.JSONDecodeError, RecursionError) as error:
            raise self._broken(reader.line, error) from error

    def _checked(self, line, row):
        if not isinstance(row, dict):
            raise ValueError(f"{self.file.name}, line {line:,}: a row is a JSON object. Received: {str(row)[:60]!r}")
        return row

    def _broken(self, line, error):
        why = (getattr(error, "msg", None) or str(error)).removesuffix(" at")
        return ValueError(f"{self.file.name}, line {line:,}: this is no JSON that can be read ({why}).")


class _Broken(Exception):
    """What stands in a file is not what has to stand there."""


class _Values:
    """JSON that arrives in chunks of text."""

    def __init__(self, chunks):
        self.line = 1
        self._chunks, self._text, self._at = chunks, "", 0

    def next_character(self):
        """The next one that is no white space, "" at the end; it stays to be read."""
        while True:
            self._go_to(re.compile(r"\s*").match(self._text, self._at).end())
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._read_on():
                return ""

    def take(self, allowed):
        """Reads one of these characters."""
        found = self.next_character()
        if not found or found not in allowed:
            raise _Broken(f"{' or '.join(allowed)} is due, and {found or 'the end'} comes")
        self._at += 1
        return found

    def value(self):
        """Reads an object, a list or a string."""
        while True:
            try:
                value, end = json.JSONDecoder().raw_decode(self._text, self._at)
            except json.JSONDecodeError:  # broken, or the rest of it is in the next chunk
                if len(self._text) - self._at > LONGEST_LINE or not self._read_on():
                    raise
            else:
                self._go_to(end)
                return value

    def _go_to(self, place):
        self.line += self._text.count("\n", self._at, place)
        self._at = place

    def _read_on(self):
        chunk = next(self._chunks, None)
        if chunk is not None:
            self._text, self._at = self._text[self._at :] + chunk, 0
        return chunk is not None


class Parquet:
    """Parquet, by pyarrow.

    Attributes:
        columns: dict of each column's name to whether it holds text.
    """

    counted = "row"

    def __init__(self, file, wanted=None):
        self.file = file
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError as error:
            raise ValueError(f'{file.name} needs pyarrow: pip install "keras-rnnlm[parquet]" ({error})') from error
        self.pyarrow = pyarrow
        with self._told():
            schema = pyarrow.parquet.read_schema(file.path)
        self.columns = {field.name: self._is_text(field.type) for field in schema}

    def cells(self, column):
        """Yields (number of the row, value)."""
        number = 0
        with self._told(), self.pyarrow.parquet.ParquetFile(self.file.path) as rows:
            for batch in rows.iter_batches(batch_size=1024, columns=[column]):
                for value in batch.column(0).to_pylist():
                    number += 1
                    yield number, value

    def _is_text(self, kind):
        types = self.pyarrow.types
        kind = kind.value_type if types.is_dictionary(kind) else kind
        return types.is_string(kind) or types.is_large_string(kind)

    @contextlib.contextmanager
    def _told(self):
        try:
            yield
        except (self.pyarrow.ArrowException, OSError) as error:
            why = " ".join(str(error).split())[:200]
            raise ValueError(f"{self.file.name} is no whole Parquet file: {why}. Fetch or write it again.") from error


_FORMATS = {
    ".csv": Separated,
    ".tsv": Separated,
    ".jsonl": Objects,
    ".ndjson": Objects,
    ".json": Objects,
    ".parquet": Parquet,
}


def format_of(file):
    """The class that reads a file as rows, by its name, or None: it is plain text, as a .json file may be, too."""
    ending = os.path.splitext(file.path.removesuffix(".gz"))[1].lower()
    if ending == ".json" and not _is_rows(file):
        return None
    return _FORMATS.get(ending)


def _is_rows(file):
    """Whether a .json file is a list of objects, or has one a line: settings of a program are text."""
    if not file.size:
        return False
    try:
        if re.match(r"\s*\[\s*\{", next(file.chunks(), "")):
            return True
        lines = list(itertools.islice(filter(str.strip, _lines(file)), 2))
        return len(lines) == 2 and all(isinstance(json.loads(line), dict) for line in lines)
    except (ValueError, RecursionError):
        return False


def _lines(file):
    """The lines of a text with their ends, which are "\\n" alone: other signs may stand within a row."""
    begun = ""
    for chunk in file.chunks():
        if not begun and chunk.endswith("\n"):
            yield from io.StringIO(chunk)
            continue
        for line in io.StringIO(chunk):
            if line.endswith("\n"):
                yield begun + line
                begun = ""
            else:
                begun += line
                if len(begun) > 2 * LONGEST_LINE:
                    raise ValueError(f"{file.name} is no table: a row in it is longer than {len(begun):,} characters.")
    if begun:
        yield begun


def _is_header(cells):
    """Whether the cells of the first row are names: short, different from each other, no numbers, no sentences."""
    cells = cells[1:] if cells and not cells[0] else cells  # before a column of row numbers some write no name
    short = all(0 < len(cell) <= 64 and "\n" not in cell and cell[-1] not in ".!?" for cell in cells)
    return bool(cells) and short and len(set(cells)) == len(cells) and not any(map(_is_number, cells))


def _is_like(column, first, rows):
    """Whether a cell of the first row is one like those below it: of several words, or of one as all of them."""
    return bool(re.search(r"\s", first[column])) or not any(
        re.search(r"\s", row[column].strip()) for row in rows if column < len(row)
    )


def _is_text(cells):
    return any(cell.strip() and not _is_number(cell) for cell in cells)


def _is_number(cell):
    try:
        float(cell)
    except ValueError:
        return False
    return True
