"""A model as a SavedModel, checked before it has its name."""

import pathlib
import warnings

import numpy as np

from keras_rnnlm import quiet
from keras_rnnlm.export import artifacts, manifest, parity
from keras_rnnlm.export.interface import interface_of
from keras_rnnlm.export.runtime import description, engines
from keras_rnnlm.export.runtime.operators import foreign_operators
from keras_rnnlm.layers import exporting


def to_saved_model(model, path, *, tokenizer=None, tokens=None, tolerance=None):
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
        tolerance: the largest relative error to let through, instead of the format's own bound.

    Returns:
        An `Exported`: size, operators, measured error.
    """
    path, interface = pathlib.Path(path), interface_of(model)
    tokenizer = artifacts.as_tokenizer(tokenizer, interface.vocabulary_size)
    with artifacts.whole(path) as partial:
        write(interface, partial, tokenizer)
        _warn_of_operators(partial)
        engine = engines.SavedModel(partial, None, trusted=True)
        measured = parity.measure(interface, engine, tokens=tokens)
        artifacts.raise_unless_equal(measured, None, "SavedModel", tolerance)
        if interface.states:
            _check_generation(interface, engine, tokenizer, tokens)
        found = count_operators(engine)
    return artifacts.Exported(path, "saved_model", None, manifest.size(path), found, measured)


def write(interface, path, tokenizer=None):
    """Writes the SavedModel, not yet checked."""
    import tensorflow as tf

    module, signatures = tf.Module(), {}
    # Not by keras.export.ExportArchive, which writes every weight twice.
    module.weights = [variable.value for variable in interface.model.variables]
    if interface.states:
        from keras_rnnlm.export.saved_model.endpoints import endpoints

        program = endpoints(interface, tokenizer)
        module.tables, functions = program.tables, program.signatures
    else:
        specs = [tf.TensorSpec(t.shape, t.dtype, name=t.name) for t in interface.inputs]
        names = [t.name for t in interface.inputs]
        functions = {"serving_default": (lambda *given: interface.call(dict(zip(names, given))), specs)}
    for name, (function, specs) in functions.items():
        signatures[name] = tf.function(_plain(function), autograph=False).get_concrete_function(*specs)
    # TensorFlow warns of tables that it writes well.
    with quiet.loggers("tensorflow"), artifacts.files_of_tensorflow():
        tf.saved_model.save(module, str(path), signatures=signatures)
    # The names of a signature have no order in a SavedModel.
    file = path / description.OF_SAVED_MODEL
    file.parent.mkdir(exist_ok=True)
    file.write_text(description.text_of(interface.description()), encoding="utf-8")


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


def _check_generation(interface, engine, tokenizer, tokens):
    """The endpoints that write, beside the package's own generation, and those of text beside its tokenizer."""
    from keras_rnnlm.generation import Greedy, Sample, TextStream

    given = np.arange(5) % interface.vocabulary_size if tokens is None else np.asarray(tokens[:40])
    prompts = [given[:3].tolist(), given[:1].tolist()]
    padded = {"tokens": [prompt + [0] * (3 - len(prompt)) for prompt in prompts], "lengths": [3, 1]}
    settings = {"length": 12, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 1}
    for sampler, changed in (
        (Greedy(), {"temperature": 0.0}),
        (Sample(top_k=5, top_p=0.9), {"top_k": 5, "top_p": 0.9}),
    ):
        got = engine.ask("generate", {**padded, **settings, **changed})["tokens"]
        wanted = interface.model.generate(prompts, 12, sampler, seed=1)
        if got.tolist() != wanted:
            raise ValueError(f"The SavedModel writes {got.tolist()}, and the model {wanted}, with {sampler}")
    if "score_text" not in engine.signatures:
        return
    begun = tokenizer.decode(given)
    for text in (begun, "", begun[:1] + " \u00e9\n\n" + begun[:3]):
        ids = [tokenizer.start, *tokenizer.encode(text).tolist()]
        found = engine.ask("score_text", {"text": [text]})
        if found["count"][0] != len(ids) - 1 or found["tokens"][0].tolist() != ids[1:]:
            raise ValueError(f"The SavedModel cuts {text!r} into {found['tokens'][0].tolist()}, not {ids[1:]}")
    got = engine.ask("generate_text", {"text": [text], **settings})["text"][0]
    (new,) = interface.model.generate([ids], 12, Sample(), seed=1)
    wanted = TextStream(tokenizer.decode, ids).whole(new)
    if got.decode("utf-8", "replace") != wanted:
        raise ValueError(f"The SavedModel writes {got!r}, and the model {wanted!r}")
