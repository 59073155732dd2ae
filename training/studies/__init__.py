"""Studies: small experiments of the literature, each with its table, its picture and what it was expected to show.

A study is a module of this folder, named in `NAMES`. Its docstring begins with its question in one line, and it has

    SETTINGS = dict(full={...}, short={...})     plain numbers; the short form shows within a minute that all runs
    trials(settings) -> list of dicts            every run to make, as plain data, seed by seed: a time that runs out
                                                 is then shared fairly
    measure(settings, **trial) -> dict           makes one run, from its seed alone: plain numbers and lists
    table(settings, results) -> list of dicts    the rows; a result is {**trial, "seconds": ..., **measured}
    draw(settings, results, figure)              a matplotlib figure
    claims(settings, results) -> list of str     optional: what was expected, and whether it was found
    further_trials(settings, results) -> list    optional: runs that depend on what those of `trials` found

`table` and `draw` take the results of the first trials, too; `claims` is asked once all are there. A number that is not
finite reaches them as None: a run that diverged. `summaries` has the intervals and `claim`, `fitting` the training.
"""

import ast
import importlib
import pathlib

from keras_rnnlm.schema import nearest

NAMES = ("vanishing", "adding", "copy", "timing", "depth", "reber", "clockwork", "variants")
_FILES = {"copy": "copy_memory"}  # `copy` is a module of Python's


def load(name):
    """The module of a study."""
    if name not in NAMES:
        raise ValueError(f"There is no study {name!r}: {nearest(name, NAMES)}")
    return importlib.import_module(f"{__name__}.{_FILES.get(name, name)}")


def question(name):
    """The first line of a study, read without importing it."""
    source = pathlib.Path(__file__).with_name(f"{_FILES.get(name, name)}.py").read_text(encoding="utf-8")
    return ast.get_docstring(ast.parse(source)).splitlines()[0]
