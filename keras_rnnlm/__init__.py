"""Recurrent language models in Keras: every LSTM and GRU variant, trained fast and exported natively.

Importing this package imports no Keras, so that the command line answers at once. Its rooms (`keras_rnnlm.layers`,
`keras_rnnlm.optimizers`, ...) load when they are first used, and its classes are registered with Keras as soon as both
are imported, in either order, so that a saved model loads after `import keras_rnnlm` alone.
"""

import functools
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
    "layers",
    "models",
    "optimizers",
    "recurrence",
    "text",
    "training",
)

NEED_KERAS = ("cells", "diagnostics", "layers", "models", "optimizers", "recurrence")

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
    for room in ("layers", "models", "optimizers"):
        importlib.import_module(f"{__name__}.{room}")
    _teach_keras_onnx()


def _teach_keras_onnx():
    """Keras's own `model.export(format="onnx")` traces a model by this one function: our layers become native nodes."""
    module = importlib.import_module("keras.src.export.onnx")
    trace = getattr(module, "get_concrete_fn", None)
    if trace is None:
        return

    @functools.wraps(trace)
    def get_concrete_fn(*arguments, **options):
        tracing = importlib.import_module(f"{__name__}.export.onnx.tracing")
        with tracing.native():
            return trace(*arguments, **options)

    module.get_concrete_fn = get_concrete_fn


class _AfterKeras(importlib.abc.MetaPathFinder):
    """Registers our classes when the import of Keras ends."""

    def find_spec(self, name, path=None, target=None):
        if name != "keras":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def exec_module(module):
                run(module)
                _register()

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
    sys.meta_path[:0] = [_AfterKeras(), _KerasFirst()]
