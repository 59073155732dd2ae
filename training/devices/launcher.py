"""Starts the processes of one run, or this machine's one of them, and tells in a line why they ended."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from keras_rnnlm import standard_streams
from keras_rnnlm.training.devices.together import ENDED
from keras_rnnlm.training.loop.interrupts import ALL, STARTED

INTERRUPTED = {128 + signal.SIGINT, 128 + signal.SIGTERM}
PATIENCE = 20  # seconds that processes have to end after one that was interrupted
SOON = 5  # and after one that failed, which they learn of
COMMAND = [sys.executable, "-m", "keras_rnnlm"]
BEFORE = re.compile(rb"E\d{4} .* coordination_service")  # what JAX says before that
FATAL = b"the JAX distributed service detected fatal errors"  # the first process is gone: a stack follows


def launch(argv, on, how):
    """Runs the command `argv` in the processes that are to be started here. Returns the code to exit with.

    Args:
        on: the `Choice` that the command makes.
        how: says how to resume.
    """
    if not on.starts_processes:  # one of several, by itself here
        return _ended(_Started(argv, 1), how)
    if on.devices == "all":
        raise ValueError(
            "The devices of this machine are divided among the processes that are started here: give how many each "
            f"has, or drop --processes, and one process has all. Received: devices='all', processes={on.processes}"
        )
    return _ended(_Started(argv, on.processes, f"127.0.0.1:{free_port()}", on.devices or 1), how)


def is_to_launch(on):
    """Whether a command is to start processes, rather than to be one."""
    return on.is_several and STARTED not in os.environ


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


class _Started:
    """Processes that run one command.

    With an `address` they are all of a run, of so many devices each. Then the first one has this process's streams, and
    of the others what they say is kept.
    """

    def __init__(self, argv, count, address=None, devices=None):
        self.processes, self.kept = [], []
        self.number = None  # of the last signal that came
        # What was started to ignore an interrupt, as a shell starts what runs in its background, goes on to.
        heard = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        heard = [number for number, handler in heard.items() if handler not in (signal.SIG_IGN, None)]
        self.before = {number: signal.signal(number, self._pass_on) for number in heard}
        for index in range(count):
            words, started = [], str(os.getpid())
            streams, environment = {"stderr": subprocess.PIPE}, dict(os.environ)
            if address is not None:
                words = ["--coordinator", address, "--process", str(index)]
                mine = ",".join(str(index * devices + k) for k in range(devices))
                started += ALL
                environment.setdefault("JAX_LOCAL_DEVICE_IDS", mine)
                self.kept.append(tempfile.TemporaryFile())
                quiet = dict(stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.kept[index])
                streams = quiet if index else {}
            command = [*COMMAND, *argv, *words]
            environment |= {STARTED: started}
            # In sessions of their own: what comes from the terminal comes once to each, from here.
            process = subprocess.Popen(command, env=environment, start_new_session=True, **streams)
            self.processes.append(process)
        self.relay = _Relay(self.processes[0].stderr) if address is None else None

    def _pass_on(self, number, frame):
        self.number = number
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(number)

    def wait(self):
        """Waits for all. Which failed, or was interrupted, of itself, and its code; None and 0 if none did."""
        until = None
        while True:
            codes = [process.poll() for process in self.processes]
            ended = [code for code in codes if code not in (None, 0)]
            if until is None and ended:
                some = min(ended)  # of a signal, if one is
                until = time.monotonic() + (PATIENCE if some in INTERRUPTED else SOON if some > 0 else 0)
            if None not in codes or until is not None and time.monotonic() > until:
                break
            time.sleep(0.05)
        self.end()

        def follows(index):
            """What one process ends of, others end of, too: with the code of that, or of JAX's own, by SIGABRT."""
            code = codes[index]
            return code == -signal.SIGABRT, code == ENDED, code in INTERRUPTED, code > 0, index

        failed = min((index for index, code in enumerate(codes) if code not in (None, 0)), key=follows, default=None)
        return failed, 0 if failed is None else codes[failed]

    def end(self):
        """Ends those that still run."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
        for process in self.processes:
            process.wait()
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def last_line(self, index):
        self.kept[index].seek(0)
        lines = self.kept[index].read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"ended with exit code {self.processes[index].returncode}"


class _Relay(threading.Thread):
    """Passes on what a process says, up to where JAX ends it.

    Attributes:
        fatal: whether JAX has ended it.
    """

    def __init__(self, stream):
        super().__init__(daemon=True)
        self.stream, self.fatal = stream, False
        self.start()

    def run(self):
        for line in self.stream:
            self.fatal = self.fatal or FATAL in line
            if not self.fatal and not BEFORE.match(line):
                standard_streams.tell(line.decode(errors="replace"), end="")


def _ended(started, how):
    """The exit code, after the line that says why."""
    try:
        failed, code = started.wait()
    finally:
        started.end()
    if started.relay is not None:
        started.relay.join(5)
    if failed is None or code in INTERRUPTED:
        return code
    if code == -signal.SIGTERM and started.number == signal.SIGTERM:  # before the run began
        return 128 + signal.SIGTERM
    if started.relay is not None:
        if started.relay.fatal:
            standard_streams.tell(f"ended, as process 0 is gone. {how}")
        elif code < 0:
            standard_streams.tell(f"this process was ended by {signal.Signals(-code).name}. {how}")
        return code if code > 0 else 1
    count = len(started.processes)
    if code < 0:
        name = signal.Signals(-code).name
        standard_streams.tell(f"process {failed} of {count} was ended by {name}, and the others with it. {how}")
        return 1
    if failed:
        standard_streams.tell(f"process {failed} of {count}: {started.last_line(failed)}")
    return code
