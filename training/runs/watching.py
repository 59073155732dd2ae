"""What is seen of a run from outside, while it goes on or afterwards: its numbers, and what its model writes."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import threading
import time

from keras_rnnlm.training.runs.curves import latest

PAGE = pathlib.Path(__file__).parent / "watch.html"
MOST = 1500  # records of training that are drawn: a screen has no more places
LENGTH, TEMPERATURE, TOP_P = 160, 0.8, 0.95  # of a sample
EVERY = 2.0  # seconds between two looks for a new model


def page():
    return PAGE.read_bytes()


def state(folder, samples=()):
    """What the page shows, as a dict: the records that count, samples, and how many seconds ago something was new."""
    path = folder.path.absolute()
    found = {"name": path.name, "path": str(path), "samples": list(samples), "records": [], "age": None}
    found |= {"skipped": 0, "epochs": None}
    try:
        found["age"] = max(time.time() - folder.history.stat().st_mtime, 0.0)
        records = latest(folder.read_history())
        found["skipped"] = sum(record.get("skipped_steps") or 0 for record in records)
        found["records"], found["epochs"] = _thinned(records), folder.read_recipe().epochs
    except FileNotFoundError:  # nothing was recorded yet
        pass
    except ValueError as error:  # a line that is no record
        found["problem"] = str(error)
    return found


def _thinned(records):
    train = [record for record in records if record.get("kind") == "train"]
    kept = {id(record) for record in train[:: 1 + len(train) // MOST] + train[-1:]}
    return [record for record in records if record.get("kind") != "train" or id(record) in kept]


class Samples:
    """What the best model writes, each time that there is a better one: a list that grows.

    A process of its own writes them, one at a time and after everything else: it takes as little as can be from the
    training, and its memory is given back.

    Args:
        folder: a `RunFolder`.
        prompt: what it goes on from.
        say: is told why there are no samples.
    """

    def __init__(self, folder, prompt="", say=lambda text: None):
        self.folder, self.prompt, self.say = folder, prompt, say
        self.found, self._seen, self._ends = [], None, threading.Event()

    def __enter__(self):
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self.found

    def __exit__(self, *_):
        self._ends.set()

    def _look(self):
        while not self._ends.is_set():
            if not self.take():
                return
            self._ends.wait(EVERY)

    def take(self):
        """Adds a sample if there is a new model. False where its task does not write."""
        try:
            written = self.folder.model_file.stat().st_mtime_ns
        except OSError:
            return True
        if written == self._seen:
            return True
        self._seen = written
        record = self._best()
        done = self._written()
        if done.returncode:
            problem = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            self.say(f"no samples: {problem}")
            return "which does not write" not in problem
        with contextlib.suppress(OSError):
            if self.folder.model_file.stat().st_mtime_ns != written:  # before it was read, or after?
                record = {}
        (text,) = json.loads(done.stdout)["texts"]
        self.found.append({"step": record.get("step"), "prompt": self.prompt, "text": text})
        return True

    def _best(self):
        """The validation that the model.keras is of."""
        try:
            records = latest(self.folder.read_history())
        except ValueError:
            return {}
        return next((record for record in reversed(records) if record.get("best")), {})

    def _written(self):
        command = [
            sys.executable,
            "-m",
            "keras_rnnlm",
            "generate",
            str(self.folder),
            "--json",
            f"--prompt={self.prompt}",
        ]
        command += ["--length", str(LENGTH), "--temperature", str(TEMPERATURE), "--top-p", str(TOP_P)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            with contextlib.suppress(OSError, AttributeError):  # it has ended already; Windows
                os.setpriority(os.PRIO_PROCESS, process.pid, 19)
            out, problem = process.communicate()
        return subprocess.CompletedProcess(command, process.returncode, out, problem)
