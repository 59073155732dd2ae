"""The heads by name, and one of a model from what it was given."""

import importlib
import inspect

import keras

from keras_rnnlm import head_list
from keras_rnnlm.heads.head import Head
from keras_rnnlm.places import imported, is_place
from keras_rnnlm.unbuilt import serialized

# What `head` may be by name.
HEADS = {
    name: getattr(importlib.import_module(f"keras_rnnlm.heads.{named.module}"), named.head)
    for name, named in head_list.HEADS.items()
}


def head_from(given, vocabulary_size, head_options=None, **options):
    """The head of a model.

    Args:
        given: a name, a class, which is made with the options, or a head, which has its own.
        vocabulary_size: how many logits.
        head_options: further arguments of a head that is made, from the user, or None.
        options: those of the model.
    """
    found = given
    if isinstance(given, str):
        found = imported(given, "head") if is_place(given) else HEADS.get(given)
        found = found or keras.saving.get_registered_object(given)
    if isinstance(found, type) and issubclass(found, Head):
        return found(vocabulary_size, **{**options, **_checked(head_options, found)})
    if not isinstance(found, Head):
        raise ValueError(
            f"`head` is one of {sorted(HEADS)}, or a keras_rnnlm.heads.Head, or a class of them. "
            f"Received: head={given!r}"
        )
    if head_options:
        raise ValueError(
            "`head_options` are for a head that is made by its name or class: give a head its settings yourself. "
            f"Received: head_options={head_options!r} and the head {found.name!r}"
        )
    if found.vocabulary_size != vocabulary_size:
        raise ValueError(
            f"A head gives a logit for each of the model's {vocabulary_size} tokens. "
            f"Received: the head {found.name!r} for {found.vocabulary_size}"
        )
    if found.built:
        raise ValueError(f"A model builds its head itself: give it a new one. Received: {found.name!r}, which is built")
    return found


def _checked(head_options, made):
    """The options, which are arguments of the class."""
    own = [kind for kind in made.__mro__ if issubclass(kind, Head) and "__init__" in vars(kind)]
    known = dict.fromkeys(name for kind in own for name in inspect.signature(kind.__init__).parameters)
    known = [name for name in known if name not in ("self", "vocabulary_size", "args", "kwargs")]
    chosen = {} if head_options is None else head_options
    if not isinstance(chosen, dict) or set(chosen) - set(known):
        raise ValueError(
            f"`head_options` is a dict of arguments of {made.__name__}: {', '.join(known)}. "
            f"Received: head_options={head_options!r}"
        )
    return chosen


def to_config(head):
    """What `from_config` takes, for a config."""
    if isinstance(head, str):
        return head
    if isinstance(head, type):
        return keras.saving.get_registered_name(head)
    return serialized(head)  # Keras would build it before it is tied


def from_config(config):
    return config if isinstance(config, str) else keras.saving.deserialize_keras_object(config)
