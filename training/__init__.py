"""How a network learns: corpora, tokenizers, streams, recipes, the training loop, evaluation.

What stands here is loaded when it is first used: importing this package costs nothing.

>>> from keras_rnnlm import training
>>> training.Recipe.load("char").tokenizer
'char'
"""

import importlib

_MODULES = {
    "Checkpoints": "runs.checkpoints",
    "Contiguous": "streams",
    "Encoded": "corpora.encoded",
    "Loop": "loop.loop",
    "NGram": "evaluation.ngram",
    "Recipe": "recipes.recipe",
    "Scorer": "evaluation.scorer",
    "Sentences": "streams",
    "Task": "tasks",
    "Tokenizer": "keras_rnnlm.text",
    "encode": "commands.encode",
    "encode_corpus": "corpora.encoded",
    "evaluate": "commands.evaluate",
    "load_encoded": "corpora.encoded",
    "load_run": "runs.run",
    "merge_shards": "corpora.encoded_shards",
    "measures": "evaluation.scorer",
    "open_corpus": "corpora.opening",
    "plot": "runs.curves",
    "read_history": "runs.curves",
    "resume": "commands.train",
    "train": "commands.train",
}
__all__ = list(_MODULES)


def __getattr__(name):
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}. It has {', '.join(__all__)}.")
    module = _MODULES[name]
    module = module if module.startswith("keras_rnnlm.") else f"{__name__}.{module}"
    return getattr(importlib.import_module(module), name)


def __dir__():
    return [*globals(), *__all__]
