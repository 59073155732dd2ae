"""A method of a model as one compiled function, on every backend."""

import functools

import keras

from keras_rnnlm.recurrence import backend as of_backend


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

        def stateless(values, *args):
            with keras.StatelessScope(state_mapping=list(zip(variables, values))):
                return method(*args)

        distribution = keras.distribution.distribution()
        if distribution is None:
            program = jax.jit(stateless)
            return lambda *args: program([variable.value for variable in variables], *args)
        # Each device reads its rows, and each process all that comes of them.
        everywhere = keras.distribution.TensorLayout([], distribution.device_mesh).backend_layout
        program = jax.jit(stateless, out_shardings=everywhere)

        def on_all(*args):
            args = keras.tree.map_structure(of_backend.placed, args)
            return program([variable.value for variable in variables], *args)

        return on_all
    import torch

    return torch.no_grad()(method)


def weights_of(model):
    """What tells the layers' weights of now from others, such as LoRA's: a program keeps those it was made with."""
    return tuple(id(variable) for layer in model.layers for variable in layer.variables)


def compiled_gradient(model, method):
    """`method` with the gradient of what it returns first: a function that returns `(gradients, the rest)`.

    `method` returns a scalar, and a list of tensors that carry no gradient. The gradients are dense, one for each of
    the model's trainable variables, zeros where it takes no part.
    """
    backend = keras.backend.backend()
    variables = list(model.trainable_variables)
    if backend == "tensorflow":
        import tensorflow as tf

        @functools.partial(tf.function, autograph=False, reduce_retracing=True)
        def gradient(*args):
            values = [variable.value for variable in variables]
            with tf.GradientTape() as tape:
                total, rest = method(*args)
            found = tape.gradient(total, values, unconnected_gradients="zero")
            return [tf.convert_to_tensor(part) for part in found], rest

        return gradient
    if backend == "jax":
        import jax

        others = list(model.non_trainable_variables)

        @jax.jit
        def stateless(values, fixed, *args):
            def scalar(values):
                mapping = [*zip(variables, values), *zip(others, fixed)]
                with keras.StatelessScope(state_mapping=mapping) as scope:
                    total, rest = method(*args)
                return total, (rest, [scope.get_current_value(variable) for variable in others])

            (_, (rest, after)), found = jax.value_and_grad(scalar, has_aux=True)(values)
            return found, rest, after

        def gradient(*args):
            found, rest, after = stateless([v.value for v in variables], [v.value for v in others], *args)
            for variable, value in zip(others, after):  # the seeds of what is drawn, which are others each time
                variable.assign(value)
            return found, rest

        return gradient
    import torch

    def eager(*args):
        values = [variable.value for variable in variables]
        total, rest = method(*args)
        found = torch.autograd.grad(total, values, allow_unused=True, materialize_grads=True)
        return found, keras.tree.map_structure(torch.Tensor.detach, rest)

    return eager
