"""The kinds of sources by name, and one from what a file says of it."""

from keras_rnnlm.sources.image import Image
from keras_rnnlm.sources.sound import Sound

KINDS = {kind.kind: kind for kind in (Image, Sound)}


def source_of(description):
    """The `Source` that a `description` is of.

    >>> source_of({"kind": "sound", "rate": 8000, "mels": 20}).shape
    (None, 20)
    """
    given = dict(description) if isinstance(description, dict) else {}
    kind = given.pop("kind", None)
    if kind not in KINDS:
        raise ValueError(f"A source is one of {', '.join(KINDS)}. Received: {kind!r}")
    try:
        return KINDS[kind](**given)
    except TypeError as error:  # of an option that it does not have
        raise ValueError(f"A source of the kind {kind} is not described by {', '.join(given)}") from error
