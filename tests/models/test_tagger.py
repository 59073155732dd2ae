"""The tagger: padding, learning, saving, and what it decodes."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_rnnlm.layers import CRF, allowed_transitions
from keras_rnnlm.models import Tagger
from keras_rnnlm.viterbi import best_tags
from tests.support import numpy

WORDS, CHARACTERS, TAGS = 20, 9, 3
SMALL = dict(units=6, word_dim=5, character_dim=4, filters=4)


def build(**options):
    """A tagger with random weights, not one of them like another."""
    given = {**SMALL, "cell_options": {"peephole": True}, **options}
    model, rng = Tagger(WORDS, CHARACTERS, TAGS, **given), np.random.default_rng(0)
    for weight in model.trainable_variables:
        weight.assign(rng.normal(size=weight.shape) * 0.5)
    return model


def sentences(rows=6, time=5, length=4, seed=1):
    """Words whose tags hang on their first character and on the tag before, and sentences of several lengths."""
    rng = np.random.default_rng(seed)
    words, characters = rng.integers(1, WORDS, (rows, time)), rng.integers(1, CHARACTERS, (rows, time, length))
    for row in range(rows):
        words[row, 1 + row % time :] = 0
    characters[rng.random(characters.shape) < 0.3] = 0
    characters[..., 0] = np.maximum(characters[..., 0], 1)
    characters[words == 0] = 0
    tags = np.zeros((rows, time), "int32")
    for t in range(time):
        after = t > 0 and tags[:, t - 1] == 1
        tags[:, t] = np.where(characters[:, t, 0] > 4, np.where(after, 2, 1), 0)
    return {"words": words.astype("int32"), "characters": characters.astype("int32")}, tags


@pytest.mark.parametrize("options", [{}, {"crf": False, "cell": "gru", "cell_options": None, "connection": "dense"}])
def test_a_batch_of_unequal_lengths_gives_what_each_sentence_gives_alone(options):
    model, (inputs, _) = build(**options), sentences()
    logits, tags = numpy(model(inputs)), model.tag(inputs)
    assert not tags[inputs["words"] == 0].any()
    for row, (words, characters) in enumerate(zip(inputs["words"], inputs["characters"])):
        shown = words > 0
        longest = 1 + int(np.flatnonzero(characters[shown].any(axis=0)).max())
        alone = {"words": words[None, shown], "characters": characters[None, shown, :longest]}
        np.testing.assert_allclose(numpy(model(alone))[0], logits[row, shown], atol=1e-5)
        np.testing.assert_array_equal(model.tag(alone)[0], tags[row, shown])


def test_decoding_in_numpy_is_that_of_the_field():
    rng = np.random.default_rng(0)
    crf = CRF(TAGS, allowed=allowed_transitions(["O", "B-x", "I-x"]))
    logits, mask = rng.normal(size=(20, 6, TAGS)).astype("float32"), rng.random((20, 6)) < 0.7
    mask[0] = False
    crf.build(logits.shape)
    for weight in crf.trainable_variables:
        weight.assign(rng.normal(size=weight.shape))
    found = best_tags(logits, mask, *map(numpy, crf.scores()))
    np.testing.assert_array_equal(found, numpy(crf.decode(logits, mask)[0]))
    assert found.dtype == "int32"


def test_the_loss_is_a_mean_over_words_and_the_tally_sums_it():
    model, (inputs, tags) = build(), sentences()
    shown, logits = inputs["words"] > 0, model(inputs)
    targets = np.where(shown, tags, -1)
    wanted = -numpy(model.crf.log_likelihood(logits, tags, shown))
    loss = model.compute_loss(inputs, targets, logits, training=False)
    assert numpy(loss) == pytest.approx(wanted.sum() / shown.sum(), rel=1e-5)
    tally = model.tally()
    assert numpy(tally.total) == pytest.approx(wanted.sum(), rel=1e-5) and numpy(tally.count) == shown.sum()
    loss = model.compute_loss(inputs, targets, logits, sample_weight=np.arange(6.0), training=False)
    assert numpy(loss) == pytest.approx(wanted @ np.arange(6) / shown.sum(), rel=1e-5)
    assert np.isnan(numpy(model.compute_loss(inputs, tags + TAGS, logits, training=False)))

    plain = build(crf=False)
    logs = numpy(ops.log_softmax(plain(inputs)))
    wanted = -np.take_along_axis(logs, tags[..., None], axis=2)[..., 0][shown]
    loss = plain.compute_loss(inputs, targets, plain(inputs), training=False)
    assert numpy(loss) == pytest.approx(wanted.mean(), rel=1e-5)
    assert np.isnan(numpy(plain.compute_loss(inputs, tags + TAGS, plain(inputs), training=False)))
    for one in (model, plain):  # what has no weight needs no tag
        first = (np.arange(6) == 0).astype("float32")
        known = one.compute_loss(inputs, targets, one(inputs), sample_weight=first, training=False)
        unknown = np.where(first[:, None] > 0, targets, -1)
        found = one.compute_loss(inputs, unknown, one(inputs), sample_weight=first, training=False)
        assert numpy(found) == pytest.approx(numpy(known), rel=1e-6)


def test_it_learns_by_characters_and_is_saved(tmp_path):
    keras.utils.set_random_seed(0)
    inputs, tags = sentences(rows=64)
    model = Tagger(WORDS, CHARACTERS, TAGS, **{**SMALL, "units": 16, "filters": 16, "layers": 1}, dropout=0.1)
    model.compile(keras.optimizers.Adam(0.03))
    history = model.fit(inputs, tags, batch_size=16, epochs=30, verbose=0).history
    shown = inputs["words"] > 0
    assert history["loss"][-1] < history["loss"][0] / 3
    assert (model.tag(inputs) == tags)[shown].mean() > 0.9
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    np.testing.assert_array_equal(numpy(loaded(inputs)), numpy(model(inputs)))
    np.testing.assert_array_equal(loaded.tag(inputs), model.tag(inputs))


def test_in_training_some_words_are_as_unknown_ones_and_padding_never_is():
    plain, model, (inputs, _) = build(dropout=0.0), build(dropout=0.0, word_dropout=0.4), sentences(rows=60)
    np.testing.assert_array_equal(numpy(model(inputs)), numpy(plain(inputs)))
    words = inputs["words"]
    hidden = numpy(model._hidden(ops.convert_to_tensor(words)))
    changed = hidden != words
    assert not hidden[words == 0].any() and (hidden[changed] == 1).all()
    assert 0.3 < (hidden == 1)[words > 1].mean() < 0.5
    assert (numpy(model(inputs, training=True)) != numpy(model(inputs, training=True))).any()
    with pytest.raises(ValueError, match="`word_dropout` is 0 or above and below 1. Received: word_dropout=1"):
        build(word_dropout=1)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_has_a_loss_in_full(policy):
    (inputs, tags), half = sentences(), build(dtype=policy)
    logits = half(inputs)
    assert keras.backend.standardize_dtype(logits.dtype) == policy.removeprefix("mixed_")
    loss = half.compute_loss(inputs, tags, logits, training=False)
    full = build()
    wanted = full.compute_loss(inputs, tags, full(inputs), training=False)
    assert keras.backend.standardize_dtype(loss.dtype) == "float32"
    assert numpy(loss) == pytest.approx(numpy(wanted), rel=0.05)


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(tags=0), "`tags` is a positive integer. Received: tags=0"),
        (dict(word_dim=1.5), "`word_dim` is a positive integer. Received: word_dim=1.5"),
        (dict(crf=False, allowed=[[True]]), "`allowed` is of a conditional random field: pass crf=True. Received"),
        (dict(cell="nonsense"), "`cell` is one of"),
    ],
)
def test_an_option_that_cannot_be_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        Tagger(**{"words": WORDS, "characters": CHARACTERS, "tags": TAGS, **SMALL, **options})


def test_inputs_that_do_not_fit_are_named():
    model, (inputs, _) = build(), sentences()
    with pytest.raises(ValueError, match=r"a dict of `words` and `characters`. Received: \['words'\]"):
        model.tag({"words": inputs["words"]})
    with pytest.raises(ValueError, match=r"Received: shapes \(6, 5\) and \(6, 5\)"):
        model.tag({"words": inputs["words"], "characters": inputs["words"]})
    with pytest.raises(ValueError, match="integers from 0 to 19. Received: 20"):
        model({**inputs, "words": inputs["words"] + 20 - inputs["words"].max()})
