"""Processes that train together: what is refused, what they agree on, and that none waits for one that is gone."""

import json
import re
import signal
import sys
import time

import keras
import pytest

from keras_rnnlm.training.devices import launcher, together
from keras_rnnlm.training.devices.choice import Choice
from keras_rnnlm.training.devices.together import Together
from keras_rnnlm.training.loop import interrupts


@pytest.mark.parametrize(
    "options, message",
    [
        ({"backend": "theano"}, "is one of tensorflow, jax, torch"),
        ({"devices": 0}, 'a number, or "all". Received: devices=0'),
        ({"shard_vocabulary": 0}, "a number. Received: shard_vocabulary=0"),
        ({"shard_vocabulary": 2, "processes": 2}, "drop --processes, or --shard-vocabulary"),
        ({"processes": "many"}, 'a number, or "auto"'),
        ({"coordinator": "10.0.0.1:99"}, "give `processes`, `coordinator` and `process`, all three"),
        ({"processes": 2, "coordinator": "10.0.0.1:99", "process": 2}, "from 0 to 1. Received: process=2"),
        ({"processes": 2, "coordinator": "10.0.0.1", "process": 0}, "HOST:PORT"),
    ],
)
def test_options_that_contradict_each_other_are_told(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Choice(**options).check()


def test_what_a_backend_cannot_do_is_refused_with_the_way_out():
    name = keras.backend.backend()
    refused = {
        "tensorflow": [({"processes": 2}, "take --backend jax"), ({"devices": 99}, "at most")],
        "torch": [({"processes": 2}, "take --backend jax"), ({"devices": 2}, "--backend jax or --backend tensorflow")],
        "jax": [({"processes": 2}, "have the command line start them"), ({"devices": 99}, "at most")],
    }
    refused[name] += [({"shard_vocabulary": 99}, "at most 1" if name == "jax" else "Only JAX divides a vocabulary")]
    other = {"backend": "torch" if name != "torch" else "jax"}
    for options, message in [*refused[name], (other, "before Keras is imported")]:
        with pytest.raises(ValueError, match=message), Choice(**options).in_use():
            pass


class Store:
    """As `private_jax.Store`, of one process that is told what another one says."""

    count = 2

    def __init__(self, index=0):
        self.index, self.texts = index, {}

    def put(self, key, text):
        self.texts[key] = text

    def get(self, key, seconds):
        return self.texts.get(key)

    def under(self, folder):
        return {key.removeprefix(f"{folder}/"): text for key, text in self.texts.items() if key.startswith(folder)}

    def forget(self, key):
        self.texts.pop(key)


def test_an_interrupt_of_one_process_ends_all_at_one_meeting_with_the_clock_of_the_first():
    store = Store(0)
    first = Together(store)
    store.index = 1
    second = Together(store)
    assert first.meet(1.5) == second.meet(9.0) == (1.5, None)
    second.number = int(signal.SIGTERM)
    assert first.meet(1.0) == second.meet(9.0) == (1.0, None)  # the first one was there before
    assert first.meet(2.0) == second.meet(9.0) == (2.0, signal.SIGTERM)
    assert interrupts.exit_code() == 143
    assert first.told("x") == second.told() == "x"


SIGN = [1, 0, False, None]  # of the other process: its beat, its meetings, whether it is busy, why it ended


@pytest.mark.parametrize(
    "sign, waits, told",
    [
        (SIGN, False, "process 1 has given no sign of life for"),
        ([1, 0, False, "ended: the disk is full"], False, "process 1 ended: the disk is full"),
        ([None, 0, False, None], True, "process 1 hangs: the others have waited for"),
        ([None, 1, False, None], True, "a collective of all processes hangs"),
        ([None, 0, True, None], True, None),
        ([None, 0, False, None], False, None),
        ([None, 1, False, None], "has met", "a collective of all processes hangs"),
        ([None, 1, True, None], "has met", None),
        ([None, 1, False, None], "compiles", None),
    ],
    ids=["silent", "ended", "hangs", "collective", "busy", "lives", "validation", "busy between", "compiles"],
)
def test_a_process_ends_where_another_one_does_not_go_on(sign, waits, told, monkeypatch):
    for name, seconds in (("EVERY", 0.01), ("LOST", 0.2), ("HANGS", 0.2), ("SILENT", 0.3), ("COMPILES", 0.9)):
        monkeypatch.setattr(together, name, seconds)
    store, found = Store(0), []
    team = Together(store)

    def ended(why):
        found.append(why)
        team.over.set()

    team._end = ended
    with team.lives():
        if waits != "compiles":
            team.settles()
        if waits == "has met":
            team.meet(0.0)
        elif waits:
            team.arrives()
        end = time.monotonic() + (5 if told else 0.5)
        while not found and time.monotonic() < end:
            beat = time.monotonic() if sign[0] is None else sign[0]
            store.put("alive/1", json.dumps([beat, *sign[1:]]))
            time.sleep(0.005)
    assert [why.startswith(told) for why in found] == [True] * bool(told), found
    assert json.loads(store.texts["alive/0"])[3] == together.DONE


def test_an_error_that_is_no_other_process_s_is_told_to_them(monkeypatch):
    monkeypatch.setattr(together, "EVERY", 0.01)
    store = Store(1)
    with pytest.raises(ValueError, match="no such file"), Together(store).lives():
        raise ValueError("no such file")
    assert json.loads(store.texts["alive/1"])[3] == "ended: no such file"


PROCESSES = """
import os, signal, sys, time
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
index = int(options.get("--process", 0))
assert options.get("--coordinator", "127.0.0.1:").startswith("127.0.0.1:")
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
print("I am", index, file=sys.stderr, flush=True)
if "MEET" in os.environ:  # in this folder: else one may be over before another begins
    open(os.path.join(os.environ["MEET"], str(index)), "w").close()
    while len(os.listdir(os.environ["MEET"])) < 2:
        time.sleep(0.01)
{what}
"""


@pytest.mark.parametrize(
    "what, code, told",
    [
        ("", 0, "I am 0\n"),
        ("if index: os.kill(os.getpid(), 9)\ntime.sleep(60)", 1, "I am 0\nprocess 1 of 2 was ended by SIGKILL, and "),
        ("sys.exit(2 if index else 0)", 2, "I am 0\nprocess 1 of 2: I am 1\n"),
        ("os.kill(os.getppid(), 15); time.sleep(60)", 143, "I am 0\n"),
    ],
    ids=["done", "killed", "failed", "interrupted"],
)
def test_the_launcher_ends_with_its_processes_and_tells_which_failed(what, code, told, monkeypatch, capfd, tmp_path):
    monkeypatch.setenv("MEET", str(tmp_path))
    monkeypatch.setattr(launcher, "COMMAND", [sys.executable, "-c", PROCESSES.format(what=what)])
    assert launcher.launch([], Choice(processes=2), "Resume with: x") == code
    error = capfd.readouterr().err
    assert error.startswith(told) and error.count("I am 0") == 1, error
    assert ("SIGKILL" in told) == error.endswith("Resume with: x\n")


def test_where_jax_ends_a_process_as_the_first_is_gone_one_line_is_left(monkeypatch, capfd):
    said = f"E1128 20:21 1 coordination_service_agent.cc:289] Polled\n{launcher.FATAL.decode()}\nand a stack"
    what = f"print({said!r}, file=sys.stderr, flush=True); os.kill(os.getpid(), 6)"
    monkeypatch.setattr(launcher, "COMMAND", [sys.executable, "-c", PROCESSES.format(what=what)])
    on = Choice(processes=2, coordinator="127.0.0.1:99", process=1)
    assert launcher.launch(["--process", "1"], on, "Resume with: x") == 1
    assert capfd.readouterr().err == "I am 1\nended, as process 0 is gone. Resume with: x\n"
