"""The translator: padding, learning, saving, and what it writes."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from keras_rnnlm.models import Translator
from tests.support import numpy

START, END, SYMBOLS = 1, 2, 8
SMALL = dict(units=6, embedding_dim=6)


def build(source=SYMBOLS, target=SYMBOLS, **options):
    """A translator with random weights, not one of them like another."""
    model, rng = Translator(source, target, **{**SMALL, **options}), np.random.default_rng(0)
    for weight in model.trainable_variables:
        weight.assign(rng.normal(size=weight.shape) * 0.7)
    return model


def reversals(rows=8, longest=5, seed=1):
    """Strings, and the same from behind: the sources, what goes in of the targets, and what is to come out."""
    rng = np.random.default_rng(seed)
    source, given, wanted = np.zeros((rows, longest), "int32"), *np.zeros((2, rows, longest + 1), "int32")
    for row in range(rows):
        text = rng.integers(3, SYMBOLS, 1 + row % longest)
        source[row, : len(text)] = text
        given[row, 0], given[row, 1 : len(text) + 1] = START, text[::-1]
        wanted[row, : len(text) + 1] = [*text[::-1], END]
    return {"source": source, "target": given}, wanted


@pytest.fixture(scope="module")
def learned():
    keras.utils.set_random_seed(0)
    model = Translator(SYMBOLS, SYMBOLS, units=32, embedding_dim=16, scheduled_sampling=0.1, sampling_steps=100)
    model.compile(keras.optimizers.Adam(0.01))
    inputs, wanted = reversals(1000)
    history = model.fit(inputs, wanted, batch_size=50, epochs=12, verbose=0).history
    return model, history


def test_it_learns_to_write_backwards_and_attends_to_what_it_writes(learned):
    model, history = learned
    assert history["perplexity"][-1] < 1.2 < history["perplexity"][0]
    assert numpy(model.trained_steps) == 240
    inputs, _ = reversals(seed=2)
    texts = [row[row > 0].tolist() for row in inputs["source"]]
    for text, (best,) in zip(texts, model.translate(texts, attention=True)):
        assert best.ids == text[::-1] and best.score > -0.2
        assert best.attention.shape == (len(text), len(text))
        np.testing.assert_allclose(best.attention.sum(axis=1), 1, atol=1e-5)
    longest = max(texts, key=len)
    [[best]] = model.translate([longest], attention=True)
    assert best.attention.argmax(axis=1).tolist() == list(range(len(longest)))[::-1]


def test_it_is_saved(learned, tmp_path):
    model, _ = learned
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    inputs, _ = reversals(seed=3)
    assert loaded.get_config() == model.get_config()
    np.testing.assert_array_equal(numpy(loaded(inputs)), numpy(model(inputs)))
    assert numpy(loaded.trained_steps) == numpy(model.trained_steps)


@pytest.mark.parametrize(
    "options",
    [
        {"layers": 2, "connection": "residual", "score": "dot", "tied": True},
        {"cell": "gru", "decoder_layers": 2, "score": "additive"},
    ],
    ids=str,
)
def test_a_batch_of_unequal_lengths_gives_what_each_alone_gives(options):
    model, (inputs, _) = build(**options), reversals()
    logits, attention = map(numpy, model(inputs, return_attention=True))
    assert logits.shape == (8, 6, SYMBOLS) and attention.shape == (8, 6, 5)
    sources = [row[row > 0] for row in inputs["source"]]
    together = model.translate(sources, beam=2, max_length=7, attention=True, batch_size=5)
    assert not attention[inputs["source"][:, None].repeat(6, axis=1) == 0].any()
    row = 7  # of three symbols
    source, target = sources[row], inputs["target"][row, : len(sources[row]) + 1]
    alone, weights = map(numpy, model((source[None], target[None]), return_attention=True))
    np.testing.assert_allclose(alone[0], logits[row, : len(target)], atol=1e-5)
    np.testing.assert_allclose(weights[0], attention[row, : len(target), : len(source)], atol=1e-5)
    (found,) = model.translate([source], beam=2, max_length=7, attention=True)
    assert [one.ids for one in found] == [one.ids for one in together[row]]
    np.testing.assert_allclose([one.score for one in found], [one.score for one in together[row]], atol=1e-5)
    np.testing.assert_allclose(found[0].attention, together[row][0].attention, atol=1e-5)


def every_text(length):
    """All texts in the ids of a tiny vocabulary that end, or have this length."""
    for size in range(1, length + 1):
        for text in itertools.product(range(4), repeat=size):
            if END not in text[:-1] and (size == length or text[-1] == END):
                yield list(text)


def test_a_beam_wide_enough_finds_the_best_of_all_texts_and_a_narrow_one_is_greedy():
    model, texts, sources = build(target=4), list(every_text(3)), [[3, 4, 5], [6, 0, 0]]
    filled = np.array([text + [0] * (3 - len(text)) for text in texts])
    given = np.concatenate([np.full((len(texts), 1), START), filled[:, :-1]], axis=1)
    logs = [numpy(ops.log_softmax(model((np.array([source] * len(texts)), given)))) for source in sources]
    for normalisation in (0.0, 1.0):
        beam = len(texts)
        found = model.translate(sources, beam=beam, length_normalisation=normalisation, max_length=3)
        for log, hypotheses in zip(logs, found):
            totals = [row[np.arange(len(text)), text].sum() for row, text in zip(log, texts)]
            scores = [total / len(text) ** normalisation for total, text in zip(totals, texts)]
            order = np.argsort(scores)[::-1]
            wanted = [[id for id in texts[place] if id != END] for place in order]
            assert [one.ids for one in hypotheses] == wanted
            np.testing.assert_allclose([one.score for one in hypotheses], np.array(scores)[order], rtol=1e-4)
    for (best,), log in zip(model.translate(sources, max_length=3), logs):
        text = []
        while len(text) < 3 and text[-1:] != [END]:
            row = next(row for row, other in enumerate(texts) if other[: len(text)] == text and len(other) > len(text))
            text.append(int(log[row, len(text)].argmax()))
        assert best.ids == [id for id in text if id != END]


def test_the_loss_is_a_mean_over_symbols_and_smoothing_is_of_training_alone():
    model, (inputs, wanted) = build(label_smoothing=0.2), reversals()
    model.compile("sgd")
    shown, logs = wanted > 0, numpy(ops.log_softmax(model(inputs)))
    losses = -np.take_along_axis(logs, wanted[..., None], axis=2)[..., 0]
    smooth = 0.8 * losses - 0.2 * logs.mean(axis=-1)
    targets = np.where(shown, wanted, -1)
    with model._outputs_for_loss():
        hidden = model(inputs)
    assert numpy(model.compute_loss(inputs, targets, hidden)) == pytest.approx(smooth[shown].mean(), rel=1e-4)
    tally = model.tally()
    assert numpy(tally.total) == pytest.approx(losses[shown].sum(), rel=1e-4) and numpy(tally.count) == shown.sum()
    found = model.compute_loss(inputs, targets, hidden, training=False)
    assert numpy(found) == pytest.approx(losses[shown].mean(), rel=1e-4)
    weights = np.arange(8.0)
    found = model.compute_loss(inputs, targets, hidden, sample_weight=weights, training=False)
    each = shown * weights[:, None]
    assert numpy(found) == pytest.approx((losses * each).sum() / each.sum(), rel=1e-4)


def test_scheduled_sampling_feeds_what_the_model_says_more_and_more():
    model, (inputs, _) = build(scheduled_sampling=1.0, sampling_steps=2), reversals()
    many = {name: np.repeat(ids, 50, axis=0) for name, ids in inputs.items()}
    given, (constants, states) = ops.convert_to_tensor(many["target"]), model.encode(many["source"])
    assert not numpy(model._sampled(given, constants, states) != given).any()
    model.trained_steps.assign(2)
    drawn, logits = numpy(model._sampled(given, constants, states)), numpy(model(many))
    assert (drawn[:, 0] == START).all() and not drawn[many["target"] == 0].any()
    share = (drawn[200:250, 3, None] == np.arange(SYMBOLS)).mean(axis=0)  # of the longest source
    probabilities = numpy(ops.softmax(logits[200, 2])) * (np.arange(SYMBOLS) > 0)  # padding is no symbol to read
    np.testing.assert_allclose(share, probabilities / probabilities.sum(), atol=0.25)
    assert drawn[many["target"] > 0].all()
    again = numpy(model._sampled(given, constants, states))
    assert (again != drawn).any()


@pytest.mark.parametrize("cell, starts", [("clockwork_rnn", {"t": 0}), ("slstm", {"n": 1, "m": 0})])
def test_what_counts_or_weighs_begins_as_it_does_without_an_encoder(cell, starts):
    model = build(cell=cell, cell_options={"periods": (1,)} if cell == "clockwork_rnn" else None)
    _, states = model.encode(reversals()[0]["source"])
    begun = {name.removeprefix("layer_0_"): numpy(state) for name, state in zip(model.decoder.cell.state_names, states)}
    for name, value in starts.items():
        assert begun[name].shape == begun["h"].shape and (begun[name] == value).all()
    assert begun["h"].all()


@pytest.mark.parametrize("chosen, bias", [(None, 0), ({"unit_forget_bias": True}, 1)], ids=str)
def test_forget_biases_of_an_lstm_begin_at_0_unless_told(chosen, bias):
    model = Translator(SYMBOLS, SYMBOLS, **SMALL, cell_options=chosen)
    biases = {weight.path: numpy(weight) for weight in model.weights if weight.path.endswith("/bias")}
    of_lstm = [value for path, value in biases.items() if "layer_" in path or "lstm" in path]
    assert len(of_lstm) == 3 and all(value.max() == bias for value in of_lstm)
    Translator(SYMBOLS, SYMBOLS, **SMALL, cell="gru")  # has no such bias


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_gives_nearly_the_same(policy, learned):
    model, _ = learned
    half = Translator.from_config({**model.get_config(), "dtype": policy})
    half.set_weights(model.get_weights())
    inputs, wanted = reversals(seed=4)
    assert keras.backend.standardize_dtype(half(inputs).dtype) == policy.removeprefix("mixed_")
    np.testing.assert_allclose(numpy(ops.cast(half(inputs), "float32")), numpy(model(inputs)), atol=0.3)
    if policy == "mixed_float16":
        half.compile(keras.optimizers.SGD(0.0), auto_scale_loss=False)
        found = half.fit(inputs, wanted, batch_size=8, epochs=1, verbose=0).history
        plain = np.take_along_axis(numpy(ops.log_softmax(model(inputs))), wanted[..., None], axis=2)[..., 0]
        assert found["loss"][0] == pytest.approx(-plain[wanted > 0].mean(), abs=0.1)  # of what it drew for itself, too
        [[best]] = half.translate([[3, 4, 5]])
        assert best.ids == [5, 4, 3]


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(source=0), "`source_vocabulary` is a positive integer. Received: source_vocabulary=0"),
        (dict(units=5), "`units` is even"),
        (dict(connection="dense"), '`connection` is "residual", or None'),
        (dict(label_smoothing=2), "`label_smoothing` is a fraction"),
        (dict(end=SYMBOLS), "`end` is an id of the target's vocabulary, from 1 to 7"),
        (dict(end=1), "`start` and `end` are two ids. Received: both are 1"),
        (dict(score="cosine"), "`score` is one of"),
    ],
)
def test_an_option_that_cannot_be_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)


def test_inputs_that_do_not_fit_are_named(learned):
    model, (inputs, wanted) = learned[0], reversals()
    with pytest.raises(ValueError, match=r"a dict of `source` and `target`, or a pair of them. Received: \['source'\]"):
        model({"source": inputs["source"]})
    with pytest.raises(ValueError, match=r"Received: shapes \(8, 5\) and \(8,\)"):
        model((inputs["source"], inputs["target"][:, 0]))
    with pytest.raises(ValueError, match="integers from 0 to 7. Received: 9"):
        model.evaluate((inputs["source"] + 2, inputs["target"]), wanted)
    with pytest.raises(ValueError, match="list of lists of ids"):
        model.translate("abc")
    with pytest.raises(ValueError, match="`width` counts a beam's hypotheses"):
        model.translate([[3]], beam=0)
    [[best]] = model.translate([[]])
    assert isinstance(best.ids, list)
