"""Other ways to score a text: a temperature, a cache, learning on, several models, an n-gram."""

import json
import shutil

import numpy as np
import pytest
from keras import ops

import keras_rnnlm
from keras_rnnlm import training
from keras_rnnlm.__main__ import main
from keras_rnnlm.models import LanguageModel
from keras_rnnlm.training.evaluation.cache import CacheScorer, Memory
from keras_rnnlm.training.evaluation.dynamic import DynamicScorer
from keras_rnnlm.training.evaluation.mixtures import best_weight, mean_of, mixed
from keras_rnnlm.training.evaluation.scorer import Scorer
from keras_rnnlm.training.evaluation.temperature import TemperatureScorer
from keras_rnnlm.training.runs.checkpoint_models import read_models
from keras_rnnlm.training.runs.run import RunFolder, build_model

VOCABULARY = 7


@pytest.fixture(scope="module")
def model():
    return LanguageModel(VOCABULARY, units=5, layers=1, initial_range=0.8, seed=1)


@pytest.fixture(scope="module")
def tokens():
    return np.random.default_rng(0).choice(VOCABULARY, 60, p=[0.4, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05]).astype("int32")


# Mixtures


def test_the_best_weight_of_a_mixture_is_the_best_of_all_weights():
    first, second = np.random.default_rng(1).exponential(size=(2, 200))
    losses = [mixed(first, second, weight).mean() for weight in np.linspace(0, 1, 1001)]
    assert best_weight(first, second) == pytest.approx(np.argmin(losses) / 1000, abs=1e-3)
    assert best_weight(first, first + 1) == 0 and best_weight(first + 1, first) == 1
    np.testing.assert_array_equal(mixed(first, second, 0.0), first)
    np.testing.assert_array_equal(mixed(first, second, 1.0), second)


def test_what_is_impossible_to_one_model_is_left_to_the_other():
    assert mixed([1.0], [np.inf], 0.25) == pytest.approx(1 - np.log(0.75))
    assert mean_of([[1.0, 2.0], [np.inf, 2.0]]) == pytest.approx([1 + np.log(2), 2.0])
    assert 0 < best_weight([1.0, 1.0, 3.0], [np.inf, 0.1, 0.1]) < 1


# The temperature


def test_the_temperature_undoes_what_made_a_model_too_sure(model, tokens):
    sure = LanguageModel(VOCABULARY, units=5, layers=1)
    sure.set_weights(model.get_weights())
    for variable in sure.head.trainable_variables:
        variable.assign(1.6 * variable)
    scorer = TemperatureScorer(sure, start=0, window=16)
    plain = Scorer(model, start=0, window=16).losses(tokens)
    scorer.temperature = 1.6
    np.testing.assert_allclose(scorer.losses(tokens), plain, rtol=1e-5)


def test_the_temperature_is_tuned_to_where_a_text_is_the_likeliest(model):
    text = np.array(model.generate([[0]], 120, keras_rnnlm.generation.Sample(temperature=0.8), seed=2)[0], "int32")
    scorer = TemperatureScorer(model, start=0, window=16)
    scorer.tune(text)
    tuned, found = scorer.temperature, []
    grid = 0.05 * np.arange(10, 41)
    for temperature in grid:
        scorer.temperature = temperature
        found.append(scorer.score(text)["loss"])
    assert tuned == pytest.approx(grid[np.argmin(found)], abs=0.03) and 0.5 < tuned < 2


# The cache


def remembered(features, tokens, token, t, size, sharpness):
    """The probability of a token at one place, by the equation; None where nothing came before."""
    before = range(max(t - size, 0), t)
    weights = {i: np.exp(sharpness * float(features[i] @ features[t])) for i in before}
    return sum(weights[i] for i in before if tokens[i] == token) / sum(weights.values()) if weights else None


@pytest.mark.parametrize("cut", [1, 4, 60])
def test_a_memory_is_the_equation_however_the_text_is_cut(tokens, cut):
    features = np.random.default_rng(2).normal(size=(len(tokens), 3)).astype("float32")
    memory, size = Memory(9), 9
    found = [memory.read(features[a : a + cut], tokens[a : a + cut], [0.5, 2.0]) for a in range(0, len(tokens), cut)]
    found = np.concatenate(found, axis=1)
    assert np.isnan(found[:, 0]).all()
    for row, sharpness in zip(found, (0.5, 2.0)):
        for t in range(1, len(tokens)):
            wanted = remembered(features, tokens, tokens[t], t, size, sharpness)
            assert np.exp(-row[t]) == pytest.approx(wanted, rel=1e-4, abs=1e-9)


def test_a_cache_leaves_a_distribution(model, tokens):
    scorer = CacheScorer(model, start=0, window=6, size=10)
    scorer.weight, scorer.sharpness = 0.3, 0.7
    last = []
    for token in range(VOCABULARY):
        last.append(scorer.losses(np.append(tokens[:20], token))[-1])
    assert np.exp(-np.array(last)).sum() == pytest.approx(1, abs=1e-5)


def test_a_cache_is_tuned_to_a_text_that_repeats_itself(model):
    text = np.tile(np.random.default_rng(3).integers(0, VOCABULARY, 11), 12).astype("int32")
    scorer = CacheScorer(model, start=0, window=13, size=40)
    plain = Scorer(model, start=0).losses(text)
    np.testing.assert_allclose(scorer.losses(text), plain, rtol=1e-5)  # before it is tuned
    scorer.tune(text)
    tuned = scorer.score(text)["loss"]
    assert 0 < scorer.weight < 1 and tuned < plain.mean() - 0.2
    for name in ("weight", "sharpness"):
        value = getattr(scorer, name)
        setattr(scorer, name, 0.8 * value)
        assert tuned <= scorer.score(text)["loss"] + (0.02 if name == "sharpness" else 0)  # of a few that are tried
        setattr(scorer, name, value)
    assert scorer.losses(text)[0] == pytest.approx(plain[0], rel=1e-5)  # when nothing is remembered yet


def test_rows_side_by_side_have_a_memory_each(model, tokens):
    scorer = CacheScorer(model, start=0, window=8, batch=2)
    scorer.weight, scorer.sharpness = 0.3, 0.7
    both = scorer.losses(tokens)
    first = CacheScorer(model, start=0, window=8)
    first.weight, first.sharpness = 0.3, 0.7
    np.testing.assert_allclose(both[:30], first.losses(tokens[:30]), rtol=1e-5)


# Learning on


@pytest.fixture
def learner(tokens):
    learner = DynamicScorer(LanguageModel(VOCABULARY, units=4, layers=1, seed=2), start=0, window=10)
    learner.observe(tokens)
    return learner


def test_what_is_scored_is_not_yet_learned_from_and_is_forgotten_after_the_text(learner, tokens):
    before = learner.model.get_weights()
    plain = Scorer(learner.model, start=0, window=10).losses(tokens)
    np.testing.assert_allclose(learner.losses(tokens), plain, rtol=1e-5)  # at a rate of 0
    learner.rate = 0.01
    found = learner.losses(tokens)
    np.testing.assert_allclose(found[:10], plain[:10], rtol=1e-5)
    assert np.abs(found[10:20] - plain[10:20]).max() > 1e-3
    with pytest.raises(KeyboardInterrupt):
        learner.losses(tokens, progress=lambda done, steps: (_ for _ in ()).throw(KeyboardInterrupt))
    for now, then in zip(learner.model.get_weights(), before):
        np.testing.assert_array_equal(now, then)
    with pytest.raises(ValueError, match="call `observe` first"):
        DynamicScorer(learner.model, start=0).losses(tokens)


def test_a_step_of_learning_is_the_equation(learner, tokens):
    bias = learner.model.head.bias
    scales = [ops.convert_to_numpy(scale) for scale in learner._scales]
    scale = next(s for s, v in zip(scales, learner.model.trainable_variables) if v is bias)
    mean = np.sqrt(np.mean(scale**2))
    logits = learner.model(np.append(0, tokens[:9])[None])
    gradient = (ops.convert_to_numpy(ops.softmax(logits))[0] - np.eye(VOCABULARY)[tokens[:10]]).mean(0)

    learner.rate, learner.decay, begin = 0.01, 0.3, ops.convert_to_numpy(bias).copy()
    reading = learner._scored(learner._stream(tokens), None)
    next(reading)
    wanted = begin - 0.01 * gradient / (scale + mean)
    np.testing.assert_allclose(ops.convert_to_numpy(bias), wanted, rtol=1e-4, atol=1e-7)
    reading.close()

    learner.rate = 0.0
    reading = learner._scored(learner._stream(tokens), None)
    next(reading)
    bias.assign(begin + 1)
    next(reading)
    wanted = begin + 1 - np.minimum(0.3 * scale / mean, 1)  # pulled to where it was
    np.testing.assert_allclose(ops.convert_to_numpy(bias), wanted, rtol=1e-4)
    reading.close()
    np.testing.assert_array_equal(ops.convert_to_numpy(bias), begin)


def test_the_size_of_gradients_is_the_root_of_their_mean_square(learner, tokens):
    logits = ops.convert_to_numpy(ops.softmax(learner.model(np.append(0, tokens[:-1])[None])))[0]
    gradients = (logits - np.eye(VOCABULARY)[tokens]).reshape(6, 10, VOCABULARY).mean(1)
    scale = next(s for s, v in zip(learner._scales, learner.model.trainable_variables) if v is learner.model.head.bias)
    # The states of the windows are those of one text.
    np.testing.assert_allclose(ops.convert_to_numpy(scale), np.sqrt((gradients**2).mean(0)), rtol=1e-4)


def test_learning_on_helps_where_the_text_is_of_another_kind(learner):
    text = np.tile([1, 5, 2, 6], 60).astype("int32")
    plain = Scorer(learner.model, start=0).score(text)["loss"]
    learner.tune(text[:120])
    assert learner.rate > 0 and learner.score(text)["loss"] < plain - 0.2


# The command


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("methods")
    lines = ["the cat sat on the mat and the dog lay by the door\n"[i % 13 :] for i in range(200)]
    (folder / "text.txt").write_text("".join(lines))
    changes = ["tokenizer=char", "units=8", "layers=1", "batch=4", "window=16", "epochs=1", "embedding_dim=4"]
    changes += ["tied=false", "checkpoint_every=60", "keep_checkpoints=9"]
    training.train(folder / "text.txt", folder / "run", changes=changes, quiet=True)
    return folder / "run"


def test_every_way_stands_beside_the_plain_figure(run, capsys):
    ways = ["--ngram", "2", "--interpolate", "--temperature", "--cache", "50", "--dynamic", "--ensemble"]
    assert main(["evaluate", str(run), "test", "--json", "--quiet", *ways]) == 0
    found = json.loads(capsys.readouterr().out)
    names = ["model", "2-gram", "model + 2-gram", "temperature", "cache", "dynamic"]
    assert list(found)[:-1] == names and list(found)[-1].startswith("ensemble of ")
    plain = found["model"]["perplexity"]
    assert main(["evaluate", str(run), "test", "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["model"]["perplexity"] == pytest.approx(plain)
    for name in ("model + 2-gram", "temperature", "cache", "dynamic"):
        assert found[name]["perplexity"] < 1.02 * plain and found[name]["tokens"] == found["model"]["tokens"]
    assert found["model + 2-gram"]["perplexity"] < 1.02 * found["2-gram"]["perplexity"]
    assert 0 < found["model + 2-gram"]["ngram_weight"] <= 1 and found["cache"]["cache_size"] == 50
    assert found["temperature"]["temperature"] > 0 and found["dynamic"]["dynamic_rate"] > 0


def test_the_table_shows_what_each_way_was_tuned_to(run, capsys):
    assert main(["evaluate", str(run), "valid", "--temperature", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0].split() == ["model", "temperature"]
    assert any(line.startswith("temperature ") and len(line.split()) == 2 for line in out.splitlines()[1:])
    assert err.splitlines() == ["temperature: tuned on the very text that is scored, so better than on another"]


def test_the_mean_of_runs_is_the_mean_of_their_probabilities(run):
    found = training.evaluate(run, "test", ensemble=[run, run], quiet=True)
    assert found["ensemble of 3"]["perplexity"] == pytest.approx(found["model"]["perplexity"])


def test_each_of_an_ensemble_reads_as_it_learned_to(run, tmp_path):
    changes = ["tokenizer=word", "units=4", "layers=1", "batch=4", "window=16", "epochs=1", "min_count=1"]
    one, other = tmp_path / "contiguous", tmp_path / "sentences"
    for path in (one, other):
        training.train(run.parent / "text.txt", path, changes=[*changes, f"mode={path.name}"], quiet=True)
    pairs = [(one, other), (other, one)]
    found = [training.evaluate(one, "test", ensemble=[another], quiet=True) for one, another in pairs]
    assert found[0]["ensemble of 2"]["perplexity"] == pytest.approx(found[1]["ensemble of 2"]["perplexity"])
    assert found[0]["model"] != found[1]["model"]


def test_an_ensemble_of_checkpoints_is_of_other_weights_than_the_best_and_the_first(run, tmp_path, capsys):
    copy = shutil.copytree(run, tmp_path / "run")
    checkpoints = [path for _, path in RunFolder(copy).checkpoints().files()]
    assert len(checkpoints) >= 3  # before the first step, on the way, at the end
    others = list(read_models(RunFolder(copy), build_model))
    assert len(others) == len(checkpoints) - 1
    found = training.evaluate(copy, "test", ensemble=[], quiet=True)
    assert f"ensemble of {len(others)}" in found and found[f"ensemble of {len(others)}"] != found["model"]
    for path in checkpoints[1:-1]:
        path.unlink()
    assert list(training.evaluate(copy, "test", ensemble=[], quiet=True)) == ["model"]
    assert "there is no ensemble: no checkpoint of" in capsys.readouterr().err


def test_what_cannot_be_had_of_a_run_is_told_in_a_line(run, tmp_path, capsys):
    def line(*arguments):
        assert main(["evaluate", *map(str, arguments)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    assert "say of which order, ngram=5" in line(run, "test", "--interpolate")
    assert "`cache` is at least 1" in line(run, "test", "--cache", "0")
    assert "has splits of its own (train, valid, test): name the files of one" in line(run, "stdlib:20k", "--quiet")
    changes = [
        "tokenizer=word",
        "units=4",
        "layers=1",
        "batch=2",
        "window=8",
        "epochs=1",
        "tied=false",
    ]
    text, other = tmp_path / "text.txt", tmp_path / "other"
    text.write_text("a b c\nb c\n" * 40)
    training.train(text, other, changes=[*changes, "mode=sentences"], quiet=True)
    assert "mode=contiguous" in line(other, "test", "--dynamic")
    assert "has another vocabulary" in line(run, "test", "--ensemble", other, "--quiet")


def test_the_checkpoints_of_a_run_that_goes_on_are_those_of_the_beginning(run, tmp_path):
    folder = RunFolder(shutil.copytree(run, tmp_path / "run"))
    names = [path for _, path in folder.checkpoints().files()]
    models = read_models(folder, build_model)
    next(models)
    names[-1].rename(names[-1].with_name(f"999999{names[-1].name[6:]}"))  # as one that is written meanwhile
    assert len(list(models)) == len(names) - 2  # and not that of the beginning, which has learned nothing
