"""How a network learns: corpora, tokenizers, streams, recipes, the training loop, evaluation.

What stands here is loaded when it is first used: importing this package costs nothing.

>>> from keras_rnnlm import training
>>> training.Recipe.load("char").tokenizer
'char'
"""

import importlib
import types

_MODULES = {
    "Checkpoints": "checkpoints",
    "Contiguous": "streams",
    "Encoded": "encoded",
    "Loop": "loop",
    "NGram": "ngram",
    "Recipe": "recipe",
    "Scorer": "evaluation",
    "Sentences": "streams",
    "Tokenizer": "keras_rnnlm.text",
    "encode_corpus": "encoded",
    "evaluate": "evaluate",
    "load_encoded": "encoded",
    "load_run": "run",
    "measures": "evaluation",
    "open_corpus": "corpora",
    "plot": "curves",
    "read_history": "curves",
    "resume": "train",
    "train": "train",
}
__all__ = list(_MODULES)


def __getattr__(name):
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}. It has {', '.join(__all__)}.")
    module = _MODULES[name]
    return getattr(importlib.import_module(module if "." in module else f"{__name__}.{module}"), name)


def __dir__():
    return [*globals(), *__all__]


class CallableModule(types.ModuleType):
    """A module that is called as the function of its own name.

    `training.train` is a function, and so is `training.evaluate`; but as soon as the modules of these names are loaded,
    Python puts them in the functions' place.
    """

    def __call__(self, *arguments, **options):
        return getattr(self, self.__name__.rpartition(".")[2])(*arguments, **options)
