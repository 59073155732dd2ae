"""Text as it is written: ids to printable pieces."""

REPLACEMENT = "\ufffd"
# A character of UTF-8 has at most four bytes, so that three of them may be waiting for the last.
LONGEST_WAIT = 3
WINDOW = 32


class TextStream:
    """Turns the ids of a growing text into pieces that can be printed one after the other.

    Ids of bytes, or of a byte-level BPE, may end in the middle of a character: what a later id can still complete is
    held back.

    Args:
        decode: `decode(ids)` returns the text of a list of ids; incomplete characters as U+FFFD.
        prompt: ids that were printed before, which decide how the first piece joins them.

    Example:
        >>> text = TextStream(lambda ids: bytes(ids).decode(errors="replace"))
        >>> [text.feed(byte) for byte in "né".encode()], text.finish()
        (['n', '', 'é'], '')
    """

    def __init__(self, decode, prompt=()):
        self._decode = decode
        self._ids = list(prompt)[-WINDOW:]
        self._printed = len(decode(self._ids)) if self._ids else 0

    def feed(self, *ids):
        """The text that these ids add, as far as no later id can change it."""
        self._ids.extend(ids)
        text = self._decode(self._ids)
        waiting = min(len(text) - len(text.rstrip(REPLACEMENT)), LONGEST_WAIT)
        piece = self._until(text, len(text) - waiting)
        # Decoding the whole text for every id would take time that grows with its square.
        if not waiting and len(self._ids) >= 2 * WINDOW:
            self._ids = self._ids[-WINDOW:]
            self._printed = len(self._decode(self._ids))
        return piece

    def finish(self):
        """What was held back and will not be completed."""
        text = self._decode(self._ids)
        return self._until(text, len(text))

    def pieces(self, ids):
        """Yields the text of ids piece by piece, to its end."""
        for id in ids:
            yield self.feed(id)
        yield self.finish()

    def whole(self, ids):
        """The text of ids, to its end."""
        return self.feed(*ids) + self.finish()

    def _until(self, text, end):
        piece = text[self._printed : end]
        self._printed = max(self._printed, end)
        return piece
