"""The recipe that is chosen where the user names none."""

import dataclasses
import io

import pytest

from keras_rnnlm.text import Tokenizer
from keras_rnnlm.training.commands.train import train
from keras_rnnlm.training.recipes import choosing
from keras_rnnlm.training.recipes.choosing import NETWORKS, Text, choose, look
from keras_rnnlm.training.recipes.length import fitting, of_fitting_length
from keras_rnnlm.training.recipes.recipe import Recipe
from keras_rnnlm.training.runs.display import Display
from keras_rnnlm.training.runs.run import RunFolder
from keras_rnnlm.training.streams import Examples
from keras_rnnlm.training.tasks import Given, task_of

PLAIN = Text(1_000_000, 5.5, 25_000, False)
RATE = 5e10


def values(*given, **named):
    return {name: value for name, (value, reason) in choose(*given, **named).items()}


def network(text, minutes, rate=RATE):
    chosen = values(text, minutes, rate)
    return NETWORKS.index((chosen["units"], chosen["layers"]))


@pytest.mark.parametrize("characters", [10_000, 1_000_000, 100_000_000])
def test_a_longer_time_and_a_faster_machine_give_no_smaller_network(characters):
    text = dataclasses.replace(PLAIN, characters=characters)
    by_minutes = [network(text, minutes) for minutes in (1e-3, 1, 10, 100, 10_000)]
    by_rate = [network(text, 10, rate) for rate in (1e5, 1e10, 1e11, 1e13)]
    assert by_minutes == sorted(by_minutes) and by_rate == sorted(by_rate)
    assert by_minutes[-1] == by_rate[-1] == len(NETWORKS) - 1 and by_minutes[0] == 0


def test_a_short_text_is_read_often_and_with_dropout_and_a_long_one_without():
    short, long = (values(dataclasses.replace(PLAIN, characters=n), 10, RATE) for n in (100_000, 100_000_000))
    assert short["dropout"] > 0.2 and long["dropout"] == 0
    assert short["vocabulary_size"] < long["vocabulary_size"]
    by_units = [values(PLAIN, 60, RATE, units=units, layers=2)["dropout"] for units in (400, 1000)]
    assert by_units[1] >= by_units[0] > 0.2  # a larger one reads the text less often, and learns as much of it by heart


def test_a_text_whose_rare_words_are_unk_is_one_of_words():
    marked = look(["a b <unk> a b c d e f g\n"] * 300)
    assert marked.marked and marked.words == 8
    assert values(marked, 10, RATE)["tokenizer"] == "word"
    assert not look(["a b c\n"] * 300).marked and not look([]).marked
    large = values(dataclasses.replace(PLAIN, marked=True, words=33_278), 60, RATE)
    assert large["head"] == "sampled" and "vocabulary_size" not in large


@pytest.mark.parametrize("tokenizer", ["char", "byte", "word", "some/tokenizer.json"])
def test_a_tokenizer_of_the_users_stays_theirs(tokenizer):
    assert not {"tokenizer", "vocabulary_size"} & values(PLAIN, 10, RATE, tokenizer=tokenizer).keys()


def test_what_the_user_named_decides_the_rest():
    many = dataclasses.replace(PLAIN, words=25_000)
    assert values(many, 10, RATE, tokenizer="word")["head"] == "sampled"
    assert "head" not in values(many, 10, RATE, tokenizer="word", vocabulary_size=800)
    assert values(PLAIN, 10, RATE, vocabulary_size=32_000)["head"] == "sampled"
    wide = values(PLAIN, 10, RATE, units=650, layers=1)
    assert (wide["units"], wide["layers"], wide["learning_rate"]) == (650, 1, 3e-3)
    assert wide["dropout"] < values(PLAIN, 10, RATE, units=64, layers=1)["dropout"]
    deep = values(PLAIN, 10, RATE, layers=3)
    assert deep["layers"] == 3 and deep["units"] <= values(PLAIN, 10, RATE, layers=1)["units"]


def test_what_is_chosen_is_a_recipe():
    for minutes in (0.01, 1, 1000):
        for text in (PLAIN, dataclasses.replace(PLAIN, marked=True), Text(1, 1.0, 1, False)):
            Recipe().override(values(text, minutes, RATE))


def test_train_without_a_recipe_says_what_it_chose_and_why(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(choosing, "NETWORKS", ((8, 1), (16, 1)))
    (tmp_path / "text.txt").write_text("to be or not to be\n" * 400)
    settings = ["batch=4", "window=9", "epochs=2"]
    assert train(tmp_path / "text.txt", tmp_path / "run", minutes=0.5, changes=settings)
    told = capsys.readouterr().err
    assert "no recipe was named: chosen for" in told and "units=16" in told and "passes over the text" in told
    recipe = RunFolder(tmp_path / "run").read_recipe()
    assert (recipe.units, recipe.layers, recipe.max_minutes) == (16, 1, 0.5)
    assert (recipe.batch, recipe.window, recipe.epochs) == (4, 9, 2) and "epochs=40" not in told


def test_what_belongs_to_a_setting_of_the_user_is_not_chosen(tmp_path, monkeypatch):
    (tmp_path / "text.txt").write_text("to be or not to be\n" * 400)
    named, recipe = ["cell=gru", "units=[6, 7]"], Recipe().override(["cell=gru", "units=[6, 7]"])
    folder, display = RunFolder(tmp_path / "run"), Display(quiet=True)
    given = Given([str(tmp_path / "text.txt")], None, None)
    chosen = task_of(recipe).choose(given, recipe, [name.split("=")[0] for name in named], folder, display, 0.5)
    assert not {"cell", "cell_options", "units", "layers"} & chosen.keys() and chosen["batch"]
    recipe.override(chosen)


def test_no_rate_is_chosen_for_an_optimizer_that_is_not_like_adam(tmp_path, capsys):
    (tmp_path / "text.txt").write_text("to be or not to be\n" * 400)
    recipe, folder = Recipe().override({"optimizer": "sgd"}), RunFolder(tmp_path / "run")
    given = Given([str(tmp_path / "text.txt")], None, None)
    chosen = task_of(recipe).choose(given, recipe, {"optimizer"}, folder, Display(quiet=True), 0.5)
    assert "learning_rate" not in chosen and "no learning rate is chosen for sgd" in capsys.readouterr().err
    assert "a GPU has time for more" in "".join(choosing.told(PLAIN, 1, RATE, choose(PLAIN, 1, RATE), has_gpu=True))


def test_a_tokenizer_json_brings_its_vocabulary(tmp_path):
    (tmp_path / "text.txt").write_text("to be or not to be\n" * 400)
    Tokenizer.train("bpe", ["to be or not to be\n" * 400], 270).save(tmp_path / "tokenizer.json")
    recipe = Recipe().override([f"tokenizer={tmp_path / 'tokenizer.json'}"])
    given, folder = Given([str(tmp_path / "text.txt")], None, None), RunFolder(tmp_path / "run")
    chosen = task_of(recipe).choose(given, recipe, ["tokenizer"], folder, Display(quiet=True), 0.5)
    assert not {"tokenizer", "vocabulary_size"} & chosen.keys()
    recipe.override(chosen)


def test_one_minute_is_told_as_one():
    lines = choosing.told(PLAIN, 1, RATE, choose(PLAIN, 1, RATE))
    assert "1 minute," in lines[0] and " in 1 minute on this machine" in "".join(lines)


def test_minutes_are_a_setting_of_a_recipe_that_is_named(tmp_path):
    (tmp_path / "text.txt").write_text("to be or not to be\n" * 400)
    with pytest.raises(ValueError, match="give one of them. Received: minutes=1"):
        train(tmp_path / "text.txt", tmp_path / "run", minutes=1, changes={"max_minutes": 2})


def examples(count):
    return Examples([5] * count, collate=None, batch=32)


@pytest.mark.parametrize(
    "count, named, chosen",
    [
        (200, (), {"epochs": 86, "warmup_steps": 60}),  # of 7 steps each
        (20, (), {"epochs": 100, "warmup_steps": 10}),
        (200, ("epochs",), {"warmup_steps": 7}),  # of the recipe's 10 epochs
        (200, ("warmup_steps",), {"epochs": 86}),
        (200, ("epochs", "warmup_steps"), {}),
        (32 * 100, (), {}),
    ],
)
def test_epochs_and_a_warm_up_that_nobody_named_suit_the_examples(count, named, chosen):
    assert fitting(Recipe.load("tagger"), examples(count), named) == chosen


def test_a_warm_up_of_most_of_the_run_is_warned_of_and_one_of_a_little_is_not():
    def told(named=None, **changes):
        stream = io.StringIO()
        recipe = Recipe.load("tagger").override(changes)
        of_fitting_length(recipe, examples(200), named, Display(stream, quiet=True))
        return stream.getvalue()

    (line,) = told().splitlines()
    assert "warmup_steps=100, and epochs=10 are 70 steps: it may learn little. Set warmup_steps=7, or" in line
    assert "epochs=10 are 70 steps" in told(named={"warmup_steps", "epochs"})
    assert told(named=()) == told(warmup_steps=17) == "" != told(warmup_steps=18)
