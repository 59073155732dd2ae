"""Whether settings that are right by themselves fit each other."""

import importlib

OF_CELLS = ("weight_drop", "recurrent_dropout", "zoneout")  # settings that are arguments of the recurrent layers

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


def task_of(recipe):
    """How the model of a recipe learns. Imported here: the tasks' settings are made of this room's rules."""
    return importlib.import_module("keras_rnnlm.training.tasks").task_of(recipe)


def _check_task(recipe):
    """The task's own settings, those that are not given as their defaults, and what the task says of all others."""
    task = task_of(recipe)
    own = dict(recipe.task_settings)
    for name in task.retired_settings:
        if own.get(name) in (None, "none"):
            own.pop(name, None)
    given = {name: field.default for name, field in task.settings.items()} | own
    for name, value in given.items():
        if name not in task.settings:
            there = f"it has {', '.join(task.settings)}" if task.settings else "it has none of its own"
            raise ValueError(f"The task {recipe.task} has no setting {name!r}: {there}. Received: {name}={value!r}")
        rule = task.settings[name].metadata["rule"]
        if not rule.fits(value):
            raise ValueError(f"`task_settings.{name}` is {rule.allowed}. Received: {name}={value!r}")
        given[name] = rule.keep(value)
    object.__setattr__(recipe, "task_settings", given)
    for name in task.unread:
        field, value = recipe.__dataclass_fields__[name], getattr(recipe, name)
        if value != field.default and value != {}:
            raise ValueError(f"The task {recipe.task} does not read `{name}`: drop it. Received: {name}={value!r}")
    task.check(recipe)


def _check_options(recipe):
    options = (("cell_options", ("dropout", *OF_CELLS)), ("head_options", ()), ("optimizer_options", ()))
    for table, allowed in options:
        for key in getattr(recipe, table):
            if key in OF_CELLS and getattr(recipe, key):
                raise ValueError(
                    f"`{key}` is a setting of its own: drop it from `{table}`. Received: {key}={getattr(recipe, key)} "
                    f"and {table}={getattr(recipe, table)}"
                )
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
    averages = {name: getattr(recipe, name) for name in ("ema", "swa_from", "nt_asgd")}
    averages = {name: value for name, value in averages.items() if value is not None}
    if len(averages) > 1:
        given = ", ".join(f"{name}={value}" for name, value in averages.items())
        raise ValueError(f"A run has one average of its weights: `ema`, `swa_from` or `nt_asgd`. Received: {given}")
    if recipe.accumulate > 1 and "gradient_accumulation_steps" in recipe.optimizer_options:
        raise ValueError(
            "`accumulate` is Keras's gradient_accumulation_steps: drop that from `optimizer_options`. Received: "
            f"accumulate={recipe.accumulate} and optimizer_options={recipe.optimizer_options}"
        )
    if recipe.accumulate > 1 and recipe.random_windows and recipe.reduction == "mean":
        raise ValueError(
            "The rate follows the length of a random window, and an update of several windows has no one length: set "
            f"accumulate=1, or random_windows=false. Received: accumulate={recipe.accumulate}, random_windows=True"
        )
    if recipe.steps_per_execution > 1:
        each = {"swa_from": recipe.swa_from is not None, "nt_asgd": recipe.nt_asgd is not None}
        each["random_windows"] = recipe.random_windows and recipe.reduction == "mean"
        for name in (name for name, needs in each.items() if needs):
            raise ValueError(
                f"{name}={getattr(recipe, name)} sets something before each step, and several steps of one execution "
                f"have nothing between them: set steps_per_execution=1, or drop `{name}`. "
                f"Received: steps_per_execution={recipe.steps_per_execution}"
            )
    if recipe.min_learning_rate > recipe.learning_rate:
        raise ValueError(
            "`min_learning_rate` is at most `learning_rate`. "
            f"Received: min_learning_rate={recipe.min_learning_rate}, learning_rate={recipe.learning_rate}"
        )
    if recipe.eval_every == 0:
        for name in _follows_validation(recipe):
            raise ValueError(
                f"{name}={getattr(recipe, name)} follows the validation loss, and eval_every=0 turns validation "
                "off: set eval_every=none for one each epoch, or a number of steps. Received: eval_every=0"
            )


def _follows_validation(recipe):
    """The settings that do nothing where nothing is validated."""
    follows = {"schedule": recipe.schedule == "plateau"}
    follows |= {name: getattr(recipe, name) is not None for name in ("stop_after", "nt_asgd")}
    return [name for name, needs in follows.items() if needs]


def check_averages(recipe):
    """Once it is known how many epochs there are: raises where a mean would never begin."""
    if recipe.swa_from is not None and recipe.swa_from >= recipe.epochs:
        raise ValueError(
            "The mean of the weights begins before the last epoch is over: lower `swa_from`, or raise `epochs`. "
            f"Received: swa_from={recipe.swa_from}, epochs={recipe.epochs}"
        )


def check_validated(recipe, splits):
    """Raises where there is no text to validate on, and a setting follows its loss."""
    if "valid" not in splits:
        for name in _follows_validation(recipe):
            raise ValueError(
                f"{name}={getattr(recipe, name)} follows the validation loss, and there is no text to validate on: "
                f"give one, or another split, or drop `{name}`. Received: split={recipe.split!r}"
            )
