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


class Traced(LanguageModel):
    """Counts how often its train step is traced."""

    traces = 0

    def train_step(self, *args):
        self.traces += 1
        return super().train_step(*args)


class Compiled(logging.Handler):
    """Counts the programs that JAX says it compiles."""

    count = 0

    def emit(self, record):
        self.count += record.getMessage().startswith("Compiling")


@contextlib.contextmanager
def compilations():
    """Yields what counts JAX's programs; of other backends it stays at 0."""
    seen, logger = Compiled(), logging.getLogger("jax")
    if BACKEND != "jax":
        yield seen
        return
    import jax

    logger.addHandler(seen)
    try:
        with jax.log_compiles():
            yield seen
    finally:
        logger.removeHandler(seen)


def random_windows():
    text = np.random.default_rng(0).integers(0, WORDS, 4 * 900)
    return Contiguous(text, 4, 8, start=END, random=True, multiple=8)


def sentences():
    text = np.random.default_rng(0).integers(1, WORDS, 2000)
    text[np.random.default_rng(1).random(len(text)) < 0.2] = END
    return Sentences(text, 4, end=END, longest=24)


def shapes(stream, epoch):
    return {targets.shape for _, targets, _ in stream.windows(epoch)}


@pytest.mark.parametrize("make", [random_windows, sentences])
def test_no_window_has_a_length_that_the_first_epoch_did_not_have(make):
    stream = make()
    assert len(shapes(stream, 0)) == 3
    for epoch in range(1, 7):
        assert shapes(stream, epoch) <= shapes(stream, 0)


def test_nothing_is_compiled_after_the_first_epoch():
    stream = random_windows()
    model = Traced(WORDS, 4, 1, seed=0)
    model.compile(ClippedOptimizer(keras.optimizers.SGD(0.1)), jit_compile=BACKEND == "jax")
    model.reset_states(4)
    model.fit(stream.dataset(0), verbose=0)
    assert model.traces
    model.traces = 0
    with compilations() as compiled:
        model.fit(stream.dataset(1), verbose=0)
        assert (model.traces, compiled.count) == (0, 0)
        # What counts does count.
        model.reset_states(2)
        model.fit(Contiguous(stream.tokens, 2, 900, start=END).dataset(), verbose=0)
        assert model.traces and (compiled.count or BACKEND != "jax")
