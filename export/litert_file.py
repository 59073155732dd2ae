"""A LiteRT file as objects: what the converter leaves to be put right in it, and its bytes."""

from keras_rnnlm.export.runtime import description

ALIGNED = 16  # bytes: what LiteRT's schema asks of buffers, and Python's code for it does not do


def read(content):
    """The file as the schema's objects."""
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))


def pack(model):
    """The bytes of a file."""
    import flatbuffers

    model.buffers = [_Aligned(buffer) for buffer in model.buffers]
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    model.buffers = [aligned.buffer for aligned in model.buffers]
    return bytes(builder.Output())


class _Aligned:
    def __init__(self, buffer):
        self.buffer = buffer

    def Pack(self, builder):  # as the schema's objects have it
        data = self.buffer.data
        if data is not None and len(data):
            builder.Prep(ALIGNED, len(data))
        return self.buffer.Pack(builder)


def finish(model, interface):
    """Lists inputs and outputs in the interface's order, where the converter sorts them, and describes them."""
    inputs = [tensor.name for part in interface.parts for tensor in part.inputs]
    outputs = [name for part in interface.parts for name in part.outputs]
    for signature in model.signatureDefs:
        graph = model.subgraphs[signature.subgraphIndex]
        signature.inputs, graph.inputs = _in_order(signature.inputs, graph.inputs, inputs)
        signature.outputs, graph.outputs = _in_order(signature.outputs, graph.outputs, outputs)
    _add_metadata(model, description.KEY, description.text_of(interface.description()).encode())


def _in_order(named, tensors, names):
    """A signature's names and their tensors, and a graph's list of these tensors."""
    named = sorted(named, key=lambda entry: names.index(entry.name.decode()))
    places = [entry.tensorIndex for entry in named]
    return named, sorted(tensors, key=places.index)


def _add_metadata(model, name, data):
    import numpy as np
    from ai_edge_litert import schema_py_generated as schema

    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(data, "uint8")
    entry.name, entry.buffer = name.encode(), len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
