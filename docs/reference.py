"""Writes the two pages of the site that are lists: every setting of a recipe, and every command with its options.

python docs/reference.py
"""

import argparse
import importlib
import pathlib

from keras_rnnlm.__main__ import COMMANDS
from keras_rnnlm.tasks import TASKS
from keras_rnnlm.training.recipes import toml_text
from keras_rnnlm.training.recipes.recipe import SETTINGS, Recipe
from keras_rnnlm.training.tasks import task_of

FOLDER = pathlib.Path(__file__).resolve().parent / "guides"
OF_SETTINGS = """# Settings

Every setting of a recipe, with its default: in a file `mine.toml`, or one at a time by `--set NAME=VALUE`. A run's
`recipe.toml` holds them all, as they were. `keras-rnnlm train --help-settings` prints this list, with `--task NAME` a
task's, too.
[Choosing a recipe](choosing-a-recipe.md) says which to change for what.
"""
OF_TASKS = """
## A task's own settings

In a recipe they stand under `[task_settings]`; on the command line it is `--set task_settings.NAME=VALUE`. Defaults are
those of the recipe that `--task` takes by itself.
"""
OF_COMMANDS = """# Commands

Every command and its options, as `keras-rnnlm COMMAND --help` prints them. Exit codes are told in
[Language models](language-models.md#the-shell).
"""


def settings_page():
    parts = [OF_SETTINGS]
    for field in SETTINGS.values():
        if field.metadata["begins"]:
            parts.append(f"\n## {field.metadata['begins']}\n\n{HEADING}")
        parts.append(_setting(field.name, getattr(Recipe(), field.name), field))
    parts.append(OF_TASKS)
    for name in TASKS:
        task = task_of(Recipe(task=name))
        if task.settings:
            own = Recipe.of_task(name).task_settings
            parts.append(f"\n### `{name}`\n\n{HEADING}")
            parts += [_setting(key, own[key], field) for key, field in task.settings.items()]
    return "".join(parts)


HEADING = "| setting | default | what it is |\n|---|---|---|\n"


def _setting(name, default, field):
    return f"| `{name}` | `{toml_text.literal(default)}` | {_cell(field.metadata['help'])} |\n"


def commands_page():
    parts = [OF_COMMANDS]
    for name, (about, module) in COMMANDS.items():
        parser = argparse.ArgumentParser(prog=f"keras-rnnlm {name}")
        importlib.import_module(module).arguments(parser)
        parts.append(f"\n## {name}\n\n{about[0].upper()}{about[1:]}.\n\n| | |\n|---|---|\n")
        for action in parser._actions:
            if not isinstance(action, argparse._HelpAction):
                parts.append(f"| {_cell(_written(action))} | {_cell(_help(action))} |\n")
    return "".join(parts)


def _written(action):
    """An argument as it is given: its name, and what follows it."""
    value = action.metavar or ("|".join(map(str, action.choices)) if action.choices else action.dest.upper())
    if not action.option_strings:
        return f"`{value}`" if action.nargs not in ("*", "+") else f"`{value} ...`"
    follows = "" if action.nargs == 0 or action.dest == argparse.SUPPRESS else f" {value}"
    return ", ".join(f"`{option}{follows}`" for option in action.option_strings)


def _help(action):
    return (action.help or "") % vars(action)


def _cell(text):
    """In a table a bar ends a cell, within `code` for some readers; and what looks like a tag is one."""
    parts = [part if k % 2 else part.replace("<", "&lt;") for k, part in enumerate(text.split("`"))]
    for k, part in enumerate(parts):
        if "|" in part:
            safe = part.replace("<", "&lt;").replace("|", "&#124;")
            parts[k] = safe if k % 2 == 0 else f"\0<code>{safe}</code>\0"
    return "`".join(parts).replace("`\0", "").replace("\0`", "")


PAGES = {"settings.md": settings_page, "commands.md": commands_page}


if __name__ == "__main__":
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")
