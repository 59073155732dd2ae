"""Configurations of layers that whoever holds them builds: in its own scope, which names their variables."""

import keras

BUILT = "build_config"  # by which Keras would build a layer before
INSIDE = ("config", "cell")  # where the configuration of a layer's cell is


def serialized(layer):
    """As `keras.saving.serialize_keras_object`."""
    return _not_built(keras.saving.serialize_keras_object(layer))


def deserialized(config):
    """The layer, not built yet."""
    return keras.saving.deserialize_keras_object(_not_built(config))


def _not_built(config):
    if not isinstance(config, dict):
        return config
    return {name: _not_built(value) if name in INSIDE else value for name, value in config.items() if name != BUILT}
