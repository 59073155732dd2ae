"""What Keras and tf2onnx export on their own, with our layers as `keras_rnnlm.export` writes them.

In training our loop is a region that XLA compiles, and no other format can hold one. While one of these exporters
traces a model, layers become what its format has for them: native nodes in ONNX, a loop of builtin operators in LiteRT,
a plain loop in a SavedModel, which other converters can read then. `tf.saved_model.save` itself needs nothing here:
TensorFlow says that it saves, and layers ask.
"""

import functools
import importlib
import inspect
import pathlib

import keras

from keras_rnnlm.layers import Recurrent, exporting

# Keras's name of a format, and the function of `keras_rnnlm.export` that writes it.
WRITERS = {"tf_saved_model": "to_saved_model", "onnx": "to_onnx", "litert": "to_litert"}


def teach_keras():
    """Has Keras's `model.export` and `ExportArchive` write our layers so. What they trace by is private to Keras."""
    _patch("keras.src.export.onnx", "get_concrete_fn", native)
    litert = _module("keras.src.export.litert")
    if hasattr(litert, "LiteRTExporter"):
        _patch(litert.LiteRTExporter, "export", as_loops)
    if keras.backend.backend() == "tensorflow":
        archive = type(keras.export.ExportArchive())
        for method in ("add_endpoint", "write_out"):
            _patch(archive, method, exporting.plainly)


def teach_tf2onnx(convert):
    """Has `from_keras` and `from_function` of the module tf2onnx.convert write our layers so."""
    from_keras, from_function = convert.from_keras, convert.from_function

    @functools.wraps(from_keras)
    def convert_keras(model, input_signature=None, *arguments, **options):
        if not _holds_ours(model):
            return from_keras(model, input_signature, *arguments, **options)
        if input_signature is None and not hasattr(model, "inputs"):
            input_signature = _signature_of(model)
        if isinstance(model, keras.Sequential) and model.inputs:  # tf2onnx asks for the names of outputs
            model = keras.Model(model.inputs, model.outputs, name=model.name)
        return _natively(from_keras, model, input_signature, *arguments, **options)

    convert.from_keras = convert_keras
    convert.from_function = functools.wraps(from_function)(functools.partial(_natively, from_function))


def export_language_model(model, filepath, format, verbose=None, **options):
    """`model.export` of a LanguageModel: what `keras_rnnlm.export` writes, its states going in and out."""
    write = getattr(importlib.import_module("keras_rnnlm.export"), WRITERS[format])
    if "opset_version" in options:  # as Keras calls it
        version = options.pop("opset_version")
        options |= {} if version is None else {"opset": version}
    known = [name for name in inspect.signature(write).parameters if name not in ("model", "path")]
    if set(options) - set(known):
        raise ValueError(
            f"A LanguageModel is exported as {format} with the options {', '.join(known)}. "
            f"Received: {', '.join(sorted(set(options) - set(known)))}"
        )
    made = write(model, filepath, **options)
    if verbose is not False:
        print(f"Saved artifact at '{made.path}'.")


def native():
    from keras_rnnlm.export.onnx import tracing

    return tracing.native()


def as_loops():
    from keras_rnnlm.export import litert

    return exporting.exporting(litert.loop)


def _natively(function, *arguments, **options):
    """tf2onnx logs what it has no rule for, and writes a file that no runtime takes: here that is an error."""
    if exporting.writer() is not None:  # an exporter of ours, which looks at the log itself
        return function(*arguments, **options)
    from keras_rnnlm.export.onnx import tracing

    with tracing.native(), tracing.refusals() as refused:
        made = function(*arguments, **options)
    if refused:
        if options.get("output_path"):
            pathlib.Path(options["output_path"]).unlink(missing_ok=True)
        raise ValueError(refused[0])
    return made


def _holds_ours(model):
    return isinstance(model, keras.Model) and any(
        isinstance(layer, Recurrent) for layer in model._flatten_layers(include_self=False, recursive=True)
    )


def _signature_of(model):
    import tensorflow as tf

    from keras_rnnlm.export.interface import interface_of

    tensor = interface_of(model).inputs[0]
    return [tf.TensorSpec(tensor.shape, tensor.dtype, name=tensor.name)]


def _module(name):
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _patch(owner, name, context):
    """Has a function run within a context, where there is that function and no exporter is at work already."""
    owner = _module(owner) if isinstance(owner, str) else owner
    function = getattr(owner, name, None)
    if function is None:
        return

    @functools.wraps(function)
    def run(*arguments, **options):
        if exporting.writer() is not None:
            return function(*arguments, **options)
        with context():
            return function(*arguments, **options)

    setattr(owner, name, run)
