"""When a run of so many minutes has to stop training, so that its last validation ends with them."""

import math
import time

TRIED_FOR = 0.5  # seconds of a validation, from which follows how long one takes


class Enough(Exception):
    """It is known how long a validation takes."""


class Deadline:
    """The last second of training.

    Attributes:
        minutes: of the run, or None: it has no end.
        validation: seconds that one takes, as far as is known.

    >>> deadline = Deadline(minutes=10)
    >>> deadline.validation = 60.0
    >>> deadline.last_second, deadline.of_whole(270.0)
    (540.0, 300.0)
    """

    def __init__(self, minutes):
        self.minutes, self.validation = minutes, 0.0

    @property
    def last_second(self):
        """When training ends and the last validation begins; not before half of the time."""
        seconds = math.inf if self.minutes is None else 60 * self.minutes
        return max(seconds - self.validation, seconds / 2)

    def of_whole(self, seconds):
        """So many seconds of training, as a share of all of it, times the minutes: what a schedule goes by."""
        return seconds if self.minutes is None else seconds * 60 * self.minutes / self.last_second

    def try_validation(self, scorer, valid, interrupted):
        """Learns how long a validation takes, from its first batches, unless `interrupted()`."""
        begun, seen = time.monotonic(), []

        def progress(done, windows):
            seen.append((time.monotonic(), done))
            seconds, batches = (last - first for last, first in zip(seen[-1], seen[0]))
            if batches and seconds >= TRIED_FOR:
                self.validation = seconds / batches * windows
            elif not interrupted():
                return
            raise Enough

        try:
            scorer.score(valid, progress)
            self.validation = time.monotonic() - begun
        except Enough:
            pass
