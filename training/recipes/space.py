"""What a search goes over: for settings of a recipe, the values that they may have."""

import dataclasses

from keras_rnnlm.schema import is_a
from keras_rnnlm.training.recipes import toml_text
from keras_rnnlm.training.recipes.rules import NONE

WIDE = 10.0  # a range of positive numbers whose ends are so many times apart is searched by its logarithm


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, whole ones where both are."""

    low: float
    high: float

    @property
    def is_whole(self):
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def by_logarithm(self):
        return self.low > 0 and self.high / self.low >= WIDE


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of some values."""

    values: tuple


def parse(texts):
    """From "key=low..high" or "key=one,two,three" each to what it stands for, by the keys.

    >>> parse(["learning_rate=1e-4..1e-2", "units=100..800", "cell=lstm,gru"])["units"]
    Range(low=100, high=800)
    """
    found = {}
    for text in texts:
        name, equals, values = (part.strip() for part in text.partition("="))
        if not (name and equals and values):
            raise ValueError(f"What is searched is given as KEY=LOW..HIGH or KEY=ONE,TWO,THREE. Received: {text!r}")
        if name in found:
            raise ValueError(f"`{name}` is searched twice: give all its values at once. Received: {text!r}")
        found[name] = _range(text, values) if ".." in values else _choice(text, values)
    return found


def _range(text, values):
    low, high = (toml_text.parse(end.strip()) for end in values.split("..", 1))
    if not (is_a(low, (int, float)) and is_a(high, (int, float)) and low < high):
        raise ValueError(f"A range is two numbers, the lower one first, such as 1e-4..1e-2. Received: {text!r}")
    return Range(low, high)


def _choice(text, values):
    chosen = tuple(toml_text.parse(value.strip()) for value in values.split(","))
    if not all(isinstance(value, (str, int, float)) or value is None for value in chosen):
        raise ValueError(
            "A choice is of numbers, texts or true and false; of an option in a table, name that: "
            f"cell_options.peephole=true,false. Received: {text!r}"
        )
    if len(set(chosen)) < 2 or len(set(chosen)) < len(chosen) or "" in chosen:
        raise ValueError(f"A choice is two different values or more, with commas between them. Received: {text!r}")
    return Choice(chosen)


def check(space, recipe):
    """Raises a ValueError where a value is none of its setting, all others being the recipe's."""
    for name, values in space.items():
        for value in (values.low, values.high) if isinstance(values, Range) else values.values:
            recipe.override({name: NONE if value is None else value})
