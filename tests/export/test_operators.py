"""A SavedModel is a program: what may run, and what is refused before it runs."""

import json
import pathlib
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_rnnlm import __main__, export, layers
from keras_rnnlm.export import runtime
from keras_rnnlm.export.manifest import hashes
from keras_rnnlm.export.runtime.operators import foreign_operators
from keras_rnnlm.text import Tokenizer
from tests.export.models import run_directory


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An export folder of a SavedModel."""
    run = tmp_path_factory.mktemp("runs") / "run"
    run_directory(run, Tokenizer.train("char", ["the cat"]), layers=1, units=4)
    export.export_run(run, run.parent / "exported", ["saved_model"])
    return run.parent / "exported"


def writing(text, path):
    tf.io.write_file(str(path), text)


def calling_python(text, path):
    tf.py_function(lambda: pathlib.Path(path).write_text("ran"), [], [])


def printing(text, path):
    tf.print(text, output_stream=f"file://{path}")


def nested(text, path):
    tf.while_loop(lambda k: k < 1, lambda k: (_first(tf.function(lambda: writing(text, path)), k + 1),), (0,))


def _first(function, value):
    function()
    return value


@pytest.mark.parametrize("do, name", [
    (writing, "WriteFile"), (calling_python, "EagerPyFunc"), (printing, "PrintV2"), (nested, "WriteFile"),
])  # fmt: skip
def test_a_program_that_reaches_beyond_its_numbers_is_not_run(folder, do, name, tmp_path, capsys):
    copy, written = shutil.copytree(folder, tmp_path / "copy"), tmp_path / "written"
    loaded = tf.saved_model.load(str(copy / "saved_model"))
    module, signatures = tf.Module(), {}
    module.inner = loaded
    for key, inner in loaded.signatures.items():

        def wrapped(inner=inner, **inputs):
            do("secret", written)
            return inner(**inputs)

        specs = inner.structured_input_signature[1]
        signatures[key] = tf.function(wrapped, autograph=False).get_concrete_function(**specs)
    shutil.rmtree(copy / "saved_model")
    tf.saved_model.save(module, str(copy / "saved_model"), signatures=signatures)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["artifacts"][0] |= hashes(copy / "saved_model")
    (copy / "manifest.json").write_text(json.dumps(manifest))
    capsys.readouterr()

    assert __main__.main(["verify", str(copy)]) == 2
    (told,) = capsys.readouterr().out.splitlines()
    assert __main__.main(["run", str(copy), "--prompt", "the"]) == 2
    (said,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("keras-rnnlm")]
    assert f"it holds {name}" in told and f"it holds {name}" in said
    assert not written.exists()


def test_who_trusts_a_program_runs_it(tmp_path):
    inputs = keras.Input((4, 3), name="x")
    outputs = layers.GRU(2)(Timed()(inputs))
    with pytest.warns(UserWarning, match="holds Timestamp"):
        export.to_saved_model(keras.Model(inputs, outputs), tmp_path / "m")
    with pytest.raises(ValueError, match="not run: it holds Timestamp"):
        runtime.load(tmp_path / "m")
    assert runtime.load(tmp_path / "m", trusted=True).run({"x": np.zeros((1, 4, 3), "float32")})


class Timed(keras.layers.Layer):
    def call(self, x):
        return x + 0 * tf.cast(tf.timestamp(), "float32")


def test_the_functions_that_restore_weights_are_let_through_for_nothing_else(tmp_path):
    class Module(tf.Module):
        @tf.function(input_signature=[])
        def __call__(self):
            return tf.raw_ops.RestoreV2(
                prefix="elsewhere", tensor_names=["x"], shape_and_slices=[""], dtypes=["float32"]
            )

    module = Module()
    module.weight = tf.Variable(1.0)
    tf.saved_model.save(module, str(tmp_path / "m"))
    assert foreign_operators(tmp_path / "m", tf) == ["RestoreV2"]


def test_a_graph_of_tensorflow_1_is_not_run(tmp_path):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        builder = tf.compat.v1.saved_model.Builder(str(tmp_path / "m"))
        builder.add_meta_graph_and_variables(session, ["serve"])
        builder.save()
    with pytest.raises(ValueError, match="a graph of TensorFlow 1"):
        runtime.load(tmp_path / "m")


def test_what_keras_layers_infer_with_is_let_through(tmp_path):
    """Layers that stand beside ours: pictures, tables of strings, normalization, random numbers."""
    pictures = keras.Input((3, 8, 8, 2), name="pictures")
    words = keras.Input((3,), dtype="string", name="words")
    x = keras.layers.TimeDistributed(keras.layers.Conv2D(2, 3, activation="gelu"))(pictures)
    x = keras.layers.TimeDistributed(keras.layers.Flatten())(keras.layers.LayerNormalization()(x))
    ids = keras.layers.StringLookup(vocabulary=["a", "b"])(words)
    x = keras.layers.Concatenate()([x, keras.layers.Embedding(3, 2)(ids)])
    x = keras.layers.GaussianNoise(0.1)(layers.GRU(2)(keras.layers.BatchNormalization()(x)))
    model = keras.Model([pictures, words], keras.layers.Softmax()(x))
    model.export(tmp_path / "m", verbose=False)
    assert foreign_operators(tmp_path / "m", tf) == []
