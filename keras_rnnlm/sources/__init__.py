"""Sources that are no text, as numbers: pictures, recordings. It needs no Keras: exported models read them, too."""

from keras_rnnlm.sources.image import Image
from keras_rnnlm.sources.kinds import KINDS, source_of
from keras_rnnlm.sources.sound import Sound
from keras_rnnlm.sources.source import NAMES, Source

__all__ = ["KINDS", "NAMES", "Image", "Sound", "Source", "source_of"]
