"""Settings in the terms of TOML."""

import contextlib
import json
import re
import tomllib

from keras_rnnlm.training.recipes.rules import NONE

COMMENTS_AT = 32  # the column of the settings' meanings


def parse(text):
    """The value that a text is in TOML; the text itself where it is none."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        text = text.strip()
        if text.lstrip("+-").startswith("."):  # .5, which TOML does not have
            with contextlib.suppress(ValueError):
                return float(text)
        return text
    return parsed["value"] if len(parsed) == 1 else text.strip()


def line(field, value):
    return line_of(field.name, value, field.metadata["help"])


def line_of(name, value, meaning):
    return f"{name} = {literal(value)}".ljust(COMMENTS_AT - 1) + f" # {meaning}"


def literal(value):
    if value is None:
        return f'"{NONE}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # JSON's strings are TOML's, but for one character.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, dict):
        entries = [f"{_key(key)} = {literal(inner)}" for key, inner in value.items()]
        return f"{{{', '.join(entries)}}}"
    return repr(value)


def _key(key):
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else literal(key)
