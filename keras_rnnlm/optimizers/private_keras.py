"""All that is taken of the private parts of Keras's optimizers. tests/test_private.py says what breaks."""

import contextlib


def trained_by(optimizer):
    """The variables that an optimizer was built for, in its order."""
    return optimizer._trainable_variables


def index_of(optimizer, variable):
    """The place of a variable among them."""
    return optimizer._get_variable_index(variable)


def accumulator_of(optimizer, variable):
    """Where an optimizer that accumulates gradients adds up those of a variable."""
    return optimizer._accumulated_gradients[index_of(optimizer, variable)]


def averages_of(optimizer):
    """The moving averages of the variables, where there are some."""
    return optimizer._model_variables_moving_average


def update_of(optimizer):
    """`update(grads, variables, learning_rate)`: a step, without what comes before it."""
    return optimizer._backend_update_step


@contextlib.contextmanager
def updating_by(optimizer, update):
    """While it lasts, an optimizer makes its steps by `update`, and adds nothing up over replicas."""
    object.__setattr__(optimizer, "_all_reduce_sum_gradients", lambda pairs: pairs)
    object.__setattr__(optimizer, "_backend_update_step", update)
    try:
        yield
    finally:
        object.__delattr__(optimizer, "_backend_update_step")
        object.__delattr__(optimizer, "_all_reduce_sum_gradients")
