"""Text files as documents: read in pieces, again and again, in bounded memory."""

import codecs
import dataclasses
import gzip
import io
import os
import stat
import zlib

BLOCK = 1 << 20  # bytes read at once, and so about the characters of a chunk
LONGEST_LINE = 1 << 24  # a line that is longer is cut at a space, or anywhere


class TextFile:
    """A file of text, plain or `.gz`, that must stay as it was when it was first seen."""

    def __init__(self, path, encoding="utf-8", name=None):
        self.path, self.encoding, self.name = os.path.abspath(path), encoding, name or os.fspath(path)
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"{self.name} is no regular file, and a text is read more than once: pass a pipe as `-`.")
        self.stamp = self.size, _ = status.st_size, status.st_mtime_ns

    def encoded(self, encoding):
        """The same file, read in another encoding."""
        return TextFile(self.path, encoding, self.name)

    def chunks(self):
        """The text in chunks of about a megabyte that end where lines end, with every line end read as "\\n"."""
        self.check()
        try:
            decoder = io.IncrementalNewlineDecoder(_decoder(self.encoding), translate=True)
            with self.open() as file:
                read, rest = 0, ""
                while block := file.read(BLOCK):
                    read += len(block)
                    rest += decoder.decode(block)
                    end = rest.rfind("\n") + 1
                    if not end and len(rest) > LONGEST_LINE:
                        # Before the space, where the pieces of words and of byte pairs begin.
                        end = max(rest.rfind(" "), 0) or len(rest)
                    if end:
                        yield rest[:end]
                        rest = rest[end:]
                rest += decoder.decode(b"", final=True)
            if rest:
                yield rest
        except UnicodeDecodeError as error:
            at = read - len(error.object) + error.start
            with self.open() as file:
                is_wide = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
            is_known = codecs.lookup(self.encoding).name.startswith("utf-16")
            likely = "utf-16" if is_wide and not is_known else "latin-1"
            raise ValueError(
                f"{self.name} is not {self.encoding}: the byte {error.object[error.start]:#04x} at offset {at:,} "
                f'cannot be read. Say how the text is written, for example encoding="{likely}" (`--encoding {likely}`).'
            ) from error
        except UnicodeError as error:
            raise ValueError(f"{self.name} is not {self.encoding}: {error}. Say how the text is written.") from error
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            self.check()
            raise ValueError(f"{self.name} is no whole gzip file: {error}. Fetch or write it again.") from error
        self.check()

    def open(self):
        return gzip.open(self.path) if self.path.endswith(".gz") else open(self.path, "rb", buffering=0)

    def check(self):
        """Raises when the file is no longer what it was."""
        status = os.stat(self.path)
        now = status.st_size, status.st_mtime_ns
        if now != self.stamp:
            raise ValueError(
                f"{self.name} changed while it was read: {self.stamp[0]:,} bytes written at {self.stamp[1] / 1e9:.3f} "
                f"became {now[0]:,} bytes written at {now[1] / 1e9:.3f}. Start again when nobody writes to it."
            )

    def document(self):
        """All of its text."""
        return FileDocument(self)

    def is_binary(self):
        """Whether its beginning holds a zero byte, as images and archives do and text does not."""
        if b"\0" in "a".encode(self.encoding):  # UTF-16 and UTF-32
            return False
        try:
            with self.open() as file:
                return b"\0" in file.read(8192)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(f"{self.name} is no whole gzip file: {error}. Fetch or write it again.") from error


@dataclasses.dataclass(frozen=True)
class FileDocument:
    """The characters `start` to `stop` of a file's text. A `closed` text ends in a line end, added where it lacks."""

    file: TextFile
    start: int = 0
    stop: int | None = None
    closed: bool = False

    @property
    def name(self):
        return self.file.name

    def __iter__(self):
        position = 0
        for chunk in self._whole():
            piece = chunk[max(self.start - position, 0) : None if self.stop is None else self.stop - position]
            position += len(chunk)
            if piece:
                yield piece
            if self.stop is not None and position >= self.stop:
                self.file.check()
                return

    def length(self):
        """In characters."""
        return sum(map(len, self))

    def cut_from(self, position, limit):
        """The first place after a line end that is at least `position` and below `limit`, or None."""
        here = 0
        for chunk in self:
            if here >= limit:
                return None
            found = chunk.find("\n", max(position - 1 - here, 0))
            here += found + 1 if found >= 0 else len(chunk)
            if found >= 0:
                return here if here < limit else None
        return None

    def _whole(self):
        last = "\n"
        for chunk in self.file.chunks():
            yield chunk
            last = chunk
        if self.closed and not last.endswith("\n"):
            yield "\n"

    def describe(self):
        """What its text depends on, for a fingerprint."""
        return [self.file.path, *self.file.stamp, self.file.encoding, self.start, self.stop, self.closed]


@dataclasses.dataclass(frozen=True)
class TextDocument:
    """A text that is in memory already, closed by a line end."""

    name: str
    text: str

    def __iter__(self):
        text, start = closed_text(self.text), 0
        while start < len(text):
            end = text.rfind("\n", start, start + BLOCK) + 1 or text.find("\n", start) + 1
            yield text[start:end]
            start = end


def closed_text(text):
    """A text that ends in a line end, with every line end as "\\n"."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text if text.endswith("\n") else text + "\n"


def check_encoding(encoding):
    try:
        "".encode(encoding)  # unlike a look-up, it refuses base64 and its like
    except (LookupError, TypeError) as error:
        raise ValueError(
            f'`encoding` names a text encoding of Python\'s, such as "utf-8" or "latin-1". Received: {encoding!r}'
        ) from error


def _decoder(encoding):
    # Without the mark that some editors put before UTF-8.
    name = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
    return codecs.getincrementaldecoder(name)()


def cut(documents, shares):
    """Cuts the texts, one after the other, by position: one list of documents for each share (shares sum to 1).

    A cut is moved on to the next line end, unless there is none before the next cut; in a table, to the next row.
    """
    lengths = [document.length() for document in documents]
    total = sum(lengths)
    wanted = [int(total * sum(shares[: i + 1])) for i in range(len(shares))]
    bounds = [0]
    for position, limit in zip(wanted, wanted[1:]):
        end = _place_to_cut(documents, lengths, position, limit)
        bounds.append(position if end is None else end)
    bounds.append(total)
    return [_between(documents, lengths, a, b) for a, b in zip(bounds, bounds[1:])]


def _place_to_cut(documents, lengths, position, limit):
    """The first place from `position` on where a document may be cut, or None."""
    if position == 0:
        return None
    begin = 0
    for document, length in zip(documents, lengths):
        if begin >= limit:
            return None
        if begin + length >= position:
            place = document.cut_from(max(position - begin, 0), limit - begin)
            if place is not None:
                return begin + place
        begin += length
    return None


def _between(documents, lengths, start, stop):
    parts, begin = [], 0
    for document, length in zip(documents, lengths):
        a, b = max(start - begin, 0), min(stop - begin, length)
        if a < b:
            parts.append(dataclasses.replace(document, start=a, stop=None if b == length else b))
        begin += length
    return parts
