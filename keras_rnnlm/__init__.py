"""Recurrent language models in Keras: every LSTM and GRU variant, trained fast and exported natively.

Importing this package imports no Keras, so that the command line answers at once. Its rooms (`keras_rnnlm.layers`,
`keras_rnnlm.optimizers`, ...) load when they are first used, and its classes are registered with Keras as soon as both
are imported, in either order, so that a saved model loads after `import keras_rnnlm` alone.
"""

import importlib
import pathlib
import sys

from keras_rnnlm.import_hooks import After, KerasFirst

__version__ = "0.2.0"

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
    "sources",
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
        sys.meta_path.insert(0, After("tf2onnx.convert", others.teach_tf2onnx))


if "keras" in sys.modules:
    _register()
else:
    sys.meta_path[:0] = [
        After("keras", lambda keras: _register()),
        KerasFirst([f"{__name__}.{room}" for room in NEED_KERAS]),
    ]
