"""Nothing is compiled after the first epoch, whatever the lengths of windows and sentences."""

import contextlib
import logging

import keras
import numpy as np
import pytest

from keras_rnnlm.models import LanguageModel
from keras_rnnlm.optimizers import ClippedOptimizer
from keras_rnnlm.training.streams import Contiguous, Sentences

BACKEND = keras.backend.backend()
pytestmark = pytest.mark.skipif(BACKEND == "torch", reason="PyTorch compiles nothing here")
END, WORDS = 0, 11


class Compilations(logging.Handler):
    """Counts the programs that JAX compiles."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def emit(self, record):
        self.count += record.getMessage().startswith("Compiling")


@contextlib.contextmanager
def counted(model):
    """Yields a function that says how often a train step was traced or compiled meanwhile."""
    if BACKEND == "tensorflow":
        before = model.train_function.experimental_get_tracing_count()
        yield lambda: model.train_function.experimental_get_tracing_count() - before
        return
    import jax

    seen, logger = Compilations(), logging.getLogger("jax")
    logger.addHandler(seen)
    try:
        with jax.log_compiles():
            yield lambda: seen.count
    finally:
        logger.removeHandler(seen)


def random_windows():
    text = np.random.default_rng(0).integers(0, WORDS, 4 * 1500)
    return Contiguous(text, 4, 12, start=END, random=True, multiple=8)


def sentences():
    text = np.random.default_rng(0).integers(1, WORDS, 3000)
    text[np.random.default_rng(1).random(len(text)) < 0.2] = END
    return Sentences(text, 4, end=END, longest=24)


def shapes(stream, epoch):
    return {targets.shape for _, targets, _ in stream.windows(epoch)}


@pytest.mark.parametrize("make", [random_windows, sentences])
def test_nothing_is_compiled_after_the_first_epoch(make):
    stream = make()
    assert len(shapes(stream, 0)) >= 3
    for epoch in range(1, 6):
        assert shapes(stream, epoch) <= shapes(stream, 0)
    model = LanguageModel(WORDS, 4, 1, seed=0)
    model.compile(ClippedOptimizer(keras.optimizers.SGD(0.1)))
    if isinstance(stream, Contiguous):
        model.reset_states(4)
    model.fit(stream.dataset(0), verbose=0)
    with counted(model) as count:
        model.fit(stream.dataset(1), verbose=0)
        assert count() == 0


def test_programs_that_are_compiled_are_counted():
    model = LanguageModel(WORDS, 4, 1, seed=0)
    model.compile(ClippedOptimizer(keras.optimizers.SGD(0.1)))
    text = np.arange(200) % WORDS
    model.reset_states(2)
    model.fit(Contiguous(text, 2, 10, start=END).dataset(), verbose=0)
    with counted(model) as count:
        model.fit(Contiguous(text, 2, 20, start=END).dataset(), verbose=0)
        assert count() >= 1
