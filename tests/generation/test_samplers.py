import numpy as np
import pytest
from keras import ops

from keras_rnnlm.generation import Beam, Greedy, Sample, digits, make_sampler, penalise, uniform
from keras_rnnlm.generation.samplers import draw
from tests.generation.steps import in_graph

SAMPLERS = [
    Greedy(),
    Sample(),
    Sample(temperature=1e-6),
    Sample(temperature=1e4),
    Sample(top_k=3),
    Sample(top_k=10**6),
    Sample(top_p=1.0),
    Sample(top_p=0.9),
    Sample(top_p=1e-9),
    Sample(min_p=0.1),
    Sample(temperature=1.3, top_k=40, top_p=0.8, min_p=0.05),
]


def drawn(sampler, probabilities, draws=4000):
    """How often each token comes, of `draws`."""
    with np.errstate(divide="ignore"):
        logits = np.log(np.tile(np.array(probabilities, dtype="float32"), (draws, 1)))
    tokens = sampler.choose(logits, uniform(0, np.arange(draws)[:, None], 0, np.arange(digits(len(probabilities)))))
    assert tokens.dtype == np.int32 and tokens.shape == (draws,)
    return np.bincount(tokens, minlength=len(probabilities))


def kept(sampler, probabilities):
    return np.flatnonzero(drawn(sampler, probabilities)).tolist()


# What is kept.


@pytest.mark.parametrize(
    ("options", "probabilities", "tokens"),
    [
        ({}, [0.1, 0.2, 0.3, 0.4], [0, 1, 2, 3]),
        ({}, [0.1, 0.0, 0.5, 0.4], [0, 2, 3]),
        ({}, [1.0], [0]),
        ({"top_k": 2}, [0.1, 0.2, 0.3, 0.4], [2, 3]),
        ({"top_k": 2}, [0.1, 0.3, 0.3, 0.3], [1, 2]),
        ({"top_k": 3}, [0.3, 0.3, 0.4, 0.0], [0, 1, 2]),
        ({"top_k": 9}, [0.1, 0.2, 0.3, 0.4], [0, 1, 2, 3]),
        ({"top_p": 0.35}, [0.1, 0.2, 0.3, 0.4], [3]),
        ({"top_p": 0.4}, [0.1, 0.2, 0.3, 0.4], [3]),
        ({"top_p": 0.41}, [0.1, 0.2, 0.3, 0.4], [2, 3]),
        ({"top_p": 0.7}, [0.1, 0.2, 0.3, 0.4], [2, 3]),
        ({"top_p": 0.5}, [0.25, 0.25, 0.25, 0.25], [0, 1]),
        ({"top_p": 1.0}, [0.1, 0.2, 0.3, 0.4], [0, 1, 2, 3]),
        ({"min_p": 0.5}, [0.1, 0.2, 0.3, 0.4], [1, 2, 3]),
        ({"min_p": 1.0}, [0.1, 0.1, 0.4, 0.4], [2, 3]),
        # Of the three that top_k keeps, 0.4 is less than half and 0.4 + 0.3 is more: of all, 0.4 + 0.3 is too little.
        ({"top_k": 3, "top_p": 0.75}, [0.1, 0.2, 0.3, 0.4], [2, 3]),
        ({"top_p": 0.75}, [0.1, 0.2, 0.3, 0.4], [1, 2, 3]),
        # The temperature comes first: its probabilities are 1/30, 4/30, 9/30, 16/30.
        ({"temperature": 0.5, "top_p": 0.83}, [0.1, 0.2, 0.3, 0.4], [2, 3]),
        ({"temperature": 0.5, "min_p": 0.5}, [0.1, 0.2, 0.3, 0.4], [2, 3]),
        ({"temperature": 1e-30}, [0.1, 0.4, 0.1, 0.4], [1, 3]),
        ({"temperature": 1e30}, [0.1, 0.0, 0.3, 0.6], [0, 2, 3]),
    ],
)
def test_the_filters_keep_what_they_say(options, probabilities, tokens):
    assert kept(Sample(**options), probabilities) == tokens


@pytest.mark.parametrize("vocabulary", [2, 3, 5, 16, 27])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_come_as_often_as_they_are_probable(vocabulary, temperature):
    p = np.random.default_rng(vocabulary).dirichlet(np.ones(vocabulary))
    expected = p ** (1 / temperature) / np.sum(p ** (1 / temperature)) * 20_000
    counts = drawn(Sample(temperature), p, draws=20_000)
    statistic = np.sum((counts - expected) ** 2 / np.maximum(expected, 1e-9))
    # So many degrees of freedom, four standard deviations of a chi-square, and some for its tail.
    assert statistic < vocabulary + 4 * np.sqrt(2 * vocabulary) + 4


def test_equal_logits_go_to_the_lowest_id():
    assert Greedy().choose(np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0], [-np.inf, -np.inf, 0.0]])).tolist() == [1, 0, 2]


def test_a_token_of_weight_zero_is_never_drawn():
    rng = np.random.default_rng(0)
    weights = rng.random((2000, 37)).astype("float32") ** 20 * (rng.random((2000, 37)) < 0.2)
    weights[:, 36] += weights.sum(axis=-1) == 0
    for u in (0.0, 1 - 2.0**-24, 0.5):
        tokens = draw(weights.astype("float32"), np.full((2000, 6), u, dtype="float32"))
        assert np.all(weights[np.arange(2000), tokens] > 0)


# The same in numpy and in a graph.


@pytest.mark.parametrize(
    ("sampler", "vocabulary"),
    [
        *[(sampler, 20) for sampler in SAMPLERS],
        *[(sampler, 2) for sampler in SAMPLERS[1::3]],
        *[(sampler, 50_000) for sampler in (Greedy(), SAMPLERS[-1])],
        (Sample(), 3),
        (Sample(top_k=3, top_p=0.9), 16),
    ],
    ids=str,
)
def test_a_graph_chooses_the_same_tokens(sampler, vocabulary):
    batch = 8 if vocabulary > 10_000 else 64
    rng = np.random.default_rng(vocabulary)
    logits = (3 * rng.normal(size=(batch, vocabulary))).astype("float32")
    logits[batch // 4 : batch // 2] = np.round(logits[batch // 4 : batch // 2])
    logits[batch // 2 : -1][rng.random((batch - batch // 2 - 1, vocabulary)) < 0.3] = -np.inf
    logits[:, rng.integers(vocabulary)] = 3.0
    logits[-1] = 0
    uniforms = uniform(vocabulary, np.arange(batch)[:, None], 3, np.arange(digits(vocabulary)))
    got = in_graph(lambda logits, uniforms: sampler.choose(logits, uniforms, ops=ops), logits, uniforms)
    assert got.dtype == np.int32
    np.testing.assert_array_equal(got, sampler.choose(logits, uniforms))


def test_noise_in_the_logits_changes_one_token_in_a_million():
    def distances(noise, vocabulary):
        """The probability that a draw changes: by digits, and by one inverse over all ids."""
        rng = np.random.default_rng(0)
        logits = 3 * rng.normal(size=vocabulary)
        p, q = (np.exp(x) / np.exp(x).sum() for x in (logits, logits + noise * rng.normal(size=vocabulary)))
        overlap = np.minimum(np.cumsum(p), np.cumsum(q)) - np.maximum(np.cumsum(p) - p, np.cumsum(q) - q)
        by_ids = 1 - np.sum(np.maximum(overlap, 0))
        by_digits = 0.0
        while len(p) > 1:
            p, q = (np.pad(x, (0, len(x) % 2)).reshape(-1, 2) for x in (p, q))
            wholes = p.sum(axis=1), q.sum(axis=1)
            by_digits += np.sum(wholes[0] * np.abs(p[:, 0] / wholes[0] - q[:, 0] / wholes[1]))
            p, q = wholes
        return by_digits, by_ids

    assert distances(1e-6, 10_000)[0] < 2e-6 and distances(1e-6, 10_000)[1] > 1e-4
    assert distances(1e-6, 50_000)[0] < 2e-6 and distances(1e-6, 50_000)[1] > 4e-4


@pytest.mark.parametrize("sampler", [Sample(), Sample(top_k=50), Sample(top_p=0.95), Sample(min_p=0.01)], ids=str)
def test_texts_are_the_same_from_logits_of_another_runtime(sampler):
    rng = np.random.default_rng(3)
    logits = (3 * rng.normal(size=(64, 10_000))).astype("float32")
    others = (logits + 1e-6 * rng.normal(size=logits.shape)).astype("float32")
    for step in range(5):
        uniforms = uniform(0, np.arange(64)[:, None], step, np.arange(digits(10_000)))
        np.testing.assert_array_equal(sampler.choose(logits, uniforms), sampler.choose(others, uniforms))


def test_the_penalty_divides_what_is_above_zero_and_multiplies_the_rest():
    logits = np.array([[2.0, -2.0, 3.0, 0.0, -np.inf]], dtype="float32")
    seen = np.array([[True, True, False, True, True]])
    expected = [[1.0, -4.0, 3.0, 0.0, -np.inf]]
    assert penalise(logits, seen, 2.0).tolist() == expected
    got = in_graph(lambda logits, seen: penalise(logits, seen, 2.0, ops=ops), logits, seen)
    assert got.tolist() == expected


# Arguments.


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sample(temperature=0), r"above 0 .*Greedy\(\)\. Received: temperature=0"),
        (lambda: Sample(temperature=-1.0), "temperature=-1.0"),
        (lambda: Sample(temperature=float("nan")), "temperature=nan"),
        (lambda: Sample(temperature="warm"), "temperature='warm'"),
        (lambda: Sample(top_k=0), "at least 1. Received: top_k=0"),
        (lambda: Sample(top_k=2.0), "top_k=2.0"),
        (lambda: Sample(top_p=0.0), "above 0, at most 1. Received: top_p=0.0"),
        (lambda: Sample(top_p=1.1), "top_p=1.1"),
        (lambda: Sample(min_p=-0.1), "min_p=-0.1"),
        (lambda: Beam(0), "at least 1. Received: width=0"),
        (lambda: Beam(2.5), "width=2.5"),
        (lambda: Beam(2, length_penalty=float("inf")), "length_penalty=inf"),
        (lambda: make_sampler(beam=3, temperature=0.5), "nothing at random.* Received: beam=3, temperature=0.5"),
        (lambda: make_sampler(beam=3, top_k=5, top_p=0.9), "Received: beam=3, top_k=5, top_p=0.9"),
        (lambda: make_sampler(beam=0), "width=0"),
        (lambda: make_sampler(temperature=0, top_k=5), "temperature of 0 .*Received: temperature=0, top_k=5"),
        (lambda: make_sampler(length_penalty=1.0), "needs `beam`"),
        (lambda: make_sampler(temperature=-1), "temperature=-1"),
    ],
)
def test_wrong_options_are_one_clear_line(make, message):
    with pytest.raises(ValueError, match=message) as error:
        make()
    assert "\n" not in str(error.value)


def test_options_make_the_sampler_they_name():
    assert make_sampler() == Sample()
    assert make_sampler(temperature=0) == make_sampler(temperature=0.0) == Greedy()
    assert make_sampler(0.8, top_k=40, top_p=0.9, min_p=0.1) == Sample(0.8, 40, 0.9, 0.1)
    assert make_sampler(beam=4) == Beam(4)
    assert make_sampler(beam=4, length_penalty=1.0) == Beam(4, 1.0)
