"""What is asked of a backend, with the answer of one that has none of its own.

A backend's file takes these and says where it differs. Beside them each has its own `scan`, `vjp`, `custom_gradient`,
`softmax_cross_entropy`, `product`, `after`, `scaled`, `is_at_hand` and `has_gpu`.
"""

import keras
from keras import ops


def sum_of_squares(values):
    return ops.sum(ops.square(values))


def rows(table, indices):
    """The rows of a variable at these indices, or None: as Keras looks them up."""
    return None


def branch(condition, if_true, if_false):
    """`if_true()` or `if_false()`, by a boolean that is a tensor."""
    return ops.cond(condition, if_true, if_false)


def compiled(f, lengths=True):
    """A function compiled once for each shape of its arguments; without `lengths`, again for each number of steps."""
    return f


def region(f):
    """A part of a graph that is compiled by itself: none, where all is compiled as a whole or nothing is."""
    return f


def in_one_pass(f):
    """An elementwise function with sums over rows, as one loop over large tensors."""
    return f


def compiles_regions():
    """Whether a `region` of what is being traced is compiled once, and not at every step."""
    return False


def is_compiled():
    """Whether what is being traced is compiled as a whole, so that no region in it should be."""
    return False


def is_saved():
    """Whether what is being traced is for a SavedModel."""
    return False


def is_mapped():
    """Whether what is being traced is for `keras.ops.vectorized_map`, which does not know gradients of our own."""
    return False


def keeps_programs():
    """Whether what was compiled for a loop stays in memory for good, so that equal loops of a process should be one."""
    return False


def padding(sequences):
    """How many steps to add to sequences of a length that is not known; None for none."""
    return None


def projects_in_the_loop(inputs, kernel):
    """Whether to multiply the inputs by their kernel step by step, not all at once."""
    return False


def dtype_in_the_loop(dtype):
    """In which to multiply by a kernel, and to keep, step by step."""
    return dtype


def writes_together():
    """Whether a step of a loop writes what it keeps as one tensor: where each array is a kernel, with its start."""
    return False


def assigns_in_branches():
    """Whether a `branch` may assign to variables."""
    return True


def synchronize(model):
    """Has the variables of a model hold what they are, in the midst of `fit`."""


def random_states():
    """The states of generators of random numbers that are no variables of a model: arrays by name."""
    return {}


def set_random_states(states):
    """Goes on as from where `random_states` were these: a dict that may lack them."""


def dropout(inputs, rate, noise_shape, seed):
    """The inputs, of which some are dropped, by a mask of `noise_shape`; None: of the inputs' own."""
    return keras.random.dropout(inputs, rate, noise_shape, seed)


def strategy():
    """The strategy whose replicas train side by side, None without one."""
    return None


def shards():
    """Over how many devices a program divides its batches; 1 also where each replica has a program of its own."""
    return 1


def for_each_shard(f):
    """`f` on the rows of each shard, where a program divides its batches: those of a shard are one row of an axis."""
    raise NotImplementedError("No program of this backend divides its batches")


def divided_over(variable):
    """The axis of the devices that the first axis of a variable is divided over, or None."""
    return None


def on_shares(f, axis, of_rows, of_vocabulary, keep):
    """`f(of_rows, of_vocabulary)` on each device, of its rows and its share of the vocabulary.

    `f` returns `[total, losses]`, and the gradients of the total: by the first of the rows' tensors, and by each of the
    vocabulary's that is not None; or none without `keep`. They are put together.
    """
    raise NotImplementedError("No program of this backend divides a vocabulary")


def softmax_cross_entropy_on_shares(axis, logits, targets):
    """As `softmax_cross_entropy`, where each device of an axis has the logits of its share of the tokens."""
    raise NotImplementedError("No program of this backend divides a vocabulary")


def feeding():
    """How many processes give rows of their own to each batch of `fit`."""
    return 1


def placed(value):
    """A tensor, or an array that each process has as a whole, where a program that divides its batches reads it."""
    return value


def whole(tensor):
    """A tensor in numpy: all of it, where processes have parts. All of them have to ask for it."""
    return ops.convert_to_numpy(tensor)


def raises_for_missing_rows():
    """Whether to look up a row that a table does not have is an error."""
    return False


def beyond_cudnn(kernel, dtype):
    """Why the backend cannot call cuDNN's kernel, "lstm" or "gru", where the cell could: a list of reasons."""
    return []


def by_platform(cuda, otherwise, tensor):
    """`cuda()` in a program for CUDA, else `otherwise()`; here what is traced is run by the machine that traces it."""
    return cuda()


def compiles_cudnn():
    """Whether cuDNN's kernels may be a part of what is compiled."""
    return True


# A kernel for processors, `(name, sequences, states, kernel, recurrent_kernel, bias) -> outputs, states`.
own_kernel = None
