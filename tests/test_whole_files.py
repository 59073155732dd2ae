"""What is written appears as a whole or not at all."""

import os

import pytest

from keras_rnnlm.whole_files import written_whole


def write(path, content, failing=False):
    with written_whole(path) as partial:
        assert partial.suffix == path.suffix and not partial.exists()
        if isinstance(content, str):
            partial.write_text(content)
        else:
            partial.mkdir()
            (partial / "inside").write_text(content["inside"])
        if failing:
            raise KeyboardInterrupt


def read(path):
    return {"inside": (path / "inside").read_text()} if path.is_dir() else path.read_text()


@pytest.mark.parametrize("before", ["old", {"inside": "old"}], ids=["file", "folder"])
@pytest.mark.parametrize("after", ["new", {"inside": "new"}], ids=["file", "folder"])
def test_what_was_there_stays_until_all_is_written(tmp_path, before, after):
    path = tmp_path / "model.onnx"
    write(path, before)
    with pytest.raises(KeyboardInterrupt):
        write(path, after, failing=True)
    assert read(path) == before and os.listdir(tmp_path) == [path.name]
    if type(before) is type(after):
        write(path, after)
        assert read(path) == after
    else:  # nobody's folder is lost to a file
        with pytest.raises((IsADirectoryError, NotADirectoryError)):
            write(path, after)
        assert read(path) == before
    assert os.listdir(tmp_path) == [path.name]


def test_a_name_that_cannot_be_taken_leaves_the_folder_that_had_it(tmp_path, monkeypatch):
    path = tmp_path / "saved_model"
    write(path, {"inside": "old"})

    def fail(*paths):
        raise OSError("no")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no"):
        write(path, {"inside": "new"})
    assert read(path) == {"inside": "old"} and os.listdir(tmp_path) == [path.name]
