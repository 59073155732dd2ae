"""Random numbers that are a function of where they are used: the same bits in every runtime.

    h = START
    h = mix(h ^ word)    for the words low and high of the seed, then row, step and number
    uniform = (h >> 8) / 2**24

`mix` is lowbias32 (Chris Wellons, hash-prospector). It is written in int32 with products that wrap around, because that
is what numpy, TensorFlow, JAX, PyTorch, ONNX Runtime and LiteRT all have: PyTorch multiplies no uint32, LiteRT has
neither a bitwise and nor a 64-bit xor, JAX has 64 bits only when asked.
"""

import numpy as np

from keras_rnnlm.schema import is_whole

START = 0x9E3779B9
LARGEST_SEED = 2**63 - 1


def uniform(seed, row, step, number=0, ops=np):
    """Float32 numbers in [0, 1), 24 random bits each, of the shape that `row`, `step` and `number` broadcast to.

    Args:
        seed: an integer from 0 to 2**63 - 1, or, in a graph, its `seed_words` as two int32 scalars.
        row: int32, which text of a batch.
        step: int32, which new token of the text.
        number: int32, which of the numbers that one token takes.
        ops: `numpy` or `keras.ops`.

    Example:
        >>> uniform(seed=1, row=[[0], [1]], step=0, number=[0, 1, 2]).shape
        (2, 3)
    """
    low, high = seed if isinstance(seed, (tuple, list)) else seed_words(seed)
    bits = np.int32(_signed(START))
    # Numpy warns of a scalar that wraps around, and of no array that does.
    with np.errstate(over="ignore"):
        for word in (low, high, row, step, number):
            bits = _mix(ops.bitwise_xor(ops.array(word, dtype="int32"), bits), ops)
        return ops.array(_shift(bits, 8, ops), dtype="float32") * np.float32(2.0**-24)


def seed_words(seed):
    """The low and the high 32 bits of a seed, as the two signed numbers that an int32 holds."""
    if not is_whole(seed, 0) or seed > LARGEST_SEED:
        raise ValueError(f"`seed` is an integer from 0 to 2**63 - 1. Received: seed={seed!r}")
    seed = int(seed)
    return _signed(seed & 0xFFFFFFFF), seed >> 32


def _mix(x, ops):
    x = ops.bitwise_xor(x, _shift(x, 16, ops)) * np.int32(_signed(0x7FEB352D))
    x = ops.bitwise_xor(x, _shift(x, 15, ops)) * np.int32(_signed(0x846CA68B))
    return ops.bitwise_xor(x, _shift(x, 16, ops))


def _shift(x, bits, ops):
    """Right shift that brings in zeros. Only a number without its sign is shifted, which all runtimes do alike."""
    is_negative = x < 0
    rest = ops.where(is_negative, ops.bitwise_xor(x, np.int32(-(2**31))), x)
    return ops.right_shift(rest, np.int32(bits)) + ops.where(is_negative, np.int32(2 ** (31 - bits)), np.int32(0))


def _signed(word):
    return word - 2**32 if word >= 2**31 else word
