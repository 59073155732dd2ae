"""Interrupts, handled while a run lasts."""

import contextlib
import math
import os
import signal
import threading
import time
import types

# Seconds that a run has from SIGTERM on. Machines that are taken back are gone after some 30.
PATIENCE = 15

# In the environment of a process that a command has started to train: the id of that, and, where it has started all
# processes of the run, more.
STARTED, ALL = "KERAS_RNNLM_STARTED", " and all others"
TWICE = 2  # seconds in which such a process may hear of one signal again: from a cluster, and from that command

_received = types.SimpleNamespace(number=None)  # the signal that came last, to the process as a whole


def received(number):
    """Has `exit_code` tell of a signal that came to another process of the run."""
    _received.number = number


def exit_code():
    """What a shell expects of a process that an interrupt has ended: 130, or 143 after SIGTERM. It is told once."""
    number, _received.number = _received.number, None
    return 128 + (number or signal.SIGINT)


@contextlib.contextmanager
def interrupts(handle, late=None):
    """Calls `handle(number)` at each interrupt meanwhile; only the main thread gets any.

    With a `late`, the process ends by itself, with exit code 143, where it is still in here `PATIENCE` seconds after
    SIGTERM: a step that compiles for minutes looks at no interrupt. `late()` is called before.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # What is ignored remains so: a shell has its background jobs ignore the interrupts meant for others.
    before = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    _received.number = None

    last = {}

    def handled(number, frame):
        now, earlier = time.monotonic(), last.get(number, -math.inf)
        last[number] = now
        if STARTED in os.environ and now - earlier < TWICE:
            return
        received(number)
        handle(number)

    for number in before:
        signal.signal(number, handled)
    try:
        with contextlib.nullcontext() if late is None else _deadline(late):
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _deadline(late):
    """A thread that is told of signals by the system: handlers wait until the main thread is back in Python."""
    if os.name != "posix":  # where nobody sends SIGTERM
        yield
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    other = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    if other != -1:  # somebody else's, such as an event loop's
        signal.set_wakeup_fd(other)
    over = threading.Event()

    def watch():
        while number := os.read(reading, 1):
            if number[0] == signal.SIGTERM and not over.wait(PATIENCE):
                late()
                os._exit(128 + signal.SIGTERM)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        if other == -1:
            signal.set_wakeup_fd(-1)
        os.close(writing)
        thread.join()
        os.close(reading)
