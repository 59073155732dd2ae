"""Documentation runs: the examples in docstrings, and the blocks of the README and of the site's pages."""

import argparse
import doctest
import importlib
import inspect
import pathlib
import re
import runpy
import shlex

import numpy as np
import pytest

import keras_rnnlm
from keras_rnnlm.__main__ import COMMANDS
from keras_rnnlm.cell_list import CELLS
from keras_rnnlm.head_list import HEADS
from keras_rnnlm.training import Recipe
from tests.support import BACKEND

ROOT = pathlib.Path(__file__).parent.parent
README, DOCS = ROOT / "README.md", ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
BLOCK = re.compile(r"(?:<!-- (long|not run: [^\n]*?) -->\n+)?^( *)```py(?:thon)?\n(.*?)^ *```", flags=re.S | re.M)
# What the examples of these modules make, others read: a run, and its export.
MAKERS = ("keras_rnnlm.training.commands.train", "keras_rnnlm.export.folder")
MADE = re.compile(r'"(run|exported)\b')
EXPORTS = re.compile(r'"exported\b|\bto_(onnx|litert|saved_model)\(')
PUBLIC = {
    "cells": "keras_rnnlm.cells",
    "diagnostics": "keras_rnnlm.diagnostics",
    "export": "keras_rnnlm.export",
    "generation": "keras_rnnlm.generation",
    "heads": "keras_rnnlm.heads",
    "layers": "keras_rnnlm.layers",
    "models": "keras_rnnlm.models",
    "optimizers": "keras_rnnlm.optimizers",
    "recurrence": "keras_rnnlm.recurrence",
    "runtime": "keras_rnnlm.export.runtime",
    "sources": "keras_rnnlm.sources",
    "streams": "keras_rnnlm.training.streams",
    "tasks": "keras_rnnlm.training.tasks",
    "text": "keras_rnnlm.text",
    "training": "keras_rnnlm.training",
}


def modules():
    for room in keras_rnnlm.ROOMS:
        folder = pathlib.Path(importlib.import_module(f"keras_rnnlm.{room}").__path__[0])
        for file in sorted(folder.rglob("*.py")):  # by its name: importing them all would hold up every process
            parts = file.relative_to(folder).with_suffix("").parts
            name = ".".join(["keras_rnnlm", room, *parts]).removesuffix(".__init__")
            of_one = name.endswith(("_backend", "_jax"))  # of the backends
            if not of_one or name.endswith((f"{BACKEND}_backend", f"_{BACKEND}")):
                yield pytest.param(name, marks=[pytest.mark.long] if ".studies." in name else [])
    yield from (
        "keras_rnnlm.distribution",
        "keras_rnnlm.exit_codes",
        "keras_rnnlm.predict",
        "keras_rnnlm.tasks",
        "keras_rnnlm.viterbi",
    )


class Checker(doctest.OutputChecker):
    """Shapes print as TensorShape([2, 4]), (2, 4) or torch.Size([2, 4])."""

    def check_output(self, want, got, flags):
        return super().check_output(want, re.sub(r"(?:TensorShape|torch\.Size)\(\[([^]]*)\]\)", r"(\1)", got), flags)


def examples(name):
    """The examples of a module, in the order of its source."""
    module = importlib.import_module(name)
    globs = {**vars(module), "np": np, "keras_rnnlm": keras_rnnlm}
    found = doctest.DocTestFinder().find(module, name, globs=globs)
    return sorted((test for test in found if test.examples), key=lambda test: test.lineno or 0)


def failures(tests):
    runner = doctest.DocTestRunner(checker=Checker(), optionflags=doctest.NORMALIZE_WHITESPACE)
    for test in tests:
        runner.run(test)
    return runner.failures


def go_where_it_runs(source, request, monkeypatch, tmp_path):
    """To the folder that the source expects; an export is made with Keras's TensorFlow backend alone."""
    if BACKEND != "tensorflow" and EXPORTS.search(source):
        pytest.skip("of TensorFlow alone")
    monkeypatch.chdir(request.getfixturevalue("made")[0] if MADE.search(source) else tmp_path)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a run and its export, as the examples make them, and how many of these failed by module."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        failed = {name: failures(examples(name)) for name in MAKERS[: 2 if BACKEND == "tensorflow" else 1]}
    return folder, failed


@pytest.mark.parametrize("name", modules())
def test_the_examples_in_docstrings_are_true(name, tmp_path, monkeypatch, request):
    if name in MAKERS:
        failed = request.getfixturevalue("made")[1]
        if name not in failed:
            pytest.skip("it exports, which needs TensorFlow's backend")
        assert failed[name] == 0
        return
    tests = examples(name)
    source = "".join(example.source for test in tests for example in test.examples)
    go_where_it_runs(source, request, monkeypatch, tmp_path)
    assert failures(tests) == 0


def blocks(path):
    """Of each block of Python its line, its source, and why it is not run, where it is not."""
    text = path.read_text(encoding="utf-8")
    for found in BLOCK.finditer(text):
        yield text[: found.start(3)].count("\n"), inspect.cleandoc("\n" + found[3]), found[1]


def block_cases():
    """A README's block stands by itself; those of a page follow each other."""
    for line, source, mark in blocks(README):
        yield pytest.param([(line, source, mark)], README, id=f"README-{line}")
    for page in PAGES:
        found = list(blocks(page))
        if any(mark is None or mark == "long" for _, _, mark in found):
            marks = [pytest.mark.long] if any(mark == "long" for _, _, mark in found) else []
            yield pytest.param(found, page, id=str(page.relative_to(DOCS)), marks=marks)


@pytest.mark.parametrize("found, page", block_cases())
def test_the_blocks_of_readme_and_pages_run(found, page, tmp_path, monkeypatch, request):
    go_where_it_runs("".join(source for _, source, _ in found), request, monkeypatch, tmp_path)
    names = {"__name__": "page"}
    for line, source, mark in found:
        if mark is None or mark == "long":
            exec(compile("\n" * line + source, str(page), "exec"), names)


def commands():
    """Every line for a shell that calls the package."""
    for path in [README, *PAGES]:
        text = path.read_text(encoding="utf-8").replace("\\\n", " ")
        for line in re.findall(r"^(?: {4,}(?:\S.* && |[A-Z_]+=\S+ )*)?keras-rnnlm (.*)", text, flags=re.M):
            yield path.name, line, shlex.split(line, comments=True)


def test_every_command_that_is_shown_is_one():
    for page, line, (word, *arguments) in commands():
        parser = argparse.ArgumentParser()
        importlib.import_module(COMMANDS[word][1]).arguments(parser)
        try:
            options = vars(parser.parse_args(arguments))
        except SystemExit:
            pytest.fail(f"{page}: keras-rnnlm {line}")
        name, changes = options.get("recipe"), options.get("set")
        recipe = Recipe.load(name) if isinstance(name, str) and "." not in name else Recipe()
        recipe.override([change for change in changes or [] if not change.startswith("task_settings.")])


@pytest.mark.parametrize("page", PUBLIC)
def test_every_public_name_is_on_a_page_and_has_an_example(page):
    module, text = importlib.import_module(PUBLIC[page]), (DOCS / "api" / f"{page}.md").read_text(encoding="utf-8")
    for name in module.__all__:
        value = getattr(module, name)
        where = f"{getattr(value, '__module__', '')}.{name}"
        assert f"::: {where}\n" in text or f"## {name}\n" in text, f"docs/api/{page}.md has no {name}"
        if inspect.isclass(value) or inspect.isfunction(value):
            assert ">>> " in (inspect.getdoc(value) or ""), f"the docstring of {where} has no example"


def test_the_pages_of_the_api_name_what_there_is():
    for page in PUBLIC:
        for where in re.findall(r"^::: (\S+)", (DOCS / "api" / f"{page}.md").read_text(encoding="utf-8"), flags=re.M):
            module, _, name = where.rpartition(".")
            assert hasattr(importlib.import_module(module), name), where


def table_of(page, heading, lines):
    return f"{heading}\n" + "".join(lines) + "\n" in page.read_text(encoding="utf-8")


def test_the_guide_lists_every_cell():
    wanted = [f"| `{name}` | `{cell.layer}` | {cell.about} |\n" for name, cell in CELLS.items()]
    assert table_of(DOCS / "guides" / "choosing-a-cell.md", "| cell | layer | what it is |\n|---|---|---|", wanted)


def test_the_guide_lists_every_head():
    wanted = [f"| `{name}` | `{head.head}` | {head.about} |\n" for name, head in HEADS.items()]
    assert table_of(DOCS / "guides" / "heads.md", "| head | class | what it is |\n|---|---|---|", wanted)


@pytest.mark.parametrize("name", ("model.py", "learning.py", "answer.py"))
def test_the_guide_shows_a_task_of_somebody_else_as_it_is(name):
    source = (ROOT / "tests" / "majority" / name).read_text(encoding="utf-8")
    assert f"```python\n{source}```\n" in (DOCS / "guides" / "own-task.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ("settings.md", "commands.md"))
def test_a_page_that_is_a_list_is_what_its_script_writes(name):
    wanted = runpy.run_path(str(DOCS / "reference.py"))["PAGES"][name]()
    assert (DOCS / "guides" / name).read_text(encoding="utf-8") == wanted, "run python docs/reference.py"


def test_every_cell_has_a_page_with_the_picture_that_its_script_draws():
    script = runpy.run_path(str(DOCS / "pictures" / "draw_cells.py"))
    slugs = {name.replace("_", "-") for name in CELLS} | {"attention-decoder"}
    assert script["PICTURES"].keys() == slugs
    for slug in slugs:
        drawn = (DOCS / "pictures" / f"{slug}.svg").read_text(encoding="utf-8")
        assert drawn == script["svg"](*script["PICTURES"][slug]), f"{slug}.svg is not what the script draws"
        assert f"(../pictures/{slug}.svg)" in (DOCS / "cells" / f"{slug}.md").read_text(encoding="utf-8")


def test_the_files_that_the_readme_links_to_are_there():
    links = re.findall(r"\]\(((?!http)[^)#]+)", README.read_text(encoding="utf-8"))
    missing = {link for link in links if not (ROOT / link).exists()}
    assert links and not missing
