"""The faster of two precisions, by measuring a few steps of the very training in each."""

import dataclasses

from keras_rnnlm.quiet import import_keras
from keras_rnnlm.training.loop.steps_per_second import interleaved
from keras_rnnlm.training.runs.run import build_model

TRIED = ("float32", "mixed_bfloat16")


def faster(recipe, vocabulary, stream):
    """The one of `TRIED` in which the first windows of a stream take least time, and the median seconds of a step."""
    trains = {}
    for precision in TRIED:
        model = build_model(dataclasses.replace(recipe, precision=precision), vocabulary)
        trains[precision] = _train(model, stream.dataset().repeat())
    seconds = interleaved(trains, steps=3, rounds=3)
    keras = import_keras()
    devices = keras.distribution.distribution()
    keras.utils.clear_session()  # names are counted, and the run's model is to have the first ones
    keras.distribution.set_distribution(devices)  # which Keras forgets with the names
    return min(seconds, key=seconds.get), seconds


def _train(model, dataset):
    def train(steps):
        model.fit(dataset, steps_per_epoch=steps, verbose=0)

    return train
