"""The conditional random field beside brute force over all paths, with masks, in models, and what it forbids."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from keras_rnnlm.layers import CRF, LSTM, CRFAccuracy, CRFLoss, Viterbi, allowed_transitions
from keras_rnnlm.layers.crf import log_probabilities_of
from tests.reference import finite_differences
from tests.support import largest_relative_difference, numpy, value_and_gradients

TAGS, BATCH, TIME = 3, 6, 4
NAMES = ["O", "B-x", "I-x"]
# Whole, padded, of one step, without any, with its beginning hidden, with holes.
MASK = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 1], [1, 0, 1, 1]], bool)
TARGETS = np.array([[0, 1, 2, 0], [2, 1, 9, -9], [1, 0, 0, 0], [0, 0, 0, 0], [5, 5, 2, 0], [1, -1, 2, 2]])


def build(**options):
    """A field with random weights, not one of them like another."""
    crf, rng = CRF(TAGS, **options), np.random.default_rng(0)
    crf.build((None, None, TAGS))
    for weight in crf.trainable_variables:
        weight.assign(rng.normal(size=weight.shape))
    return crf


def data(seed=1):
    return np.random.default_rng(seed).normal(size=(BATCH, TIME, TAGS)).astype("float32") * 2


def weights_of(crf):
    return [numpy(weight).astype("float64") for weight in (crf.transitions, crf.start, crf.end)]


def score(path, potentials, transitions, start, end):
    if not len(path):
        return 0.0
    steps = sum(potentials[t, tag] for t, tag in enumerate(path))
    return start[path[0]] + steps + sum(transitions[pair] for pair in itertools.pairwise(path)) + end[path[-1]]


def by_brute_force(potentials, transitions, start, end, mask=MASK, allowed=lambda path: True):
    """For each row: the log-probability of every path through the steps that count."""
    rows = []
    for row, shown in zip(np.asarray(potentials, "float64"), mask):
        paths = [path for path in itertools.product(range(TAGS), repeat=int(shown.sum())) if allowed(path)]
        scores = np.array([score(path, row[shown], transitions, start, end) for path in paths])
        largest = scores.max()
        logs = scores - largest - np.log(np.exp(scores - largest).sum())
        rows.append(dict(zip(paths, logs)))
    return rows


def likelihoods(rows, mask=MASK):
    return np.array([row[tuple(tags[shown])] for row, tags, shown in zip(rows, TARGETS, mask)])


def test_likelihood_decoding_and_marginals_are_those_of_all_paths():
    crf, potentials = build(), data()
    rows = by_brute_force(potentials, *weights_of(crf))
    np.testing.assert_allclose(numpy(crf.log_likelihood(potentials, TARGETS, MASK)), likelihoods(rows), atol=1e-5)
    tags, scores = crf.decode(potentials, MASK)
    assert keras.backend.standardize_dtype(tags.dtype) == "int32"
    marginals, wanted = numpy(crf.marginals(potentials, MASK)), np.zeros(potentials.shape)
    for b, row in enumerate(rows):
        best = max(row, key=row.get)
        assert tuple(numpy(tags)[b, MASK[b]]) == best and not numpy(tags)[b, ~MASK[b]].any()
        assert numpy(scores)[b] == pytest.approx(row[best], abs=1e-5)
        for path, log in row.items():
            wanted[b, np.flatnonzero(MASK[b]), list(path)] += np.exp(log)
    np.testing.assert_allclose(marginals, wanted, atol=1e-6)


def test_without_a_mask_all_steps_count():
    crf, potentials, whole = build(), data(), np.ones_like(MASK)
    rows = by_brute_force(potentials, *weights_of(crf), mask=whole)
    tags = TARGETS % TAGS
    wanted = [row[tuple(path)] for row, path in zip(rows, tags)]
    np.testing.assert_allclose(numpy(crf.log_likelihood(potentials, tags)), wanted, atol=1e-5)
    assert [tuple(path) for path in numpy(crf.decode(potentials)[0])] == [max(row, key=row.get) for row in rows]
    np.testing.assert_array_equal(numpy(crf(potentials)), numpy(crf(potentials, mask=whole)))


def test_the_call_is_each_tag_given_the_tag_before():
    crf, potentials = build(), data()
    made = numpy(crf(potentials, mask=MASK))
    np.testing.assert_allclose(np.exp(made[MASK]).sum(axis=-1), 1, atol=1e-5)
    assert not made[~MASK].any()
    (row,) = by_brute_force(potentials[:1], *weights_of(crf), mask=MASK[:1])
    after = [np.exp([log for path, log in row.items() if path[1:3] == (2, j)]).sum() for j in range(TAGS)]
    np.testing.assert_allclose(np.exp(made[0, 2, 2]), after / np.sum(after), atol=1e-5)


@pytest.mark.parametrize("jit", [False, True], ids=["graph", "compiled"])
def test_the_gradient_equals_finite_differences_of_all_paths(jit):
    crf, potentials, weights = build(), data(), np.arange(1, BATCH + 1)
    variables = [crf.transitions, crf.start, crf.end]

    def loss(tensors):
        with keras.StatelessScope(state_mapping=list(zip(variables, tensors[1:]))):
            found = crf.log_likelihood(tensors[0], TARGETS, MASK)
        return ops.sum(found * ops.convert_to_tensor(weights, "float32"))

    def of_reference(arrays):
        return np.sum(likelihoods(by_brute_force(*arrays)) * weights)

    arrays = [potentials, *weights_of(crf)]
    wanted = finite_differences(of_reference, [array.astype("float64") for array in arrays])
    value, gradients = value_and_gradients(loss, [array.astype("float32") for array in arrays], jit=jit)
    assert value == pytest.approx(of_reference(arrays), rel=1e-4)
    assert largest_relative_difference(gradients, wanted) < 1e-4


def test_long_sequences_and_large_scores_stay_exact():
    crf, rng = build(), np.random.default_rng(0)
    potentials = (rng.normal(size=(1, 2000, TAGS)) * 30).astype("float32")
    tags, best = crf.decode(potentials)
    transitions, start, end = weights_of(crf)
    x = potentials[0].astype("float64")
    total = end
    for t in range(len(x) - 1, 0, -1):
        total = np.logaddexp.reduce(transitions + x[t] + total, axis=1)
    log_all = np.logaddexp.reduce(start + x[0] + total)
    wanted = score(numpy(tags)[0], x, transitions, start, end) - log_all
    assert numpy(best)[0] == pytest.approx(wanted, rel=1e-3) and wanted < 0
    assert numpy(crf.log_likelihood(potentials, tags))[0] == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_computes_in_full(policy):
    half, full = build(dtype=policy), build()
    potentials = ops.cast(data() * 50, policy.removeprefix("mixed_"))
    made = half(potentials, mask=MASK)
    assert keras.backend.standardize_dtype(made.dtype) == "float32" == half.compute_output_spec(potentials).dtype
    np.testing.assert_array_equal(numpy(made), numpy(full(ops.cast(potentials, "float32"), mask=MASK)))


def test_what_is_hidden_has_no_say_whatever_stands_there():
    crf, potentials = build(), data()
    wanted = numpy(crf(potentials, mask=MASK))
    potentials[~MASK] = np.nan
    np.testing.assert_array_equal(numpy(crf(potentials, mask=MASK)), wanted)


# What is forbidden


def test_bio_forbids_what_continues_nothing():
    rows = np.array(allowed_transitions([*NAMES, "B-y", "I-y"]))
    forbidden = {(0, 2), (0, 4), (1, 4), (2, 4), (3, 2), (4, 2), (5, 2), (5, 4)}  # 5 is the start
    assert {tuple(map(int, pair)) for pair in np.argwhere(~rows)} == forbidden
    names = ["O", "B-x", "I-x", "E-x", "S-x"]
    rows = np.array(allowed_transitions(names, "BIOES"))
    may = {"O": "O B S", "B": "I E", "I": "I E", "E": "O B S", "S": "O B S"}
    wanted = [[b[0] in may[a[0]].split() for b in names] + [a[0] in "OES"] for a in names]
    assert rows.tolist() == [*wanted, [True, True, False, False, True, True]]


def test_what_is_forbidden_has_no_probability_and_is_not_decoded():
    crf, potentials = build(allowed=allowed_transitions(NAMES)), data()
    potentials[..., 2] += 3  # would be I everywhere

    def allowed(path):
        return all(before in (1, 2) for before, after in itertools.pairwise((0, *path)) if after == 2)

    rows = by_brute_force(potentials, *weights_of(crf), allowed=allowed)
    tags, scores = crf.decode(potentials, MASK)
    for b, row in enumerate(rows):
        best = max(row, key=row.get)
        assert tuple(numpy(tags)[b, MASK[b]]) == best and numpy(scores)[b] == pytest.approx(row[best], abs=1e-5)
    free = build().decode(potentials, MASK)[0]
    assert (numpy(free) != numpy(tags)).any()
    assert numpy(crf.log_likelihood(potentials, np.full((BATCH, TIME), 2), MASK))[0] < -1000


# In models


def sentences():
    """Words, of which every second one of a row of large ones is tagged 2: a rule for neighbours alone."""
    rng = np.random.default_rng(0)
    words, tags = np.zeros((64, 8), "int32"), np.zeros((64, 8), "int32")
    for row in range(64):
        length = rng.integers(1, 9)
        words[row, :length] = rng.integers(1, 6, length)
        for t in range(length):
            follows = t > 0 and tags[row, t - 1] == 1
            tags[row, t] = (2 if follows else 1) if words[row, t] > 2 else 0
    return words, tags


def tagger():
    """A model of words, and the same up to its potentials."""
    words = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(6, 8, mask_zero=True)(words)
    potentials = keras.layers.Dense(TAGS)(LSTM(8, return_sequences=True)(x))
    model = keras.Model(words, CRF(TAGS, initializer="random_normal", regularizer="l2")(potentials))
    model.compile(keras.optimizers.Adam(0.05), CRFLoss(), metrics=[CRFAccuracy()])
    return model, keras.Model(words, potentials)


def test_a_tagger_fits_is_saved_and_decodes(tmp_path):
    keras.utils.set_random_seed(0)
    (model, below), (words, tags) = tagger(), sentences()
    shown, crf = words > 0, model.layers[-1]
    loss, accuracy = model.evaluate(words, tags, batch_size=64, verbose=0)
    likelihood = numpy(crf.log_likelihood(below.predict(words, verbose=0), tags, shown))
    regularized = sum(0.01 * (weight**2).sum() for weight in weights_of(crf))
    assert loss == pytest.approx(-likelihood.sum() / shown.sum() + regularized, rel=1e-4)
    decoded = numpy(Viterbi()(model.predict(words, verbose=0)))
    assert accuracy == pytest.approx((decoded == tags)[shown].mean())

    model.fit(words, tags, batch_size=16, epochs=12, verbose=0)
    found = model.evaluate(words, tags, batch_size=64, verbose=0)
    assert found[1] > 0.95
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[-1].get_config() == crf.get_config()
    np.testing.assert_allclose(loaded.evaluate(words, tags, batch_size=64, verbose=0), found, rtol=1e-5)

    whole = keras.Sequential([loaded, Viterbi(return_scores=True)])
    found, scores = whole.predict(words, batch_size=64, verbose=0)
    assert found.dtype == "int32" and not found[~shown].any()
    for row in range(2):  # each alone, without its padding
        alone, score = whole.predict(words[row : row + 1, : shown[row].sum()], verbose=0)
        np.testing.assert_array_equal(alone[0], found[row, shown[row]])
        assert score[0] == pytest.approx(scores[row], abs=1e-4)


@pytest.mark.parametrize("shape", ["sequences", "steps"])
def test_sample_weights_are_of_sequences_or_of_steps(shape):
    crf, potentials = build(), data()
    made, weights = crf(potentials), np.arange(BATCH) * np.ones((TIME, 1))
    tags = np.where(MASK, TARGETS, 0) % TAGS
    given = weights[0] if shape == "sequences" else weights.T
    wanted = -numpy(crf.log_likelihood(potentials, tags)) @ np.arange(BATCH) / tags.size
    assert numpy(CRFLoss()(tags, made, given)) == pytest.approx(wanted, rel=1e-5)
    accuracy = CRFAccuracy()
    accuracy.update_state(tags[..., None], made, given)  # as a loss takes them, too
    right = (numpy(crf.decode(potentials)[0]) == tags).mean(axis=1)
    assert float(accuracy.result()) == pytest.approx(right @ np.arange(BATCH) / np.arange(BATCH).sum(), rel=1e-5)


def test_sequences_of_a_masked_model_have_weights():
    words, tags = np.array([[1, 2, 0], [3, 0, 0]]), np.array([[1, 2, 0], [0, 0, 0]])
    model = keras.Sequential([keras.Input((None,)), keras.layers.Embedding(5, TAGS, mask_zero=True), CRF(TAGS)])
    model.compile("sgd", CRFLoss())
    both, first, second = (
        model.evaluate(words, tags, sample_weight=np.array(w, "float32"), verbose=0) for w in ([1, 2], [1, 0], [0, 2])
    )
    assert both == pytest.approx(first + second, rel=1e-5) and min(first, second) > 0


def test_a_target_that_is_no_tag_has_no_likelihood():
    found = numpy(build().log_likelihood(data()[:3], [[0, 1, 3, 0], [0, -1, 0, 0], [0, 1, 2, 0]]))
    assert np.isnan(found[:2]).all() and found[2] < 0
    crf, potentials = build(), data()[:1]
    by_step = numpy(log_probabilities_of(crf(potentials), np.array([[0, -1, 0, 0]])))[0]
    assert np.isnan(by_step[[1, 2]]).all() and np.isfinite(by_step[[0, 3]]).all()  # and so has what follows on it


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(tags=1), "`tags` is a number of tags: an integer, 2 or more. Received: tags=1"),
        (dict(tags=2.5), "`tags` is a number of tags: an integer, 2 or more. Received: tags=2.5"),
        (dict(tags=3, allowed=[[True] * 3] * 3), r"tags \+ 1\) = \(4, 4\). Received: shape \(3, 3\) of bool"),
        (dict(tags=2, allowed=np.ones((3, 3))), r"Received: shape \(3, 3\) of float64"),
    ],
)
def test_an_option_that_cannot_be_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        CRF(**options)


def test_what_does_not_fit_is_named():
    crf, potentials = build(), data()
    with pytest.raises(ValueError, match=r"shape \(batch, time, 3\). Received: shape \(6, 4, 2\)"):
        CRF(TAGS)(potentials[..., :2])
    with pytest.raises(
        ValueError, match=r"`mask` is .* \(batch, time\) = \(6, 4\). Received: a mask of shape \(6, 3\)"
    ):
        crf(potentials, mask=MASK[:, 1:])
    with pytest.raises(ValueError, match=r"Tags are integers, \(batch, time\). Received: shape \(6,\)"):
        crf.log_likelihood(potentials, TARGETS[:, 0])
    with pytest.raises(ValueError, match=r"\(batch, time, tags, tags\). Received: shape \(6, 4, 3\)"):
        Viterbi()(potentials)
    for names in (["O", "PER"], ["O", "B-"], ["O", "O"], ["O-x"], ["S-x"]):
        with pytest.raises(ValueError, match="`names` are different tags.*Received: "):
            allowed_transitions(names)
    with pytest.raises(ValueError, match='`scheme` is "BIO" or "BIOES". Received: scheme=\'IO\''):
        allowed_transitions(NAMES, "IO")
