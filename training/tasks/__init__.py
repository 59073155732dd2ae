"""Tasks: what each reads, the model it builds, its stream and its score, one a file.

A task's name, and where its other parts stand, is a line in `keras_rnnlm.tasks`.
"""

from keras_rnnlm import tasks
from keras_rnnlm.training.recipes.rules import setting
from keras_rnnlm.training.tasks.needed import OF_TASK, check_has
from keras_rnnlm.training.tasks.task import Data, Given, Scorer, Task

__all__ = ["Data", "Given", "Scorer", "Task", "setting", "task_of"]


def task_of(recipe):
    """The `Task` that a recipe names.

    >>> type(task_of(keras_rnnlm.training.Recipe.load("tagger"))).__name__
    'Tagging'
    """
    parts = tasks.parts_of(recipe.task)
    found = tasks.imported(parts.learning)
    if not (isinstance(found, type) and issubclass(found, Task)):
        raise ValueError(f"How a task learns is a Task. Received: {found!r:.80} in {parts.learning}")
    check_has(found, OF_TASK, "How a task learns")
    return found(parts)
