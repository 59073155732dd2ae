"""What heads for large vocabularies have in common."""

import keras
import numpy as np

LEAST = 1000  # tokens, from which on they have settings of their own choice


def check_large(vocabulary_size, head, setting):
    """Raises where a vocabulary is too small for the default of a setting."""
    if vocabulary_size < LEAST:
        raise ValueError(
            f"The head {head!r} chooses its `{setting}` for a vocabulary of {LEAST:,} tokens or more, and of fewer the "
            f"full softmax takes no longer: take head='full', or give `{setting}`. "
            f"Received: vocabulary_size={vocabulary_size}"
        )


def as_initial(array):
    """The initializer of a weight that begins as this array."""
    return lambda shape, dtype: keras.ops.convert_to_tensor(np.asarray(array), dtype=dtype)
