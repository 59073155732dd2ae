"""What a run shows while it goes on: a line on the terminal, and, where it is installed, TensorBoard's files."""

import importlib.util
import math
import shutil
import sys
import time

from keras_rnnlm.installed import has_tensorflow
from keras_rnnlm.standard_streams import tell

EVERY = 0.25  # seconds between two drawings of the line on a terminal
SELDOM = 60.0  # and between two lines where there is no terminal


class Display:
    """Progress on a stream, the standard error by default; warnings alone if `quiet`.

    On a terminal one line is drawn over and over; elsewhere, in a log, a line a minute.
    """

    def __init__(self, stream=None, quiet=False, tensorboard=None):
        self.stream, self.quiet = stream or sys.stderr, quiet
        self.is_terminal = self.stream is not None and self.stream.isatty()
        self.drawn, self.shown_at = 0, -math.inf
        # Its files are written by TensorFlow.
        self.tensorboard = tensorboard if importlib.util.find_spec("tensorboard") and has_tensorflow() else None
        self._writer = None

    def say(self, text):
        """A line that stays."""
        if not self.quiet:
            self.warn(text)

    def warn(self, text):
        """A line that is shown even if `quiet`."""
        self.clear()
        tell(text, self.stream)

    def training(self, progress, steps, recipe, shown):
        """`shown` are numbers by name; its "unit" is what is counted by the second, tokens where it has none."""
        if self._is_time():
            left, skipped = self._left(progress, steps, recipe, shown), shown["skipped_steps"]
            perplexity = f"perplexity {shown['perplexity']:,.2f}  " if "perplexity" in shown else ""
            self._draw(
                f"epoch {progress.epoch + 1}/{recipe.epochs}  {progress.window:,}/{steps:,}  "
                f"{shown['tokens_per_second']:,.0f} {shown.get('unit', 'token')}s/s  {left} left  "
                f"loss {shown['loss']:.4f}  {perplexity}norm {shown['gradient_norm']:.2f}  "
                f"clipped {shown['clip_rate']:.0%}{f'  skipped {skipped}' if skipped else ''}"
            )

    @staticmethod
    def _left(progress, steps, recipe, shown):
        """The time to the end of the run, by the speed of now."""
        left = recipe.epochs * steps - progress.epoch * steps - progress.window
        seconds = left * progress.tokens / progress.step / max(shown["tokens_per_second"], 1e-9)
        if recipe.max_minutes is not None:
            seconds = min(seconds, max(60 * recipe.max_minutes - progress.seconds, 0))
        return duration(seconds)

    def measuring(self, text):
        """What a command is at: a line that the next one takes the place of."""
        if self._is_time():
            self._draw(text)

    def validating(self, done, windows, of="validation"):
        if self._is_time():
            self._draw(f"{of}  {done:,}/{windows:,}")

    def evaluating(self, done, windows):
        self.validating(done, windows, "evaluation")

    def validated(self, progress, scores, better):
        """`scores` are the numbers of a validation by name, the loss first."""
        epoch = progress.epoch + (progress.window > 0)  # from 1, as above; at an epoch's end, the one that ended
        found = [f"{name.replace('_', ' ')} {_shown(name, value)}" for name, value in scores.items()]
        self.say(
            f"epoch {epoch}, step {progress.step:,}, {duration(progress.seconds)}: "
            f"validation {', '.join(found)}{', the best so far' if better else ''}"
        )

    def encoding(self, split, characters):
        if self._is_time():
            self._draw(f"encoding {split}: {characters:,} characters")

    def recorded(self, record):
        """Writes a record of history.jsonl for TensorBoard, too."""
        if self.tensorboard is None:
            return
        try:
            import tensorflow as tf

            self._writer = self._writer or tf.summary.create_file_writer(str(self.tensorboard))
            with self._writer.as_default(step=record["step"]):
                for name, value in record.items():
                    if isinstance(value, float) and name != "seconds":
                        tf.summary.scalar(f"{record['kind']}/{name}", value)
            self._writer.flush()
        except Exception as error:  # TensorFlow's own kinds, for a full disk too: the training matters more
            self.tensorboard = None
            self.warn(f"nothing more is written for TensorBoard: {' '.join(str(error).split())[:200]}")

    def clear(self):
        """Takes the drawn line away."""
        if self.drawn:
            tell("\r" + " " * self.drawn + "\r", self.stream, end="")
            self.drawn = 0

    def _is_time(self):
        if self.quiet:
            return False
        now = time.monotonic()
        due = now - self.shown_at >= (EVERY if self.is_terminal else SELDOM)
        self.shown_at = now if due else self.shown_at
        return due

    def _draw(self, text):
        if not self.is_terminal:
            tell(text, self.stream)
            return
        # One column less: a full line would wrap, and only its second half be drawn over.
        width = shutil.get_terminal_size().columns - 1
        text = text[:width]
        tell("\r" + text.ljust(self.drawn), self.stream, end="")
        self.drawn = len(text)


def _shown(name, value):
    return f"{value:,.2f}" if name == "perplexity" else f"{value:.4f}"


def in_minutes(count):
    """
    >>> in_minutes(1), in_minutes(2.5)
    ('1 minute', '2.5 minutes')
    """
    return "1 minute" if count == 1 else f"{count:g} minutes"


def duration(seconds):
    """
    >>> duration(3725)
    '1:02:05'
    """
    minutes, seconds = divmod(int(round(seconds)), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
