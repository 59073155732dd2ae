"""Recipes: what they hold, how they are changed, written and read, and what they say of mistakes."""

import concurrent.futures
import dataclasses
import math
import subprocess
import sys
import tomllib
import types

import pytest

from keras_rnnlm.quiet import import_keras
from keras_rnnlm.text import pipelines
from keras_rnnlm.training.recipes.recipe import SETTINGS, Recipe, _files, built_in, settings_help
from keras_rnnlm.training.recipes.rules import TOKENIZERS
from keras_rnnlm.training.tasks import task_of
from tests import majority

# The table in Zaremba et al. (2014): units, steps, initial range, keep probability, clipping, epochs at the full rate
# and in all, decay.
ZAREMBA = {
    "zaremba-small": (200, 20, 0.1, 1.0, 5, 4, 13, 0.5),
    "zaremba-medium": (650, 35, 0.05, 0.5, 5, 6, 39, 0.8),
    "zaremba-large": (1500, 35, 0.04, 0.35, 10, 14, 55, 1 / 1.15),
}

# Of published networks, the symbols of their text and their weights.
PUBLISHED_WEIGHTS = {"awd-lstm": (33_278, 33e6), "mogrifier": (33_278, 35e6), "char-large": (205, 47e6)}

# One other value for every setting, so that what is written and read is seen to be this one's.
OTHERS = dict(
    tokenizer="data/tokenizer.json",
    encoding="latin-1",
    text_column="review",
    split="80/10/10",
    units=[1150, 400, 300],
    layers=3,
    cell="gru",
    cell_options={
        "peephole": "io",
        "output_activation": None,
        "kernel_initializer": {"config": {"seed": 1, "a b": []}},
    },
    embedding_dim=200,
    tied=False,
    head="adaptive",
    head_options={"cutoffs": [10, 100]},
    connection="highway",
    dropout=0.1 + 0.2,
    input_dropout=0.4,
    output_dropout=0.0,
    locked_dropout=True,
    embedding_dropout=0.05,
    weight_drop=0.5,
    recurrent_dropout=0.15,
    zoneout=0.25,
    ar=2.0,
    tar=0.5,
    initial_range=1e-05,
    forget_bias=-1.5,
    unigram_bias=False,
    precision="mixed_bfloat16",
    mode="sentences",
    batch=1,
    window=10**12,
    grow={"3": {"batch": 64}, "10": {"batch": 128, "window": 140}},
    window_multiple=10,
    eval_batch=3,
    optimizer="sgd",
    learning_rate=1e22,
    optimizer_options={"momentum": 0.9, "nesterov": True},
    schedule="plateau",
    decay=1 / 1.15,
    decay_from=0,
    patience=4,
    warmup_steps=0,
    min_learning_rate=5e-324,
    weight_decay=1.2e-6,
    max_norm=None,
    clip_by="value",
    reduction="sum",
    nt_asgd=5,
    average_every=10,
    accumulate=4,
    epochs=55,
    stop_after=6,
    max_minutes=0.5,
    eval_every=1000,
    log_every=7,
    checkpoint_every=8,
    keep_checkpoints=9,
    retries=0,
    retry_factor=0.1,
    seed=2**32 - 1,
    deterministic=True,
    task=majority.NAME,
    task_settings={"length": 9},
)


def written(recipe, folder):
    path = folder / "recipe.toml"
    path.write_text(recipe.to_toml(), encoding="utf-8")
    return path


def test_every_setting_has_a_meaning_that_fits_on_its_line():
    assert all(field.metadata["help"] for field in SETTINGS.values())
    lines = settings_help().splitlines()
    assert [line.split()[0] for line in lines if line and line[0] != "#"] == list(SETTINGS)
    assert max(map(len, lines)) <= 120


def test_a_recipe_is_written_and_read_exactly(tmp_path):
    left = SETTINGS.keys() - OTHERS.keys()
    # These exclude others of the list.
    assert left == {"vocabulary_size", "min_count", "random_windows", "ema", "swa_from", "steps_per_execution"}
    others = Recipe(**OTHERS)
    assert all(getattr(others, name) != getattr(Recipe(), name) for name in OTHERS)
    more = Recipe(vocabulary_size=99, min_count=3, random_windows=True, ema=0.999)
    for recipe in (Recipe(), others, more, Recipe(swa_from=2.5), Recipe(steps_per_execution=10)):
        assert Recipe.load(written(recipe, tmp_path)) == recipe


@pytest.mark.parametrize(
    "text", ['a "b" \\ c.json', "tab\tnew\nline\x7f\x00.json", "Übung 日本語 🎈.json", "#=[].json"]
)
def test_every_text_is_written_and_read_exactly(text, tmp_path):
    recipe = Recipe(tokenizer=text, cell_options={text: text})
    assert Recipe.load(written(recipe, tmp_path)) == recipe


def test_the_written_recipe_explains_itself():
    lines = Recipe(units=200, tied=False).to_toml().splitlines()
    assert "units = 200                     # width of the layers, or a list with each one's" in lines
    assert "tied = false                    # whether embedding and output layer share their weights" in lines
    assert "# Network" in lines


def test_what_is_given_is_kept_in_one_form():
    units = [3, 2]
    recipe = Recipe(units=units, learning_rate=1, max_norm="none", cell_options={"activation": "none"})
    units.append(1)
    assert recipe.units == [3, 2] and Recipe(units=(3, 2)) == Recipe(units=[3, 2])
    assert type(recipe.learning_rate) is float
    assert recipe.max_norm is None and recipe.cell_options == {"activation": None}


def test_a_recipe_does_not_change():
    recipe = Recipe()
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.units = 3
    recipe.override(["cell_options.peephole=true"])
    assert recipe == Recipe()


# Zaremba's constants stand there as a whole.
@pytest.mark.parametrize("name", sorted(built_in().keys() - ZAREMBA.keys()))
def test_the_recipes_that_come_along_name_only_what_differs(name):
    settings = tomllib.loads(_files()[name].read_text(encoding="utf-8"))
    recipe = Recipe.load(name)
    assert [key for key in settings if getattr(recipe, key) == getattr(Recipe(), key)] == []


def test_the_recipes_that_come_along_are_described():
    others = {"char", "wikitext-2", "quickstart", "classify", "matcher", "tagger", "translator", "word-cpu"}
    assert set(built_in()) == {*ZAREMBA, *PUBLISHED_WEIGHTS, *others}
    assert all(description.endswith(".") and len(description) < 120 for description in built_in().values())


@pytest.mark.parametrize("name", PUBLISHED_WEIGHTS)
def test_a_published_network_has_as_many_weights_as_published(name):
    recipe, (symbols, published) = Recipe.load(name), PUBLISHED_WEIGHTS[name]
    keras, vocabulary = import_keras(), types.SimpleNamespace(vocabulary_size=symbols, kind="word")

    def count():
        with keras.StatelessScope(initialize_variables=False):
            return sum(math.prod(v.shape) for v in task_of(recipe).build(recipe, vocabulary).trainable_variables)

    # What Keras notes of variables without values, to make them later, it notes for each thread.
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        assert thread.submit(count).result() == pytest.approx(published, rel=0.02)


@pytest.mark.parametrize("name", ZAREMBA)
def test_zaremba_is_as_published(name):
    recipe = Recipe.load(name)
    units, steps, scale, keep, clip, full, epochs, decay = ZAREMBA[name]
    assert (recipe.units, recipe.window, recipe.initial_range) == (units, steps, scale)
    assert (1 - recipe.dropout, recipe.max_norm, recipe.epochs) == (pytest.approx(keep), clip, epochs)
    assert (recipe.layers, recipe.cell, recipe.forget_bias, recipe.batch) == (2, "lstm", 0.0, 20)
    assert (recipe.optimizer, recipe.optimizer_options, recipe.reduction) == ("sgd", {}, "sum")
    assert (recipe.tied, recipe.embedding_dim, recipe.cell_options, recipe.connection) == (False, None, {}, None)
    assert (recipe.weight_decay, recipe.clip_by, recipe.ema, recipe.random_windows) == (0.0, "global", None, False)
    assert (recipe.tokenizer, recipe.mode, recipe.stop_after, recipe.max_minutes) == ("word", "contiguous", None, None)
    for epoch in range(epochs):
        expected = decay ** max(epoch + 1 - full, 0.0)  # learning rate 1, as the tutorial decays it
        for step, when in ((0, epoch), (10**6, epoch + 0.999)):
            assert recipe.learning_rate_at(step, when) == pytest.approx(expected, rel=1e-12)


def test_a_constant_rate_is_constant():
    recipe = Recipe(schedule="constant", learning_rate=0.5, warmup_steps=0)
    assert {recipe.learning_rate_at(step, epoch) for step in (0, 99) for epoch in (0, 2.5, 99)} == {0.5}


def test_a_cosine_ends_at_the_lowest_rate():
    recipe = Recipe(learning_rate=1.0, min_learning_rate=0.1, epochs=4, warmup_steps=0)
    rates = [recipe.learning_rate_at(0, epoch) for epoch in (0, 1, 2, 3, 4, 5)]
    assert rates == pytest.approx(
        [1.0, 0.1 + 0.45 * (1 + math.sqrt(0.5)), 0.55, 0.1 + 0.45 * (1 - math.sqrt(0.5)), 0.1, 0.1]
    )


def test_a_plateau_lowers_the_rate_to_the_lowest():
    recipe = Recipe(schedule="plateau", learning_rate=8.0, decay=0.25, min_learning_rate=0.3, warmup_steps=0)
    assert [recipe.learning_rate_at(0, 7.5, decays=decays) for decays in range(4)] == [8.0, 2.0, 0.5, 0.3]


def test_a_decay_stops_at_the_lowest():
    recipe = Recipe(
        schedule="decay", learning_rate=1.0, decay=0.1, decay_from=0, min_learning_rate=0.05, warmup_steps=0
    )
    assert [recipe.learning_rate_at(0, epoch) for epoch in (0, 1)] == pytest.approx([0.1, 0.05])


@pytest.mark.parametrize("schedule", ["constant", "plateau", "decay", "cosine"])
def test_the_rate_rises_at_the_start(schedule):
    recipe = Recipe(schedule=schedule, learning_rate=1.0, warmup_steps=4)
    assert [recipe.learning_rate_at(step, 0) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


@pytest.mark.parametrize("schedule", ["constant", "plateau", "decay", "cosine"])
def test_a_retry_lowers_every_schedule_even_below_the_lowest(schedule):
    recipe = Recipe(schedule=schedule, learning_rate=1.0, min_learning_rate=1.0, warmup_steps=0, retry_factor=0.5)
    assert [recipe.learning_rate_at(0, 9, retries=retries) for retries in range(3)] == [1.0, 0.5, 0.25]


def test_a_cosine_ends_with_the_minutes_where_they_end_first():
    recipe = Recipe(schedule="cosine", learning_rate=1.0, epochs=10, warmup_steps=0, max_minutes=1)
    rates = [recipe.learning_rate_at(0, 1, seconds=seconds) for seconds in (0, 3, 30, 60, 90)]
    by_epochs = recipe.learning_rate_at(0, 1)
    assert rates == pytest.approx([by_epochs, by_epochs, 0.5, 0.0, 0.0])
    exact = dataclasses.replace(recipe, deterministic=True)
    assert exact.learning_rate_at(0, 1, seconds=30) == by_epochs


@pytest.mark.parametrize(
    "assignments, expected",
    [
        (["units=650"], dict(units=650)),
        (["units=[1150,400]"], dict(units=[1150, 400])),
        ([" units = 650 "], dict(units=650)),
        (["cell=gru", "tokenizer=word"], dict(cell="gru", tokenizer="word")),
        (['tokenizer="my vocabulary.json"'], dict(tokenizer="my vocabulary.json")),
        (["tokenizer=a=b/tokenizer.json"], dict(tokenizer="a=b/tokenizer.json")),
        (["split=90/5/5", "encoding=utf-8"], dict(split="90/5/5", encoding="utf-8")),
        (["max_norm=none", "embedding_dim=none"], dict(max_norm=None)),
        (["learning_rate=1", "decay=1e-1"], dict(learning_rate=1.0, decay=0.1)),
        (["tied=false", "embedding_dim=64"], dict(tied=False, embedding_dim=64)),
        (["cell_options.peephole=io"], dict(cell_options={"peephole": "io", "coupled": True})),
        (["cell_options.a.b=1", "cell_options.a.c=x"], dict(cell_options={"coupled": True, "a": {"b": 1, "c": "x"}})),
        (["cell_options={}", "cell_options.peephole=true"], dict(cell_options={"peephole": True})),
        ("units=650", dict(units=650)),
        ([], {}),
    ],
)
def test_settings_are_overridden(assignments, expected):
    recipe = Recipe(cell_options={"coupled": True})
    assert recipe.override(assignments) == dataclasses.replace(recipe, **expected)


def test_what_belongs_together_is_overridden_together():
    # Neither would be right without the other.
    assert Recipe().override(["units=[3,2,1]", "layers=3", "dropout=.5"]).dropout == 0.5


def test_a_setting_of_the_task_is_told_its_name():
    with pytest.raises(ValueError, match="There is no setting 'lower': did you mean task_settings.lower[?]"):
        Recipe().override(["task=classify", "lower=true"])


@pytest.mark.parametrize(
    "assignment, message",
    [
        ("unit=650", "There is no setting 'unit': did you mean units?"),
        ("max-norm=5", "There is no setting 'max-norm': did you mean max_norm?"),
        ("learning_rates=1", "There is no setting 'learning_rates': did you mean learning_rate or min_learning_rate?"),
        (
            "cell_option.peephole=true",
            "There is no setting 'cell_option': did you mean cell_options?",
        ),
        ("tag_column=4", "There is no setting 'tag_column': did you mean task_settings.tag_column, of --task tag?"),
        ("xyz=1", "There is no setting 'xyz': there are tokenizer, vocabulary_size, "),
        ("units", "A setting is given as key=value, such as units=650. Received: 'units'"),
        ("units.x=1", "`units.x` names an entry of what is no table. Received: 'units.x=1'"),
        ("units=wide", "`units` is a whole number, at least 1, or a list of them. Received: units='wide'"),
        ("units=[]", "`units` is a whole number, at least 1, or a list of them. Received: units=[]"),
        ("units=[3,true]", "`units` is a whole number, at least 1, or a list of them. Received: units=[3, True]"),
        ("units=[3", "`units` is a whole number, at least 1, or a list of them. Received: units='[3'"),
        ("batch=20.0", "`batch` is a whole number, at least 1. Received: batch=20.0"),
        ("batch=true", "`batch` is a whole number, at least 1. Received: batch=True"),
        ("epochs=", "`epochs` is a whole number, at least 1. Received: epochs=''"),
        ("tied=yes", "`tied` is true or false. Received: tied='yes'"),
        ("tied=1", "`tied` is true or false. Received: tied=1"),
        ("dropout=1", "`dropout` is a number, 0 or above and below 1. Received: dropout=1"),
        (
            "input_dropout=1",
            '`input_dropout` is a number, 0 or above and below 1, or "none". Received: input_dropout=1',
        ),
        ("weight_drop=1", "`weight_drop` is a number, 0 or above and below 1. Received: weight_drop=1"),
        ("ar=-1", "`ar` is a number, 0 or above. Received: ar=-1"),
        ("learning_rate=0", "`learning_rate` is a number above 0. Received: learning_rate=0"),
        ("learning_rate=nan", "`learning_rate` is a number above 0. Received: learning_rate=nan"),
        ("learning_rate=inf", "`learning_rate` is a number above 0. Received: learning_rate=inf"),
        ("learning_rate=1" + "0" * 400, "`learning_rate` is a number above 0. Received: learning_rate=1000"),
        ("decay=1/1.15", "`decay` is a number above 0, at most 1. Received: decay='1/1.15'"),
        ("max_norm=-1", '`max_norm` is a number above 0, or "none". Received: max_norm=-1'),
        ("ema=1", '`ema` is a number between 0 and 1, or "none". Received: ema=1'),
        ("seed=4294967296", "`seed` is a whole number, from 0 to 4294967295. Received: seed=4294967296"),
        ("seed=2020-01-01", "`seed` is a whole number, from 0 to 4294967295. Received: seed=datetime.date(2020, 1, 1)"),
        ("cell=LSTM", '`cell` is "lstm", "gru", "simple_rnn", "minimal_gated_unit", "mut1", "mut2", "mut3", '),
        ("connection=x", '`connection` is "residual", "dense" or "highway", or "none". Received: connection=\'x\''),
        ("cell=none", '`cell` is "lstm", "gru", "simple_rnn", "minimal_gated_unit", "mut1", "mut2", "mut3", '),
        ("tokenizer=words", '`tokenizer` is "word", "char", "byte" or "bpe", or a path to a .json file. Received: '),
        ("split=90", '`split` is percentages, such as "90/5/5", or "none". Received: split=90'),
        ("cell_options=peephole", '`cell_options` is a table, such as {name = true, other = "word"}. Received: '),
        ("cell_options.since=2020-01-01", "`cell_options` is a table, such as {name = true"),
    ],
)
def test_a_wrong_override_ends_in_one_line(assignment, message):
    with pytest.raises(ValueError) as error:
        Recipe().override([assignment])
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "settings, message",
    [
        (
            dict(embedding_dim=200),
            "Tied weights need an embedding as wide as the last layer: drop `embedding_dim`, set it to 400, or set "
            "tied=false. Received: embedding_dim=200, units=400",
        ),
        (dict(embedding_dim=200, units=[200, 300]), "Tied weights need .* set it to 300"),
        (dict(units=[3, 2, 1]), r"`units` lists the widths of 3 layers: set layers=3 too.*units=\[3, 2, 1\], layers=2"),
        (dict(mode="sentences", random_windows=True), "Sentences have lengths of their own: set random_windows=false"),
        (
            dict(schedule="plateau", eval_every=0),
            "schedule=plateau follows the validation loss, and eval_every=0 turns",
        ),
        (dict(stop_after=3, eval_every=0), "stop_after=3 follows the validation loss.*Received: eval_every=0"),
        (dict(learning_rate=1e-4, min_learning_rate=1e-3), "`min_learning_rate` is at most `learning_rate`.*0.001"),
        (dict(tokenizer="a.json", vocabulary_size=9), "A tokenizer.json brings its vocabulary.*vocabulary_size=9"),
        (dict(tokenizer="a.json", min_count=2), "A tokenizer.json brings its vocabulary: drop .*min_count=2"),
        (
            dict(cell_options={"batch": 20}),
            "`batch` is a setting of its own: drop it from `cell_options`.*{'batch': 20}",
        ),
        (
            dict(zoneout=0.1, cell_options={"zoneout": 0.2}),
            "`zoneout` is a setting of its own: drop it from `cell_options`. Received: zoneout=0.1 and cell_options=",
        ),
        (dict(optimizer_options={"learning_rate": 1}), "`learning_rate` is a setting of its own: drop it from `opti"),
        (dict(ema=0.9, nt_asgd=5), "A run has one average of its weights.*Received: ema=0.9, nt_asgd=5"),
        (dict(swa_from=1, nt_asgd=5), "A run has one average of its weights.*Received: swa_from=1.0, nt_asgd=5"),
        (dict(nt_asgd=5, eval_every=0), "nt_asgd=5 follows the validation loss, and eval_every=0 turns"),
        (dict(accumulate=2, random_windows=True), "an update of several windows has no one length.*accumulate=2"),
        (dict(steps_per_execution=2, random_windows=True), "random_windows=True sets something before each step"),
        (dict(steps_per_execution=2, swa_from=1), "set steps_per_execution=1, or drop `swa_from`"),
        (
            dict(accumulate=2, optimizer_options={"gradient_accumulation_steps": 4}),
            "`accumulate` is Keras's gradient_accumulation_steps: drop that from `optimizer_options`",
        ),
        (
            dict(grow={"1": {"batch": 64}}),
            "`grow` is a table of epochs, the second or later, such as .* Received: grow=",
        ),
        (
            dict(grow={"3": {"units": 64}}),
            "`grow` is a table of epochs, the second or later, such as .* Received: grow=",
        ),
        (
            dict(grow={"3": {"batch": 0}}),
            "`grow` is a table of epochs, the second or later, such as .* Received: grow=",
        ),
        (dict(grow={"3": 64}), "`grow` is a table of epochs, the second or later, such as .* Received: grow="),
        (dict(optimizer_options={"clipnorm": 1}), "`optimizer_options` leaves 'clipnorm' to `max_norm` and `clip_by`"),
        (dict(optimizer_options={"use_ema": True}), "`optimizer_options` leaves 'use_ema' to `ema`"),
    ],
)
def test_settings_that_exclude_each_other_are_named(settings, message):
    with pytest.raises(ValueError, match=message) as error:
        Recipe(**settings)
    assert "\n" not in str(error.value)


def test_settings_that_agree_are_accepted():
    Recipe(embedding_dim=300, units=[200, 300])
    Recipe(embedding_dim=200, tied=False)
    Recipe(embedding_dim=200, connection="dense")  # the model knows how wide the output is
    Recipe(cell_options={"dropout": 0.1})  # an argument of Keras's layers too
    Recipe(cell_options={"zoneout": 0.1, "recurrent_dropout": 0.1})  # where they stood before they were settings
    Recipe(eval_every=0)
    Recipe(optimizer_options={"gradient_accumulation_steps": 4})
    Recipe(accumulate=2, random_windows=True, reduction="sum")
    Recipe(steps_per_execution=2, random_windows=True, reduction="sum", ema=0.9)
    grown = Recipe().override(["grow.10.window=140", "grow.3.batch=64"])
    assert grown.grow == {"3": {"batch": 64}, "10": {"window": 140}}


def test_a_file_is_read_by_its_path(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes(b'\xef\xbb\xbf# Mine.\r\nbatch = 7\r\nmax_norm = "none"\r\n[cell_options]\r\npeephole = true\r\n')
    expected = Recipe(batch=7, max_norm=None, cell_options={"peephole": True})
    assert Recipe.load(path) == Recipe.load(str(path)) == expected


def test_an_unknown_recipe_is_answered_with_those_that_exist(tmp_path):
    wanted = {
        "mogrifer": "did you mean mogrifier?",
        tmp_path
        / "absent.toml": "there are awd-lstm, char, char-large, classify, matcher, mogrifier, quickstart, tagger, "
        "translator, wikitext-2, word-cpu, zaremba-large, zaremba-medium, zaremba-small.",
    }
    for name in ("zaremba", "", "../recipes/char", tmp_path, *wanted):
        with pytest.raises(ValueError) as error:
            Recipe.load(name)
        told = str(error.value)
        assert told.startswith(f"There is no recipe {str(name)!r}: ") and wanted.get(name, "") in told
        assert told.endswith(" The path of a TOML file is one, too")


@pytest.mark.parametrize(
    "content, message",
    [
        (b"unit = 3", "There is no setting 'unit': did you mean units?"),
        (b"batch = 0", "`batch` is a whole number, at least 1. Received: batch=0"),
        (b"batch = 20\nbatch = 30\n", "Cannot overwrite a value (at line 2, column 11)"),
        (b"cell = lstm", "Invalid value (at line 1, column 8)"),
        (
            b"[cell_options]\nbatch = 20",
            "`batch` is a setting of its own: drop it from `cell_options`. In a TOML file ",
        ),
        (b"[model]\nunits = 20", "There is no setting 'model': "),
        (b"cell = '\xff'", "'utf-8' codec can't decode byte 0xff"),
    ],
)
def test_what_is_wrong_in_a_file_is_told_with_its_path(content, message, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(ValueError) as error:
        Recipe.load(path)
    assert str(error.value).startswith(f"The recipe {path}: {message}")
    assert "\n" not in str(error.value)


def test_the_tokenizers_are_those_that_exist():
    assert TOKENIZERS == pipelines.KINDS


def test_a_recipe_takes_every_cell_that_exists_and_a_class_of_someone_else():
    from keras_rnnlm.models import language_model

    for cell in [*language_model.CELLS, "my_package.cells:Mine"]:
        assert Recipe(cell=cell).cell == cell
    for cell in ("", "Mine", ":Mine", "my package:Mine", "mine:", "os.system('x'):Mine", "..mine:Mine"):
        with pytest.raises(ValueError, match='`cell` is "lstm", .*, or a class of your own, "package.module:Class"'):
            Recipe(cell=cell)


def test_a_recipe_takes_every_head_that_exists_and_a_class_of_someone_else():
    from keras_rnnlm import heads

    for head in [*heads.HEADS, "my_package.heads:Mine"]:
        assert Recipe(head=head).head == head
    with pytest.raises(ValueError, match='`head` is "full", .*, or a class of your own, "package.module:Class"'):
        Recipe(head="Mine")
    # Two heads project the features to the width of a table of their own choice.
    for head in ("projected", "mixture"):
        assert Recipe(head=head, embedding_dim=64).embedding_dim == 64


def test_recipes_and_curves_load_no_framework():
    program = (
        "import sys; import keras_rnnlm.training.runs.curves; from keras_rnnlm.training.recipes import recipe; "
        "recipe.Recipe.load('char'); "
        "print(sorted({'keras', 'tensorflow', 'matplotlib', 'numpy'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "[]\n"


def test_a_setting_that_a_task_had_and_never_read_is_none_in_old_recipes():
    assert "source_column" not in Recipe(task="describe", task_settings={"source_column": "none"}).task_settings
    with pytest.raises(ValueError, match="The task describe has no setting 'source_column'"):
        Recipe(task="describe", task_settings={"source_column": "en"})
    with pytest.raises(ValueError, match="has no setting 'sauce'"):
        Recipe(task="describe", task_settings={"sauce": "none"})
