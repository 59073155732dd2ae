"""Norms of gradients, dense or sparse, and the two ways to make them smaller.

A sparse gradient is TensorFlow's `tf.IndexedSlices`: the rows of an embedding that a batch used, once for each use.
"""

import keras
from keras import ops

from keras_rnnlm.recurrence import backend


def is_sparse(gradient):
    return hasattr(gradient, "dense_shape") and hasattr(gradient, "indices")


def with_values(gradient, values):
    """`values` in the form of `gradient`: its dtype and, if it is sparse, its indices."""
    values = ops.cast(values, keras.backend.standardize_dtype(gradient.dtype))
    return type(gradient)(values, gradient.indices, gradient.dense_shape) if is_sparse(gradient) else values


def scaled(gradient, factor):
    """`gradient * factor`. A small factor is not a float16 number: half precision is multiplied as float32."""
    values = gradient.values if is_sparse(gradient) else gradient
    values = ops.cast(values, _wide(gradient))
    return with_values(gradient, ops.multiply(values, ops.cast(factor, values.dtype)))


def summed_values(gradient, variable):
    """The gradient's numbers in at least float32, with every number of a sparse gradient's row added up.

    The sum of a repeated row stands at its first place and zeros at the others. So the result has as many rows as the
    gradient, a size that XLA knows, and fits the gradient's own indices.
    """
    if not is_sparse(gradient):
        return ops.cast(gradient, _wide(gradient))
    import tensorflow as tf

    count = tf.size(gradient.indices, out_type=gradient.indices.dtype)
    first_place = tf.math.unsorted_segment_min(tf.range(count), gradient.indices, variable.shape[0])
    place = tf.gather(first_place, gradient.indices)
    return tf.math.unsorted_segment_sum(tf.cast(gradient.values, _wide(gradient)), place, count)


def dense(gradient):
    if not is_sparse(gradient):
        return gradient
    import tensorflow as tf

    return tf.convert_to_tensor(gradient)


def norms(values):
    """The float32 norm of each tensor, as one vector. Not finite exactly where a number is not, or the norm itself."""
    quick = ops.stack([ops.cast(ops.sqrt(backend.sum_of_squares(v)), "float32") for v in values])
    # Squares leave float32 at 1.8e19, which an exploding gradient reaches long before it stops being a number.
    return backend.branch(ops.all(ops.isfinite(quick)), lambda: quick, lambda: ops.stack([norm(v) for v in values]))


def norm(values):
    """The norm of one tensor, taken in units of its largest number so that no square overflows."""
    largest = ops.max(ops.abs(values))
    # Without a usable unit (all zeros, or a NaN or Inf that has to show in the result) the unit is 1.
    unit = ops.where(ops.logical_and(ops.isfinite(largest), largest > 0), largest, ops.ones_like(largest))
    return ops.cast(unit * ops.sqrt(ops.sum(ops.square(values / unit))), "float32")


def _wide(gradient):
    return keras.backend.result_type(keras.backend.standardize_dtype(gradient.dtype), "float32")
