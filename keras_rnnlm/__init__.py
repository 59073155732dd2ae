"""Recurrent language models in Keras: every LSTM and GRU variant, trained fast and exported natively.

Importing this package imports no Keras, so that the command line answers at once. Its rooms (`keras_rnnlm.layers`,
`keras_rnnlm.optimizers`, ...) load when they are first used, and its classes are registered with Keras as soon as both
are imported, in either order, so that a saved model loads after `import keras_rnnlm` alone.
"""

import importlib
import importlib.abc
import importlib.util
import pathlib
import sys

__version__ = "0.1.0"

ROOMS = (
    "cells",
    "diagnostics",
    "export",
    "generation",
    "heads",
    "layers",
    "models",
    "optimizers",
    "recurrence",
    "text",
    "training",
)

NEED_KERAS = ("cells", "diagnostics", "heads", "layers", "models", "optimizers", "recurrence")

# In a checkout, `training` and `export` stand beside this folder; installed, they are inside of it.
_checkout = pathlib.Path(__file__).resolve().parent.parent
if (_checkout / "setup.cfg").is_file():
    __path__.append(str(_checkout))


def __getattr__(name):
    if name in ROOMS:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}. Its rooms are {', '.join(ROOMS)}.")


def __dir__():
    return [*globals(), *ROOMS]


def _register():
    for room in ("layers", "heads", "models", "optimizers"):
        importlib.import_module(f"{__name__}.{room}")
    others = importlib.import_module(f"{__name__}.export.other_exporters")
    others.teach_keras()
    if "tf2onnx.convert" in sys.modules:
        others.teach_tf2onnx(sys.modules["tf2onnx.convert"])
    else:
        sys.meta_path.insert(0, _After("tf2onnx.convert", others.teach_tf2onnx))


class _After(importlib.abc.MetaPathFinder):
    """Calls `then(module)` when the import of a module ends."""

    def __init__(self, name, then):
        self.name, self.then = name, then

    def find_spec(self, name, path=None, target=None):
        if name != self.name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def exec_module(module):
                run(module)
                self.then(module)

            spec.loader.exec_module = exec_module
        return spec


class _KerasFirst(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports Keras, and with it every room of classes, before the first room that needs it.

    A room that imported Keras itself would be half made when the others are imported.
    """

    def find_spec(self, name, path=None, target=None):
        package, _, room = name.rpartition(".")
        if package != __name__ or room not in NEED_KERAS or "keras" in sys.modules:
            return None
        importlib.import_module("keras")
        module = importlib.import_module(name)
        self.made = module, module.__spec__
        return importlib.util.spec_from_loader(name, self)

    def create_module(self, spec):
        return self.made[0]

    def exec_module(self, module):
        module.__spec__ = self.made[1]  # it is made already


if "keras" in sys.modules:
    _register()
else:
    sys.meta_path[:0] = [_After("keras", lambda keras: _register()), _KerasFirst()]
