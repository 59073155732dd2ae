"""TensorFlow: scan, vector-Jacobian products, a custom gradient and a compiled region."""

import functools
import weakref

import numpy as np
import tensorflow as tf
from keras import tree

from keras_rnnlm.recurrence import memory_maps
from keras_rnnlm.recurrence.default_backend import *  # noqa: F403
from keras_rnnlm.recurrence.private_tensorflow import (
    could_possibly_record,
    forget_gradient,
    in_save_context,
    is_in_map,
    is_in_xla,
    lookup_gradient,
    new_graph,
)

SHORTEST = 32  # steps, of the loops for sequences of any length


def scan(body, carry, xs, *, length=None, reverse=False, unroll=False):
    """`body(carry, x) -> (carry, y)` over the first axis of `xs`; what lies beyond `length` comes out as zeros.

    Forward, the slices for the next step are carried through the loop. XLA for CPUs would otherwise read them by an
    index inside the kernels that use them, and a kernel that reads a slice in several places is then written one number
    at a time instead of eight. Back through time each kernel reads its part of a slice in one place: it is read where
    it is used, which is as fast, and leaves less to compile and to copy.
    """
    leaves = tree.flatten(xs)
    total = leaves[0].shape[0] if leaves[0].shape[0] is not None else tf.shape(leaves[0])[0]
    if unroll:
        return _unrolled(body, carry, xs, total, reverse)
    size = total if length is None else length
    arrays = [tf.TensorArray(x.dtype, total, clear_after_read=False, element_shape=x.shape[1:]) for x in leaves]
    arrays = [array.unstack(leaf) for array, leaf in zip(arrays, leaves)]

    def read(t):
        return [array.read(t) for array in arrays]

    specs, structure = _outputs(body, carry, xs, leaves)
    stacks = [tf.TensorArray(spec.dtype, total, element_shape=spec.shape) for spec in specs]

    def loop(t, carry, inputs, stacks):
        at = size - 1 - t if reverse else t
        new, y = body(carry, tree.pack_sequence_as(xs, read(at) if reverse else inputs))
        new = tree.map_structure(lambda a, b: tf.ensure_shape(a, b.shape), new, carry)
        stacks = [stack.write(at, value) for stack, value in zip(stacks, tree.flatten(y))]
        return t + 1, new, [] if reverse else read(tf.minimum(t + 1, total - 1)), stacks

    start = (tf.constant(0), carry, [] if reverse else read(0), stacks)
    # One iteration at a time: TensorFlow would run ten beside each other, and hold what all of them need.
    _, carry, _, stacks = tf.while_loop(
        lambda t, *_: t < size, loop, start, maximum_iterations=total, parallel_iterations=1
    )
    return carry, tree.pack_sequence_as(structure, [stack.stack() for stack in stacks])


def scan_first(body, carry, xs, count, like):
    """`scan` over the first `count` of `xs`, a tensor, as long as that takes: what lies beyond comes out as zeros.

    `like` is a `y` of the body, for its shapes.
    """
    return scan(body, carry, xs, length=count)


def _outputs(body, carry, xs, leaves):
    """The shapes, dtypes and structure of what `body` returns beside the carry, from a graph that is thrown away."""
    with new_graph("outputs").as_default():

        def like(tensor, shape):
            return tf.compat.v1.placeholder(tensor.dtype, shape)

        state = [like(c, c.shape) for c in tree.flatten(carry)]
        inputs = [like(x, x.shape[1:]) for x in leaves]
        _, y = body(tree.pack_sequence_as(carry, state), tree.pack_sequence_as(xs, inputs))
        return tree.flatten(y), tree.map_structure(lambda _: 0, y)


def _unrolled(body, carry, xs, total, reverse):
    rows = [tf.unstack(leaf, total) for leaf in tree.flatten(xs)]
    ys = [None] * total
    for t in reversed(range(total)) if reverse else range(total):
        carry, ys[t] = body(carry, tree.pack_sequence_as(xs, [row[t] for row in rows]))
    return carry, tree.map_structure(lambda *y: tf.stack(y), *ys)


def vjp(f, args):
    """`f(*args)`, a list, and `pull(cotangents)`: gradients in the structure of `args`, None where there is none."""
    args = tree.map_structure(tf.identity, args)
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch(tree.flatten(args))
        outputs = f(*args)

    def pull(cotangents):
        pairs = [(o, c) for o, c in zip(outputs, cotangents) if c is not None]
        targets, cotangents = [o for o, _ in pairs], [c for _, c in pairs]
        gradients = tape.gradient(targets, tree.flatten(args), output_gradients=cotangents)
        return tree.pack_sequence_as(args, gradients)

    return outputs, pull


def custom_gradient(forward, backward, plain, weights=0):
    """`forward(args, keep) -> (results, saved)`, `backward(saved, cotangents) -> gradients`, all of flat lists.

    `plain(args) -> results` is the same by TensorFlow's own gradients: what is asked of the gradients' own gradients.
    The first `weights` of the arguments are weights: nothing that reads the other gradients waits for theirs.

    Without a tape a graph keeps nothing: a compiled region writes all that it returns, wanted or not. Where a gradient
    is taken after all, such as of a function that was traced before, the forward part runs once more.
    """

    def call(*args):
        keep, constants = could_possibly_record() or is_compiled(), _unwatched(list(args))
        results, saved = _unwatched(forward(constants, keep))

        def gradients(*cotangents):
            found = backward(saved if keep else forward(constants, True)[1], _unwatched(list(cotangents)))
            some = [k for k, gradient in enumerate(found) if gradient is not None]
            for part in [k for k in some if k < weights], [k for k in some if k >= weights]:
                made = _with_gradients_of_their_own([found[k] for k in part], part, plain, args, cotangents)
                for k, gradient in zip(part, made):
                    found[k] = gradient
            return found

        return tuple(results), gradients

    return _forgotten(call)


def _with_gradients_of_their_own(gradients, which, plain, args, cotangents):
    """The gradients by some of the arguments; theirs are those of the gradients of `plain`."""
    if not which:
        return []

    def call(*given):
        def seconds(*cotangents):
            watched = [tensor for tensor in given if tensor.dtype.is_floating]
            inputs, arriving = given[: len(args)], given[len(args) :]
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(watched)
                with tf.GradientTape(watch_accessed_variables=False) as inner:
                    wanted = [inputs[k] for k in which]
                    inner.watch(wanted)
                    results = plain(inputs)
                again = inner.gradient(results, wanted, arriving, unconnected_gradients="zero")
            made = iter(tape.gradient(again, watched, cotangents))
            return [next(made) if tensor.dtype.is_floating else None for tensor in given]

        return tuple(gradients), seconds

    # As tensors of this graph, which may not be the one that the arguments are of.
    return _forgotten(call)(*[tf.identity(tensor) for tensor in (*args, *cotangents)])


def _unwatched(tensors):
    """The tensors, of which no tape sees how they were made and what becomes of them: it would go into the loops."""
    return tree.map_structure(tf.stop_gradient, tensors)


def _forgotten(call):
    """`call` with the gradient that it returns beside its results."""

    def forgotten(*args):
        results = tf.custom_gradient(call)(*args)
        if not tf.executing_eagerly():
            _forget_with_the_graph(results[0].op)
        return results

    return forgotten


def _forget_with_the_graph(op):
    """TensorFlow keeps each gradient by its name for good, and so its graph, the layer and its weights: not these."""
    graph, name = op.graph, op.get_attr("_gradient_op_type").decode()
    gradient = lookup_gradient(name)
    graph.keras_rnnlm_gradients = [*getattr(graph, "keras_rnnlm_gradients", []), gradient]
    gradient = weakref.ref(gradient)
    forget_gradient(name)
    tf.RegisterGradient(name)(lambda op, *cotangents: gradient()(op, *cotangents))
    weakref.finalize(graph, forget_gradient, name)


def softmax_cross_entropy(logits, targets):
    """`-log softmax(logits)[target]` of each row, and its gradient, in one pass over the logits.

    Both are NaN where there is no such target: TensorFlow's operator does so on a GPU, and is an error on a processor.
    """
    if not is_compiled():
        return tf.raw_ops.SparseSoftmaxCrossEntropyWithLogits(features=logits, labels=targets)
    largest = _of_rows(tf.reduce_max, tf.maximum, logits)
    log_sums = largest + tf.math.log(_of_rows(tf.reduce_sum, tf.add, logits, lambda part: tf.exp(part - largest)))
    log_sums = tf.where(((targets >= 0) & (targets < logits.shape[1]))[:, None], log_sums, float("nan"))
    hits = tf.range(logits.shape[1])[None, :] == tf.cast(targets, tf.int32)[:, None]
    chosen = tf.gather(logits, targets, axis=1, batch_dims=1)
    return log_sums[:, 0] - chosen, tf.exp(logits - log_sums) - tf.cast(hits, logits.dtype)


def _of_rows(reduce, two, tensor, f=lambda part: part, parts=4):
    """`reduce(f(tensor))` over each row: `two` makes one part of the four of a row, number by number.

    XLA would write `f(tensor)` to memory before it reduces it: so, a quarter of it.
    """
    width = tensor.shape[1] // parts
    if width < 128:
        return reduce(f(tensor), axis=1, keepdims=True)
    merged = functools.reduce(two, [f(tensor[:, k * width : (k + 1) * width]) for k in range(parts)])
    found = reduce(merged, axis=1, keepdims=True)
    rest = tensor[:, parts * width :]
    return found if rest.shape[1] == 0 else two(found, reduce(f(rest), axis=1, keepdims=True))


def product(a, b, transpose_a=False, transpose_b=False):
    """The product of two matrices. Of large ones in half precision XLA's own takes twice as long."""
    return tf.matmul(a, b, transpose_a=transpose_a, transpose_b=transpose_b)


def scaled(tensors, factor):
    """The tensors times a factor, which mostly is one: then they are not passed over again."""

    def multiplied():
        return [tf.cast(tf.cast(tensor, factor.dtype) * factor, tensor.dtype) for tensor in tensors]

    return tf.cond(tf.equal(factor, 1), lambda: tensors, multiplied)


def compiled(f, lengths=True):
    """A function as a graph, with a tape and without: traced for the first shape of its arguments, and for any other.

    Within a graph it is a part of that: a function within a function takes longer to trace. Without `lengths` it is
    traced again for each shape.
    """
    # TensorFlow counts tracings by a function's code, which all layers share, and would warn of five layers.
    own = functools.partial(f)
    functions = [tf.function(own, autograph=False, reduce_retracing=lengths) for _ in range(2)]
    return lambda *args: (functions[could_possibly_record()] if tf.executing_eagerly() else f)(*args)


def region(f):
    """A part that XLA compiles by itself, inside a graph that it need not compile."""
    return f if is_compiled() else _by_itself(f)


def _by_itself(f):
    @functools.wraps(f)
    def traced(*args):
        memory_maps.warn_near_the_limit()
        return f(*args)

    return tf.function(traced, jit_compile=True, autograph=False)


def after(tensors, others):
    """The tensors, such that nothing is computed from them before `others` are there."""
    others = [other for other in others if other is not None]
    if is_compiled():
        from tensorflow.compiler.tf2xla.python import xla

        return list(xla.optimization_barrier(*tensors, *others))[: len(tensors)]
    with tf.control_dependencies(others):
        return [tf.identity(tensor) for tensor in tensors]


def in_one_pass(f):
    """An elementwise function with sums over rows, which XLA writes as one loop or two over large tensors."""
    by_itself = _by_itself(f)

    def run(*tensors):
        # It would be compiled again for every shape: not where shapes are many.
        is_known = all(tensor.shape.is_fully_defined() for tensor in tree.flatten(tensors) if tensor is not None)
        return (by_itself if is_known and not tf.executing_eagerly() and not is_compiled() else f)(*tensors)

    return run


def is_compiled():
    """Whether XLA compiles, as a whole, what is being traced.

    A region within would be worse than useless: TensorFlow hands some shapes from its forward to its backward part, XLA
    takes all of the forward part for constants because of them, and compiles the training step again for new weights.
    """
    return is_in_xla(tf.compat.v1.get_default_graph())


def padding(sequences):
    """How many steps to add to sequences whose length is not known when the graph is built; None for none.

    XLA compiles a loop once for each shape. So there are few: powers of two, none shorter than `SHORTEST`. The loop
    stops at the true length, and what surrounds it is of that length: longer are the arrays it reads and writes.
    """
    if sequences.shape[0] is not None or is_compiled():
        return None
    time = tf.shape(sequences)[0]
    parts = (tf.cast(time, "float64") - 0.5) / SHORTEST
    doublings = tf.cast(tf.maximum(tf.math.ceil(tf.math.log(parts) / np.log(2.0)), 0), "int32")
    return SHORTEST * tf.bitwise.left_shift(1, doublings) - time


def projects_in_the_loop(inputs, kernel):
    """Whether to multiply the inputs by their kernel step by step, not all at once.

    On a processor a product of some millions of multiply-adds is as fast alone as within a larger one, and its result
    is used while it is still in the cache; as long as the kernel, which is read at every step, is in the cache, too. In
    half precision that product is not XLA's to make: see `product`.
    """
    batch = inputs.shape[1]
    if batch is None or has_gpu() or kernel.dtype in (tf.float16, tf.bfloat16):
        return False
    size = kernel.shape[0] * kernel.shape[1]
    return batch * size >= 2**22 and size <= 2**20


def dtype_in_the_loop(dtype):
    """In which to multiply and to keep step by step: XLA for CPUs would convert half precision at every step."""
    return dtype if has_gpu() or dtype not in (tf.float16, tf.bfloat16) else tf.float32


def keeps_programs():
    """Whether what was compiled for a loop stays in memory for good, so that equal loops of a process should be one."""
    return True


def is_saved():
    """Whether what is being traced is for a SavedModel: servers and converters need not have XLA."""
    return in_save_context()


def is_mapped():
    """Whether this is within a `tf.vectorized_map`: it rewrites the operators, and drops a gradient of our own."""
    return not tf.executing_eagerly() and is_in_map(tf.compat.v1.get_default_graph())


def compiles_regions():
    """Without a graph around it a region would be compiled again at every step."""
    return not tf.executing_eagerly() and strategy() is None


def strategy():
    return tf.distribute.get_strategy() if tf.distribute.has_strategy() else None


def whole(tensor):
    """Also of a variable that replicas have: it is what they have added up, or what the first one has."""
    return np.array(tensor.read_value() if isinstance(tensor, tf.Variable) else tensor)


def sum_of_squares(values):
    """Without the squares in memory."""
    return 2 * tf.nn.l2_loss(values)


def rows(table, indices):
    """A table of which single rows were read or updated would be copied wherever it is read as a whole."""
    return tf.gather(table.value, tf.cast(indices, tf.int32))


def raises_for_missing_rows():
    return not (is_compiled() or has_gpu())


def is_at_hand(tensor):
    """Whether numpy can look at it without a copy from a device, outside of a graph."""
    return hasattr(tensor, "numpy") and hasattr(tensor, "device") and "CPU" in tensor.device


def beyond_cudnn(kernel, dtype):
    return ["bfloat16"] if dtype == "bfloat16" else []


def compiles_cudnn():
    """XLA does not compile TensorFlow's operators for cuDNN."""
    return False


def has_gpu():
    return bool(tf.config.list_logical_devices("GPU"))
