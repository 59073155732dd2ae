"""What a translator reads its sources by, where these are no ids."""

import inspect

import keras

from keras_rnnlm.places import imported, is_place

TEXT = "text"  # which is the translator's own: an embedding and a stack of recurrent layers


class Encoder(keras.layers.Layer):
    """A source, an array of numbers, to places that a decoder attends to. A subclass is one kind of sources.

    `encoder(source, training=False)` gives `encoded`, (batch, places, units), what is found at each place; `mask`,
    booleans (batch, places), which of the places are of the source; and `summary`, (batch, units), of which the decoder
    makes the states that it begins in.

    Args:
        units: how wide what it gives is.
        source: a `keras_rnnlm.sources.Source`, which says what it takes.

    Attributes:
        task: by what `keras_rnnlm.tasks` knows how an exported file with it answers.

    >>> class Rows(Encoder):
    ...     def call(self, source, training=False):
    ...         encoded = source[..., : self.units]  # each row of a picture of one channel is a place
    ...         return encoded, encoded[..., 0] == encoded[..., 0], keras.ops.mean(encoded, axis=1)
    >>> rows = Rows(4, keras_rnnlm.sources.Image([8, 6, 1]))
    >>> rows(np.ones((2, 8, 6)))[0].shape
    (2, 8, 4)
    """

    task = "describe"

    def __init__(self, units, source, **kwargs):
        super().__init__(**kwargs)
        self.units, self.source = units, source

    @classmethod
    def made_for(cls, translator, **options):
        """One that goes with the arguments of a translator: its width, and what else the two have in common."""
        return cls(translator.units, **options)


def encoder_from(given, translator, encoder_options=None, **options):
    """The encoder of a translator.

    Args:
        given: a name, a class, which is made with the options, or an encoder, which has its own.
        translator: the arguments of the translator.
        encoder_options: further arguments of an encoder that is made, from the user, or None.
        options: those of the model.
    """
    from keras_rnnlm.models.encoders import ENCODERS

    found = given
    if isinstance(given, str):
        found = imported(given, "encoder") if is_place(given) else ENCODERS.get(given)
        found = found or keras.saving.get_registered_object(given)
    if isinstance(found, type) and issubclass(found, Encoder):
        return found.made_for(translator, **{**options, **_checked(encoder_options, found)})
    if not isinstance(found, Encoder):
        raise ValueError(
            f'`encoder` is "{TEXT}", one of {sorted(ENCODERS)}, or a keras_rnnlm.models.Encoder, or a class of them. '
            f"Received: encoder={given!r}"
        )
    if encoder_options:
        raise ValueError(
            "`encoder_options` are for an encoder that is made by its name or class. "
            f"Received: encoder_options={encoder_options!r} and the encoder {found.name!r}"
        )
    if found.units != translator.units:
        raise ValueError(
            f"An encoder is as wide as its translator, {translator.units}. Received: {found.name!r} of {found.units}"
        )
    return found


def _checked(encoder_options, made):
    chosen = {} if encoder_options is None else encoder_options
    known = [name for name in inspect.signature(made.__init__).parameters if name not in ("self", "units", "kwargs")]
    if not isinstance(chosen, dict) or set(chosen) - set(known):
        raise ValueError(
            f"`encoder_options` is a dict of arguments of {made.__name__}: {', '.join(known)}. "
            f"Received: encoder_options={encoder_options!r}"
        )
    return chosen
