"""A model as a SavedModel, checked before it has its name."""

import importlib
import itertools
import pathlib
import warnings

from keras_rnnlm import quiet
from keras_rnnlm.export import artifacts, manifest, parity
from keras_rnnlm.export.interface import interface_of
from keras_rnnlm.export.runtime import description, engines
from keras_rnnlm.export.runtime.operators import foreign_operators
from keras_rnnlm.layers import exporting

# By task: the modules of what a server can ask beside the signature, and its check.
MORE = {"language_model": "keras_rnnlm.export.saved_model.endpoints"}


def to_saved_model(model, path, *, tokenizer=None, tokens=None, samples=None, tolerance=None):
    """Writes a model as a SavedModel, and checks that it computes what the model does when it is loaded again.

    The signatures of a LanguageModel are

    - `serving_default`: `tokens`, int32 (batch, time), to `logits`, every row a text of its own;
    - `score` and `step`: with the states in and out by name; a step takes one token of each row, (batch,);
    - `generate`: `tokens`, (batch, time), of prompts of `lengths`, to `length` new `tokens` of each;
    - with a tokenizer of words, characters or bytes, `generate_text` and `score_text`: strings in, strings out.

    Generation takes `length`, `temperature` (0: the most probable token), `top_k` (0: all), `top_p` (1: all) and
    `seed`, and writes what `keras_rnnlm.generation` writes. Any other Keras model has `serving_default`.

    Args:
        model: a LanguageModel, or any Keras model that holds layers of this package.
        path: the folder. TensorFlow Serving wants a number as its name: "my_model/1".
        tokenizer: a `keras_rnnlm.text.Tokenizer`, or the path of its tokenizer.json.
        tokens: ids of a real text, on which the perplexity is compared, too.
        samples: inputs of your own, as the model is called on them (a dict by name, a list, or one array), on which
            it is compared, too.
        tolerance: the largest relative error to let through, instead of the format's own bound.

    Returns:
        An `Exported`: size, operators, measured error.

    >>> import keras
    >>> model = keras.Sequential([keras.Input((5, 3)), keras_rnnlm.layers.SimpleRNN(4)])
    >>> to_saved_model(model, "layer").format
    'saved_model'
    """
    path, interface = pathlib.Path(path), interface_of(model)
    if path.is_dir() and any(path.iterdir()) and not (path / "saved_model.pb").is_file():
        free = next(path / str(k) for k in itertools.count(1) if not (path / str(k)).exists())
        raise ValueError(
            f"{path} is a folder that holds something else, and a SavedModel is a whole folder: name one within it, "
            f"such as {free}"
        )
    tokenizer = artifacts.as_vocabulary(tokenizer, interface)
    with artifacts.whole(path) as partial:
        write(interface, partial, tokenizer)
        _warn_of_operators(partial)
        engine = engines.SavedModel(partial, None, trusted=True)
        measured = parity.measure(interface, engine, tokens=tokens, samples=samples)
        artifacts.raise_unless_equal(measured, None, "SavedModel", tolerance)
        if interface.task in MORE:
            importlib.import_module(MORE[interface.task]).check(interface, engine, tokenizer, tokens)
        found = count_operators(engine)
    return artifacts.Exported(path, "saved_model", None, manifest.size(path), found, measured)


def write(interface, path, tokenizer=None):
    """Writes the SavedModel, not yet checked."""
    import tensorflow as tf

    module, signatures = tf.Module(), {}
    # Not by keras.export.ExportArchive, which writes every weight twice.
    module.weights = [variable.value for variable in interface.model.variables]
    functions = {}
    for name, program, inputs in interface.programs():
        specs = [tf.TensorSpec(t.shape, t.dtype, name=t.name) for t in inputs]
        functions[name] = (_by_position(program, [t.name for t in inputs]), specs)
    if interface.task in MORE:
        more = importlib.import_module(MORE[interface.task]).endpoints(interface, tokenizer)
        module.tables, functions = more.tables, {**functions, **more.signatures}
    for name, (function, specs) in functions.items():
        signatures[name] = tf.function(_plain(function), autograph=False).get_concrete_function(*specs)
    # TensorFlow warns of tables that it writes well.
    with quiet.loggers("tensorflow"), artifacts.files_of_tensorflow():
        tf.saved_model.save(module, str(path), signatures=signatures)
    # The names of a signature have no order in a SavedModel.
    file = path / description.OF_SAVED_MODEL
    file.parent.mkdir(exist_ok=True)
    file.write_text(description.text_of(interface.description()), encoding="utf-8")


def _by_position(program, names):
    return lambda *given: program(dict(zip(names, given)))


def _plain(function):
    """Our layers as TensorFlow's own loops: XLA, which runs them in training, is not in every server."""

    def traced(*arguments):
        with exporting.plainly():
            return function(*arguments)

    return traced


def count_operators(loaded):
    """How many of each operator the signatures hold, without the functions that they call."""
    found = {}
    for function in loaded.signatures.values():
        for node in function.graph.as_graph_def().node:
            found[node.op] = found.get(node.op, 0) + 1
    return dict(sorted(found.items()))


def _warn_of_operators(path):
    import tensorflow as tf

    foreign = foreign_operators(path, tf)
    if foreign:
        message = (
            f"The model holds {', '.join(foreign)}: `export.runtime` runs it with `load(path, trusted=True)` alone"
        )
        warnings.warn(message, stacklevel=3)
