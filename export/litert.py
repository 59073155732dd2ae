"""LiteRT (TensorFlow Lite): builtin operators only, states in the open, batch and time free."""

import tempfile
import warnings

import keras
import numpy as np

from keras_rnnlm import quiet
from keras_rnnlm.cells.dot import Dot, state_dtype
from keras_rnnlm.export import artifacts, litert_file, manifest, parity, tied_tables
from keras_rnnlm.export.interface import interface_of
from keras_rnnlm.export.runtime import engines
from keras_rnnlm.layers.exporting import exporting

# The converter leaves smaller matrices as they are.
LEAST = 1024


def to_litert(model, path, *, quantize=None, tokens=None, samples=None, tolerance=None):
    """Writes a model for LiteRT, and checks in its interpreter that it computes what the model does.

    A LanguageModel becomes two signatures that share their weights: `score` takes `tokens`, int32 (batch, time), and
    the states by name, and gives `logits` and the states; `step` does the same for one token of each row, (batch,),
    without a loop. Any other Keras model has the signature `serving_default`.

    Args:
        model: a LanguageModel, or any Keras model that holds layers of this package.
        path: the file, ending in ".tflite".
        quantize: "int8" (weights in int8, sums in float32), "float16" (stored so), or None.
        tokens: ids of a real text, on which the perplexity is compared, too.
        samples: inputs of your own, as the model is called on them (a dict by name, a list, or one array), on which
            it is compared, too; in int8, whose error depends on what comes in, in place of random numbers.
        tolerance: the largest relative error to let through, instead of the format's own bound.

    Returns:
        An `Exported`: size, operators, measured error.

    >>> import keras
    >>> model = keras.Sequential([keras.Input((5, 3)), keras_rnnlm.layers.GRU(4)])
    >>> to_litert(model, "layer.tflite").format
    'litert'
    """
    path = artifacts.checked_path(path, ".tflite")
    artifacts.check_quantize(quantize)
    interface = interface_of(model)
    with artifacts.whole(path) as partial:
        content = convert(interface, quantize)
        found, quantized = count_operators(content), count_weights(content, quantize)
        quantize = artifacts.quantization(quantize, quantized, LEAST)
        foreign = [name for name in found if name.startswith(("FLEX", "CUSTOM"))]
        if foreign:
            raise ValueError(f"LiteRT alone has no {', '.join(foreign)}, which the model needs")
        partial.write_bytes(content)
        measured = parity.measure(interface, engines.LiteRT(partial, None), quantize, tokens=tokens, samples=samples)
        artifacts.raise_unless_equal(measured, quantize, "LiteRT file", tolerance)
    return artifacts.Exported(path, "litert", quantize, manifest.size(path), found, measured, quantized)


def convert(interface, quantize=None):
    """The bytes of a LiteRT file, not yet checked."""
    import tensorflow as tf

    module = tf.Module()
    signatures = {}
    for name, program, inputs in interface.programs():
        specs = {t.name: tf.TensorSpec(t.shape, t.dtype, name=t.name) for t in inputs}
        function = tf.function(_with_constants(interface.model, program), autograph=False)
        setattr(module, name, function)
        signatures[name] = function.get_concrete_function(**specs)
    with (
        tempfile.TemporaryDirectory() as folder,
        quiet.loggers("tensorflow", "absl"),
        warnings.catch_warnings(action="ignore"),  # that the converter and the interpreter have successors
    ):
        with artifacts.files_of_tensorflow():
            tf.saved_model.save(module, folder, signatures=signatures)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=list(signatures))
        if quantize is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if quantize == "float16":
            converter.target_spec.supported_types = [tf.float16]
        try:
            content = converter.convert()
        except Exception as error:  # of MLIR, many lines long
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise ValueError(f"LiteRT's converter refuses the model: {reason[:500]}") from error
    file = litert_file.read(content)
    if quantize == "int8":
        tied_tables.share(file)
    litert_file.finish(file, interface)
    return litert_file.pack(file)


def _with_constants(model, program):
    """LiteRT takes Keras's variables for resources that nobody has filled: they are handed in as numbers."""
    import tensorflow as tf

    values = [(variable, np.asarray(keras.ops.convert_to_numpy(variable))) for variable in model.variables]

    def constant_program(**given):
        frozen = [(variable, tf.constant(value)) for variable, value in values]
        with keras.StatelessScope(state_mapping=frozen), exporting(loop):
            return program(given)

    return constant_program


def loop(layer, sequences, states, mask, reads):
    """A layer's recurrence as a loop that writes into one tensor: LiteRT has no lists of tensors of unknown sizes."""
    import tensorflow as tf

    cell, dtype = layer.cell, state_dtype(layer.compute_dtype)
    weights = cell.read_weights()
    step, kernels, parameters, _ = cell.recurrence(weights)
    x = tf.transpose(cell.read(sequences, weights), [1, 0, 2])
    mask = None if mask is None else tf.transpose(mask, [1, 0, 2])
    if layer.go_backwards:
        x, mask = tf.reverse(x, [0]), None if mask is None else tf.reverse(mask, [0])
    time, batch = x.shape[:2]
    steps = tf.shape(x)[0]
    p = {name: tf.cast(value, dtype) for name, value in (parameters | reads).items()}
    noise = {
        name: tf.cast(value, dtype)
        for name, value in cell.draw_noise(tuple(keras.ops.shape(sequences)[:2]), False).items()
    }
    outputs = tf.zeros(tf.stack([steps, tf.shape(x)[1], cell.output_size]), dtype)

    def body(t, outputs, states):
        beside = {name: tf.gather(value, t, axis=1) for name, value in noise.items()}
        new = step(Dot(kernels, dtype), tf.gather(x, t), tuple(states), p | beside)
        if mask is not None:
            new = [tf.where(tf.gather(mask, t), n, s) for n, s in zip(new, states)]
        outputs = _write_at(outputs, t, new[0][None])
        outputs.set_shape([time, batch, cell.output_size])
        return t + 1, outputs, list(new)

    start = (tf.constant(0), outputs, list(states))
    free = [tf.TensorShape([batch, width]) for width in cell.state_widths]
    shapes = (tf.TensorShape([]), tf.TensorShape([time, batch, cell.output_size]), free)
    _, outputs, after = tf.while_loop(lambda t, *_: t < steps, body, start, shape_invariants=shapes)
    return tf.transpose(outputs, [1, 0, 2]), after


def _write_at(outputs, t, update):
    import tensorflow as tf

    try:  # in place; TensorFlow has it, but gives it no public name
        from tensorflow.compiler.tf2xla.ops.gen_xla_ops import xla_dynamic_update_slice
    except ImportError:
        return tf.tensor_scatter_nd_update(outputs, tf.reshape(t, [1, 1]), update)
    return xla_dynamic_update_slice(input=outputs, update=update, indices=tf.stack([t, 0, 0]))


def count_weights(content, quantize):
    """How many weights, as numbers, are stored in "int8" or in "float16"."""
    from ai_edge_litert import schema_py_generated as schema

    kind = {"int8": schema.TensorType.INT8, "float16": schema.TensorType.FLOAT16}.get(quantize)
    model, found = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0)), {}
    for tensor in [tensor for graph in model.subgraphs for tensor in graph.tensors if tensor.type == kind]:
        if model.buffers[tensor.buffer].data is not None:  # shared by all that read it
            found[tensor.buffer] = int(np.prod(tensor.shape))
    return sum(found.values())


def count_operators(content):
    """How many of each operator a file holds."""
    from ai_edge_litert import schema_py_generated as schema

    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    model, found = litert_file.read(content), {}
    for subgraph in model.subgraphs:
        for operator in subgraph.operators or []:
            code = model.operatorCodes[operator.opcodeIndex]
            name = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
            if name == "CUSTOM":
                custom = code.customCode.decode()
                name = f"FLEX {custom}" if custom.startswith("Flex") else f"CUSTOM {custom}"
            found[name] = found.get(name, 0) + 1
    return dict(sorted(found.items()))
