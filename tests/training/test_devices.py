"""Runs on several devices and in several processes: they learn what one does, and end and resume as one does."""

import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_rnnlm import training
from keras_rnnlm.training.devices import launcher
from keras_rnnlm.training.runs.curves import read_history
from tests.test_package import ENVIRONMENT
from tests.training import killed_runs

BACKEND = keras.backend.backend()
# A line of history for each step: in between, the time decides how often processes meet, and how a sum is rounded.
SETTINGS = """tokenizer=char units=8 layers=1 tied=false embedding_dim=4 dropout=0.3 batch=8 window=8 eval_batch=4
seed=3 optimizer=adam learning_rate=0.01 epochs=2 checkpoint_every=5 log_every=1 split=90/10"""
SETTINGS = SETTINGS.split()
SET = [word for setting in SETTINGS for word in ("--set", setting)]

# Trains in Python, and prints a digest of the weights at each validation.
TRAINS = """
import hashlib, json, sys
from keras_rnnlm import training
from keras_rnnlm.training import Loop
record = Loop.record
def recorded(self, kind, **values):
    if kind == "valid":
        weights = b"".join(weight.tobytes() for weight in self.model.get_weights())
        print(hashlib.sha256(weights).hexdigest(), flush=True)
    record(self, kind, **values)
Loop.record = recorded
for out, options in json.loads(sys.argv[3]):
    assert training.train(sys.argv[1], out, changes=json.loads(sys.argv[2]), quiet=True, **options)
"""

ABSENT = "import sys; sys.modules['tensorflow'] = None"


def environment(**more):
    return {**ENVIRONMENT, "JAX_PLATFORMS": "cpu", **more}


def trains(text, runs, env, before="", settings=SETTINGS):
    """`training.train` in a process of its own, once for each run: a run directory, and what to compute on."""
    runs = json.dumps([(str(out), options) for out, options in runs])
    command = [sys.executable, "-c", before + TRAINS, str(text), json.dumps(settings), runs]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)


def finished(process):
    out, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    return out.split()


def losses(out, kind):
    return [record["loss"] for record in read_history(out / "history.jsonl") if record["kind"] == kind]


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("devices") / "text.txt"
    killed_runs.write_text(path, lines=45)
    return path


def in_processes(text, out, count, settings=SETTINGS):
    """Runs that read without TensorFlow, which takes seconds to import."""
    env, options = environment(KERAS_BACKEND="jax"), {"processes": count}
    options["coordinator"] = f"127.0.0.1:{launcher.free_port()}"
    return [trains(text, [(out, options | {"process": k})], env, ABSENT, settings) for k in range(count)]


@pytest.fixture(scope="module")
def alone(text):
    """A run of one process on one device."""
    out = text.parent / "alone"
    finished(trains(text, [(out, {"backend": "jax"})], environment(KERAS_BACKEND="jax")))
    return out


def assert_the_same_curve(out, alone):
    for kind in ("train", "valid"):
        wanted = losses(alone, kind)
        assert len(wanted) >= 2 and losses(out, kind) == pytest.approx(wanted, rel=1e-4)


on_jax = pytest.mark.skipif(BACKEND != "jax", reason="JAX alone trains in several processes")


@pytest.fixture(scope="module")
def two(text):
    """A run of two processes, and the digests of its weights at each validation, in each."""
    out = text.parent / "of 2"
    return out, [finished(process) for process in in_processes(text, out, 2)]


@on_jax
def test_processes_learn_what_one_does_and_have_the_same_weights(alone, two):
    out, digests = two
    assert len(digests[0]) == 2 and digests[1] == digests[0]
    assert_the_same_curve(out, alone)
    assert (out / "plots" / "curves.png").is_file() and (out / "model.keras").is_file()


@on_jax
@pytest.mark.long
def test_four_processes_learn_what_one_does_each_from_its_part_of_encoded_text(text, alone):
    training.encode(text, text.parent / "data", tokenizer="char", split="90/10")
    settings = [setting for setting in SETTINGS if not setting.startswith(("tokenizer", "split"))]
    processes = in_processes(text.parent / "data", text.parent / "of 4", 4, settings)
    digests = [finished(process) for process in processes]
    assert all(found == digests[0] for found in digests)
    assert_the_same_curve(text.parent / "of 4", alone)


@on_jax
def test_eight_devices_learn_what_one_does(text, alone):
    out = text.parent / "of 8 devices"
    flags = ENVIRONMENT.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
    finished(trains(text, [(out, {"devices": "all"})], environment(KERAS_BACKEND="jax", XLA_FLAGS=flags)))
    assert_the_same_curve(out, alone)


# Two groups of devices of which each has one of the text's symbols; a few rows at a time. Then it resumes from the
# checkpoint before the last, and asks for what cannot be divided.
DIVIDES = """
import json, shutil, sys
from keras_rnnlm import training
from keras_rnnlm.heads import cross_entropy
from keras_rnnlm.training.runs.checkpoints import Checkpoints
cross_entropy.CHUNK = 8
text, out, settings = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
on = {"devices": "all", "shard_vocabulary": 11, "quiet": True}
assert training.train(text, out, changes=settings, **on)
resumed = shutil.copytree(out, out + ", resumed")
Checkpoints(resumed + "/checkpoints").files()[-1][1].unlink()
assert training.resume(resumed, **on)
two = {"devices": 2, "shard_vocabulary": 2}
for wrong in (two, {"changes": {"task": "tag"}}, {"changes": [*settings, "head=mixture"]}, {"devices": 12}):
    try:
        training.train(text, out + ", refused", **{"changes": settings, **on, **wrong})
    except ValueError as error:
        print(error)
"""
REFUSED = """Each of 2 devices holds as many tokens .* such as 10 \\(`vocabulary_size`\\). Received: 11 tokens
`shard_vocabulary` divides the vocabulary of a language model.*task='tag'
A vocabulary .* takes the head "full" or "projected".* Received: the head MixtureOfSoftmaxes
A vocabulary that is divided over 11 devices takes a multiple of 11.*devices=12"""


def divided(text, out):
    """A run with its vocabulary divided over 11 devices: what was refused, and the program of a step."""
    flags = f"{ENVIRONMENT.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=22 --xla_dump_to={out}.hlo"
    flags += " --xla_dump_hlo_module_re=jit_train_step --xla_dump_hlo_as_text"
    cache = {"JAX_COMPILATION_CACHE_DIR": f"{out}.cache", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    command = [sys.executable, "-c", ABSENT + DIVIDES, str(text), str(out), json.dumps(SETTINGS)]
    env = environment(KERAS_BACKEND="jax", XLA_FLAGS=flags, **cache)
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    (program,) = pathlib.Path(f"{out}.hlo").glob("*.cpu_after_optimizations.txt")
    return done.stdout.splitlines(), program.read_text()


@on_jax
def test_a_vocabulary_that_is_divided_over_devices_learns_what_one_device_does_and_leaves_the_same_file(text, alone):
    out = text.parent / "divided"
    refused, program = divided(text, out)
    assert_the_same_curve(out, alone)
    assert killed_runs.differences(out, out.with_name("divided, resumed")) == []
    for got, wanted in zip(refused, REFUSED.splitlines(), strict=True):
        assert re.match(wanted, got), got
    # A chunk of the loss is one sum over the shares, a number a row and share; nobody has all logits or the table.
    found = re.findall(r"= (.*?) (all-\w+|collective-\w+|reduce-scatter)(?:-start)?\(.*op_name=\"([^\"]*)\"", program)
    assert {kind for _, kind, _ in found} == {"all-reduce"}
    assert [shape for shape, _, name in found if "while" in name] == ["f32[8,12]{1,0}"]
    for width in (4, 8):  # of the embedding, and of the output layer
        assert f"f32[1,{width}]" in program and f"f32[11,{width}]" not in program
    # Read on one device.
    models = [keras.saving.load_model(run / "model.keras") for run in (out, alone)]
    assert models[0].get_config() == models[1].get_config()
    for got, wanted in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-5)


def started(pid):
    """The processes that one has started, in their order."""
    return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


KILLS = [(signal.SIGTERM, 143), pytest.param(signal.SIGKILL, 1, marks=pytest.mark.long)]


@on_jax
@pytest.mark.skipif(sys.platform != "linux", reason="it looks up in /proc which processes there are")
@pytest.mark.parametrize("number, code", KILLS, ids=["SIGTERM", "SIGKILL"])
def test_one_process_that_is_ended_ends_all_and_they_resume_as_if_nothing_had_happened(text, two, number, code):
    out = text.parent / f"ended by {number.name}"
    on = ["--backend", "jax", "--processes", "2"]
    process = killed_runs.Process(str(text), "--out", str(out), *SET, *on)
    seen = killed_runs.is_reached("checkpoint", process, out, random.Random(1))
    assert process.wait_until(seen), process.shown
    os.kill(started(process.process.pid)[1], number)
    assert process.process.wait(20 if number == signal.SIGTERM else 60) == code, process.shown
    process.finish()
    last = process.shown.strip().splitlines()[-1]
    assert last.endswith(f"keras-rnnlm train --out '{out}' --resume --backend jax --processes 2")
    # Behind what the other one had begun to show, where it was in the middle of a line.
    assert "interrupted at step" in last or "process 1 of 2 was ended by SIGKILL" in last
    process = killed_runs.Process("--out", str(out), "--resume", *on)
    assert process.finish() == 0, process.shown
    assert killed_runs.differences(two[0], out) == []


@on_jax
@pytest.mark.long
def test_what_two_processes_began_one_resumes(text, two, alone):
    runs = []
    for out in (two[0], alone):
        runs.append(out.with_name(f"{out.name}, resumed"))
        shutil.copytree(out, runs[-1])
        words = ["--out", str(runs[-1]), "--resume", "--set", "epochs=3", "--quiet"]
        done = subprocess.run([sys.executable, "-m", "keras_rnnlm", "train", *words], env=environment(), text=True)
        assert done.returncode == 0
    assert len(losses(runs[0], "valid")) == 3
    assert_the_same_curve(*runs)


TWO = """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
"""


@pytest.mark.skipif(BACKEND != "tensorflow", reason="of TensorFlow alone")
def test_two_replicas_of_tensorflow_learn_what_one_does(text):
    # Without dropout: each replica draws for its rows. The last setting of a name holds.
    settings = [*SETTINGS, "dropout=0", "log_every=2"]
    runs = text.parent / "one replica", text.parent / "two replicas"
    on = [{}, {"devices": 2}]
    finished(trains(text, list(zip(runs, on)), environment(KERAS_BACKEND="tensorflow"), TWO, settings))
    assert_the_same_curve(runs[1], runs[0])
