"""A process that is told to end while it is in the middle of something long."""

import subprocess
import sys

import pytest

CODE = """
import ctypes, os, signal, threading
from keras_rnnlm.training.loop import interrupts
interrupts.PATIENCE = 0.5
threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
with interrupts.interrupts(lambda number: None, lambda: print("late", flush=True)):
    {meanwhile}
print("in time")
"""
# In C, where no handler in Python is called before the end, as in a compiler.
COMPILES = "while True: ctypes.CDLL(None).usleep(900_000)"


@pytest.mark.parametrize(
    "meanwhile, code, told", [(COMPILES, 143, "late\n"), ("signal.pause()", 0, "in time\n")], ids=["stuck", "in time"]
)
def test_sigterm_ends_what_does_not_look_at_it_and_nothing_else(meanwhile, code, told):
    command = [sys.executable, "-c", CODE.format(meanwhile=meanwhile)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (code, told, "")
