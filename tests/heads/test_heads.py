"""A head of a user's own: a model with it trains, saves, loads, writes and exports like one with ours."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_rnnlm import export, heads, layers
from keras_rnnlm.heads import Head, VocabularyLogits
from keras_rnnlm.models import LanguageModel
from tests.support import numpy, on_tensorflow

VOCABULARY, UNITS, WIDTH = 11, 6, 4


@keras.saving.register_keras_serializable(package="tests")
class ProjectedLogits(VocabularyLogits):
    """The features are projected to the width of the embedding's table, which is then read."""

    def build(self, input_shape):
        width = input_shape[-1] if self.tied_to is None else self.tied_to.output_dim
        self.projection = self.add_weight(name="projection", shape=(input_shape[-1], width))
        super().build((*input_shape[:-1], width))

    def read(self, features):
        return ops.matmul(super().read(features), ops.cast(self.projection, self.compute_dtype))


@keras.saving.register_keras_serializable(package="tests")
class TwoMatrices(Head):
    """What is asked of a head at least: weights, and logits."""

    def __init__(self, vocabulary_size, rank=3, **kwargs):
        super().__init__(vocabulary_size, **kwargs)
        self.rank = rank

    def build(self, input_shape):
        self.into = self.add_weight(name="into", shape=(input_shape[-1], self.rank))
        self.out = self.add_weight(name="out", shape=(self.rank, self.vocabulary_size))

    def call(self, features):
        return ops.matmul(ops.matmul(features, self.into), self.out)

    def get_config(self):
        return {**super().get_config(), "rank": self.rank}


OF_A_USER = {
    "projected and tied": lambda: {"head": ProjectedLogits, "tied": True, "embedding_dim": WIDTH},
    "logits alone": lambda: {"head": TwoMatrices(VOCABULARY, rank=2, name="two_matrices")},
}


def model_with(options, seed=0, unroll=True):
    model = LanguageModel(VOCABULARY, UNITS, 1, "simple_rnn", {"unroll": unroll}, **options)
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(size=weight.shape) * 0.5 for weight in model.weights])
    return model


def text(batch=3, time=4):
    tokens = np.random.default_rng(1).integers(0, VOCABULARY, (batch, time + 1)).astype("int32")
    return tokens[:, :-1], tokens[:, 1:]


@pytest.mark.parametrize("options", OF_A_USER.values(), ids=OF_A_USER)
def test_a_head_of_a_user_trains_saves_and_writes(options, tmp_path):
    model, (tokens, targets) = model_with(options()), text()
    logits = np.float64(numpy(model(tokens)))
    wanted = np.log(np.exp(logits).sum(-1)) - np.take_along_axis(logits, targets[..., None], -1)[..., 0]
    losses, _ = model.losses_of(*map(ops.convert_to_tensor, (tokens, targets)))
    np.testing.assert_allclose(numpy(losses), wanted, atol=1e-5)

    model.compile(keras.optimizers.SGD(0.5))
    before = [numpy(weight) for weight in model.weights]
    history = model.fit(tokens, targets, batch_size=3, epochs=20, verbose=0).history
    assert history["loss"][0] == pytest.approx(wanted.mean(), rel=1e-5)
    assert history["loss"][-1] < 0.8 * history["loss"][0]
    assert not any(np.array_equal(b, numpy(weight)) for b, weight in zip(before, model.weights))

    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded.head) is type(model.head) and loaded.head.get_config() == model.head.get_config()
    np.testing.assert_array_equal(numpy(loaded(tokens)), numpy(model(tokens)))
    assert loaded.generate([[1, 2], [3]], 6, seed=1) == model.generate([[1, 2], [3]], 6, seed=1)


def test_the_gradient_of_a_head_that_gives_logits_alone_is_that_of_the_full_one():
    one, other = model_with({"head": "full"}), model_with({"head": OnlyLogits})
    for model in (one, other):
        model.compile(keras.optimizers.SGD(1.0))
        model.fit(*text(), batch_size=3, verbose=0)
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


class OnlyLogits(VocabularyLogits):
    losses_of, total_loss = Head.losses_of, Head.total_loss


@on_tensorflow
def test_a_projected_head_is_exported_to_every_format(tmp_path):
    model = model_with(OF_A_USER["projected and tied"](), unroll=False)
    wanted = model.generate([[1, 2, 3]], 8, seed=1)
    for write, name in (
        (export.to_saved_model, "saved_model"),
        (export.to_onnx, "model.onnx"),
        (export.to_litert, "model.tflite"),
    ):
        write(model, tmp_path / name)
        assert export.runtime.load(tmp_path / name).generate([[1, 2, 3]], 8, seed=1) == wanted


@pytest.mark.parametrize("policy, bound", [("mixed_float16", 2e-2), ("mixed_bfloat16", 1e-1)])
def test_a_projected_head_computes_in_half_precision(policy, bound):
    whole = model_with(OF_A_USER["projected and tied"]())
    half = model_with({**OF_A_USER["projected and tied"](), "dtype": policy})
    losses = [numpy(model.losses_of(*map(ops.convert_to_tensor, text()))[0]) for model in (whole, half)]
    np.testing.assert_allclose(losses[1], losses[0], atol=bound)
    half.compile(keras.optimizers.SGD(0.1), auto_scale_loss=False)
    assert np.isfinite(half.fit(*text(), verbose=0).history["loss"]).all()


def test_a_head_is_found_by_its_name_and_keeps_it():
    assert heads.HEADS["full"] is VocabularyLogits is layers.VocabularyLogits
    for head in ("full", VocabularyLogits, "keras_rnnlm>VocabularyLogits", VocabularyLogits(VOCABULARY, name="mine")):
        model = model_with({"head": head})
        again = LanguageModel.from_config(model.get_config())
        again.set_weights(model.get_weights())
        np.testing.assert_array_equal(numpy(again(text()[0])), numpy(model(text()[0])))
    assert again.head.name == "mine"
    config = model_with({}).get_config()
    assert config.pop("head") == "full"
    assert type(LanguageModel.from_config(config).head) is VocabularyLogits  # as in files of version 0.1.0


def test_paths_of_version_0_1_0_lead_to_the_head():
    from keras_rnnlm.layers.cross_entropy import cross_entropy, linear_cross_entropy
    from keras_rnnlm.layers.vocabulary import VocabularyLogits as moved

    assert moved is VocabularyLogits
    assert cross_entropy is heads.cross_entropy.cross_entropy
    assert linear_cross_entropy is heads.cross_entropy.linear_cross_entropy
    config = keras.saving.serialize_keras_object(VocabularyLogits(VOCABULARY))
    assert config["registered_name"] == "keras_rnnlm>VocabularyLogits"
    config["module"] = "keras_rnnlm.layers.vocabulary"
    assert type(keras.saving.deserialize_keras_object(config)) is VocabularyLogits


def test_a_head_that_does_not_fit_is_an_error():
    built = VocabularyLogits(VOCABULARY, name="used")
    LanguageModel(VOCABULARY, UNITS, 1, head=built)
    for options, message in (
        ({"head": "half"}, r"`head` is one of \['adaptive', 'full', .*\], or .*Received: head='half'"),
        ({"head": keras.layers.Dense(VOCABULARY)}, "`head` is one of"),
        ({"head": VocabularyLogits(5)}, "each of the model's 11 tokens. Received: the head '.*' for 5"),
        ({"head": built}, "give it a new one. Received: 'used', which is built"),
        ({"head": TwoMatrices, "tied": True}, "A TwoMatrices reads no embedding's table"),
        ({"head": "full", "tied": True, "embedding_dim": WIDTH}, "A tied output layer reads the embedding's table"),
    ):
        with pytest.raises(ValueError, match=message):
            LanguageModel(VOCABULARY, UNITS, 1, **options)


def test_frequencies_are_what_a_head_with_a_bias_begins_with():
    frequencies = np.arange(1, VOCABULARY + 1) / np.arange(1, VOCABULARY + 1).sum()
    for head in (VocabularyLogits(VOCABULARY), VocabularyLogits(VOCABULARY, use_bias=False), TwoMatrices(VOCABULARY)):
        head.build((None, UNITS))
        head.begin_with_frequencies(frequencies)
        probabilities = numpy(ops.softmax(head(np.zeros((1, UNITS), "float32"))))[0]
        biased = getattr(head, "bias", None) is not None
        np.testing.assert_allclose(probabilities, frequencies if biased else 1 / VOCABULARY, atol=1e-6)
