"""A model from a .keras file that anyone may have written."""

import concurrent.futures
import math
import os
import stat
import zipfile

import keras

from keras_rnnlm.models.language_model import LanguageModel
from keras_rnnlm.schema import is_a, parse_json

MOST_LAYERS = 1000
NAME = "keras_rnnlm>LanguageModel"


def read_language_model(path):
    """The LanguageModel in a .keras file; a ValueError of one line where there is none."""
    return read_model(path, LanguageModel)


def read_model(path, kind):
    """The model of a class in a .keras file; a ValueError of one line where there is none."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ValueError("it is no regular file")
        _check_configuration(path)
        model = keras.models.load_model(path, compile=False)
    except Exception as error:  # of many kinds, from zip files, HDF5 and Keras
        raise ValueError(f"{path} cannot be read as a model: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(model, kind):
        raise ValueError(f"{path} holds a {type(model).__name__}: what a run trains and exports is a {kind.__name__}")
    return model


def _check_configuration(path):
    """Raises where the network that is described does not fit the weights beside it."""
    with zipfile.ZipFile(path) as archive:
        described = parse_json(archive.read("config.json"))
        if not isinstance(described, dict) or described.get("registered_name") != NAME:
            return
        bytes_ = archive.getinfo("model.weights.h5").file_size
    count = count_weights(described["config"], bytes_)
    if count > bytes_:
        raise ValueError(f"its configuration has {count:.3g} weights or more, and its weights' file {bytes_:,} bytes")


def count_weights(config, enough=math.inf):
    """How many numbers a LanguageModel would hold, without making them. Counting ends at `enough`."""
    units, layers = config.get("units", 1), config.get("layers", 1)
    for width in [*(units if isinstance(units, list) else [units]), layers, config.get("vocabulary_size", 2)]:
        if is_a(width, int) and width > enough:
            return width  # each of which has a weight of its own, at least
    if is_a(layers, int) and layers > MOST_LAYERS:  # each takes a moment, even without its weights
        raise ValueError(f"`layers` is at most {MOST_LAYERS:,}. Received: layers={layers:,}")

    def count():
        with keras.StatelessScope(initialize_variables=False):
            model = LanguageModel.from_config(config)
        return sum(math.prod(variable.shape) for variable in model.variables)

    # What Keras notes of variables without values, to make them later, it notes for each thread.
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        return thread.submit(count).result()
