"""Whether settings that are right by themselves fit each other."""

import importlib

# Arguments of Keras's optimizers that are settings of their own.
ELSEWHERE = {
    **dict.fromkeys(("clipnorm", "global_clipnorm", "clipvalue"), "`max_norm` and `clip_by`"),
    **dict.fromkeys(("use_ema", "ema_momentum", "ema_overwrite_frequency"), "`ema`"),
}


def check(recipe):
    """Raises a ValueError where they do not."""
    _check_task(recipe)
    _check_options(recipe)
    _check_optimisation(recipe)


def _check_task(recipe):
    """The task's own settings, those that are not given as their defaults, and what the task says of all others."""
    task = importlib.import_module("keras_rnnlm.training.tasks").task_of(recipe)
    given = {name: field.default for name, field in task.settings.items()} | recipe.task_settings
    for name, value in given.items():
        if name not in task.settings:
            there = f"it has {', '.join(task.settings)}" if task.settings else "it has none of its own"
            raise ValueError(f"The task {recipe.task} has no setting {name!r}: {there}. Received: {name}={value!r}")
        rule = task.settings[name].metadata["rule"]
        if not rule.fits(value):
            raise ValueError(f"`task_settings.{name}` is {rule.allowed}. Received: {name}={value!r}")
        given[name] = rule.keep(value)
    object.__setattr__(recipe, "task_settings", given)
    task.check(recipe)


def _check_options(recipe):
    for table, allowed in (("cell_options", ("dropout",)), ("head_options", ()), ("optimizer_options", ())):
        for key in getattr(recipe, table):
            if key in recipe.__dataclass_fields__ and key not in allowed:
                raise ValueError(
                    f"`{key}` is a setting of its own: drop it from `{table}`. In a TOML file settings come before the "
                    f"first [table]. Received: {table}={getattr(recipe, table)}"
                )
    for key in recipe.optimizer_options:
        if key in ELSEWHERE:
            raise ValueError(
                f"`optimizer_options` leaves {key!r} to {ELSEWHERE[key]}. "
                f"Received: optimizer_options={recipe.optimizer_options}"
            )


def _check_optimisation(recipe):
    if recipe.min_learning_rate > recipe.learning_rate:
        raise ValueError(
            "`min_learning_rate` is at most `learning_rate`. "
            f"Received: min_learning_rate={recipe.min_learning_rate}, learning_rate={recipe.learning_rate}"
        )
    if recipe.eval_every == 0:
        for name, needs in (("schedule", recipe.schedule == "plateau"), ("stop_after", recipe.stop_after is not None)):
            if needs:
                raise ValueError(
                    f"{name}={getattr(recipe, name)} follows the validation loss, and eval_every=0 turns validation "
                    "off: set eval_every=none for one each epoch, or a number of steps. Received: eval_every=0"
                )
