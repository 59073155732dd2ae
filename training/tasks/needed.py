"""What a task and its parts must have: told by name before anything is read or trained."""

from keras_rnnlm.training.tasks.task import Scorer, Task

# Each method, and what it returns.
OF_TASK = {
    "prepare": "the `Data` to learn from",
    "restore": "the `Data` that `prepare` left",
    "stream": "batches, by `steps(epoch)` and `dataset(epoch, first)`",
    "build": "a new model, not compiled",
    "scorer": "a `Scorer`",
}
OF_SCORER = {"score": "a dict of numbers by name, `loss` among them"}
OF_STREAM = {
    "steps": "the number of batches in an epoch",
    "dataset": "these batches as a `tf.data.Dataset`, or as what else `fit` takes",
}
OF_MODEL = {"tally": "its `keras_rnnlm.models.tally.Tally`"}


def check_has(part, needed, what):
    """Raises where a part of a task lacks one of the `needed` methods; those of a base that only raise are none."""
    kind = part if isinstance(part, type) else type(part)
    for name, returns in needed.items():
        found = getattr(part, name, None)
        found = getattr(found, "__func__", found)
        if found is None or found in (vars(Task).get(name), vars(Scorer).get(name)):
            raise ValueError(
                f"{what} needs a method `{name}`, which returns {returns}. "
                f"Received: the class {kind.__module__}.{kind.__qualname__}, which has none"
            )
