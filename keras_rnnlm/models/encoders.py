"""The encoders by name."""

from keras_rnnlm.models.image_encoder import ImageEncoder
from keras_rnnlm.models.sound_encoder import SoundEncoder

# What `encoder` of a Translator may be by name, beside "text".
ENCODERS = {"image": ImageEncoder, "sound": SoundEncoder}
