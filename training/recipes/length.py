"""How long a run lasts that learns from files of examples: epochs and a warm-up that suit how many there are."""

import dataclasses
import math

ENOUGH = 600  # steps, that a small network learns a regular file in
MOST_EPOCHS = 100
WARM_UP = 10  # at most one step of so many raises the rate
TOO_LONG = 4  # a warm-up of more than one step of so many leaves little to learn in


def of_fitting_length(recipe, stream, named, display):
    """The recipe with epochs and a warm-up that suit a training stream, and says so.

    Args:
        recipe, stream: of a run that begins.
        named: the settings that the user has named, which stay; None: the user has named the recipe, and all stay.
    """
    chosen = {} if named is None else fitting(recipe, stream, named)
    if chosen:
        told = ", ".join(f"{name}={value}" for name, value in chosen.items())
        recipe = dataclasses.replace(recipe, **chosen)
        display.say(f"an epoch has {_count(stream.steps(0))}, the run {_count(_steps(stream, recipe))}: chosen {told}")
    steps = _steps(stream, recipe)
    if recipe.warmup_steps * TOO_LONG > steps:
        display.warn(
            f"the rate rises over warmup_steps={recipe.warmup_steps}, and epochs={recipe.epochs} are {_count(steps)}: "
            f"it may learn little. Set warmup_steps={steps // WARM_UP}, or more epochs"
        )
    return recipe


def fitting(recipe, stream, named):
    """The settings that suit a training stream where the recipe's do not, as far as the user has not `named` them.

    >>> from keras_rnnlm.training import Recipe
    >>> from keras_rnnlm.training.streams import Examples
    >>> fitting(Recipe.load("tagger"), Examples([5] * 200, collate=None, batch=32), named=())
    {'epochs': 86, 'warmup_steps': 60}
    """
    fit = recipe
    if "epochs" not in named:
        enough = math.ceil(ENOUGH / max(stream.steps(0), 1))
        fit = dataclasses.replace(fit, epochs=max(fit.epochs, min(enough, MOST_EPOCHS)))
    if "warmup_steps" not in named:
        fit = dataclasses.replace(fit, warmup_steps=min(fit.warmup_steps, _steps(stream, fit) // WARM_UP))
    return {
        name: getattr(fit, name) for name in ("epochs", "warmup_steps") if getattr(fit, name) != getattr(recipe, name)
    }


def _steps(stream, recipe):
    return sum(map(stream.steps, range(recipe.epochs)))


def _count(steps):
    return "1 step" if steps == 1 else f"{steps:,} steps"
