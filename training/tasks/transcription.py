"""Transcription: recordings in, with what is said in them."""

from keras_rnnlm.schema import whole
from keras_rnnlm.training.recipes.rules import COUNT, POSITIVE, optional, setting
from keras_rnnlm.training.tasks.description import OfFiles


class Transcription(OfFiles):
    """Recordings. The encoder halves the time with each of its layers."""

    settings = OfFiles.settings | {
        "rate": setting(None, "samples a second; others are resampled; none: as the first", optional(whole(1000))),
        "mels": setting(40, "bands of pitch", COUNT),
        "seconds": setting(20.0, "longer recordings are not learned from", POSITIVE),
    }

    def source_of_first(self, path, recipe):
        from keras_rnnlm.sources import Sound

        rate, mels = recipe.task_settings["rate"], recipe.task_settings["mels"]
        return Sound.of_first(path, mels) if rate is None else Sound(rate, mels)

    limiting = ("longest", "seconds")

    def most(self, recipe):
        from keras_rnnlm.sources.sound import HOP

        return max(1, round(recipe.task_settings["seconds"] / HOP))

    def encoder(self, recipe, vocabulary):
        source = vocabulary.source
        return {"encoder": "sound", "encoder_options": {"rate": source.rate, "mels": source.mels}}
