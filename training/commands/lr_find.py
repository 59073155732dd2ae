"""The command `lr-find`: which learning rate suits a text and a recipe."""

import argparse
import dataclasses
import pathlib
import tempfile

from keras_rnnlm.quiet import import_keras
from keras_rnnlm.training.recipes.growth import at
from keras_rnnlm.training.recipes.recipe import Recipe, names_of
from keras_rnnlm.training.runs.display import Display
from keras_rnnlm.training.runs.run import RunFolder, build_model, to_json
from keras_rnnlm.training.tasks import Given, task_of
from keras_rnnlm.whole_files import write_whole


def arguments(parser):
    parser.formatter_class = argparse.ArgumentDefaultsHelpFormatter
    parser.add_argument(
        "corpus", nargs="+", help="texts, as `train` takes them; or a run, whose text and recipe are taken"
    )
    parser.add_argument("--recipe", help="the name of a built-in recipe, or a TOML file (of a run: its own)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting, as often as needed")
    parser.add_argument("--low", type=float, default=1e-5, help="the first rate")
    parser.add_argument("--high", type=float, default=1.0, help="the last rate; for sgd, take a higher one")
    parser.add_argument("--steps", type=int, default=150, help="at most so many")
    parser.add_argument("--plot", type=pathlib.Path, default="lr-find.png", help="where the picture goes")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quiet", action="store_true", help="show nothing but warnings")


def run(options):
    if not 0 < options.low < options.high:
        raise ValueError(f"--low is above 0 and below --high. Received: {options.low:g} and {options.high:g}")
    if options.steps < 10:
        raise ValueError(f"--steps is at least 10: fewer say nothing. Received: {options.steps}")
    if not options.plot.absolute().parent.is_dir():
        raise ValueError(f"There is no folder for the picture {options.plot}")
    found = find(
        options.corpus,
        options.recipe,
        changes=options.set,
        low=options.low,
        high=options.high,
        steps=options.steps,
        display=Display(quiet=options.quiet),
    )
    from keras_rnnlm.training.loop.range_test import plot

    rate = found.suggestion
    if options.json:
        told = dict(suggestion=rate, lowest=found.lowest, still_falls=found.still_falls)
        print(to_json({**told, "rates": found.rates, "losses": found.losses, "plot": str(options.plot)}))
    elif rate is None:
        print(f"The loss did not fall from {options.low:g} on: set a lower --low")
    elif found.still_falls:
        print(f"learning_rate={rate:.2g}; the loss was still falling at {options.high:g}: set a higher --high")
    else:
        print(f"learning_rate={rate:.2g}; the loss was lowest at {found.lowest:.2g}, after {len(found.rates)} steps")
    write_whole(options.plot, plot(found))  # at last: what was found is told, even where this fails
    if not options.json:
        print(f"The picture is {options.plot}")


def find(corpus, recipe=None, *, changes=(), low=1e-5, high=1.0, steps=150, display=None):
    """The `RangeTest` of a new model.

    Args:
        corpus: texts, as `train` takes them, or a run directory, whose text is taken, and whose recipe is the default.
        recipe: what `Recipe.of` takes.
        changes: settings to change, a dict of them, or each "key=value".
        low, high, steps: the rates, and how many.
        display: of what is going on.
    """
    display = display or Display(quiet=True)
    corpus = [corpus] if isinstance(corpus, (str, pathlib.Path)) else corpus
    folder = RunFolder(corpus[0]) if len(corpus) == 1 else None
    if folder is not None and folder.recipe.is_file():
        own = folder.read_recipe()
        recipe = at((own if recipe is None else Recipe.of(recipe)).override(changes), 0)
        task = task_of(recipe)
        for name in task.vocabulary_settings:
            if getattr(recipe, name) != getattr(own, name):
                raise ValueError(
                    f"The text of {folder} is encoded by its own vocabulary: drop `{name}`, or name the text itself. "
                    f"Received: {name}={getattr(recipe, name)!r}, and the run has {getattr(own, name)!r}"
                )
        return _find(recipe, task, task.restore(recipe, folder, display), low, high, steps, display)
    recipe = at((Recipe() if recipe is None else Recipe.of(recipe)).override(changes), 0)
    task, given = task_of(recipe), Given(corpus)
    recipe = dataclasses.replace(recipe, **task.brings(given, recipe, names_of(changes)))
    with tempfile.TemporaryDirectory() as place:
        data = task.prepare(given, recipe, RunFolder(place), display)
        return _find(recipe, task, data, low, high, steps, display)


def _find(recipe, task, data, low, high, steps, display):
    import_keras()  # not by what follows, as TensorFlow would greet then
    from keras_rnnlm.training.loop.failures import plain_errors
    from keras_rnnlm.training.loop.range_test import range_test

    if recipe.precision == "auto":  # of which a rate says nothing
        recipe = dataclasses.replace(recipe, precision="float32")
    stream = task.stream(data, "train", recipe)
    model = build_model(recipe, data.vocabulary)
    task.begin(model, data, recipe)
    if task.carries(recipe):
        model.reset_states(recipe.batch)
    display.say(f"{task.describe(data)}; {model.count_params():,} weights")

    def shown(step, rate, loss):
        display.measuring(f"step {step:,}/{steps:,}  learning rate {rate:.2g}  loss {loss:.4f}")

    with plain_errors():
        found = range_test(model, stream.dataset().repeat(), low, high, steps, shown)
    display.clear()
    return found
