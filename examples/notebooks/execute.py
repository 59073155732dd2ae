"""Runs the notebooks beside it anew, and stores what they print and draw.

    pip install nbclient ipykernel
    python execute.py [time_series book tagger]

What a machine says on the standard error, of its drivers above all, is not stored.
"""

import hashlib
import pathlib
import sys
import tempfile

FOLDER = pathlib.Path(__file__).parent


def main(names):
    import nbclient
    import nbformat

    for path in [FOLDER / f"{name}.ipynb" for name in names] or sorted(FOLDER.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        with tempfile.TemporaryDirectory() as folder:
            resources = {"metadata": {"path": folder}}
            nbclient.NotebookClient(notebook, timeout=1800, resources=resources, record_timing=False).execute()
        cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
        for cell in cells:
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        notebook.metadata = {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "executed": digest([cell.source for cell in cells]),
        }
        nbformat.validate(notebook)
        nbformat.write(notebook, path)


def digest(sources):
    """By which a notebook knows the code that its outputs are of."""
    return hashlib.sha256("\n\n".join(sources).encode()).hexdigest()


if __name__ == "__main__":
    main(sys.argv[1:])
