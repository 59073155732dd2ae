"""What a step depends on beside tensors: by it, equal cells share what is compiled, whoever wrote them."""

import functools
import sys
import types

import keras
import numpy as np

# What no step reads: it names the cell, or is an argument that makes weights.
NOT_READ = ("name", "seed")
MAKES_WEIGHTS = ("initializer", "regularizer", "constraint")
MADE_OF_WEIGHTS = (keras.Variable, keras.random.SeedGenerator, keras.initializers.Initializer)
MADE_OF_WEIGHTS += (keras.regularizers.Regularizer, keras.constraints.Constraint)


def of(cell, base):
    """A key that equal cells have in common: the class, with what stands in it and above it up to `base`, and all
    attributes that a step may read. None where one of them cannot be compared.
    """
    classes = [one for one in type(cell).__mro__ if one not in base.__mro__]
    of_classes = [(name, value) for one in classes for name, value in vars(one).items() if not _is_dunder(name)]
    try:
        key = type(cell), cell.dtype_policy.name, *map(_comparable, [*of_classes, *_read(cell).items()])
        hash(key)
    except TypeError:
        return None
    return key


def are_lasting(cell):
    """Whether all that the step depends on is there as long as the process is, such as a module's functions."""
    return _is_of_a_module(type(cell)) and all(map(_is_plain, _read(cell).values()))


def without_weights(cell):
    """A copy that has the step and its options, and nothing of Keras's: it keeps no weight in memory."""
    copy = object.__new__(type(cell))
    values = {name: value for name, value in vars(cell).items() if name[0] != "_" or not _is_of_keras(name)}
    copy.__dict__.update({name: _untracked(value) for name, value in values.items() if _is_plain(value)})
    copy.__dict__["_dtype_policy"] = cell.dtype_policy
    return copy


def _read(cell):
    """The attributes that a step may read, by name."""
    found = {}
    not_read = {*NOT_READ, *(name for name in cell.arguments if name.endswith(MAKES_WEIGHTS))}
    for name, value in vars(cell).items():
        by_keras = _is_of_keras(name) and (name[0] == "_" or not _is_plain(value))
        made_of_weights = value if isinstance(value, (list, tuple)) and value else [value]
        if not (by_keras or name in not_read or all(isinstance(one, MADE_OF_WEIGHTS) for one in made_of_weights)):
            found[name] = value
    return found


def _is_of_keras(name):
    """Whether Keras, or TensorFlow beneath it, gives a layer an attribute of this name."""
    return name in _names_of_keras() or name.startswith("_self_")


@functools.cache
def _names_of_keras():
    """The names of the attributes of any layer, and of those in which Keras's cells keep dropout masks."""
    layer = keras.layers.Layer(name="any")
    layer.build((1,))
    return {*vars(layer), "_dropout_mask", "_recurrent_dropout_mask"}


def _comparable(value):
    """A value that equals another where a step cannot tell them apart: objects are compared by identity."""
    if isinstance(value, dict):
        return "dict", *((name, _comparable(one)) for name, one in value.items())
    if isinstance(value, (list, tuple)):
        return "list", *map(_comparable, value)
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    return repr(value) if _is_plain(value) and not callable(value) else value


def _is_plain(value):
    """Whether an attribute is a part of the equations: neither weights nor layers, nor a list of such."""
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(map(_is_plain, [*value, *value.values()]))
    if value is None or isinstance(value, (bool, int, float, str, np.generic)):
        return True
    if isinstance(value, np.ndarray):
        return value.dtype != object
    # Keras wraps methods in functions that hold the layer.
    return isinstance(value, types.FunctionType) and _is_of_a_module(value)


def _is_of_a_module(value):
    return getattr(sys.modules.get(value.__module__), value.__qualname__, None) is value


def _untracked(value):
    """A list or dict without what Keras keeps beside it."""
    if isinstance(value, dict):
        return {name: _untracked(one) for name, one in value.items()}
    return [_untracked(one) for one in value] if isinstance(value, list) else value


def _is_dunder(name):
    return name.startswith("__") and name.endswith("__")
