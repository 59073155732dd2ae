"""The lines of a file that a model is to say something of."""

import pathlib

from keras_rnnlm.schema import is_count, read_regular

BATCHES = 16  # in a part: what is of one length is side by side in it


def lines_of(file, encoding="utf-8"):
    """The lines of a text file, however they end, without a byte order mark. What is no text is told in a line."""
    try:
        text = read_regular(pathlib.Path(file)).decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except FileNotFoundError as error:
        raise ValueError(f"There is no file {file}") from error
    except (OSError, UnicodeError, LookupError) as error:
        way = ". `encoding`, --encoding, says how it is written" if isinstance(error, UnicodeError) else ""
        raise ValueError(f"{file} cannot be read as {encoding}: {error}{way}") from error
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.removesuffix("\n").split("\n") if text else []


def check_batch_size(batch_size):
    if not is_count(batch_size):
        raise ValueError(f"`batch_size` is a whole number, at least 1. Received: batch_size={batch_size!r}")


def by_parts(answers, asked, batch_size):
    """What `answers` says of each, of some batches at a time: the first are told while the last are not yet read."""
    check_batch_size(batch_size)
    for begin in range(0, len(asked), BATCHES * batch_size):
        yield from answers(asked[begin : begin + BATCHES * batch_size])
