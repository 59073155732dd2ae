import numpy as np
import pytest
from keras import ops

from keras_rnnlm.generation import uniform
from keras_rnnlm.generation.random_numbers import seed_words
from tests.generation.steps import in_graph

SEEDS = [0, 1, 2**31, 2**32 - 1, 2**32, 12345678901234567, 2**63 - 1]


def published_uniform(*words):
    """The definition in Python's integers, with lowbias32 as published."""
    bits = 0x9E3779B9
    for word in words:
        x = bits ^ word
        x = (x ^ x >> 16) * 0x7FEB352D & 0xFFFFFFFF
        x = (x ^ x >> 15) * 0x846CA68B & 0xFFFFFFFF
        bits = x ^ x >> 16
    return (bits >> 8) / 2**24


def test_numbers_are_those_of_the_published_mixer():
    rng = np.random.default_rng(0)
    for seed in SEEDS:
        for row, step, number in rng.integers(0, 2**31, (300, 3)).tolist():
            expected = published_uniform(seed % 2**32, seed >> 32, row, step, number)
            assert uniform(seed, row, step, number) == expected


def test_a_graph_gives_the_same_bits():
    rng = np.random.default_rng(1)
    places = rng.integers(0, 2**31, (3, 4000), dtype="int32")
    for seed in (0, 2**63 - 1):
        got = in_graph(lambda *places: uniform(seed, *places, ops=ops), *places)
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got, uniform(seed, *places))


def test_a_graph_takes_the_seed_as_two_words():
    places = np.arange(100, dtype="int32"), np.int32(7)
    for seed in SEEDS:
        words = [np.int32(word) for word in seed_words(seed)]
        got = in_graph(lambda low, high, *places: uniform((low, high), *places, ops=ops), *words, *places)
        np.testing.assert_array_equal(got, uniform(seed, *places))


def test_numbers_have_the_shape_their_places_broadcast_to():
    assert uniform(0, np.arange(3)[:, None], 5, np.arange(4)).shape == (3, 4)
    assert uniform(0, [[0], [1]], 5, [0, 1, 2])[1, 2] == uniform(0, 1, 5, 2)


def test_numbers_are_uniform_in_rows_steps_and_numbers():
    along = np.arange(100_000)
    for seed in SEEDS:
        for where in [(along, 0, 0), (0, along, 0), (0, 0, along)]:
            u = uniform(seed, *where)
            assert 0 <= u.min() and u.max() < 1
            counts = np.histogram(u, bins=256, range=(0, 1))[0]
            mean = len(u) / 256
            # 255 degrees of freedom: above 350 once in 30,000 times.
            assert np.sum((counts - mean) ** 2 / mean) < 350


def test_neighbours_are_uncorrelated():
    u = uniform(0, np.arange(64)[:, None, None], np.arange(256)[:, None], np.arange(16)) - 0.5
    for axis in range(3):
        a, b = np.delete(u, 0, axis).ravel(), np.delete(u, -1, axis).ravel()
        correlation = np.corrcoef(a, b)[0, 1] * np.sqrt(len(a))
        assert abs(correlation) < 4
    seeds = np.stack([uniform(seed, 0, np.arange(2000)) for seed in range(50)])
    correlations = np.corrcoef(seeds)[np.triu_indices(50, 1)] * np.sqrt(2000)
    assert np.max(np.abs(correlations)) < 5


def test_a_seed_uses_all_its_bits():
    firsts = {float(uniform(1 << bit, 0, 0)) for bit in range(63)}
    assert len(firsts) == 63


@pytest.mark.parametrize("seed", [-1, 2**63, 1.0, "1", None, True])
def test_a_wrong_seed_is_an_error(seed):
    with pytest.raises(ValueError, match="`seed` is an integer from 0"):
        uniform(seed, 0, 0)


def test_a_seed_of_numpy_is_a_seed():
    assert uniform(np.int64(5), 0, 0) == uniform(5, 0, 0)
