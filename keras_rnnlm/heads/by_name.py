"""The heads by name: a new one is a file of its own and a line here."""

import keras

from keras_rnnlm.heads.head import Head
from keras_rnnlm.heads.vocabulary import VocabularyLogits

# What `head` may be by name.
HEADS = {
    "full": VocabularyLogits,
}


def head_from(given, vocabulary_size, **options):
    """The head of a model. `given` is a name, a class, which is made with the options, or a head, which has its own."""
    found = given
    if isinstance(given, str):
        found = HEADS.get(given) or keras.saving.get_registered_object(given)
    if isinstance(found, type) and issubclass(found, Head):
        return found(vocabulary_size, **options)
    if not isinstance(found, Head):
        raise ValueError(
            f"`head` is one of {sorted(HEADS)}, or a keras_rnnlm.heads.Head, or a class of them. "
            f"Received: head={given!r}"
        )
    if found.vocabulary_size != vocabulary_size:
        raise ValueError(
            f"A head gives a logit for each of the model's {vocabulary_size} tokens. "
            f"Received: the head {found.name!r} for {found.vocabulary_size}"
        )
    if found.built:
        raise ValueError(f"A model builds its head itself: give it a new one. Received: {found.name!r}, which is built")
    return found


def to_config(head):
    """What `from_config` takes, for a config."""
    if isinstance(head, str):
        return head
    if isinstance(head, type):
        return keras.saving.get_registered_name(head)
    config = keras.saving.serialize_keras_object(head)
    config.pop("build_config", None)  # by which Keras would build it before it is tied
    return config


def from_config(config):
    return config if isinstance(config, str) else keras.saving.deserialize_keras_object(config)
