"""A model as an ONNX file, checked before it has its name."""

import contextlib
import logging

from keras_rnnlm import quiet
from keras_rnnlm.export import artifacts, manifest, parity
from keras_rnnlm.export.interface import interface_of
from keras_rnnlm.export.runtime import description, engines
from keras_rnnlm.schema import is_whole

NEWEST = 18  # of the opsets that tf2onnx writes; ONNX itself lifts a graph to a newer one


def to_onnx(
    model, path, *, opset=18, quantize=None, padding=None, tokenizer=None, tokens=None, samples=None, tolerance=None
):
    """Writes a model as ONNX, and checks in ONNX Runtime that it computes what the model does.

    A LanguageModel takes `tokens` (int32, (batch, time)) and its states by name, and gives `logits` and the states: one
    file for whole texts and for single steps. Any other Keras model takes and gives what it does in Keras.

    Args:
        model: a LanguageModel, or any Keras model that holds layers of this package.
        path: the file, ending in ".onnx".
        opset: of ONNX, at least 18.
        quantize: "int8", "float16" (stored so, computed in float32), or None.
        padding: "right" where masks hide the ends of sequences only, as `keras.utils.pad_sequences(padding="post")`
            pads them. Without it a layer with a mask becomes a Loop, unless the model's signature says so. It is a
            promise: of sequences with a masked step before one that is not, the file then gives other numbers, and no
            error.
        tokenizer: to put into the file of a language model: a `keras_rnnlm.text.Tokenizer`, or a tokenizer.json's path;
            of a model of another task, its vocabulary.
        tokens: ids of a real text, on which the perplexity is compared, too.
        samples: inputs of your own, as the model is called on them (a dict by name, a list, or one array), on which
            it is compared, too; in int8, whose error depends on what comes in, in place of random numbers.
        tolerance: the largest relative error to let through, instead of the format's own bound.

    Returns:
        An `Exported`: size, operators, measured error.

    >>> import keras
    >>> model = keras.Sequential([keras.Input((None, 3)), keras_rnnlm.layers.LSTM(4, peephole=True)])
    >>> to_onnx(model, "layer.onnx").operators["LSTM"]
    1
    """
    path = artifacts.checked_path(path, ".onnx")
    if not is_whole(opset, 18):
        raise ValueError(f"`opset` is a whole number, at least 18. Received: opset={opset!r}")
    artifacts.check_quantize(quantize)
    interface = interface_of(model)
    padding = interface.signature.padding if padding is None else padding
    tokenizer = artifacts.as_vocabulary(tokenizer, interface)
    with artifacts.whole(path) as partial:
        proto, quantized = convert(interface, opset, padding), 0
        if quantize is not None:
            from keras_rnnlm.export.onnx import smaller

            proto = smaller.WAYS[quantize](proto)
            quantized = smaller.count(proto, quantize)
            quantize = artifacts.quantization(quantize, quantized, smaller.LEAST)
        _describe(proto, interface, tokenizer)
        _save(proto, partial)
        _check_graph(partial)
        measured = parity.measure(interface, engines.Onnx(partial, None), quantize, padding, tokens, samples)
        artifacts.raise_unless_equal(measured, quantize, "ONNX file", tolerance)
    operators = count_operators(proto)
    return artifacts.Exported(path, "onnx", quantize, manifest.size(path), operators, measured, quantized)


def convert(interface, opset, padding=None):
    """The model as an ONNX graph, in float32, not yet checked."""
    import tensorflow as tf
    import tf2onnx

    from keras_rnnlm.export.onnx import graph, tracing

    specs = {t.name: tf.TensorSpec(t.shape, t.dtype, name=t.name) for part in interface.parts for t in part.inputs}

    def every_part(given):
        """A graph is one function: it does all that is to be done, and a caller asks for some of it."""
        return {name: value for part in interface.parts for name, value in part.signature.call(given).items()}

    program = tf.function(every_part, autograph=False)
    with _errors_raised(), tracing.native(padding):
        proto, _ = tf2onnx.convert.from_function(program, [specs], opset=min(opset, NEWEST))
    captured = program.get_concrete_function(specs).graph.captures
    graph.fill(proto.graph, {inside.name: value for value, inside in captured if value.dtype != tf.resource})
    graph.finish(proto, interface)
    return proto if opset <= NEWEST else _newer(proto, opset)


def _newer(proto, opset):
    import onnx

    try:
        return onnx.version_converter.convert_version(proto, opset)
    except Exception as error:  # of its own kinds
        raise ValueError(f"ONNX cannot write the model in opset {opset}: {str(error)[:300]}") from error


def count_operators(proto):
    """How many of each operator a model holds, those within loops included."""
    found = {}

    def count(graph):
        for node in graph.node:
            name = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
            found[name] = found.get(name, 0) + 1
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    count(attribute.g)

    count(proto.graph)
    return dict(sorted(found.items()))


def _describe(proto, interface, tokenizer):
    """Says in the file what it takes and gives, in which order, and what generation needs to know."""
    properties = {description.KEY: description.text_of(interface.description())}
    if tokenizer is not None:
        properties |= tokenizer.definitions
    for key, value in properties.items():
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, value


def _save(proto, path):
    # A protobuf ends at 2 GB: beyond it the weights go into a file of their own.
    if proto.ByteSize() >= 2**31 - 2**20:
        raise ValueError("The model is larger than the 2 GB that one ONNX file can hold: quantize it")
    path.write_bytes(proto.SerializeToString())


def _check_graph(path):
    import onnx

    onnx.checker.check_model(str(path), full_check=True)


class _Raise(logging.Handler):
    """tf2onnx logs what it cannot convert, and writes a broken file."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.found = []

    def emit(self, record):
        error = record.exc_info[1] if record.exc_info else None
        message = " ".join(record.getMessage().split())[:300]
        self.found.append(message if error is None else f"{error} ({message})")


@contextlib.contextmanager
def _errors_raised():
    """Within it, what tf2onnx logs as an error is raised, and the rest is not shown."""
    logger, handler = logging.getLogger("tf2onnx"), _Raise()
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        with quiet.loggers("tf2onnx", "tensorflow"):  # which warns of tables that are in no graph of ours
            yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
    if handler.found:
        raise ValueError(f"tf2onnx could not convert the model: {' / '.join(handler.found)[:2000]}")
