"""How a model leaves Keras: SavedModel, ONNX and LiteRT, each run beside the Keras model before it is written.

What stands here is loaded when it is first used; `keras_rnnlm.export.runtime`, which runs the files, loads neither
Keras nor TensorFlow.

>>> from keras_rnnlm import export, models
>>> model = models.LanguageModel(10, units=4, layers=1, cell="gru")
>>> export.to_onnx(model, "model.onnx").operators["GRU"]
1
>>> export.runtime.load("model.onnx").generate([[1, 2, 3]], length=4) == model.generate([[1, 2, 3]], length=4)
True
"""

import importlib

_MODULES = {
    "Exported": "artifacts",
    "to_litert": "litert",
    "to_onnx": "onnx",
    "to_saved_model": "saved_model",
    "verify": "folder",
    "export_run": "folder",
}
__all__ = [*_MODULES, "runtime"]


def __getattr__(name):
    if name == "runtime":
        return importlib.import_module(f"{__name__}.runtime")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}. It has {', '.join(__all__)}.")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__():
    return [*globals(), *__all__]
