"""The classifier: padding, every pooling, learning, saving, and beginning with a language model."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_rnnlm import layers
from keras_rnnlm.models import Classifier, LanguageModel
from keras_rnnlm.models.classifier import POOLINGS
from keras_rnnlm.optimizers import ClippedOptimizer, LayerwiseOptimizer
from tests.support import numpy

WORDS, CHARACTERS, CLASSES = 20, 9, 3
SMALL = dict(units=4, word_dim=5, character_dim=4, filters=3)


def build(**options):
    """A classifier with random weights, not one of them like another."""
    given = {**SMALL, "cell_options": {"peephole": True}, **options}
    model, rng = Classifier(WORDS, CLASSES, **given), np.random.default_rng(0)
    for weight in model.trainable_variables:
        weight.assign(rng.normal(size=weight.shape) * 0.5)
    return model


def texts(rows=6, time=5, seed=1):
    """Words, padding on the right of most, in front of the last; the class is that of the largest word."""
    rng = np.random.default_rng(seed)
    words = rng.integers(1, WORDS, (rows, time)).astype("int32")
    for row in range(rows - 1):
        words[row, 1 + row % time :] = 0
    words[-1, :2] = 0
    return words, (words.max(axis=1) * CLASSES // WORDS).astype("int32")


@pytest.mark.parametrize("pooling", ["all", "attention"])  # the first has "last", "mean" and "max" in it
@pytest.mark.parametrize("options", [{}, {"bidirectional": False, "connection": "dense", "layers": 2}])
def test_a_batch_of_unequal_lengths_gives_what_each_text_gives_alone(pooling, options):
    model, (words, _) = build(pooling=pooling, **options), texts()
    logits = numpy(model(words))
    for row, text in enumerate(words):
        np.testing.assert_allclose(numpy(model(text[None, text > 0]))[0], logits[row], atol=1e-5)


def test_characters_are_read_as_words_are():
    model, (words, _) = build(characters=CHARACTERS), texts()
    characters = np.random.default_rng(2).integers(1, CHARACTERS, (*words.shape, 4)).astype("int32")
    characters[words == 0] = 0
    logits = numpy(model({"words": words, "characters": characters}))
    alone = {"words": words[1:2, :2], "characters": characters[1:2, :2]}
    np.testing.assert_allclose(numpy(model(alone)), logits[1:2], atol=1e-5)
    assert np.abs(numpy(model({"words": words, "characters": characters[::-1] + 0})) - logits).max() > 1e-2


@pytest.mark.parametrize("connection", [None, "dense"])
def test_the_poolings_are_what_they_are_called(connection):
    model = build(pooling="all", connection=connection)
    words = np.array([[3, 7, 5, 0], [2, 0, 0, 0], [0, 0, 0, 0]], "int32")
    model.logits.kernel.assign(np.zeros(model.logits.kernel.shape))
    outputs, width = numpy(model._encoded(words, None, False)), model.stack.output_width
    pooled = numpy(model._pooled(ops.convert_to_tensor(outputs), ops.not_equal(words, 0), False))
    assert not pooled[2].any()
    for row, length in enumerate((3, 1)):
        mine = outputs[row, :length]
        forwards, backwards = slice(width - 8, width - 4), slice(width - 4, width)  # of the highest layer
        np.testing.assert_allclose(pooled[row, forwards], mine[-1, forwards], atol=1e-6)
        np.testing.assert_allclose(pooled[row, backwards], mine[0, backwards], atol=1e-6)
        np.testing.assert_allclose(pooled[row, width : 2 * width], mine.mean(axis=0), atol=1e-6)
        np.testing.assert_allclose(pooled[row, 2 * width :], mine.max(axis=0), atol=1e-6)


def test_a_text_without_words_and_one_of_two_thousand_have_a_class():
    for pooling in POOLINGS:
        model = build(pooling=pooling, cell="simple_rnn", cell_options=None)
        assert np.isfinite(numpy(model(np.zeros((1, 1), "int32")))).all()
    long = np.random.default_rng(0).integers(1, WORDS, (1, 2000)).astype("int32")
    assert np.isfinite(numpy(model(long))).all()


def test_the_loss_is_a_mean_over_texts_and_the_tally_sums_it():
    model, (words, classes) = build(), texts()
    logits = model(words)
    wanted = -np.take_along_axis(numpy(ops.log_softmax(logits)), classes[:, None], axis=1)[:, 0]
    loss = model.compute_loss(words, classes, logits, training=False)
    assert numpy(loss) == pytest.approx(wanted.mean(), rel=1e-5)
    tally = model.tally()
    assert numpy(tally.total) == pytest.approx(wanted.sum(), rel=1e-5) and numpy(tally.count) == len(words)
    assert (tally.choices, tally.unit) == (CLASSES, "text")
    loss = model.compute_loss(words, classes[:, None], logits, sample_weight=np.arange(6.0), training=False)
    assert numpy(loss) == pytest.approx(wanted @ np.arange(6) / 6, rel=1e-5)
    assert np.isnan(numpy(model.compute_loss(words, classes - CLASSES, logits, training=False)))
    known, unknown = classes.copy(), classes.copy()
    known[5], unknown[5] = 0, -1  # what has no weight needs no class
    both = [model.compute_loss(words, y, logits, np.arange(6.0) < 5, training=False) for y in (known, unknown)]
    assert numpy(both[0]) == pytest.approx(numpy(both[1]), rel=1e-6)


def test_it_learns_in_plain_fit_and_is_saved(tmp_path):
    keras.utils.set_random_seed(0)
    words, classes = texts(rows=64)
    model = Classifier(
        WORDS,
        CLASSES,
        units=8,
        word_dim=8,
        dropout=0.1,
        embedding_dropout=0.1,
        locked_dropout=True,
        bidirectional=False,
    )
    model.compile(keras.optimizers.Adam(0.03), metrics=["accuracy"])
    history = model.fit(words, classes, batch_size=16, epochs=15, verbose=0).history
    assert history["loss"][-1] < history["loss"][0] / 2 and history["accuracy"][-1] > 0.7
    found = model.classify(words)
    assert (found == classes).mean() > 0.8 and found.dtype == "int32"
    probabilities = model.probabilities(words)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), found)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    np.testing.assert_array_equal(numpy(loaded(words)), numpy(model(words)))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_has_a_loss_in_full(policy):
    (words, classes), half, full = texts(), build(pooling="attention", dtype=policy), build(pooling="attention")
    logits = half(words)
    assert keras.backend.standardize_dtype(logits.dtype) == policy.removeprefix("mixed_")
    loss = half.compute_loss(words, classes, logits, training=False)
    assert keras.backend.standardize_dtype(loss.dtype) == "float32"
    assert numpy(loss) == pytest.approx(numpy(full.compute_loss(words, classes, full(words))), rel=0.05)


@pytest.mark.parametrize("wrapping", [ClippedOptimizer, lambda inner: LayerwiseOptimizer(inner, [""])])
def test_one_that_scales_its_loss_by_itself_is_saved(wrapping, tmp_path):
    (words, classes), half = texts(), build(dtype="mixed_float16")
    half.compile(wrapping(keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam())), auto_scale_loss=False)
    half.fit(words, classes, verbose=0)
    half.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.optimizer.scales_loss and int(loaded.optimizer.iterations) == int(half.optimizer.iterations)


# With a language model


def language_model(**options):
    model, rng = LanguageModel(WORDS - 1, **{"units": 6, "tied": True, **options}), np.random.default_rng(3)
    for weight in model.trainable_variables:
        weight.assign(rng.normal(size=weight.shape) * 0.3)
    return model


@pytest.mark.parametrize(
    "options",
    [
        {"cell_options": {"peephole": True}, "connection": "residual"},
        {"layers": [layers.GRU(6), layers.CausalAttention(6, memory=4)]},
    ],
)
def test_what_a_language_model_learned_is_taken_over(options, tmp_path):
    model = language_model(**options)
    made = Classifier.from_language_model(model, CLASSES, pooling="last")
    tokens = np.array([[4, 0, 7, 18]], "int32")
    wanted = numpy(model.hidden(tokens)[0])
    np.testing.assert_allclose(numpy(made._encoded(tokens + 1, None, False)), wanted, atol=1e-6)
    made.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(numpy(loaded(tokens + 1)), numpy(made(tokens + 1)))
    # By their names layers belong to groups.
    names = [weight.path for weight in made.weights]
    assert [weight.path for weight in loaded.weights] == names
    assert any("/stack/gru" in name for name in names) == ("layers" in options)
    LayerwiseOptimizer("sgd", loaded.groups()).build(loaded.trainable_variables)


def test_what_does_not_fit_a_language_model_is_named():
    with pytest.raises(ValueError, match="has its network: drop bidirectional, units. Received: bidirectional=True"):
        Classifier.from_language_model(language_model(), CLASSES, units=3, bidirectional=True)
    with pytest.raises(
        ValueError, match="`rows` are ids of the language model, from 0 to 18, or -1. Received: -1 to 19"
    ):
        Classifier.from_language_model(language_model(), CLASSES, rows=[-1, 3, 19])
    with pytest.raises(ValueError, match="of the language model do not fit"):
        build(bidirectional=False).take_over(language_model())


def test_its_groups_go_from_the_top_to_the_bottom_and_fit_has_them_learn_in_turn():
    model = Classifier.from_language_model(language_model(connection="highway"), CLASSES)
    optimizer = LayerwiseOptimizer("sgd", model.groups(), unfreeze_every=2)
    optimizer.build(model.trainable_variables)
    depths = {
        v.path.split("/", 1)[1].split("/lstm_cell")[0]: optimizer._depth(v.path)
        for v in optimizer.inner_optimizer._trainable_variables
    }
    wanted = {
        "words/embeddings": 3,
        "stack/lstm_0": 2,
        "stack/lstm_1": 1,
        "stack/highway_1/kernel": 1,
        "logits/kernel": 0,
    }
    assert wanted.items() <= depths.items()
    model.compile(ClippedOptimizer(LayerwiseOptimizer("adam", model.groups(), unfreeze_every=2)))
    words, classes = texts(rows=12)
    parts = [model.logits, *model.stack.layers[::-1], model.embedding]
    before = [np.array(numpy(part.trainable_variables[0])) for part in parts]
    model.fit(words, classes, batch_size=3, verbose=0)  # four steps: the lowest layer of the stack is frozen yet
    moved = [bool((numpy(part.trainable_variables[0]) != old).any()) for part, old in zip(parts, before)]
    assert moved == [True, True, False, False]


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(classes=0), "`classes` is a positive integer. Received: classes=0"),
        (dict(characters=9, filters=0), "`filters` is a positive integer. Received: filters=0"),
        (dict(pooling="first"), "`pooling` is one of .*'attention'.. Received: pooling='first'"),
        (dict(embedding_dropout=1), "`embedding_dropout` is the fraction of the words that is dropped"),
    ],
)
def test_an_option_that_cannot_be_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        Classifier(**{"words": WORDS, "classes": CLASSES, **SMALL, **options})


def test_inputs_that_do_not_fit_are_named():
    words, _ = texts()
    with pytest.raises(ValueError, match=r"`words`, alone or in a dict. Received: \['characters', 'words'\]"):
        build()({"words": words, "characters": words})
    with pytest.raises(ValueError, match=r"`words` are integers \(batch, time\). Received: shape \(5,\)"):
        build()(words[0])
    with pytest.raises(ValueError, match="a dict of `words` and `characters`"):
        build(characters=CHARACTERS)(words)


def test_a_loss_of_ones_own_and_targets_that_are_no_numbers_of_classes_are_refused():
    model, (words, classes) = build(), texts()
    with pytest.raises(ValueError, match="A Classifier brings its loss: drop `loss`. Received: loss='mse'"):
        model.compile("adam", loss="mse")
    for y, received in ((np.eye(CLASSES)[classes], rf"shape \(.*, {CLASSES}\)"), (None, "none")):
        model = build()  # on JAX a step that failed leaves one without its weights
        model.compile("adam")
        with pytest.raises(ValueError, match=rf"Targets are the numbers of classes, .* Received: {received}"):
            model.fit(words, y, batch_size=1, verbose=0)
