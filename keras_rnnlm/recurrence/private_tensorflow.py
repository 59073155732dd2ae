"""All that the engine takes of TensorFlow's private parts, and what for. tests/test_private.py says what breaks."""

import tensorflow as tf
from tensorflow.python.eager.record import could_possibly_record
from tensorflow.python.framework.ops import gradient_registry
from tensorflow.python.ops.control_flow_util import GraphOrParentsInXlaContext
from tensorflow.python.saved_model.save_context import in_save_context

__all__ = [
    "could_possibly_record",
    "forget_gradient",
    "in_save_context",
    "is_in_map",
    "is_in_xla",
    "lookup_gradient",
    "new_graph",
]


def new_graph(name):
    """A graph to look at shapes in, which is thrown away. `tf.Graph` knows no variables of functions."""
    return tf.__internal__.FuncGraph(name)


def is_in_xla(graph):
    """Whether XLA compiles a graph, or one around it."""
    return GraphOrParentsInXlaContext(graph)


def is_in_map(graph):
    """Whether a graph, or one around it, is traced for `tf.vectorized_map`, by the name of the scope that has it."""
    while graph is not None:
        if any(scope.startswith("loop_body") for scope in graph.get_name_scope().split("/")):
            return True
        graph = getattr(graph, "outer_graph", None)
    return False


def lookup_gradient(name):
    """The gradient that an operator has by its name."""
    return gradient_registry.lookup(name)


def forget_gradient(name):
    """Takes a gradient away, which TensorFlow would keep as long as the process is."""
    gradient_registry._registry.pop(name, None)
