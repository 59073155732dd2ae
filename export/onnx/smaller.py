"""ONNX graphs with small weights: int8 with a scale a row, or float16.

The matrices of an LSTM and of a product are multiplied in int8, by what ONNX Runtime has for it; what reads other
weights finds them as float32 again, which ONNX Runtime works out once, when it loads the file.
"""

import numpy as np
from onnx import helper, numpy_helper

MICROSOFT = "com.microsoft"
LEAST = 256  # numbers: what is smaller stays as it is
RECURRENT = ("LSTM", "GRU", "RNN")
# Processors without VNNI add two products of bytes in 16 bits, where 255 * 127 + 255 * 127 is cut off. So one factor of
# each product keeps to seven bits: the weights, where ONNX Runtime makes the other factor, else the other factor.
SEVEN_BITS = 63


def int8(proto):
    """Matrices in int8, symmetric, a scale for each row of a table and for each output of a product."""
    graph = _Graph(proto.graph)
    own = list(graph.weights)
    for node in list(proto.graph.node):
        if node.op_type == "LSTM" and graph.is_weight(node.input[1]) and graph.is_weight(node.input[2]):
            _lstm(graph, node, proto)
        elif node.op_type == "MatMul" and graph.matrix(node.input[1]) is not None:
            _product(graph, node)
        elif node.op_type == "Gather" and graph.is_weight(node.input[0], dims=2):
            _table(graph, node)
    for name in own:
        if graph.is_weight(name) and graph.readers(name):
            _stored(graph, name)
    graph.finish()
    return proto


def float16(proto):
    """Weights stored as float16 behind a cast: a model that computes in float16 crashes ONNX Runtime 1.31."""
    graph = _Graph(proto.graph)
    for name in [name for name in graph.weights if graph.is_weight(name)]:
        value = graph.weights[name]
        if np.abs(value).max() > np.finfo("float16").max:
            raise ValueError(
                f"A weight of {np.abs(value).max():.3g} is beyond float16: quantize to int8, or not at all"
            )
        half = graph.constant(f"{name}_float16", value.astype("float16"))
        graph.add_first("Cast", [half], [name], to=1)
        del graph.weights[name]
    graph.finish()
    return proto


WAYS = {"int8": int8, "float16": float16}


def count(proto, quantize):
    """How many weights, as numbers, are stored so."""
    return sum(int(np.prod(tensor.dims)) for tensor in proto.graph.initializer if tensor.name.endswith(f"_{quantize}"))


def _lstm(graph, node, proto):
    """ONNX Runtime's DynamicQuantizeLSTM, which takes its matrices input by output."""
    inputs = list(node.input) + [""] * (8 - len(node.input))
    scales = []
    for place in (1, 2):
        value = graph.weights[inputs[place]]  # (directions, 4 units, features)
        whole, scale = quantized(value, axis=2, most=SEVEN_BITS)
        name = f"{inputs[place]}_lstm"
        inputs[place] = graph.constant(f"{name}_int8", np.ascontiguousarray(whole.transpose(0, 2, 1)))
        scales.append(graph.constant(f"{name}_scale", scale[:, :, 0]))
        scales.append(graph.constant(f"{name}_zero", np.zeros(scale.shape[:2], "int8")))
    node.op_type, node.domain = "DynamicQuantizeLSTM", MICROSOFT
    del node.input[:]
    node.input.extend(inputs + scales)
    if MICROSOFT not in {opset.domain for opset in proto.opset_import}:
        proto.opset_import.append(helper.make_opsetid(MICROSOFT, 1))


def _product(graph, node):
    """`a @ weight` in integers: each row of a is quantized as it comes, and two scales put the product right.

    ONNX's own DynamicQuantizeLinear has one scale for all rows, which one large row would spoil for the others.
    """
    a, b, out = node.input[0], node.input[1], node.output[0]
    source, is_transposed = graph.matrix(b)
    whole, scale = graph.once(source, axis=1 if is_transposed else 0)
    at = list(graph.graph.node).index(node)
    graph.graph.node.remove(node)
    parts = []
    if is_transposed:
        parts.append(("Transpose", [whole], f"{out}_weight", {"perm": [1, 0]}))
        whole, scale = f"{out}_weight", graph.constant(f"{scale}_row", graph.weights[scale].reshape(1, -1))
    last = graph.constant("keras_rnnlm_last_axis", np.array([-1], "int64"))
    least = graph.constant("keras_rnnlm_least", np.array(1e-30, "float32"))
    most = graph.constant("keras_rnnlm_most", np.array(SEVEN_BITS, "float32"))
    middle = graph.constant("keras_rnnlm_middle", np.array(SEVEN_BITS + 1, "float32"))
    zero = graph.constant("keras_rnnlm_zero", np.array(SEVEN_BITS + 1, "uint8"))
    parts += [
        ("Abs", [a], f"{out}_abs", {}),
        ("ReduceMax", [f"{out}_abs", last], f"{out}_largest", {"keepdims": 1}),
        ("Max", [f"{out}_largest", least], f"{out}_some", {}),
        ("Div", [f"{out}_some", most], f"{out}_rows", {}),
        ("Div", [a, f"{out}_rows"], f"{out}_steps", {}),
        ("Round", [f"{out}_steps"], f"{out}_round", {}),
        ("Add", [f"{out}_round", middle], f"{out}_above", {}),
        ("Cast", [f"{out}_above"], f"{out}_a", {"to": 2}),  # uint8
        ("MatMulInteger", [f"{out}_a", whole, zero], f"{out}_whole", {}),
        ("Cast", [f"{out}_whole"], f"{out}_cast", {"to": 1}),  # float32
        ("Mul", [f"{out}_cast", f"{out}_rows"], f"{out}_of_rows", {}),
        ("Mul", [f"{out}_of_rows", scale], out, {}),
    ]
    for k, (kind, inputs, output, attributes) in enumerate(parts):
        graph.insert(at + k, kind, inputs, [output], **attributes)


def _table(graph, node):
    """Rows are looked up in int8; then they are few."""
    table, ids, out = node.input[0], node.input[1], node.output[0]
    if any(attribute.name == "axis" and attribute.i != 0 for attribute in node.attribute):
        return
    whole, scale = graph.once(table, axis=1)
    at = list(graph.graph.node).index(node)
    graph.graph.node.remove(node)
    graph.insert(at, "Gather", [whole, ids], [f"{out}_whole"], axis=0)
    graph.insert(at + 1, "Gather", [scale, ids], [f"{out}_scale"], axis=0)
    graph.insert(at + 2, "Cast", [f"{out}_whole"], [f"{out}_cast"], to=1)
    graph.insert(at + 3, "Mul", [f"{out}_cast", f"{out}_scale"], [out])


def _stored(graph, name):
    """int8 in the file, float32 where it is read."""
    value = graph.weights[name]
    whole, scale = quantized(value, axis=value.ndim - 1)
    whole, scale = graph.constant(f"{name}_int8", whole), graph.constant(f"{name}_scale", scale)
    graph.add_first("Mul", [f"{name}_cast", scale], [name])
    graph.add_first("Cast", [whole], [f"{name}_cast"], to=1)
    del graph.weights[name]


def quantized(value, axis, most=127):
    """Whole numbers from -most to most and their scales, one for all numbers along `axis`."""
    scale = np.abs(value).max(axis=axis, keepdims=True) / most
    scale = np.where(scale > 0, scale, 1.0).astype("float32")
    return np.clip(np.round(value / scale), -most, most).astype("int8"), scale


class _Graph:
    """An ONNX graph whose weights are at hand by name."""

    def __init__(self, graph):
        self.graph = graph
        self.weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self.transposes = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Transpose"}
        self.quantized = {}
        # Biases, states and peepholes: rows of numbers of different sizes, which one scale would spoil.
        self.vectors = {name for node in self._nodes(graph) if node.op_type in RECURRENT for name in node.input[3:]}

    def is_weight(self, name, dims=None):
        value = self.weights.get(name)
        if value is None or value.dtype != np.float32 or value.size < LEAST or name in self.vectors:
            return False
        return value.ndim >= 2 and value.shape[-2] > 1 and dims in (None, value.ndim)

    def matrix(self, name):
        """`(weight, whether it is transposed)` where a product reads a matrix of weights, else None."""
        if self.is_weight(name, dims=2):
            return name, False
        source = self.transposes.get(name)
        return (source, True) if source is not None and self.is_weight(source, dims=2) else None

    def once(self, name, axis):
        """The names of a matrix in int8 and of its scales, made once for all that read it."""
        if (name, axis) not in self.quantized:
            whole, scale = quantized(self.weights[name], axis)
            tag = f"{name}_{axis}"
            self.quantized[name, axis] = self.constant(f"{tag}_int8", whole), self.constant(f"{tag}_scale", scale)
        return self.quantized[name, axis]

    def readers(self, name):
        """What still reads a weight; a transpose that nobody reads does not count."""
        used = {n for node in self.graph.node for n in node.input} | {value.name for value in self.graph.output}
        unread = [node for node in self.graph.node if node.op_type == "Transpose" and node.output[0] not in used]
        for node in unread:
            self.graph.node.remove(node)
        return [node for node in self._nodes(self.graph) if name in node.input]

    def _nodes(self, graph):
        for node in graph.node:
            yield node
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    yield from self._nodes(attribute.g)

    def constant(self, name, value):
        self.weights[name] = value
        return name

    def insert(self, at, kind, inputs, outputs, **attributes):
        self.graph.node.insert(at, helper.make_node(kind, inputs, outputs, name=f"{outputs[0]}_{kind}", **attributes))

    def add_first(self, kind, inputs, outputs, **attributes):
        self.insert(0, kind, inputs, outputs, **attributes)

    def finish(self):
        """Writes the weights that are read."""
        used = {name for node in self._nodes(self.graph) for name in node.input}
        used |= {value.name for value in self.graph.output}
        del self.graph.initializer[:]
        for name, value in self.weights.items():
            if name in used:
                self.graph.initializer.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
