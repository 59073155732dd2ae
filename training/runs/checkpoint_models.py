"""Models of runs that have no model.keras yet: they are in the checkpoints."""

import contextlib

import numpy as np

from keras_rnnlm.training.recipes import growth
from keras_rnnlm.training.runs.display import Display
from keras_rnnlm.training.tasks import task_of


def model_variables(model):
    """The variables of a model by the names that checkpoints know them by."""
    carried = getattr(model, "carried", None)
    as_a_whole = {} if carried is None else {id(rows.variable): rows for rows in carried.rows}
    # Not by their paths: Keras numbers the seed generators and the optimizers of a process.
    return {f"model {i} {v.name}": as_a_whole.get(id(v), v) for i, v in enumerate(model.variables)}


def optimizer_variables(optimizer):
    return {f"optimizer {i} {v.name}": v for i, v in enumerate(optimizer.variables)}


def values(variables):
    """What variables hold, each as a whole, in numpy. Where several processes train, all of them have to ask."""
    from keras_rnnlm.optimizers.replicas import RowsOfReplicas
    from keras_rnnlm.recurrence import backend

    return {
        name: v.read() if isinstance(v, RowsOfReplicas) else backend.whole(v.value) for name, v in variables.items()
    }


def innermost(optimizer):
    """The optimizer that makes the steps, within those around it."""
    while hasattr(optimizer, "inner_optimizer"):
        optimizer = optimizer.inner_optimizer
    return optimizer


def averages(optimizer):
    """Pairs of the variables that are trained and their averages, where the recipe asks for averages."""
    from keras_rnnlm.optimizers.private_keras import averages_of, trained_by

    optimizer = innermost(optimizer)
    return list(zip(trained_by(optimizer), averages_of(optimizer)))


@contextlib.contextmanager
def averaged(optimizer):
    """With the averages in the place of the variables."""
    from keras_rnnlm.recurrence import backend

    pairs = averages(optimizer)
    # Copies in numpy: PyTorch writes into the tensors.
    kept = [np.array(backend.whole(variable.value)) for variable, _ in pairs]
    for variable, average in pairs:
        variable.assign(average.value)
    try:
        yield
    finally:
        for (variable, _), value in zip(pairs, kept):
            variable.assign(value)


def taken_apart(arrays):
    """What a checkpoint holds of variables, and of generators of random numbers, see `backend.random_states`.

    >>> taken_apart({"random state": 1, "model 0 kernel": 2})
    ({'model 0 kernel': 2}, {'random state': 1})
    """
    generators = {name: array for name, array in arrays.items() if name.startswith("random state")}
    return {name: array for name, array in arrays.items() if name not in generators}, generators


def check_same_kind(variables, arrays, folder):
    """Raises unless what a checkpoint of a run holds fits the variables."""
    mine = {name: (tuple(v.shape), _kind(v.dtype)) for name, v in variables.items()}
    theirs = {name: (array.shape, _kind(array.dtype)) for name, array in arrays.items()}
    if mine != theirs:
        name = next(name for name in [*mine, *theirs] if mine.get(name) != theirs.get(name))
        raise ValueError(
            f"The checkpoints in {folder} are of another model or optimizer: resume with the settings that the run "
            "began with, or start a new run with another --out. They differ in "
            f"{name!r}: {theirs.get(name, ['none'])[0]} there, {mine.get(name, ['none'])[0]} here"
        )


def _kind(dtype):
    """Of numbers: the same variable may have another width on another backend."""
    name = str(dtype)
    return next((kind for kind in ("int", "float") if kind in name), name)


def read_newest(folder, build):
    """The model of a run's newest whole checkpoint, or None. Says that it is not the best one of a validation.

    Args:
        folder: a `RunFolder`.
        build: `build(recipe, vocabulary)` makes the model, compiled.
    """
    found = folder.checkpoints().read()
    if found is None:
        return None
    step = found[0]
    model = _model_of(folder, build, *found[:2])
    Display().warn(
        f"{folder} has no model.keras yet, which the first validation writes: this is its newest checkpoint, of step "
        f"{step:,}{'' if step else ', before it learnt anything'}"
    )
    return model


def read_models(folder, build):
    """The models of a run's whole checkpoints, the newest first, one at a time; not of that before the first step."""
    checkpoints = folder.checkpoints()
    for _, path in reversed(checkpoints.files()):  # of now: a run that goes on writes others, and removes these
        try:
            step, arrays, _ = checkpoints.read_from(path)
        except Exception:  # gone, or damaged in one of many ways
            continue
        if step:
            yield _model_of(folder, build, step, arrays)


def _model_of(folder, build, step, arrays):
    """A checkpoint's model by itself; of averages, where the recipe asks for them."""
    recipe = folder.read_recipe()
    task = task_of(recipe)
    model = build(recipe, task.vocabulary(folder))
    model.optimizer.build(model.trainable_variables)
    if task.carries(recipe):
        for batch in growth.batches(recipe):  # what the run carries is in its checkpoints
            model.reset_states(batch)
    arrays, _ = taken_apart(arrays)
    variables = model_variables(model) | optimizer_variables(model.optimizer)
    if {name: tuple(variable.shape) for name, variable in variables.items()} != {
        name: array.shape for name, array in arrays.items()
    }:
        raise ValueError(f"The checkpoints in {folder} are of another model than its recipe.toml tells")
    for name, variable in variables.items():
        variable.assign(arrays[name])
    if recipe.averages and step:
        for variable, average in averages(model.optimizer):
            variable.assign(average.value)
    alone = type(model).from_config(model.get_config())
    alone.set_weights(model.get_weights())
    return alone
