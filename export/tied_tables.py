"""A LiteRT file in int8 whose output layer reads the embedding's table: the table once, with a scale for each row.

The converter quantizes the table twice, for the product with a scale a row and for the look-up with one scale in all.
Here the look-up reads the product's: rows in int8, cast, times their scales.
"""

import copy

import numpy as np


def share(model):
    """Keeps every such table in a file, see `litert_file.read`, once."""
    from ai_edge_litert import schema_py_generated as schema

    file, scales = _File(model, schema), {}
    for graph in model.subgraphs:
        for operator in list(graph.operators or []):
            if file.kind(operator) != "GATHER":
                continue
            product = file.product_with_the_table_of(graph, operator)
            reader = file.only_reader(graph, operator.outputs[0])
            if product is not None and reader is not None and file.kind(reader) == "DEQUANTIZE":
                file.look_up(graph, operator, reader, product, scales)
    file.forget_unread()


class _File:
    def __init__(self, model, schema):
        self.model, self.schema = model, schema
        self.names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}

    def kind(self, operator):
        code = self.model.operatorCodes[operator.opcodeIndex]
        return self.names[max(code.builtinCode, code.deprecatedBuiltinCode)]

    def numbers(self, tensor):
        data = self.model.buffers[tensor.buffer].data
        return None if data is None else np.asarray(data, "uint8").view("int8").reshape(tensor.shape)

    def product_with_the_table_of(self, graph, gather):
        """The weights of a product, with a scale a row, that are the same table as this look-up's."""
        table = graph.tensors[gather.inputs[0]]
        if table.type != self.schema.TensorType.INT8 or self.numbers(table) is None:
            return None
        rows = self.numbers(table) * np.float32(table.quantization.scale[0])
        for operator in graph.operators:
            if self.kind(operator) != "FULLY_CONNECTED":
                continue
            weights = graph.tensors[operator.inputs[1]]
            if weights.type != table.type or list(weights.shape) != list(table.shape):
                continue
            found = self.numbers(weights)
            if found is None or len(weights.quantization.scale) != len(rows):
                continue
            wanted = found * np.asarray(weights.quantization.scale, "float32")[:, None]
            # Both are rounded: by half a step of either at most.
            bound = 0.51 * (table.quantization.scale[0] + np.asarray(weights.quantization.scale).max())
            if np.abs(rows - wanted).max() <= bound:
                return weights
        return None

    def only_reader(self, graph, tensor):
        readers = [operator for operator in graph.operators if tensor in operator.inputs]
        return readers[0] if len(readers) == 1 and tensor not in graph.outputs else None

    def look_up(self, graph, gather, dequantize, weights, scales):
        schema, output = self.schema, dequantize.outputs[0]
        table, rows = graph.tensors[gather.inputs[0]], graph.tensors[gather.outputs[0]]
        table.buffer, table.quantization, rows.quantization = weights.buffer, None, None
        if weights.buffer not in scales:
            data = np.asarray(weights.quantization.scale, "float32")
            self.model.buffers.append(schema.BufferT())
            self.model.buffers[-1].data = data.view("uint8")
            scales[weights.buffer] = len(self.model.buffers) - 1
        shape = list(table.shape)
        of_rows = self.tensor(graph, table, "scales", [shape[0], 1], scales[weights.buffer])
        found = graph.tensors[output]
        one = [*list(found.shape)[:-1], 1]
        signature = None if found.shapeSignature is None else [*list(found.shapeSignature)[:-1], 1]
        looked_up = self.tensor(graph, found, "row_scales", one, 0, signature)
        as_float = self.tensor(graph, found, "rows", list(found.shape), 0, found.shapeSignature)
        second = copy.copy(gather)
        second.inputs, second.outputs = [of_rows, *list(gather.inputs)[1:]], [looked_up]
        dequantize.opcodeIndex, dequantize.outputs = self.code("CAST"), [as_float]
        dequantize.builtinOptionsType, dequantize.builtinOptions = (
            schema.BuiltinOptions.CastOptions,
            schema.CastOptionsT(),
        )
        dequantize.builtinOptions.inDataType = schema.TensorType.INT8
        dequantize.builtinOptions.outDataType = schema.TensorType.FLOAT32
        times = schema.OperatorT()
        times.opcodeIndex, times.inputs, times.outputs = self.code("MUL"), [as_float, looked_up], [output]
        times.builtinOptionsType, times.builtinOptions = schema.BuiltinOptions.MulOptions, schema.MulOptionsT()
        at = graph.operators.index(dequantize)
        graph.operators[at + 1 : at + 1] = [second, times]

    def tensor(self, graph, like, name, shape, buffer, signature=None):
        made = copy.copy(like)
        made.name = (like.name or b"") + b"_" + name.encode()
        made.shape, made.shapeSignature, made.buffer = np.array(shape, "int32"), signature, buffer
        made.type, made.quantization = self.schema.TensorType.FLOAT32, None
        if signature is not None:
            made.shapeSignature = np.array(signature, "int32")
        graph.tensors.append(made)
        return len(graph.tensors) - 1

    def code(self, name):
        """The index of an operator's code, added where there is none."""
        for k, code in enumerate(self.model.operatorCodes):
            if self.names[max(code.builtinCode, code.deprecatedBuiltinCode)] == name:
                return k
        code = self.schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(self.schema.BuiltinOperator, name)
        code.version = 1
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1

    def forget_unread(self):
        """The converter's second table is read by nobody now."""
        used = {tensor.buffer for graph in self.model.subgraphs for tensor in graph.tensors}
        used |= {entry.buffer for entry in self.model.metadata or []}
        for k, buffer in enumerate(self.model.buffers):
            if k not in used:
                buffer.data = None
