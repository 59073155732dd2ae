"""Standard output and standard error, which may be closed, full, read no longer, or in an encoding of ASCII."""

import os
import sys


def prepare():
    """Makes both fit to be written to, whatever they are."""
    for number, name in ((0, "stdin"), (1, "stdout"), (2, "stderr")):
        try:
            os.fstat(number)
        except OSError:  # closed: the next file that is opened would get its number, and what C code says
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w" if number else "r"))
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure") and (stream.encoding or "").lower().replace("-", "") != "utf8":
            stream.reconfigure(errors="backslashreplace")


def tell(text, stream=None, end="\n"):
    """Writes to the standard error, or another stream. Where that cannot be, what is being done matters more."""
    stream = stream or sys.stderr
    try:
        if stream is not None:
            print(text, end=end, file=stream, flush=True)
    except (OSError, ValueError):  # full, or closed
        pass


def finish(stream):
    """Writes what is still held back. What cannot be written is dropped, and the error returned."""
    try:
        stream.flush()
    except OSError as error:
        # Else Python would try again at its end, say so in two lines, and exit with a code of its own.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
        return error
    except ValueError:  # closed
        pass
    return None
