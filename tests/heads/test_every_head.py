"""What holds of every head: it is a distribution, its loss and gradient are that one's, and it goes the whole way."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_rnnlm import export, heads
from keras_rnnlm.heads import cross_entropy
from keras_rnnlm.models import LanguageModel
from tests.heads.every_head import (
    CASES,
    FEW,
    VOCABULARY,
    features_and_targets,
    frequencies,
    head_of,
    model_of,
    probabilities,
    weights_of,
)
from tests.support import largest_relative_difference, numpy, on_tensorflow, value_and_gradients

EXACT = [case for case in CASES if not case.startswith("sampled")]


@pytest.mark.parametrize("case", CASES)
def test_the_logits_are_those_of_the_definition_and_their_probabilities_sum_to_one(case):
    head, embedding = head_of(case)
    features, targets, weights = features_and_targets()
    logits = np.float64(numpy(head(features)))
    wanted = probabilities(case, head, embedding, features)
    np.testing.assert_allclose(wanted.sum(-1), 1, atol=1e-12)
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    np.testing.assert_allclose(logs, np.log(wanted), atol=1e-5)
    if not case.startswith(("full", "projected", "sampled")):  # logarithms of probabilities as they are
        np.testing.assert_allclose(np.exp(logits).sum(-1), 1, atol=1e-5)
    losses = -np.log(np.take_along_axis(wanted, targets[..., None], -1))[..., 0]
    np.testing.assert_allclose(numpy(head.losses_of(*tensors(features, targets))), losses, atol=1e-5)
    if case in EXACT:
        total, again = head.total_loss(*tensors(features, targets, weights))
        np.testing.assert_allclose(numpy(ops.stop_gradient(again)), losses, atol=1e-5)
        assert float(ops.stop_gradient(total)) == pytest.approx(np.sum(losses * weights), rel=1e-5)


@pytest.mark.parametrize("case", EXACT)
def test_the_gradient_is_that_of_all_logits(case, monkeypatch):
    head, embedding = head_of(case)
    features, *rest = features_and_targets()
    arrays = [features, *(numpy(weight) for weight in weights_of(head, embedding))]
    wanted = value_and_gradients(total_of(head, embedding, rest, by_all_logits), arrays)
    assert all(gradient.any() for gradient in wanted[1])
    for chunk in (cross_entropy.CHUNK, 3 * VOCABULARY):
        monkeypatch.setattr(cross_entropy, "CHUNK", chunk)
        got = value_and_gradients(total_of(head, embedding, rest, type(head).total_loss), arrays)
        assert got[0] == pytest.approx(wanted[0], rel=1e-5)
        assert largest_relative_difference(got[1], wanted[1]) < 2e-5


@pytest.mark.parametrize("case", ["adaptive", "mixture"])
def test_the_compiled_gradient_is_the_same(case):
    head, embedding = head_of(case)
    features, *rest = features_and_targets()
    arrays = [features, *(numpy(weight) for weight in weights_of(head, embedding))]
    wanted = value_and_gradients(total_of(head, embedding, rest, by_all_logits), arrays)
    got = value_and_gradients(total_of(head, embedding, rest, type(head).total_loss), arrays, jit=True)
    assert got[0] == pytest.approx(wanted[0], rel=1e-5)
    assert largest_relative_difference(got[1], wanted[1]) < 2e-5


def total_of(head, embedding, rest, total_loss):
    """The weighted sum of the losses as a function of the features and all weights."""

    def total(given):
        features, *values = given
        with keras.StatelessScope(state_mapping=list(zip(weights_of(head, embedding), values))):
            return total_loss(head, features, *tensors(*rest))[0]

    return total


def by_all_logits(head, features, targets, weights):
    logs = ops.log_softmax(ops.cast(head.call(features), "float32"), axis=-1)
    return [-ops.sum(ops.take_along_axis(logs, targets[..., None], axis=-1)[..., 0] * weights)]


def tensors(*arrays):
    return [ops.convert_to_tensor(array) for array in arrays]


@pytest.mark.parametrize("case", FEW)
def test_a_model_trains_saves_loads_and_writes(case, tmp_path):
    model, text = model_of(case), np.random.default_rng(1).integers(0, VOCABULARY, (3, 5)).astype("int32")
    tokens, targets = text[:, :-1], text[:, 1:]
    model.compile(keras.optimizers.SGD(0.5))
    before = model.evaluate(tokens, targets, batch_size=3, verbose=0)
    logged = model.fit(tokens, targets, batch_size=3, epochs=20, verbose=0).history["perplexity"]
    assert model.evaluate(tokens, targets, batch_size=3, verbose=0)[0] < 0.8 * before[0]
    assert logged[0] == pytest.approx(before[1], rel=0.5 if case == "sampled" else 1e-4)

    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.head.get_config() == model.head.get_config()
    np.testing.assert_array_equal(numpy(loaded(tokens)), numpy(model(tokens)))
    assert loaded.generate([[1, 2], [3]], 6, seed=1) == model.generate([[1, 2], [3]], 6, seed=1)


@pytest.mark.parametrize("case", FEW)
def test_half_precision_stays_close(case):
    features, *rest = features_and_targets()
    (whole, embedding), (half, _) = head_of(case), head_of(case, dtype="mixed_bfloat16")
    for head, bound in ((whole, 1e-5), (half, 6e-2)):
        wanted = -np.log(np.take_along_axis(probabilities(case, whole, embedding, features), rest[0][..., None], -1))
        np.testing.assert_allclose(numpy(head.losses_of(*tensors(features, rest[0]))), wanted[..., 0], atol=bound)
    assert keras.backend.standardize_dtype(half(features).dtype) == "bfloat16"
    total, losses = half.total_loss(*tensors(features, *rest))
    assert np.isfinite(float(ops.stop_gradient(total))) and np.isfinite(numpy(ops.stop_gradient(losses))).all()


# Of the others the logits are made as those of the full softmax.
OTHERWISE = ("adaptive, any order", "adaptive, tied", "mixture, tied")


@on_tensorflow
@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[] if case in OTHERWISE else pytest.mark.long) for case in FEW]
)
def test_every_format_gives_the_logits_of_the_whole_vocabulary_and_writes_the_same(case, tmp_path):
    model = model_of(case, cell_options={})
    wanted, text = model.generate([[1, 2, 3]], 8, seed=1), np.arange(12) % VOCABULARY
    losses, _ = model.losses_of(*tensors(text[None, :-1], text[None, 1:]))
    for write, name in (
        (export.to_saved_model, "saved_model"),
        (export.to_onnx, "model.onnx"),
        (export.to_litert, "model.tflite"),
    ):
        write(model, tmp_path / name, tokens=text)
        loaded = export.runtime.load(tmp_path / name)
        assert loaded.generate([[1, 2, 3]], 8, seed=1) == wanted
        logits, _ = loaded.step([1], loaded.initial_states(1))
        np.testing.assert_allclose(logits, numpy(model(np.array([[1]])))[:, 0], atol=1e-5)
        assert logits.shape == (1, VOCABULARY)
        assert loaded.perplexity(text) == pytest.approx(np.exp(numpy(losses).mean()), rel=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_frequencies_are_what_a_head_with_biases_begins_with(case):
    head, embedding = head_of(case)
    for weight in weights_of(head, embedding):
        weight.assign(np.zeros(weight.shape))
    known = frequencies() if "any order" in case else np.sort(frequencies())[::-1]
    head.begin_with_frequencies(known)
    found = probabilities_of(head(np.zeros((1, 6), "float32")))
    if getattr(head, "use_bias", True):
        np.testing.assert_allclose(found, known, atol=1e-6)


def probabilities_of(logits):
    return numpy(ops.softmax(logits, axis=-1))[0]


@pytest.mark.parametrize("case", FEW)
def test_a_target_outside_of_the_vocabulary_is_no_loss_that_looks_right(case):
    head, _ = head_of(case)
    features, targets, weights = features_and_targets((1, 3))
    for wrong in (-1, VOCABULARY):
        targets[0, 1] = wrong
        for losses in (
            lambda: head.losses_of(*tensors(features, targets)),
            lambda: head.total_loss(*tensors(features, targets, weights))[1],
        ):
            try:
                found = numpy(ops.stop_gradient(losses()))
            except Exception:
                continue  # TensorFlow's operators on a processor raise
            assert np.isnan(found[0, 1]) and np.isfinite(found[0, [0, 2]]).all()


def test_settings_of_a_head_are_checked():
    for options, message in (
        ({"head": "adaptive"}, "'adaptive' chooses its `cutoffs` for a vocabulary of 1,000 .* vocabulary_size=23"),
        ({"head": "sampled"}, "'sampled' chooses its `num_sampled` for a vocabulary of 1,000 tokens or more"),
        ({"head": "adaptive", "head_options": {"cutoffs": [5, 5]}}, "`cutoffs` are increasing .* cutoffs=.5, 5."),
        ({"head": "adaptive", "head_options": {"cutoffs": [23]}}, "below the vocabulary's 23"),
        ({"head": "adaptive", "head_options": {"cutoffs": []}}, "one at least"),
        ({"head": "adaptive", "head_options": {"cutoffs": [5], "div_value": 0}}, "`div_value` is a number, at least 1"),
        ({"head": "adaptive", "head_options": {"cutoffs": [5], "order": "size"}}, '`order` is "ids" or "frequencies"'),
        ({"head": "adaptive", "head_options": {"cutoff": [5]}}, "arguments of AdaptiveSoftmax: cutoffs, div_value, .*"),
        ({"head": "sampled", "head_options": {"num_sampled": 24}}, "`num_sampled` is a whole number from 1 to .* 23"),
        ({"head": "sampled", "head_options": {"num_sampled": 2, "proposal": "x"}}, '`proposal` is "unigram" or'),
        ({"head": "mixture", "head_options": {"components": 0}}, "`components` is a positive integer"),
        ({"head": "projected", "head_options": {"width": 0}}, "`width` is a positive integer, or None"),
        ({"head": "nowhere.at_all:Mine"}, "Python finds no module 'nowhere'.* Received: head='nowhere.at_all:Mine'"),
        (
            {"head": "adaptive", "head_options": {"cutoffs": [5]}, "tied": True, "embedding_dim": 4},
            "A tied output layer reads the embedding's table",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            LanguageModel(VOCABULARY, 6, 1, **options)
    with pytest.raises(ValueError, match="give a head its settings yourself. Received: head_options="):
        LanguageModel(VOCABULARY, 6, 1, head=head_of("full")[0], head_options={"use_bias": False})


def test_a_mixture_s_distributions_are_of_a_higher_rank_than_the_features():
    ranks = {}
    for case in ("projected", "mixture"):
        head, _ = head_of(case)
        features = np.random.default_rng(0).normal(size=(40, 6)).astype("float32")
        logs = np.float64(numpy(head(features)))
        values = np.linalg.svd(logs - logs.mean(-1, keepdims=True), compute_uv=False)
        ranks[case] = (values > 1e-4 * values[0]).sum()
    assert ranks["projected"] <= 5 and ranks["mixture"] > 10


def test_each_matrix_begins_with_numbers_of_its_own():
    for initializer in ("glorot_uniform", keras.initializers.GlorotUniform(seed=3)):
        for head in (heads.MixtureOfSoftmaxes(6, 2, 3), heads.ProjectedLogits(6, 6)):
            head.kernel_initializer = keras.initializers.get(initializer)
            head.build((None, 6))
            matrices = [numpy(weight).ravel()[:12] for weight in head.weights if len(weight.shape) == 2]
            # Of another shape they may be the same numbers times a factor.
            angles = np.corrcoef(matrices) - np.eye(len(matrices))
            assert len(matrices) > 1 and np.abs(angles).max() < 0.95
