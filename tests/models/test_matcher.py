"""The matcher: padding, learning, saving, and what it refuses."""

import keras
import numpy as np
import pytest

from keras_rnnlm.models import Matcher
from tests.support import numpy

WORDS = 20


def build(**options):
    """A matcher with random weights, not one of them like another."""
    given = {"units": 4, "word_dim": 5, "features": 2, "cell": "simple_rnn", **options}
    model, rng = Matcher(WORDS, **given), np.random.default_rng(0)
    for weight in model.trainable_variables:
        weight.assign(rng.normal(size=weight.shape) * 0.5)
    return model


def asked(rows=6, count=3, time=5, seed=1):
    """Questions with sentences of unequal lengths and numbers. That is right which has the first word."""
    rng = np.random.default_rng(seed)
    question = rng.integers(1, WORDS, (rows, 4)).astype("int32")
    sentences = rng.integers(1, WORDS, (rows, count, time)).astype("int32")
    right = rng.integers(0, count - 1, rows).astype("int32")
    sentences[sentences == question[:, :1, None]] = 1
    question[question == 1] = 2
    sentences[np.arange(rows), right, rng.integers(0, 2, rows)] = question[:, 0]
    for row in range(rows):
        question[row, 2 + row % 3 :] = 0
        sentences[row, row % count, 2 + row % 4 :] = 0
    sentences[::2, -1] = 0
    found = {"question": question, "sentences": sentences}
    of_words = np.stack([(sentences[..., None] == question[:, None, None]).any(-1), sentences / WORDS], axis=-1)
    found["question_features"] = np.stack([question > 0, question / WORDS], axis=-1).astype("float32")
    found["sentence_features"] = (of_words * (sentences > 0)[..., None]).astype("float32")
    return found, right


@pytest.fixture(scope="module")
def known():
    """A model, inputs, right sentences, and the logits."""
    model, (inputs, right) = build(), asked()
    return model, inputs, right, model(inputs)


def test_a_sentence_gives_alone_what_it_gives_beside_others_and_padding(known):
    model, inputs, _, logits = known
    rows, count, time = inputs["sentences"].shape
    of_questions = {name: np.repeat(inputs[name], count, axis=0) for name in ("question", "question_features")}
    alone = {name: np.pad(x, [(0, 0), (0, 1), (0, 0)][: x.ndim]) for name, x in of_questions.items()}
    for name in ("sentences", "sentence_features"):
        one = inputs[name].reshape(rows * count, 1, time, *inputs[name].shape[3:])
        alone[name] = np.pad(one, [(0, 0), (0, 0), (0, 3), (0, 0)][: one.ndim])
    found = numpy(model(alone)).reshape(rows, count)
    np.testing.assert_allclose(found, numpy(logits), atol=1e-5)
    np.testing.assert_array_equal(found == -1e9, ~(inputs["sentences"] > 0).any(axis=-1))


def test_the_loss_is_a_mean_over_questions_and_nan_where_the_right_one_is_none(known):
    model, inputs, right, logits = known
    found = numpy(logits).astype("float64")
    wanted = np.logaddexp.reduce(found, axis=1) - found[np.arange(6), right]
    model.nats.reset_state()
    loss = model.compute_loss(inputs, right, logits, training=False)
    assert numpy(loss) == pytest.approx(wanted.mean(), rel=1e-5)
    tally = model.tally()
    assert numpy(tally.total) == pytest.approx(wanted.sum(), rel=1e-5) and numpy(tally.count) == 6
    loss = model.compute_loss(inputs, right[:, None], logits, sample_weight=np.arange(6.0), training=False)
    assert numpy(loss) == pytest.approx(wanted @ np.arange(6) / 6, rel=1e-5)
    for wrong in (3, -1, 2):  # of the first question the last sentence is padding
        wrong = np.array([wrong, *right[1:]])
        assert np.isnan(numpy(model.compute_loss(inputs, wrong, logits)))
        assert np.isfinite(numpy(model.compute_loss(inputs, wrong, logits, sample_weight=np.arange(6.0))))


@pytest.mark.long
def test_it_learns_in_plain_fit_and_is_saved(tmp_path):
    keras.utils.set_random_seed(0)
    inputs, right = asked(rows=64)
    inputs = {name: inputs[name] for name in ("question", "sentences")} | {
        name: inputs[name][..., :1] for name in ("question_features", "sentence_features")
    }
    model = Matcher(WORDS, units=6, cell="simple_rnn", features=1, score="additive", word_dim=6, dropout=0.1)
    model.compile(keras.optimizers.Adam(0.03), metrics=["accuracy"])
    history = model.fit(inputs, right, batch_size=32, epochs=12, verbose=0).history
    assert history["loss"][-1] < history["loss"][0] / 2
    ranks = model.rank(inputs)
    assert (ranks[:, 0] == right).mean() > 0.8 and ranks.dtype == "int32" and (ranks[::2, -1] == 2).all()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    for saved, weight in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(saved, weight)


def test_half_precision_has_logits_and_a_loss_in_full(known):
    full, inputs, right, wanted = known
    half = build(dtype="mixed_bfloat16")
    logits = half(inputs)
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    loss = half.compute_loss(inputs, right, logits, training=False)
    assert numpy(loss) == pytest.approx(numpy(full.compute_loss(inputs, right, wanted)), rel=0.05)


def test_what_cannot_be_is_named():
    with pytest.raises(ValueError, match="`features` counts numbers beside a word, from 0. Received: features=-1"):
        build(features=-1)
    with pytest.raises(ValueError, match="`matching_units` is a positive integer. Received: matching_units=0"):
        build(matching_units=0)
    inputs, _ = asked()
    with pytest.raises(ValueError, match=r"a dict of `question`, `sentences`. Received: \['question', 'question_feat"):
        build(features=0)(inputs)
    words = {name: inputs["question"] for name in ("question", "sentences")}
    with pytest.raises(ValueError, match=r"\(batch, sentences, time\). Received: shapes \(6, 4\) and \(6, 4\)"):
        build(features=0)(words)
    with pytest.raises(
        ValueError, match=r"`question_features` are `features` numbers .*, 4. Received: shape \(6, 4, 2\)"
    ):
        build(features=4)(inputs)
