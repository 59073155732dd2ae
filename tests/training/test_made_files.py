"""Files that were made rather than damaged: their check sums are right, and what they hold is not what it should be."""

import copy
import hashlib
import io
import json
import os
import random
import shutil
import zipfile

import keras
import numpy as np
import pytest

from keras_rnnlm import training
from keras_rnnlm.__main__ import main
from keras_rnnlm.export.manifest import check_whole, read_manifest
from keras_rnnlm.models.reading import read_language_model
from keras_rnnlm.training.commands import train as train_module
from keras_rnnlm.training.commands.info import summary
from keras_rnnlm.training.loop.progress import RECORD
from keras_rnnlm.training.runs.checkpoints import PROGRESS
from keras_rnnlm.training.runs.display import Display
from keras_rnnlm.training.runs.run import RunFolder
from keras_rnnlm.training.tasks import task_of

OTHERS = [None, True, -1, 10**30, 0.5, 1e999, "x", "", [], [[]], {}, {"a": 1}]
SETTINGS = "units=6 layers=1 embedding_dim=4 tied=false batch=4 window=8 epochs=1 checkpoint_every=5".split()
DEEP = "[" * 100_000


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    (folder / "text.txt").write_text("the quick brown fox jumps over the lazy dog\n" * 40)
    return folder


@pytest.fixture(scope="module")
def trained(shared):
    training.train(shared / "text.txt", shared / "run", changes=["tokenizer=char", *SETTINGS], quiet=True)
    return shared / "run"


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture
def refused(capsys):
    """`refused(*arguments)`: the one line of a command that ends in exit code 2."""

    def refused(*arguments):
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert code == 2 and out == "" and len(err.splitlines()) == 1, err
        return err

    return refused


def places(value, path=()):
    """The paths to everything in a value of JSON."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in inner:
        yield from places(child, (*path, key))


def changed(value, seed, most):
    """Copies of a value of JSON, each with one thing in it replaced or left out."""
    cases = [(path, other) for path in places(value) for other in [*OTHERS, KeyError]]
    draw = random.Random(seed)
    for path, other in draw.sample(cases, min(most, len(cases))):
        if not path:
            yield copy.deepcopy(other) if other is not KeyError else 3
            continue
        made = copy.deepcopy(value)
        parent = made
        for key in path[:-1]:
            parent = parent[key]
        if other is KeyError:
            del parent[path[-1]]
        else:
            parent[path[-1]] = copy.deepcopy(other)
        yield made


def read(reader, *arguments):
    """Whether a reader reads. What it may raise is a ValueError or an OSError of one line."""
    try:
        reader(*arguments)
    except (ValueError, OSError) as error:
        assert str(error) and "\n" not in str(error)
        return False
    return True


def written(path, progress, arrays=None):
    """Writes a checkpoint with the right hash in its name; returns the path."""
    if arrays is None:
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files if name != PROGRESS}
    made = path.with_name("made.npz")
    with open(made, "wb") as file:
        np.savez(file, **{PROGRESS: np.frombuffer(json.dumps(progress).encode(), np.uint8)}, **arrays)
    return renamed(made)


def renamed(path):
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return path.rename(path.with_name(f"000999-step-9-{digest}.npz"))


# One value of another kind, wherever it stands


def test_a_checkpoint_of_other_types_is_passed_over_or_fits(run):
    folder = RunFolder(run)
    recipe, display = folder.read_recipe(), Display(quiet=True)
    loop = train_module._loop(folder, recipe, task_of(recipe).restore(recipe, folder, display), display)
    _, arrays, progress = folder.checkpoints(3, RECORD).read()
    newest, passed = folder.checkpoints().files()[-1][1], 0
    for made in changed(progress, seed=0, most=60):
        path = written(newest, made, arrays)
        if read(loop.restore):
            passed += loop.saved_in != path
            assert all("\n" not in line for line in loop.checkpoints.damaged)
            loop._is_due(), loop._over(), loop._shown(), loop.rate()
        path.unlink()
    assert passed > 15
    made = {name: value for name, value in progress.items() if name != "identity"}
    written(newest, made, arrays)
    assert loop.restore() and "`identity` is missing" in loop.checkpoints.damaged[0]


def test_arrays_of_another_kind_are_refused(run):
    folder = RunFolder(run)
    _, arrays, progress = folder.checkpoints().read()
    name = next(name for name in arrays if arrays[name].ndim == 2)
    for array in (arrays[name].astype(str), arrays[name].astype(int), arrays[name][0]):
        path = written(folder.checkpoints().files()[-1][1], progress, {**arrays, name: array})
        code = main(["train", "--out", str(run), "--resume", "--quiet"])
        assert code == 2
        path.unlink()


def test_a_history_of_other_types_is_told_or_read(run):
    history = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    refused = 0
    for k, record in enumerate(history[-2:]):
        for made in changed(record, seed=k, most=150):
            (run / "history.jsonl").write_text(json.dumps(made) + "\n" + json.dumps(history[0]) + "\n")
            refused += not read(summary, run)
    assert refused > 100


def test_an_index_of_other_types_is_told_or_read(run):
    index, refused = json.loads((run / "data" / "index.json").read_text()), 0
    for made in changed(index, seed=0, most=300):
        (run / "data" / "index.json").write_text(json.dumps(made))
        refused += not read(lambda: training.load_encoded(run / "data")["train"][:])
    assert refused > 200


def test_a_tokenizer_of_other_types_is_told_or_read(run):
    definition = json.loads((run / "tokenizer.json").read_text())
    for made in changed(definition, seed=0, most=60):
        (run / "tokenizer.json").write_text(json.dumps(made))
        read(lambda: training.Tokenizer.load(run / "tokenizer.json").encode("the fox"))


def test_a_recipe_of_other_types_is_told_or_read(run):
    lines = (run / "recipe.toml").read_text().splitlines()
    draw = random.Random(0)
    for k in draw.sample([k for k, line in enumerate(lines) if " = " in line], 12):
        for other in ("true", "-1", "1" * 400, "inf", "nan", '"x"', '""', "[]", "{}", "1979-05-27", "[[1], {}]"):
            made = [*lines[:k], f"{lines[k].split(' = ')[0]} = {other}", *lines[k + 1 :]]
            (run / "recipe.toml").write_text("\n".join(made))
            read(training.Recipe.load, run / "recipe.toml")


def test_a_model_of_other_types_is_told_or_read(run):
    with zipfile.ZipFile(run / "model.keras") as archive:
        config = json.loads(archive.read("config.json"))
    for made in changed(config, seed=1, most=10):
        with_config(run / "model.keras", made)
        read(read_language_model, run / "model.keras")


MANIFEST = {
    "format": 1,
    "model": {"vocabulary_size": 5, "states": [["layer_0_h", "layer_0_h_out", 3]]},
    "tokenizer": {"file": "tokenizer.json", "kind": "char", "bytes": 3, "sha256": "x"},
    "artifacts": [{"format": "onnx", "file": "model.onnx", "quantize": None, "bytes": 3, "sha256": "y"}],
    "check": {"tokens": [1, 2], "log_probabilities": [-1.5]},
}


def test_a_manifest_of_other_types_is_told_or_read(tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps(MANIFEST))
    assert read(read_manifest, tmp_path)
    refused = 0
    for made in changed(MANIFEST, seed=0, most=400):
        (tmp_path / "manifest.json").write_text(json.dumps(made))
        refused += not read(read_manifest, tmp_path)
    assert refused > 200


@pytest.mark.parametrize("name", ["../tokenizer.json", "/dev/zero", "a/b", "..", ""])
def test_a_manifest_names_files_of_its_folder(tmp_path, name):
    made = {**MANIFEST, "tokenizer": {**MANIFEST["tokenizer"], "file": name}}
    (tmp_path / "manifest.json").write_text(json.dumps(made))
    with pytest.raises(ValueError, match="`tokenizer.file` is the name of a file in the same folder"):
        read_manifest(tmp_path)


# Files that have no end, or that nobody writes


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_is_no_file_is_not_read(run, tmp_path, kind):
    def put(path):
        path.unlink()
        os.mkfifo(path) if kind == "pipe" else path.symlink_to("/dev/zero")

    for _, path in RunFolder(run).checkpoints().files():
        put(path)
    assert RunFolder(run).checkpoints().read() is None
    readers = {
        "tokenizer.json": training.Tokenizer.load,
        "history.jsonl": training.read_history,
        "model.keras": read_language_model,
        "data/index.json": lambda path: training.load_encoded(path.parent),
    }
    for name, reader in readers.items():
        put(run / name)
        with pytest.raises(ValueError, match="regular file"):
            reader(run / name)
    put(run / "recipe.toml")
    with pytest.raises(ValueError):
        RunFolder(run).read_recipe()
    (tmp_path / "t.json").touch()
    put(tmp_path / "t.json")
    with pytest.raises(ValueError, match="neither a file nor a folder"):
        check_whole(tmp_path / "t.json", {"bytes": 0, "sha256": ""})


# Numbers that no machine has room for


def test_what_is_nested_too_deep_is_told(run, tmp_path):
    (run / "history.jsonl").write_text(DEEP + "\n{}\n")
    (run / "tokenizer.json").write_text(DEEP)
    (run / "data" / "index.json").write_text('{"format": ' + DEEP)
    (tmp_path / "manifest.json").write_text(DEEP)
    (tmp_path / "recipe.toml").write_text(f"units = {DEEP}")
    for reader, path in (
        (training.read_history, run / "history.jsonl"),
        (training.Tokenizer.load, run / "tokenizer.json"),
        (training.load_encoded, run / "data"),
        (read_manifest, tmp_path),
        (training.Recipe.load, tmp_path / "recipe.toml"),
    ):
        assert not read(reader, path)
    assert not read(training.Recipe().override, f"units={DEEP}")


def test_an_array_that_says_it_is_huge_is_not_made_room_for(run):
    newest = RunFolder(run).checkpoints().files()[-1][1]
    made = newest.with_name("made.npz")
    with zipfile.ZipFile(newest) as whole, zipfile.ZipFile(made, "w") as file:
        for member in whole.namelist():
            content = whole.read(member)
            if member.startswith("model 0"):
                head = io.BytesIO()
                shape = {"descr": "<f4", "fortran_order": False, "shape": (10**12,)}
                np.lib.format.write_array_header_1_0(head, shape)
                content = head.getvalue() + content[-64:]
            file.writestr(member, content)
    renamed(made)
    checkpoints = RunFolder(run).checkpoints()
    assert checkpoints.read() is not None
    assert "model 0" in checkpoints.damaged[0] and "bytes, and there are others" in checkpoints.damaged[0]


def test_a_network_that_no_machine_has_room_for_is_told(refused, shared, tmp_path):
    for setting in ("units=1000000000", "units=100000000", "embedding_dim=1000000000000"):
        changes = [word for change in ("tokenizer=char", *SETTINGS, setting) for word in ("--set", change)]
        line = refused("train", shared / "text.txt", "--out", tmp_path / "new", "--quiet", *changes)
        assert "weights or more does not fit into this machine's memory" in line
    assert not (tmp_path / "new").exists()
    with keras.StatelessScope():
        keras.layers.Dense(2).build((1, 2))  # what was counted is not made here


def with_config(path, config):
    """Puts another configuration into a .keras file."""
    made = path.with_name("made.keras")
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(made, "w") as file:
        for member in whole.namelist():
            file.writestr(member, json.dumps(config) if member == "config.json" else whole.read(member))
    os.replace(made, path)


@pytest.mark.parametrize("units", [10**9, 10_000, [10**9]])
def test_a_model_with_more_units_than_weights_is_told(refused, run, units):
    with zipfile.ZipFile(run / "model.keras") as archive:
        config = json.loads(archive.read("config.json"))
    config["config"]["units"] = units
    with_config(run / "model.keras", config)
    line = refused("generate", run)
    assert "model.keras cannot be read as a model: its configuration has" in line and "weights or more" in line


def test_a_model_that_is_no_language_model_is_told(refused, run):
    import keras

    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(run / "model.keras")
    for command in (["generate", run], ["evaluate", run, "test", "--quiet"]):
        assert "model.keras holds a Sequential: what a run trains and exports is a LanguageModel" in refused(*command)


# Ids


def test_ids_beyond_the_vocabulary_are_told(run):
    import zlib

    shard, index = run / "data" / "train-00000.bin", json.loads((run / "data" / "index.json").read_text())
    ids = np.fromfile(shard, "<u2")
    ids[5] = 60_000
    encoded = training.load_encoded(run / "data")
    ids.tofile(shard)
    with pytest.raises(ValueError, match="train-00000.bin is damaged: it holds the id 60,000, and the vocabulary ends"):
        encoded["train"][:10]
    assert len(encoded["train"][10:]) == len(ids) - 10
    index["splits"]["train"]["shards"][0][3] = zlib.crc32(ids.tobytes())
    (run / "data" / "index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match="it holds the id 60,000, and the vocabulary ends at"):
        training.load_encoded(run / "data")


# Files of two runs


def test_files_of_two_runs_are_told_apart(refused, run, tmp_path, trained):
    def put_back(name):
        shutil.copyfile(trained / name, run / name)

    other = training.Tokenizer.load(run / "tokenizer.json")
    swapped = json.loads(other.definition)
    vocabulary = swapped["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    (run / "tokenizer.json").write_text(json.dumps(swapped))
    for command in (["generate", run], ["evaluate", run, "test", "--quiet"]):
        assert "model.keras was trained with another vocabulary. Put back the files" in refused(*command)
    line = refused("export", run, "--out", tmp_path / "out")
    assert "model.keras was trained with another vocabulary" in line
    put_back("tokenizer.json")
    recipe = (run / "recipe.toml").read_text()
    (run / "recipe.toml").write_text(recipe.replace("window = 8 ", "window = 9 "))
    assert "another recipe: window=8 there, 9 here" in refused("generate", run)
    assert "another recipe: window=8 there, 9 here" in refused("train", "--out", run, "--resume", "--quiet")
    put_back("recipe.toml")
    index = (run / "data" / "index.json").read_text()
    corpus = json.loads(index)["corpus"]
    (run / "data" / "index.json").write_text(index.replace(corpus, "0" * 64))
    assert "was trained with another text" in refused("evaluate", run, "test", "--quiet")
    assert main(["generate", str(run), "--length", "1"]) == 0


def test_a_model_without_fingerprints_is_read_as_before(run):
    model = read_language_model(run / "model.keras")
    model.save(run / "model.keras")
    assert training.load_run(run).model.vocabulary_size == model.vocabulary_size
    training.Tokenizer.train("char", "abc").save(run / "tokenizer.json")
    with pytest.raises(ValueError, match="is of another run than .*tokenizer.json, which has 4 ids where"):
        training.load_run(run)


# The encoded text of a run


def damage(run, split):
    path = run / "data" / f"{split}-00000.bin"
    path.write_bytes(path.read_bytes()[:-2])


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_damaged_text_is_encoded_again_from_where_it_came(run, split, capsys, monkeypatch):
    damage(run, split)
    monkeypatch.chdir(run)  # wherever it is resumed from
    assert main(["train", "--out", str(run), "--resume", "--quiet"]) == 0
    assert "is damaged, and is encoded again from what it came from" in capsys.readouterr().err
    assert training.load_encoded(run / "data")


def test_without_its_text_a_run_goes_on_without_a_test_split_alone(run, refused, capsys, tmp_path):
    index = json.loads((run / "data" / "index.json").read_text())
    index["given"]["sources"] = [str(tmp_path / "gone.txt")]
    (run / "data" / "index.json").write_text(json.dumps(index))
    damage(run, "test")
    assert main(["train", "--out", str(run), "--resume", "--quiet"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert "test-00000.bin is damaged" in line and "gone.txt" in line and "continues without this split" in line
    assert main(["evaluate", str(run), "valid", "--json", "--quiet"]) == 0
    capsys.readouterr()
    line = refused("evaluate", run, "test", "--quiet")
    assert "test-00000.bin is damaged" in line and f"train --out {run} --resume` encodes it again" in line
    damage(run, "train")
    line = refused("train", "--out", run, "--resume", "--quiet")
    assert "train-00000.bin is damaged" in line and "cannot be encoded again: There is no file" in line
    assert "Delete" not in line


def test_a_text_that_changed_is_not_taken_for_the_one_that_a_run_began_with(run, refused, tmp_path):
    (tmp_path / "text.txt").write_text("another text\n" * 40)
    index = json.loads((run / "data" / "index.json").read_text())
    index["given"]["sources"] = [str(tmp_path / "text.txt")]
    (run / "data" / "index.json").write_text(json.dumps(index))
    damage(run, "valid")
    assert "changed since the run began" in refused("train", "--out", run, "--resume", "--quiet")


def test_a_text_that_changes_under_a_run_is_told_in_a_line(run, refused, monkeypatch):
    from keras_rnnlm.training.loop import loop

    stretch = loop.Loop._stretch

    def overwritten(self):
        path = run / "data" / "train-00000.bin"
        np.full(path.stat().st_size // 2, 60_000, "<u2").tofile(path)
        return stretch(self)

    monkeypatch.setattr(loop.Loop, "_stretch", overwritten)
    line = refused("train", "--out", run, "--resume", "--quiet", "--set", "epochs=2")
    assert "train-00000.bin is damaged: it holds the id 60,000" in line and "Encode it again" in line
