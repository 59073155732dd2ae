"""What a translator is made with, and called on, looked at."""

import numbers

from keras_rnnlm.models.encoder import TEXT
from keras_rnnlm.schema import is_a, is_count, is_whole


def read(inputs, source_kind):
    """The source and the target that came in."""
    if isinstance(inputs, dict) and set(inputs) == {"source", "target"}:
        source, target = inputs["source"], inputs["target"]
    elif isinstance(inputs, (list, tuple)) and len(inputs) == 2:
        source, target = inputs
    else:
        received = sorted(inputs) if isinstance(inputs, dict) else type(inputs).__name__
        raise ValueError(f"Inputs are a dict of `source` and `target`, or a pair of them. Received: {received}")
    shapes = [tuple(getattr(ids, "shape", ())) for ids in (source, target)]
    if source_kind is not None:
        wanted = (None, *source_kind.shape)
        if len(shapes[0]) != len(wanted) or any(
            None not in pair and pair[0] != pair[1] for pair in zip(shapes[0], wanted)
        ):
            raise ValueError(f"`source` is an array of shape {wanted}, and None any size. Received: shape {shapes[0]}")
        shapes[0] = shapes[1]
    if any(len(shape) != 2 for shape in shapes):
        raise ValueError(
            f"`source` and `target` are integers (batch, time). Received: shapes {shapes[0]} and {shapes[1]}"
        )
    return source, target


def check(a):
    if a.encoder != TEXT and a.source_vocabulary is not None:
        raise ValueError(
            f"Sources that are no ids have no vocabulary: `source_vocabulary` is None with such an encoder. "
            f"Received: source_vocabulary={a.source_vocabulary!r}"
        )
    if a.encoder == TEXT and a.encoder_options:
        raise ValueError(f'`encoder_options` are not for the encoder "{TEXT}". Received: {a.encoder_options!r}')
    if isinstance(a.encoder_options, dict):  # as they are when they come back from a file
        given = a.encoder_options.items()
        a.encoder_options = {name: list(value) if isinstance(value, tuple) else value for name, value in given}
    sizes = ("source_vocabulary",) * (a.encoder == TEXT)
    for name in (*sizes, "target_vocabulary", "units", "layers", "decoder_layers", "embedding_dim"):
        if not is_count(getattr(a, name)):
            raise ValueError(f"`{name}` is a positive integer. Received: {name}={getattr(a, name)!r}")
        setattr(a, name, int(getattr(a, name)))  # a numpy integer has no place in a saved configuration
    if a.units % 2:
        raise ValueError(f"`units` is even, half of it for each direction of the encoder. Received: units={a.units}")
    if a.connection not in (None, "residual"):
        raise ValueError(f'`connection` is "residual", or None. Received: connection={a.connection!r}')
    for name in ("label_smoothing", "scheduled_sampling"):
        value = getattr(a, name)
        if not (is_a(value, numbers.Real) and 0 <= value <= 1):
            raise ValueError(f"`{name}` is a fraction, from 0 to 1. Received: {name}={value!r}")
    if not (is_a(a.doubly_stochastic, numbers.Real) and a.doubly_stochastic >= 0):
        raise ValueError(
            f"`doubly_stochastic` is a factor, 0 or above. Received: doubly_stochastic={a.doubly_stochastic!r}"
        )
    if not is_whole(a.sampling_steps, 0):
        raise ValueError(f"`sampling_steps` counts steps, from 0. Received: sampling_steps={a.sampling_steps!r}")
    for name in ("start", "end"):
        if not (is_whole(getattr(a, name), 1) and getattr(a, name) < a.target_vocabulary):
            raise ValueError(
                f"`{name}` is an id of the target's vocabulary, from 1 to {a.target_vocabulary - 1}. "
                f"Received: {name}={getattr(a, name)!r}"
            )
    if a.start == a.end:
        raise ValueError(f"`start` and `end` are two ids. Received: both are {a.start}")
