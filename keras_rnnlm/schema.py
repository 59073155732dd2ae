"""What a file may hold: read without trust, and checked once, where it is read."""

import collections.abc
import dataclasses
import difflib
import json
import math
import numbers
import os
import stat
import sys


@dataclasses.dataclass(frozen=True)
class Rule:
    """What a value may be, in words and as a function, and the form in which it is kept."""

    allowed: str
    fits: collections.abc.Callable
    keep: collections.abc.Callable = lambda value: value


def choice(*names):
    quoted = [f'"{name}"' for name in names]
    allowed = f"{', '.join(quoted[:-1])} or {quoted[-1]}" if len(quoted) > 1 else quoted[0]
    return Rule(allowed, lambda value: value in names)


def whole(low, high=math.inf):
    limits = f"at least {low}" if high == math.inf else f"from {low} to {high}"
    return Rule(f"a whole number, {limits}", lambda value: is_whole(value, low) and value <= high, int)


def number(limits, holds=lambda value: True):
    def fits(value):
        return is_a(value, numbers.Real) and abs(value) <= sys.float_info.max and holds(value)

    return Rule(f"a number{limits}", fits, float)


def or_null(rule):
    return Rule(f"{rule.allowed}, or null", lambda value: value is None or rule.fits(value))


def is_a(value, kind):
    return isinstance(value, kind) and not isinstance(value, bool)


def is_whole(value, least=-math.inf):
    """Whether it is a whole number of at least so much, one of numpy's included. A bool is none, nor is 1.0."""
    return is_a(value, numbers.Integral) and value >= least


def is_count(value):
    """Whether it is a positive whole number."""
    return is_whole(value, 1)


TEXT = Rule("a text", lambda value: isinstance(value, str))
NUMBER = number("")
COUNT = Rule("a whole number, 0 or above", lambda value: is_a(value, int) and 0 <= value < 2**63)
FLAG = Rule("true or false", lambda value: isinstance(value, bool))
FILE = Rule(
    "the name of a file in the same folder",
    lambda value: isinstance(value, str) and value not in ("", ".", "..") and not set(value) & set("/\\\0"),
)


@dataclasses.dataclass(frozen=True)
class Optional:
    """Of an entry that may be missing."""

    schema: object


@dataclasses.dataclass(frozen=True)
class Each:
    """An object whose entries all have one schema, whatever their names."""

    schema: object


def check(value, schema, at=""):
    """Raises a ValueError of one line where a value is not what a schema says.

    Args:
        value: of JSON.
        schema: a `Rule`; `{name: schema}`, of an object, which may hold more; `Each(schema)`; `[schema]`, a list of
            any length; `(schema, schema)`, a list of this length.
        at: where the value stands, for the message.

    >>> check({"sizes": [3, "4"]}, {"sizes": [COUNT]})
    Traceback (most recent call last):
        ...
    ValueError: `sizes[1]` is a whole number, 0 or above. Received: '4'
    """
    if isinstance(schema, Rule):
        if not schema.fits(value):
            raise _wrong(at, schema.allowed, value)
    elif isinstance(schema, (dict, Each)):
        if not isinstance(value, dict):
            raise _wrong(at, "an object", value)
        schema = dict.fromkeys(value, schema.schema) if isinstance(schema, Each) else schema
        for name, inner in schema.items():
            path = f"{at}.{name}" if at else name
            if name in value:
                check(value[name], inner.schema if isinstance(inner, Optional) else inner, path)
            elif not isinstance(inner, Optional):
                raise ValueError(f"`{path}` is missing")
    else:
        fits = isinstance(value, list) and (isinstance(schema, list) or len(value) == len(schema))
        if not fits:
            raise _wrong(at, "a list" if isinstance(schema, list) else f"a list of {len(schema)}", value)
        for k, inner in enumerate(value):
            check(inner, schema[0] if isinstance(schema, list) else schema[k], f"{at}[{k}]")


def _wrong(at, allowed, value):
    try:
        shown = repr(value)
    except RecursionError:
        shown = f"a {type(value).__name__}, nested deep"
    return ValueError(f"`{at or 'the whole'}` is {allowed}. Received: {shown[:60]}{'...' * (len(shown) > 60)}")


def parse_json(text, schema=None):
    """The value of a text of JSON; a ValueError of one line where it is none, or not what a schema says."""
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    if schema is not None:
        check(value, schema)
    return value


def read_regular(path, most=1 << 30):
    """The bytes of a file, which must be one: a device has no end, and a pipe waits for somebody to write."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with open(handle, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"{path} is no regular file")
        if status.st_size > most:
            raise ValueError(f"{path} has {status.st_size:,} bytes, and what is read of its kind has at most {most:,}")
        return file.read()


def nearest(name, names):
    """How an unknown name may have been meant, for an error: those a letter or two away, else those that share most.

    >>> nearest("unit", ["units", "layers"]), nearest("x", ["units", "layers"])
    ('did you mean units?', 'there are units, layers.')
    """
    near = difflib.get_close_matches(name, names, 2, 0.7) or difflib.get_close_matches(name, names, 2)
    return f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(names)}."
