"""What the value of a setting may be, and a setting of a recipe."""

import dataclasses

from keras_rnnlm import tasks
from keras_rnnlm.cell_list import CELLS, OWN
from keras_rnnlm.head_list import HEADS
from keras_rnnlm.places import is_place
from keras_rnnlm.schema import Rule, choice, number, whole

NONE = "none"  # TOML has no word for it


def optional(rule):
    return Rule(
        f'{rule.allowed}, or "{NONE}"',
        lambda value: value in (None, NONE) or rule.fits(value),
        lambda value: None if value in (None, NONE) else rule.keep(value),
    )


def _is_text(value):
    return isinstance(value, str) and value != ""


def _is_name(value):
    """A text, or what TOML takes for a whole number where no quotation marks say that it is one."""
    return _is_text(value) or (isinstance(value, int) and not isinstance(value, bool))


def _is_widths(value):
    listed = isinstance(value, (list, tuple)) and len(value) > 0
    return all(map(COUNT.fits, value)) if listed else COUNT.fits(value)


def _is_plain(value):
    """Whether TOML can write it."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(inner) for key, inner in value.items())
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or type(value) in (bool, int, float, str)


def copy_of(value):
    if isinstance(value, dict):
        return {key: copy_of(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [copy_of(inner) for inner in value]
    return None if value == NONE else value


COUNT = whole(1)
POSITIVE = number(" above 0", lambda value: value > 0)
NOT_NEGATIVE = number(", 0 or above", lambda value: value >= 0)
FACTOR = number(" above 0, at most 1", lambda value: 0 < value <= 1)
RATE = number(", 0 or above and below 1", lambda value: 0 <= value < 1)
FLAG = Rule("true or false", lambda value: isinstance(value, bool))
TEXT = Rule("a text", _is_name, str)
COLUMN = Rule(
    f"{COUNT.allowed}, or of data sets the column's name",
    lambda value: COUNT.fits(value) or _is_text(value),
    lambda value: value if isinstance(value, str) else int(value),
)
SHARES = Rule('percentages, such as "90/5/5"', lambda value: _is_text(value) or value == 100, str)
TABLE = Rule('a table, such as {name = true, other = "word"}', lambda v: isinstance(v, dict) and _is_plain(v), copy_of)
WIDTHS = Rule(
    f"{COUNT.allowed}, or a list of them",
    _is_widths,
    lambda value: [int(width) for width in value] if isinstance(value, (list, tuple)) else int(value),
)
CELL = Rule(
    f'{choice(*CELLS).allowed}, or a class of your own, "{OWN}"', lambda value: value in tuple(CELLS) or is_place(value)
)
HEAD = Rule(
    f'{choice(*HEADS).allowed}, or a class of your own, "{OWN}"', lambda value: value in tuple(HEADS) or is_place(value)
)
TASK = Rule(f"{', '.join(tasks.TASKS)}, or module:NAME", tasks.is_name)  # without quotes: on one line
TOKENIZERS = ("word", "char", "byte", "bpe")
TOKENIZER = Rule(
    f"{choice(*TOKENIZERS).allowed}, or a path to a .json file",
    lambda value: _is_text(value) and (value in TOKENIZERS or value.endswith(".json")),
)


def setting(default, meaning, rule, begins=None):
    """A field of `Recipe`. `{}` in its meaning stands for what is allowed; `begins` is the heading above it.

    >>> field = setting(7, "symbols in a sequence", COUNT)
    >>> field.default, field.metadata["rule"].allowed
    (7, 'a whole number, at least 1')
    """
    metadata = {"help": meaning.replace("{}", rule.allowed), "rule": rule, "begins": begins}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=dict, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)
