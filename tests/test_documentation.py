"""Documentation runs: the README's blocks and the examples in docstrings."""

import doctest
import importlib
import pathlib
import pkgutil
import re

import numpy as np
import pytest

import keras_rnnlm
from keras_rnnlm.cell_list import CELLS
from keras_rnnlm.head_list import HEADS
from tests.support import BACKEND

README = pathlib.Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.S)


def modules():
    for room in keras_rnnlm.ROOMS:
        package = importlib.import_module(f"keras_rnnlm.{room}")
        yield package.__name__
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            if "_backend" not in module.name or module.name.endswith(f"{BACKEND}_backend"):
                yield module.name


@pytest.mark.parametrize("name", modules())
def test_the_examples_in_docstrings_are_true(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    # Shapes print as TensorShape([2, 4]), (2, 4) or torch.Size([2, 4]).
    class Checker(doctest.OutputChecker):
        def check_output(self, want, got, flags):
            return super().check_output(
                want, re.sub(r"(?:TensorShape|torch\.Size)\(\[([^]]*)\]\)", r"(\1)", got), flags
            )

    module = importlib.import_module(name)
    globs = {**vars(module), "np": np, "keras_rnnlm": keras_rnnlm}
    runner = doctest.DocTestRunner(checker=Checker(), optionflags=doctest.NORMALIZE_WHITESPACE)
    for test in doctest.DocTestFinder().find(module, name, globs=globs):
        runner.run(test)
    assert runner.failures == 0


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_the_readme_runs(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {})


def test_the_readme_lists_every_cell():
    wanted = "".join(f"| `{name}` | `{cell.layer}` | {cell.about} |\n" for name, cell in CELLS.items())
    assert f"| cell | layer | what it is |\n|---|---|---|\n{wanted}\n" in README.read_text(encoding="utf-8")


def test_the_readme_lists_every_head():
    wanted = "".join(f"| `{name}` | `{head.head}` | {head.about} |\n" for name, head in HEADS.items())
    assert f"| head | class | what it is |\n|---|---|---|\n{wanted}\n" in README.read_text(encoding="utf-8")
