"""Our layers in a TensorFlow graph as single nodes, and tf2onnx's handler that writes ONNX's operators for them.

A layer's recurrence is traced as a call of a function that has the right shapes and is never run. Its name holds the
operator's attributes, its arguments are the operator's tensors. Only `jit_compile=True` keeps TensorFlow from
putting the function's body in the place of the call.
"""

import contextlib
import contextvars
import functools
import json
import warnings

import numpy as np
import tensorflow as tf

from keras_rnnlm.export.interface import check_stateless
from keras_rnnlm.export.onnx.operators import obstacles, operator
from keras_rnnlm.layers.exporting import exporting

PREFIX = "keras_rnnlm_operator_"

_refused = contextvars.ContextVar("refused")


def native(padding=None):
    """Within it, layers that are traced become native nodes, wherever ONNX has an operator for them.

    Args:
        padding: "right" where masks are known to hide the ends of sequences only. A native node knows of lengths, not
            of masks.
    """
    if padding not in (None, "right"):
        raise ValueError(f'`padding` is "right" or None. Received: padding={padding!r}')
    register_handler()
    told = set()  # a layer may be traced more than once
    return exporting(lambda *arguments: _write(*arguments, padding, told))


def _write(layer, sequences, states, mask, reads, padding, told):
    check_stateless(layer)  # Keras's own export comes here alone
    reasons = obstacles(layer.cell)
    if mask is not None and padding is None and not reasons:
        reasons.append('a mask; where it hides the ends of sequences only, `export.to_onnx(..., padding="right")`')
    if reasons:
        message = f"{layer.name!r} becomes a Loop: right, and slower than a native node: {'; '.join(reasons)}"
        if message not in told:
            told.add(message)
            warnings.warn(message, stacklevel=1)
        return None
    with tf.init_scope():  # the weights as numbers, although a graph is being traced
        found = operator(layer.cell)
    attributes = {**found.attributes, "direction": "reverse" if layer.go_backwards else "forward"}
    call = tf.function(
        _stand_in(found.type, attributes, layer.cell.number_of_states), jit_compile=True, autograph=False
    )
    tensors = [tf.constant(found.tensors[name]) for name in ("W", "R", "B", "P") if name in found.tensors]
    lengths = [] if mask is None else [tf.reduce_sum(tf.cast(mask[:, :, 0], tf.int32), axis=1)]
    outputs, *after = call([sequences, *states, *tensors, *lengths])
    outputs.set_shape([*sequences.shape[:2], layer.cell.units])
    if layer.go_backwards:  # a reverse node leaves its outputs where it read their inputs
        outputs = tf.reverse(outputs, [1])
        mask = None if mask is None else tf.reverse(mask, [1])
    if mask is not None:
        # Of a sequence of length 0 the runtimes return zeros, not the states that it began with.
        after = [tf.where(lengths[0][:, None] > 0, new, old) for new, old in zip(after, states)]
        if not layer.go_backwards:  # a node gives zeros past the end: backwards these come first, as in Keras
            outputs = tf.where(mask, outputs, after[0][:, None])
    return outputs, after


def _stand_in(kind, attributes, number_of_states):
    def body(args):
        sequences, states = args[0], args[1 : 1 + number_of_states]
        shape = tf.concat([tf.shape(sequences)[:2], tf.shape(states[0])[1:]], 0)
        return tf.zeros(shape, sequences.dtype), *[tf.identity(state) for state in states]

    body.__name__ = PREFIX + json.dumps([kind, number_of_states, attributes]).encode().hex() + "_"
    return body


def _described(name):
    """What a stand-in's name says: the operator's type, its number of states, its attributes."""
    text = name.split(PREFIX)[1].split("_")[0]
    return json.loads(bytes.fromhex(text))


@functools.cache
def register_handler():
    """Teaches tf2onnx our nodes, for Keras's own export as well as for ours."""
    from tf2onnx.handler import tf_op

    tf_op(["PartitionedCall", "StatefulPartitionedCall"])(_Handler)
    tf_op._MAPPING = None  # tf2onnx looks the handlers up once


@contextlib.contextmanager
def refusals():
    """What our handler has to refuse meanwhile: a list, filled as tf2onnx goes on."""
    found = []
    token = _refused.set(found)
    try:
        yield found
    finally:
        _refused.reset(token)


class _Handler:
    @classmethod
    def version_14(cls, ctx, node, **kwargs):
        name = node.get_attr_str("f")
        if PREFIX not in name:
            message = (
                f"tf2onnx has no rule for the TensorFlow function {name!r}. What was traced before with layers of "
                "keras_rnnlm is converted from the model: keras_rnnlm.export.to_onnx(model, path)"
            )
            _refused.get([]).append(message)
            raise ValueError(message)
        kind, number, attributes = _described(name)
        write_operator(ctx, node, kind, number, attributes)


def write_operator(ctx, node, kind, number_of_states, attributes):
    """Puts a recurrent operator in the place of a stand-in's call, in tf2onnx's graph."""
    from tf2onnx import utils
    from tf2onnx.graph_builder import GraphBuilder

    sequences, *rest = node.input
    states, rest = rest[:number_of_states], rest[number_of_states:]
    (w, r, b), rest = rest[:3], rest[3:]
    has_peepholes = bool(rest) and ctx.get_node_by_output(rest[0]).is_const()
    peepholes, lengths = (rest[:1], rest[1:]) if has_peepholes else ([], rest)
    outputs, builder, name = list(node.output), GraphBuilder(ctx), node.name

    def constant(tensor):
        value = ctx.get_node_by_output(tensor).get_tensor_value(as_list=False)
        return ctx.make_const(utils.make_name(f"{name}_weight"), np.ascontiguousarray(value[None])).output[0]

    # Time-major: ONNX Runtime takes no other layout.
    time_major = ctx.make_node("Transpose", [sequences], attr={"perm": [1, 0, 2]}).output[0]
    states = [builder.make_unsqueeze({"data": state, "axes": [0]}) for state in states]
    inputs = [time_major, *[constant(tensor) for tensor in (w, r, b)], *(lengths or [""]), *states]
    inputs += [constant(tensor) for tensor in peepholes]
    ctx.remove_node(name)
    made = ctx.make_node(
        kind, inputs, attr=attributes, output_count=1 + number_of_states, name=utils.make_name(kind.lower())
    )
    squeezed = builder.make_squeeze({"data": made.output[0], "axes": [1]})
    ctx.make_node("Transpose", [squeezed], attr={"perm": [1, 0, 2]}, outputs=[outputs[0]])
    for output, state in zip(outputs[1:], made.output[1:]):
        builder.make_squeeze({"data": state, "axes": [0], "outputs": [output]})
