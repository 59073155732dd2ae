"""The optimizer that a recipe asks for."""

from keras_rnnlm.quiet import import_keras


def optimizer_of(recipe):
    """A `ClippedOptimizer` around a Keras optimizer, by a recipe's settings."""
    keras = import_keras()
    from keras_rnnlm.optimizers import ClippedOptimizer

    options = dict(recipe.optimizer_options)
    if recipe.weight_decay or recipe.optimizer == "adamw":  # which would decay by Keras's default
        options["weight_decay"] = recipe.weight_decay
    if recipe.accumulate > 1:
        options["gradient_accumulation_steps"] = recipe.accumulate
    if recipe.averages:
        momentum = 0.0 if recipe.ema is None else recipe.ema
        options |= {"use_ema": True, "ema_momentum": momentum, "ema_overwrite_frequency": None}
    try:
        inner = keras.optimizers.get(
            {"class_name": recipe.optimizer, "config": {"learning_rate": recipe.learning_rate, **options}}
        )
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`optimizer_options` are arguments of Keras's {recipe.optimizer}. Received: {options} ({error})"
        ) from error
    if recipe.averages and recipe.ema is None:  # the loop sets it, before each step
        inner.ema_momentum = inner.add_variable((), name="ema_momentum", aggregation="only_first_replica")
    if recipe.precision == "mixed_float16":
        inner = keras.optimizers.LossScaleOptimizer(inner)  # within, so that the steps it throws away are counted
    return ClippedOptimizer(inner, recipe.max_norm, by=recipe.clip_by)
