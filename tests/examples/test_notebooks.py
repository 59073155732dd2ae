"""The notebooks: they run, in their short form, and what is stored in them is of their code."""

import json
import pathlib
import runpy

import matplotlib.pyplot as plt
import pytest

ROOT = pathlib.Path(__file__).parent.parent.parent
NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [{**cell, "source": "".join(cell["source"])} for cell in cells if cell["cell_type"] == "code"]


def kinds(cell):
    """What is stored of a cell: what it printed, "stdout", and its pictures."""
    return [output.get("name") or sorted(output["data"], key="image/png".__ne__)[0] for output in cell["outputs"]]


@every_notebook
def test_a_notebook_runs_and_prints_and_draws_where_it_says_so(path, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    names = {"__name__": "__main__"}
    with plt.rc_context():
        plt.switch_backend("agg")
        plt.close("all")  # those of other tests
        for number, cell in enumerate(code_cells(path)):
            source = cell["source"]
            if number == 0:
                assert source.startswith("QUICK = False  # ")
                source = source.replace("False", "True", 1)
            exec(compile(source, f"{path.name}, cell {number}", "exec"), names)
            shown = ["stdout"] * bool(capsys.readouterr().out) + ["image/png"] * len(plt.get_fignums())
            assert shown == kinds(cell), source
            plt.close("all")


@every_notebook
def test_what_is_stored_in_a_notebook_is_of_its_code(path):
    cells, notebook = code_cells(path), json.loads(path.read_text(encoding="utf-8"))
    digest = runpy.run_path(str(path.parent / "execute.py"))["digest"]
    assert notebook["metadata"]["executed"] == digest([cell["source"] for cell in cells]), "run execute.py"
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert path.stat().st_size < 150_000
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])


def test_the_site_shows_each_notebook_whole():
    listed = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = {slug: page for slug, *page in runpy.run_path(str(ROOT / "docs" / "notebooks.py"))["pages"]()}
    for path in NOTEBOOKS:
        slug = path.stem.replace("_", "-")
        text, pictures = pages.pop(slug)
        assert f": notebooks/{slug}.md\n" in listed
        for cell in code_cells(path):
            assert f"````python\n{cell['source']}\n````" in text
        drawn = [kind for cell in code_cells(path) for kind in kinds(cell) if kind == "image/png"]
        assert len(drawn) == len(pictures) and all(data.startswith(b"\x89PNG") for data in pictures.values())
        assert all(f"]({name})" in text for name in pictures)
    assert not pages
