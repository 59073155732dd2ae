"""Checkpoints: whole or not at all, checked when read."""

import contextlib
import os
import resource
import signal
import subprocess
import sys

import numpy as np
import pytest

from keras_rnnlm.belonging import other
from keras_rnnlm.training.runs.checkpoints import Checkpoints, write_whole

ARRAYS = {"model 0 kernel": np.arange(6.0).reshape(2, 3), "optimizer 0 iteration": np.int64(7)}


@contextlib.contextmanager
def file_size_limit(size):
    """As a disk that is full does, it fails in the middle of a file."""
    assert signal.getsignal(signal.SIGXFSZ) is signal.SIG_IGN
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def written(folder, *steps, keep=3):
    checkpoints = Checkpoints(folder / "checkpoints", keep)
    for step in steps:
        checkpoints.write(step, ARRAYS, {"step": step})
    return checkpoints


def test_what_is_written_is_read(tmp_path):
    step, arrays, progress = written(tmp_path, 5).read()
    assert (step, progress, arrays.keys()) == (5, {"step": 5}, ARRAYS.keys())
    for name, array in arrays.items():
        assert array.dtype == ARRAYS[name].dtype
        np.testing.assert_array_equal(array, ARRAYS[name])


def test_the_newest_stay_also_when_a_run_went_back(tmp_path):
    checkpoints = written(tmp_path, 10, 20, 30, 10)
    names = [path.name for _, path in checkpoints.files()]
    assert [name[:14] for name in names] == ["000002-step-20", "000003-step-30", "000004-step-10"]
    assert len(names) == len(os.listdir(checkpoints.folder))
    assert checkpoints.read()[0] == 10
    assert checkpoints.read(before=30)[0] == 10
    assert checkpoints.read(before=10) is None


def test_one_may_take_the_place_of_others(tmp_path):
    checkpoints = written(tmp_path, 10, 20, 30)
    (_, first), (_, second), (_, third) = checkpoints.files()
    assert checkpoints.newer_than(first) == [second, third] and checkpoints.newer_than(tmp_path) == []
    assert checkpoints.read(older_than=third)[0] == 20 and checkpoints.path == second
    checkpoints.write(20, ARRAYS, {}, [second, third])
    assert [path for _, path in checkpoints.files()] == [first, checkpoints.path]


def test_the_newest_alone_is_never_all_there_is(tmp_path):
    assert len(written(tmp_path, 10, 20, 30, keep=1).files()) == 2


def test_the_millionth_checkpoint_is_found(tmp_path):
    checkpoints = written(tmp_path, 1)
    ((_, path),) = checkpoints.files()
    path.rename(path.with_name(path.name.replace("000001", "999999")))
    checkpoints.write(2, ARRAYS, {})
    assert [number for number, _ in checkpoints.files()] == [999_999, 1_000_000]


@pytest.mark.parametrize("damage", ["truncated", "a flipped bit", "empty", "a folder", "another's name"])
def test_a_damaged_one_is_told_and_passed_over(tmp_path, damage):
    checkpoints = written(tmp_path, 1, 2)
    path = checkpoints.files()[-1][1]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "a folder":
        path.unlink()
        path.mkdir()
    elif damage == "another's name":
        path.write_bytes(checkpoints.files()[0][1].read_bytes())
    else:
        path.write_bytes({"truncated": content[:-50], "empty": b"", "a flipped bit": content}[damage])
    assert checkpoints.read()[0] == 1
    (line,) = checkpoints.damaged
    assert line.startswith(f"{path} is damaged: ") and "\n" not in line


def test_none_is_read_where_none_is_whole(tmp_path):
    checkpoints = written(tmp_path, 1, 2)
    for _, path in checkpoints.files():
        path.write_bytes(b"PK")
    assert checkpoints.read() is None and len(checkpoints.damaged) == 2
    assert Checkpoints(tmp_path / "nowhere").read() is None


def test_what_was_left_half_written_is_no_checkpoint(tmp_path):
    checkpoints = written(tmp_path, 1)
    (checkpoints.folder / "partial-1").write_bytes(b"PK")
    assert checkpoints.read()[0] == 1 and not checkpoints.damaged


def test_a_full_disk_is_told_and_takes_nothing_away(tmp_path, capfd):
    checkpoints = written(tmp_path, 1, 2, 3)
    before = [path for _, path in checkpoints.files()]
    with file_size_limit(100), pytest.raises(OSError) as caught:
        checkpoints.write(4, ARRAYS, {})
    assert str(caught.value) == (
        f"The checkpoint of step 4 could not be written to {checkpoints.folder}: the file would be larger than this "
        "process may write. The ones before it are as they were"
    )
    assert [checkpoints.folder / name for name in sorted(os.listdir(checkpoints.folder))] == before
    checkpoints.write(4, ARRAYS, {})
    assert checkpoints.read()[0] == 4
    assert capfd.readouterr().err == ""


def test_a_small_file_is_whole_or_as_it_was(tmp_path):
    write_whole(tmp_path / "recipe.toml", b"batch = 1")
    with file_size_limit(100), pytest.raises(OSError, match="recipe.toml could not be written: the file would be"):
        write_whole(tmp_path / "recipe.toml", bytes(1000))
    assert (tmp_path / "recipe.toml").read_bytes() == b"batch = 1"
    assert os.listdir(tmp_path) == ["recipe.toml"]


def test_a_process_killed_while_it_writes_leaves_the_older_ones(tmp_path):
    code = """
import os, sys, numpy as np
from keras_rnnlm.training.runs.checkpoints import Checkpoints
checkpoints = Checkpoints(sys.argv[1])
checkpoints.write(1, {"a": np.zeros(3)}, {})
np.savez = lambda file, **arrays: (file.write(b"PK"), file.flush(), os.kill(os.getpid(), 9))
checkpoints.write(2, {"a": np.ones(3)}, {})
"""
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)]).returncode == -9
    assert any(name.startswith("partial-") for name in os.listdir(tmp_path))
    assert Checkpoints(tmp_path).read()[0] == 1


def test_a_model_of_a_version_that_knew_other_settings_of_its_task_is_of_its_run():
    def differs(**settings):
        recorded = {"recipe": {"units": 3, "task_settings": {"longest": 9, "no_longer": 1}}}
        return other(recorded, {"recipe": {"units": 3, "task_settings": settings}})

    assert differs(longest=9, since=2) is None
    assert differs(longest=8, since=2).startswith("another recipe: task_settings=")
