"""The benchmark of GPUs, on a processor: what it finds there is that it runs, and that paths agree with themselves."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("jax")

from benchmarks import gpu
from keras_rnnlm.models import LanguageModel
from tests.test_package import ENVIRONMENT

WITHOUT_TENSORFLOW = "import sys\nsys.modules['tensorflow'] = None\n"


def test_it_runs_without_tensorflow_and_goes_on_where_it_was(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_TENSORFLOW)  # its own processes, too, go without
    command = [sys.executable, gpu.__file__, "--out", str(tmp_path), "--tiny"]
    command += ["--only", "parity", "steps", "layers", "profile"]
    variables = ENVIRONMENT | {"KERAS_BACKEND": "jax", "PYTHONPATH": str(tmp_path)}
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, env=variables)
        assert done.returncode == 0, done.stderr
        found = [json.loads(line) for line in (tmp_path / "tiny" / "results.jsonl").read_text().splitlines()]
        assert len(found) == 4 and not any("failed" in record for record in found), found
    parity, steps, layers, profile = found
    assert {"ours", "ours, peepholes", "ours, GRU"} <= set(layers["ms"])
    assert len(parity["differences"]) == 5 and parity["apart"] == {}
    assert {"ours", "ours, peepholes", "Keras, XLA"} <= set(steps["tokens a second"])
    assert profile["kernels a step"] > 10


def test_what_a_small_run_leaves_out_can_be_made():
    for make in gpu.paths(tiny=False).values():
        make(dtype="float32").build((8, 20, 48))
    for options in gpu.HEADS:
        LanguageModel(gpu.WORDS, units=48, **options)


def test_what_differs_is_told():
    nan, one = np.array([np.nan]), np.ones(1)
    here = {"a, float32|0": np.ones(3), "a, float32|1": np.zeros(2), "b|0": nan, "c|0": one, "d|0": one}
    there = {"a, float32|0": np.ones(3), "a, float32|1": np.array([0, 2.0]), "b|0": one, "c|0": nan, "c|1": one}
    found = gpu.differences(here, there)
    assert found == {"a, float32": 1.0, "b": float("inf"), "c": float("inf"), "d": float("inf")}
    assert gpu.is_apart("a, float32", 2e-4) and not gpu.is_apart("a, mixed_bfloat16", 2e-4)


def test_what_fails_is_kept_and_tried_again_and_what_has_no_time_is_left_out(tmp_path):
    path = tmp_path / "results.jsonl"

    def too_large():
        raise MemoryError("no room\nat all")

    gpu.Results(path, float("inf")).take("it", too_large)
    gpu.Results(path, float("inf")).take("it", lambda: {"found": 1})
    gpu.Results(path, float("inf")).take("it", too_large)
    gpu.Results(path, 0.0).take("another", lambda: {"found": 2})
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert [record.get("found", record.get("failed")) for record in records] == ["MemoryError: no room", 1]
    assert os.listdir(tmp_path) == ["results.jsonl"]
