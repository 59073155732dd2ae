"""A method of a model as one compiled function, on every backend."""

import keras


def compiled(model, method):
    """`method` without Python's overhead and without gradients; it may read the model's variables, not write them.

    It takes and returns tensors, and lists of them. Keep the result: each call of this function compiles again.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.function(method, autograph=False, reduce_retracing=True)
    if backend == "jax":
        import jax

        variables = list(model.variables)

        @jax.jit
        def stateless(values, *args):
            with keras.StatelessScope(state_mapping=list(zip(variables, values))):
                return method(*args)

        return lambda *args: stateless([variable.value for variable in variables], *args)
    import torch

    return torch.no_grad()(method)
