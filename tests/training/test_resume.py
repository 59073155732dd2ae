"""Runs that are killed, interrupted and resumed, in processes of their own: they end as if nothing had happened."""

import os
import random
import signal
import threading

import pytest

from keras_rnnlm.training.runs.checkpoints import Checkpoints
from tests.cases import FEWER
from tests.training import killed_runs

SETTINGS = """tokenizer=char units=12 layers=1 tied=false embedding_dim=6 dropout=0.3 batch=4 window=8 eval_batch=1
locked_dropout=true embedding_dropout=0.1 weight_drop=0.2 recurrent_dropout=0.1 zoneout=0.1 ar=1 tar=1
optimizer=adam learning_rate=0.01 schedule=plateau ema=0.9 epochs=2 eval_every=20 checkpoint_every=5 log_every=10"""
SETTINGS = SETTINGS.split()
INTERRUPTS = [("validation", signal.SIGTERM)]  # that of SIGINT differs by its number, see test_loop.py
BETWEEN = [] if FEWER else [("best model", signal.SIGKILL)]


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("resume") / "text.txt"
    killed_runs.write_text(path, lines=150)
    return path


def test_a_run_that_was_killed_and_interrupted_ends_as_one_that_was_not(text):
    whole, broken = text.parent / "whole", text.parent / "broken"
    other = threading.Thread(target=killed_runs.uninterrupted, args=(text, whole, SETTINGS))
    other.start()
    draw = random.Random(1)
    begin = [str(text), "--out", str(broken), *[word for setting in SETTINGS for word in ("--set", setting)]]
    again = ["--out", str(broken), "--resume"]
    for k, (situation, number) in enumerate([("checkpoint", signal.SIGKILL), *BETWEEN, *INTERRUPTS]):
        process = killed_runs.Process(*(again if k else begin))
        assert process.wait_until(killed_runs.is_reached(situation, process, broken, draw)), process.shown
        code = process.kill(number)
        if number == signal.SIGKILL:
            assert code == -number
        else:
            assert code == 128 + number
            last = process.shown.split("\r")[-2].strip()
            assert last.startswith("interrupted at step") and last.endswith(
                f"keras-rnnlm train --out {broken} --resume"
            )
            step = int(last.split("at step ")[1].split(";")[0])
            assert Checkpoints(broken / "checkpoints").read()[0] == step
    process = killed_runs.Process(*again)
    assert process.finish() == 0, process.shown
    other.join()
    assert killed_runs.differences(whole, broken) == []
    assert not [name for _, _, names in os.walk(broken) for name in names if "partial" in name]
    for noise in ("WARNING", "Warning", "oneDNN", "I0000", "ran out of data"):
        assert noise not in process.shown
