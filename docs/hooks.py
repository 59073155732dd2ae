"""What mkdocs does besides: it shows the package whole, as it is once installed, and the notebooks as pages.

In the repository `training` and `export` stand beside `keras_rnnlm`. The pages of the API name what is inside the
package, so the sources are copied together into a folder of their own, for the time of a build.
"""

import pathlib
import runpy
import shutil
import tempfile

from mkdocs.plugins import event_priority
from mkdocs.structure.files import File

ROOT = pathlib.Path(__file__).resolve().parent.parent
_folders = []


@event_priority(100)  # before the plugin reads its paths
def on_config(config):
    folder = tempfile.TemporaryDirectory()
    _folders.append(folder)
    package = pathlib.Path(folder.name, "keras_rnnlm")
    for room, to in (("keras_rnnlm", package), ("training", package / "training"), ("export", package / "export")):
        shutil.copytree(ROOT / room, to, ignore=shutil.ignore_patterns("__pycache__"))
    config.plugins["mkdocstrings"].config.handlers["python"]["paths"] = [folder.name]
    return config


def on_files(files, config):
    for slug, text, pictures in runpy.run_path(str(ROOT / "docs" / "notebooks.py"))["pages"]():
        for name, content in {f"{slug}.md": text, **pictures}.items():
            files.append(File.generated(config, f"notebooks/{name}", content=content))
    return files


def on_shutdown():
    while _folders:
        _folders.pop().cleanup()
