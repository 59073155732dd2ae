"""Interrupts, handled while a run lasts."""

import contextlib
import signal
import threading


@contextlib.contextmanager
def interrupts(handle):
    """Calls `handle()` at each interrupt meanwhile; only the main thread gets any."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # What is ignored remains so: a shell has its background jobs ignore the interrupts meant for others.
    before = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, lambda number, frame: handle())
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
