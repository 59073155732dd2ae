"""Arguments by name: a class says what its own are, and its signature and its config follow."""

import inspect

import keras


def with_options(signature, options):
    """The signature of `__init__` without `self`, with our keyword-only `options` before its `**kwargs`."""
    parameters = [p for name, p in signature.parameters.items() if name not in ("self", "kwargs")]
    # A keyword-only option may say again what is an argument already: a default of its own.
    parameters = [p for p in parameters if p.name not in {option.name for option in options}]
    rest = [p for p in signature.parameters.values() if p.kind is inspect.Parameter.VAR_KEYWORD]
    return signature.replace(parameters=[*parameters, *options, *rest])


def keyword_only(options):
    """Parameters from `{name: default}`."""
    return [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=value) for name, value in options.items()]


SAME = "activation"  # as the value of another activation: the same function as `activation`


class _Cells:
    """Lists of cells, which a config holds as dicts."""

    @staticmethod
    def get(value):
        if not isinstance(value, (list, tuple)):
            return value
        return [keras.saving.deserialize_keras_object(cell) if isinstance(cell, dict) else cell for cell in value]

    @staticmethod
    def serialize(value):
        if not isinstance(value, (list, tuple)):
            return value
        return [keras.saving.serialize_keras_object(cell) for cell in value]


def _kind(name, value):
    if name == "cells":
        return _Cells
    if value == SAME:
        return None
    for kind in ("activation", "initializer", "regularizer", "constraint"):
        if name.endswith(kind):
            return getattr(keras, f"{kind}s")
    return None


def deserialize(name, value):
    """What the argument `name` stands for: `activation="tanh"` is a function."""
    kind = _kind(name, value)
    return value if kind is None else kind.get(value)


def serialize(name, value):
    """What `deserialize` takes."""
    kind = _kind(name, value)
    return value if kind is None else kind.serialize(value)
