"""Runs what keras-rnnlm exported, on a machine without Keras and TensorFlow.

`load(path)` opens an export; `generation` has the samplers, `text` the tokenizers. The code is that of keras-rnnlm.
"""

import importlib
import importlib.metadata

__all__ = ["ExportedLanguageModel", "ExportedModel", "load"]


def __getattr__(name):
    if name in __all__:
        return getattr(importlib.import_module(f"{__name__}.export.runtime"), name)
    if name == "__version__":
        return importlib.metadata.version("keras-rnnlm-runtime")
    if name in ("generation", "text"):
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}. It has {', '.join(__all__)}.")


def __dir__():
    return [*globals(), *__all__, "generation", "text"]
