"""What is put right in tf2onnx's graph: names, sizes' names, and matrices that it wrote twice."""

import numpy as np
from onnx import helper, numpy_helper


def finish(proto, interface):
    """Lists inputs and outputs as the interface does, and names their free sizes.

    Runtimes take sizes of one name to be equal, and lay out their memory by that: `batch` are all first ones, and
    `time` the second ones where the model splits in time, or one input alone has a free one.
    """
    graph, begin = proto.graph, interface.begin
    inputs = [tensor for part in interface.parts for tensor in part.inputs]
    _sort(graph.input, [tensor.name for tensor in inputs])
    _sort(graph.output, [name for part in interface.parts for name in part.outputs])
    # What begins is asked by itself: its sizes are others.
    others = {} if begin is None else dict.fromkeys([*(t.name for t in begin.inputs), *begin.outputs], "begin_")
    taken = {name for node in graph.node for name in node.input}
    for value in list(graph.input):  # one that nothing reads
        if value.name not in taken:
            graph.input.remove(value)
    shapes = {tensor.name: tensor.shape for tensor in inputs}
    in_time, splits = set(), set()
    for part in interface.parts:
        free = [tensor.name for tensor in part.inputs if len(tensor.shape) > 1 and tensor.shape[1] is None]
        if part.signature.splits_in_time:
            splits |= {*free, *part.outputs}
        elif len(free) == 1:
            in_time |= {*free}

    def named(value, k, of_time):
        if k == 0 or k == 1 and value.name in of_time:
            return others.get(value.name, "") + ("batch", "time")[k]
        return f"{value.name}_{k}"

    free = {}  # what tf2onnx calls a size: what it is
    for value in graph.input:
        for k, (dim, size) in enumerate(zip(value.type.tensor_type.shape.dim, shapes[value.name])):
            if size is None:
                name = named(value, k, splits | in_time)
                free[dim.dim_param] = name
                dim.dim_param = name
    for value in graph.output:
        for k, dim in enumerate(value.type.tensor_type.shape.dim):
            if not dim.HasField("dim_value"):
                known = None if k == 0 else free.get(dim.dim_param)
                dim.dim_param = known or named(value, k, splits)
    del graph.value_info[:]  # with sizes under their old names
    share_transposes(graph)
    return proto


def fill(graph, captured):
    """What a function has captured, such as what a `Normalization` adapted to, tf2onnx takes for inputs: constants."""
    taken = {name for node in graph.node for name in node.input}
    for value in [value for value in graph.input if value.name in captured]:
        graph.input.remove(value)
        if value.name in taken:
            graph.initializer.append(numpy_helper.from_array(captured[value.name].numpy(), value.name))


def _sort(values, names):
    ordered = sorted(values, key=lambda value: names.index(value.name))
    del values[:]
    values.extend(ordered)


def share_transposes(graph):
    """Where one matrix is another's transpose, keeps one of the two, and a Transpose.

    A tied output layer reads the embedding's table, which otherwise would be in the file twice. Runtimes make the
    second when they load the file.
    """
    tables = {node.input[0] for node in graph.node if node.op_type == "Gather"}
    matrices = [tensor for tensor in graph.initializer if len(tensor.dims) == 2 and np.prod(tensor.dims) >= 1024]
    matrices.sort(key=lambda tensor: tensor.name not in tables)  # the one whose rows are looked up is kept
    for k, kept in enumerate(matrices):
        for other in matrices[k + 1 :]:
            if list(other.dims) != list(kept.dims)[::-1] or other.data_type != kept.data_type:
                continue
            if not np.array_equal(numpy_helper.to_array(kept).T, numpy_helper.to_array(other)):
                continue
            graph.initializer.remove(other)
            node = helper.make_node("Transpose", [kept.name], [other.name], name=f"{other.name}_shared", perm=[1, 0])
            graph.node.insert(0, node)
            return share_transposes(graph)
