"""Batches and windows that grow in the course of a run: `grow` of a recipe, epoch by epoch."""

import dataclasses

from keras_rnnlm.schema import Rule
from keras_rnnlm.training.recipes.rules import COUNT

GROWS = ("batch", "window")


def _fits(value):
    return isinstance(value, dict) and all(
        isinstance(epoch, str)
        and epoch.isdecimal()
        and int(epoch) > 1
        and isinstance(new, dict)
        and new
        and all(name in GROWS and COUNT.fits(number) for name, number in new.items())
        for epoch, new in value.items()
    )


def _keep(value):
    """In the order of the epochs."""
    epochs = sorted(value, key=int)
    return {str(int(epoch)): {name: int(number) for name, number in value[epoch].items()} for epoch in epochs}


GROWTH = Rule("a table of epochs, the second or later, such as {3 = {batch = 64}, 5 = {window = 140}}", _fits, _keep)


def at(recipe, epoch):
    """The recipe of an epoch, the first being 0: the last batch and window that `grow` names until then.

    >>> from keras_rnnlm.training import Recipe
    >>> recipe = Recipe(batch=16, window=32, grow={"3": {"batch": 32}, "5": {"window": 64}})
    >>> [(at(recipe, epoch).batch, at(recipe, epoch).window) for epoch in (0, 1, 2, 4)]
    [(16, 32), (16, 32), (32, 32), (32, 64)]
    """
    new = {}
    for begins, values in recipe.grow.items():
        if epoch >= int(begins) - 1:
            new |= values
    return dataclasses.replace(recipe, grow={}, **new)


def batches(recipe):
    """Every size of batch that there is in a run, once each."""
    return list(dict.fromkeys([recipe.batch, *(new["batch"] for new in recipe.grow.values() if "batch" in new)]))


def stream_of(recipe, make):
    """What a run reads: `make(recipe)`, or where it grows, that of each epoch's recipe."""
    return GrowingStream(recipe, make) if recipe.grow else make(recipe)


class GrowingStream:
    """A stream of each epoch's batch and window.

    Args:
        recipe: with a `grow`.
        make: `make(recipe)` is the stream of a recipe that grows no more.
    """

    def __init__(self, recipe, make):
        self.recipe, self.make, self.made = recipe, make, {}
        for begins in recipe.grow:  # what a text is too short for is told at the beginning
            self._of(int(begins) - 1)
        self.carries_states = getattr(self._of(0), "carries_states", False)

    def _of(self, epoch):
        recipe = at(self.recipe, epoch)
        key = recipe.batch, recipe.window
        if key not in self.made:
            self.made = {key: self.make(recipe)}  # an epoch's alone: one may keep numbers of a whole text in memory
        return self.made[key]

    def steps(self, epoch=0):
        return self._of(epoch).steps(epoch)

    def lengths(self, epoch=0):
        return self._of(epoch).lengths(epoch)

    def dataset(self, epoch=0, first=0):
        return self._of(epoch).dataset(epoch, first)
