"""How the files of each task answer, by what they say of themselves."""

from keras_rnnlm import tasks
from keras_rnnlm.export.runtime.models import ExportedModel


def answer_of(about, trusted=False):
    """The class of an exported model: an `ExportedModel`, or its task's own.

    Args:
        about: what a file says of itself. Those of version 0.1.0 name no task; what has a vocabulary and states is a
            language model.
        trusted: whether a task may be imported that is none of this package's: the file chooses what is imported.
    """
    task = about.get("task")
    if task is None and "vocabulary_size" in about and about.get("states"):
        task = tasks.DEFAULT
    if task is None:
        return ExportedModel
    if task not in tasks.TASKS and not trusted:
        raise ValueError(
            f"The task {task!r} is none of {', '.join(tasks.TASKS)}: to answer, it would be imported. "
            "`runtime.load(path, trusted=True)`, or --trusted, does that for one of your own"
        )
    parts = tasks.parts_of(task)
    found = tasks.imported(parts.answer)
    if not (isinstance(found, type) and issubclass(found, ExportedModel)):
        raise ValueError(f"How a task answers is an ExportedModel. Received: {found!r:.80} in {parts.answer}")
    return found
