"""Who trains: one process, or several that stay at the same step and agree on when to end.

What the first process finds holds for all: the time, an interrupt, which file is read. They learn of it in meetings, at
the same points of the program in each. Beside these a thread of each process tells the others that it lives, and ends
the process where one of them does not any more, or hangs: what waits for it on the devices would wait for good.
"""

import atexit
import contextlib
import json
import os
import re
import signal
import threading
import time
import traceback

from keras_rnnlm import standard_streams
from keras_rnnlm.exit_codes import exit_code_of
from keras_rnnlm.training.loop import interrupts
from keras_rnnlm.training.loop.interrupts import STARTED

EVERY = 1.0  # seconds between two signs of life
LOST = 40.0  # seconds without one
HANGS = 40.0  # seconds that others wait for a process, or a collective takes, where none took as long before
COMPILES = 900.0  # the same where a program is new, and some may compile what others have found compiled
SILENT = 600.0  # seconds from one meeting to the next, in a validation, say: what waits there is in no meeting
DONE = "is done"
ENDED = 1  # the exit code of a process that ends as another one has
FIRST = 86_400  # seconds that the others give the first process to read and encode a text


class Alone:
    """A process that trains by itself.

    Args:
        how: says how to resume.
        parts: how many parts each batch has: one on each device, of all processes.
        scope: `scope()` is a context in which a model and its optimizer are made.
    """

    is_first, index, count = True, 0, 1

    def __init__(self, how="", parts=1, scope=contextlib.nullcontext):
        self.how, self.parts, self.scope = how, parts, scope

    def interrupt(self, number):
        """There was a signal. Whether the run ends now; if not, `meet` says when."""
        return True

    def meet(self, seconds):
        """The seconds that the first process has measured, and the signal that ends the run now, or None."""
        return seconds, None

    def pace(self, seconds, steps, most):
        """How many steps there may be to the next meeting."""
        return most

    def told(self, text=None):
        """What the first process says, a text; the others wait for it."""
        return text

    def arrives(self):
        """This process now waits for what the devices of all compute; `meet` comes next."""

    def runs_something_new(self):
        """What comes next runs a program for the first time, which may take as long as a compilation."""

    def settles(self):
        """All have run it."""

    @contextlib.contextmanager
    def waited_for(self):
        """What may take as long as it likes, while the others wait."""
        yield

    def lives(self):
        """Meanwhile the others see that this process lives, and it ends where one of them does not."""
        return contextlib.nullcontext()


class Together(Alone):
    """One of several processes, which begin the same run at the same time.

    Args:
        store: a `private_jax.Store`.
        how, parts: as of `Alone`.
        parent: the process that has started this one, 0 for none: where it is gone, that is an interrupt.
    """

    def __init__(self, store, how="", parts=1, parent=0):
        super().__init__(how, parts)
        self.store, self.index, self.count = store, store.index, store.count
        self.is_first = self.index == 0
        self.parent = parent
        self.number = None  # of the signal that came here
        self.meetings = self.texts = 0
        self.inside = None  # since when this process waits in a meeting
        self.usual = 0.0  # seconds from the last meeting to the one before, or within it
        self.left = self.excused = time.monotonic()  # the last meeting; when one was busy last
        self.busy, self.is_new = False, True
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    # What is agreed on

    def interrupt(self, number):
        self.number = number
        return False

    def arrives(self):
        now = time.monotonic()
        self.usual, self.inside, self.meetings = max(self.usual / 2, now - self.left), now, self.meetings + 1

    def meet(self, seconds):
        if self.inside is None:
            self.arrives()
        if self.number is not None and not self.is_first:
            self.store.put(f"interrupt/{self.index}", str(self.number))
        key = f"meeting/{self.meetings}"
        if self.is_first:
            number = self.number or max(map(int, self.store.under("interrupt").values()), default=None)
            self.store.put(key, json.dumps([seconds, number]))
            if self.meetings > 100:  # nobody is as far behind
                self.store.forget(f"meeting/{self.meetings - 100}")
        else:
            seconds, number = json.loads(self._awaited(key))
        now = time.monotonic()
        self.usual, self.inside, self.left = max(self.usual, now - self.inside), None, now
        if number is not None:
            interrupts.received(number)
        return seconds, number

    def runs_something_new(self):
        self.is_new = True

    def settles(self):
        self.is_new = False

    def pace(self, seconds, steps, most):
        """Some two seconds' worth: an interrupt waits as long."""
        return max(1, min(most, int(2 * steps / max(seconds, 1e-6))))

    def told(self, text=None):
        self.texts += 1
        key = f"text/{self.texts}"
        if self.is_first:
            self.store.put(key, json.dumps(text))
            return text
        return json.loads(self._awaited(key))

    def _awaited(self, key):
        """A text that the first process will put there. The thread ends the process where that one does not live."""
        end = time.monotonic() + FIRST
        while (text := self.store.get(key, 2)) is None:
            if time.monotonic() > end:
                raise ValueError(f"The first process has said nothing for {FIRST / 3600:.0f} hours")
        return text

    @contextlib.contextmanager
    def waited_for(self):
        self.busy = True
        try:
            yield
        finally:
            self.busy, self.left = False, time.monotonic()

    # That all live

    @contextlib.contextmanager
    def lives(self):
        self.thread.start()
        try:
            yield
        except BaseException as error:
            if _is_of_jax(error):
                self.over.wait(LOST + 5 * EVERY)  # it is another one that ended: the thread finds which
            self._leave(f"ended: {' '.join(str(error).split())[:300] or type(error).__name__}")
            if self.is_first:
                time.sleep(3 * EVERY)  # what the others read goes with this process
            if STARTED in os.environ:  # JAX would wait for the others at the end, which are gone
                atexit.register(os._exit, exit_code_of(error))
            raise
        self._leave(DONE)

    def _leave(self, reason):
        self.over.set()
        self.thread.join()
        with contextlib.suppress(Exception):  # what they read may be gone already
            self._live(0, reason)

    def _live(self, beat, reason=None):
        sign = [beat, self.meetings, self.busy, reason]
        self.store.put(f"alive/{self.index}", json.dumps(sign))

    def _watch(self):
        beat, seen = 0, {}
        while not self.over.wait(EVERY):
            beat += 1
            if self.parent and os.getppid() != self.parent:
                self.parent = 0
                os.kill(os.getpid(), signal.SIGTERM)
            try:
                self._live(beat)
                signs = {int(index): json.loads(text) for index, text in self.store.under("alive").items()}
            except Exception:
                signs = None
            if signs is None:
                if self.over.wait(EVERY):
                    return
                self._end("process 0 is gone")
            now = time.monotonic()
            for index in range(self.count):
                sign = signs.get(index)
                if index not in seen or seen[index][0] != sign:
                    seen[index] = sign, now
                self._check(index, sign, now - seen[index][1])
            self._check_meeting(signs, now)

    def _check(self, index, sign, silent):
        """Ends this process where another has ended, or been silent for too long."""
        if index == self.index:
            return
        if sign is not None and sign[3] is not None:
            if sign[3] != DONE:
                self._end(f"process {index} {sign[3]}")
        elif silent > LOST:
            self._end(f"process {index} has given no sign of life for {silent:.0f} s")

    def _check_meeting(self, signs, now):
        """Ends this process where it has waited too long in a meeting, or for what the devices compute."""
        if any(sign[2] for sign in signs.values()):
            self.excused = now
            return
        if not self.meetings:  # it is not training yet
            return
        since, limit = self.inside, max(HANGS, 2 * self.usual)
        if since is None:
            since, limit = self.left, max(SILENT, 10 * self.usual)
        since, limit = max(since, self.excused), max(limit, COMPILES) if self.is_new else limit
        if now - since < limit:
            return
        late = [str(k) for k, sign in sorted(signs.items()) if sign[1] < self.meetings and sign[3] is None]
        who = f"process {', '.join(late)} hangs" if late else "a collective of all processes hangs"
        self._end(f"{who}: the others have waited for {now - since:.0f} s")

    def _end(self, why):
        standard_streams.tell(f"ended, as {why}. {self.how}")
        os._exit(ENDED)


def _is_of_jax(error):
    """Whether it came out of JAX's own code, as where a process is gone in the midst of what all compute."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = bool(frames) and any(f"{os.sep}{name}{os.sep}" in frames[-1].filename for name in ("jax", "jaxlib"))
    return inside or type(error).__module__.startswith("jax") or bool(re.match(r"[A-Z]+(_[A-Z]+)*: ", str(error)))
