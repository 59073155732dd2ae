"""Translators of pictures and recordings: padding, the penalty, saving, and what cannot be."""

import keras
import numpy as np
import pytest

from keras_rnnlm.models import ImageEncoder, SoundEncoder, Translator
from tests.export.models import randomized
from tests.support import numpy

SHAPE, SYMBOLS = [6, 8, 1], 7
SMALL = {
    "image": dict(units=6, encoder_options={"shape": SHAPE, "filters": [3, 4]}),
    "sound": dict(units=6, layers=2, decoder_layers=1, encoder_options={"rate": 8000, "mels": 4}),
}


def build(kind, **options):
    return randomized(Translator(None, SYMBOLS, encoder=kind, **{**SMALL[kind], **options}), 0.6)


def sources_of(kind):
    rng = np.random.default_rng(0)
    if kind == "image":
        return [rng.random(SHAPE).astype("float32") for _ in range(3)]
    return [rng.normal(size=(size, 4)).astype("float32") for size in (9, 1, 4)]


@pytest.fixture(scope="module", params=["image", "sound"])
def made(request):
    """A model with the penalty, three sources, and targets."""
    target = np.array([[1, 3, 4, 5], [1, 6, 3, 0], [1, 0, 0, 0]])
    return build(request.param, doubly_stochastic=0.5), sources_of(request.param), target


def test_what_comes_of_a_source_is_what_comes_of_it_alone(made):
    model, sources, target = made
    options = dict(beam=2, max_length=5, attention=True)
    together = model.translate(sources, **options)
    logits, attention = map(
        numpy, model({"source": model.source.filled(sources), "target": target}, return_attention=True)
    )
    for row, (source, wanted) in enumerate(zip(sources, together)):
        (found,) = model.translate([source], **options)
        assert [one.ids for one in found] == [one.ids for one in wanted]
        for one, other in zip(found, wanted):
            np.testing.assert_allclose(one.attention, other.attention, atol=1e-5)
        places = 4 if model.source.kind == "image" else -(-len(source) // 4)
        assert found[0].attention.shape == (len(found[0].ids), places)
        alone, weights = map(numpy, model((source[None], target[row : row + 1]), return_attention=True))
        np.testing.assert_allclose(alone[0], logits[row], atol=1e-5)
        np.testing.assert_allclose(weights[0][:, :places], attention[row][:, :places], atol=1e-5)
        np.testing.assert_allclose(attention[row].sum(axis=1), 1, atol=1e-5)


def test_the_penalty_is_of_places_that_are_attended_to_more_or_less_than_once(made):
    model, sources, target = made
    filled, shown = model.source.filled(sources), target > 0
    _, attention = map(numpy, model((filled, target), return_attention=True))
    mask = numpy(model.encode(filled)[0][-1])
    given = (attention * shown[:, :, None]).sum(axis=1)
    wanted = 0.5 * (mask * (1 - given) ** 2).sum() / shown.sum()
    model.compile(keras.optimizers.SGD(0.0))
    wanted += model.evaluate((filled, target), np.roll(target, -1, axis=1), batch_size=3, verbose=0)[0]
    found = model.fit((filled, target), np.roll(target, -1, axis=1), batch_size=3, verbose=0).history["loss"]
    assert found[0] == pytest.approx(wanted, rel=1e-4)


def test_it_is_saved_and_an_encoder_may_be_an_object(made, tmp_path):
    model, sources, target = made
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    inputs = (model.source.filled(sources), target)
    np.testing.assert_array_equal(numpy(loaded(inputs)), numpy(model(inputs)))
    own = type(model.encoder).from_config(model.encoder.get_config())
    given = {name: SMALL[model.source.kind].get(name, 1) for name in ("units", "layers", "decoder_layers")}
    other = Translator(None, SYMBOLS, encoder=own, **given)
    other.set_weights(model.get_weights())
    other = Translator.from_config(other.get_config())
    other.set_weights(model.get_weights())
    np.testing.assert_allclose(numpy(other(inputs)), numpy(model(inputs)), atol=1e-6)


def test_half_precision_gives_nearly_the_same(made):
    model, sources, target = made
    half = Translator.from_config({**model.get_config(), "dtype": "mixed_bfloat16"})
    half.set_weights(model.get_weights())
    inputs = (model.source.filled(sources), target)
    assert keras.backend.standardize_dtype(half(inputs).dtype) == "bfloat16"
    np.testing.assert_allclose(numpy(keras.ops.cast(half(inputs), "float32")), numpy(model(inputs)), atol=0.2)


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(encoder="smell"), r"`encoder` is \"text\", one of \['image', 'sound'\]"),
        (dict(encoder_options={"depth": 3}), "a dict of arguments of ImageEncoder: shape, filters, dropout"),
        (dict(encoder_options={"shape": [6, 8]}), "height, width and channels. Received: shape="),
        (dict(source_vocabulary=5), "`source_vocabulary` is None with such an encoder. Received: source_vocabulary=5"),
        (dict(doubly_stochastic=-1), "`doubly_stochastic` is a factor, 0 or above"),
        (dict(encoder=lambda: ImageEncoder(4, SHAPE), encoder_options=None), "as wide as its translator, 6. Received"),
        (dict(encoder=lambda: SoundEncoder(5)), "`units` is even"),
    ],
)
def test_an_option_that_cannot_be_is_named(options, message):
    given = {"source_vocabulary": None, "encoder": "image", **SMALL["image"], **options}
    with pytest.raises(ValueError, match=message):
        if callable(given["encoder"]):
            given["encoder"] = given["encoder"]()
        Translator(given.pop("source_vocabulary"), SYMBOLS, **given)


def test_sources_that_do_not_fit_are_named(made):
    model, sources, target = made
    with pytest.raises(ValueError, match=r"`source` is an array of shape \(None, .*Received: shape \(3, 4\)"):
        model((target, target))
    with pytest.raises(ValueError, match="Received: int64 of shape"):
        model.translate([target[0]])
    with pytest.raises(ValueError, match="a list of files, or of arrays"):
        model.translate("one.wav")
