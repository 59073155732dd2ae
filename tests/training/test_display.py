"""What a run shows: a line that is drawn over and over on a terminal, a line a minute elsewhere."""

import io
import math
import types

import pytest

from keras_rnnlm.training.loop.loop import Progress
from keras_rnnlm.training.recipes.recipe import Recipe
from keras_rnnlm.training.runs import display as module
from keras_rnnlm.training.runs.display import Display, duration

SHOWN = {"tokens_per_second": 100.0, "loss": 2.0, "perplexity": 7.389, "gradient_norm": 0.5, "clip_rate": 0.25}
SHOWN |= {"skipped_steps": 0}


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    clock = types.SimpleNamespace(now=0.0)
    monkeypatch.setattr(module, "time", types.SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def screen(terminal):
    """What stands on a terminal at the end."""
    lines = []
    for line in terminal.getvalue().split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown.rstrip())
    return lines


def test_a_terminal_shows_one_line_that_gives_way_to_what_is_said(clock, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    terminal = Terminal()
    display = Display(terminal)
    progress = Progress(epoch=1, window=20, step=70, tokens=7000)
    display.training(progress, 50, Recipe(epochs=2), SHOWN)
    assert screen(terminal) == [
        "epoch 2/2  20/50  100 tokens/s  0:00:30 left  loss 2.0000  perplexity 7.39  norm 0.50  clipped 25%"
    ]
    other = Terminal()
    Display(other).training(progress, 50, Recipe(epochs=2), {**SHOWN, "unit": "sequence"})
    assert "  100 sequences/s  " in screen(other)[0]
    clock.now = 0.1
    display.validating(1, 3)  # too soon
    assert "validation" not in terminal.getvalue()
    clock.now = 0.5
    display.validating(2, 3)
    assert screen(terminal) == ["validation  2/3"]
    display.validated(progress, {"loss": 1.0, "perplexity": math.e}, True)
    assert screen(terminal) == [
        "epoch 2, step 70, 0:00:00: validation loss 1.0000, perplexity 2.72, the best so far",
        "",
    ]


def test_epochs_are_counted_from_1_in_every_line(clock):
    log = io.StringIO()
    display = Display(log)
    for epoch, window in ((0, 20), (1, 0), (1, 20), (2, 0)):  # in the middle and at the end of each of two
        display.validated(Progress(epoch=epoch, window=window, step=1), {"loss": 1.0}, False)
    assert [line.split(",")[0] for line in log.getvalue().splitlines()] == ["epoch 1", "epoch 1", "epoch 2", "epoch 2"]


def test_a_line_is_no_wider_than_the_terminal(clock, monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    terminal = Terminal()
    Display(terminal).training(Progress(step=1, tokens=10), 50, Recipe(), SHOWN)
    assert len(screen(terminal)[0]) == 29


def test_a_log_gets_a_line_a_minute(clock):
    log = io.StringIO()
    display = Display(log)
    for clock.now in range(150):
        display.validating(clock.now, 150)
    assert log.getvalue() == "validation  0/150\nvalidation  60/150\nvalidation  120/150\n"


def test_quiet_shows_warnings_alone(clock):
    log = Terminal()
    display = Display(log, quiet=True)
    display.say("a")
    display.training(Progress(step=1), 50, Recipe(), SHOWN)
    display.encoding("train", 5)
    display.warn("b")
    assert log.getvalue() == "b\n"


def test_what_tensorboard_cannot_write_does_not_end_a_run(monkeypatch):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: object())
    log = io.StringIO()
    display = Display(log, tensorboard="/proc/nowhere")
    for _ in range(2):
        display.recorded({"kind": "train", "step": 1, "loss": 1.0})
    assert log.getvalue().count("\n") == 1 and log.getvalue().startswith("nothing more is written for TensorBoard: ")


def test_the_time_left_ends_with_the_minutes_of_the_recipe(clock):
    progress = Progress(step=100, tokens=1000, window=10, seconds=50.0)
    assert Display._left(progress, 1000, Recipe(epochs=10), SHOWN) == duration(9990 * 10 / 100)
    assert Display._left(progress, 1000, Recipe(epochs=10, max_minutes=1.0), SHOWN) == "0:00:10"
