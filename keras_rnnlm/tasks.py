"""The tasks by name: where each one's parts stand. Importing this imports none of them.

A recipe and an export name their task. What differs between tasks stands in three classes, one a room: the network, how
it learns, and how an exported file answers without Keras; and a fourth says what it knows its symbols by, which most
share. A line in `TASKS` joins them. A task of your own is named by
the place of its `Parts`: `task = "my_package.tagging:TASK"`.
"""

import dataclasses

from keras_rnnlm.places import imported, is_place

DEFAULT = "language_model"  # of what names none, as what version 0.1.0 wrote


@dataclasses.dataclass(frozen=True)
class Parts:
    """Where a task's parts stand, each "package.module:Class".

    Args:
        model: a `keras.Model` with the methods `tally`, see `keras_rnnlm.models.tally`, and `signatures`, see
            `keras_rnnlm.models.signatures`; one that carries states from batch to batch has `reset_states(batch_size)`.
        learning: a `keras_rnnlm.training.tasks.Task`.
        answer: a `keras_rnnlm.export.runtime.ExportedModel`.
        vocabulary: what a run, an export and an exported file keep with the model: a `Tokenizer` by default, or a class
            with what `keras_rnnlm.text.Vocabulary` has of one: `FILES`, `load`, `save`, `definitions`, `of` and
            `fingerprint`.

    >>> parts = Parts("my_package:Model", "my_package:Learning", "my_package:Answer")
    >>> parts.vocabulary
    'keras_rnnlm.text:Tokenizer'
    """

    model: str
    learning: str
    answer: str
    vocabulary: str = "keras_rnnlm.text:Tokenizer"


TASKS = {
    "language_model": Parts(
        "keras_rnnlm.models:LanguageModel",
        "keras_rnnlm.training.tasks.language_model:LanguageModeling",
        "keras_rnnlm.export.runtime.language_model:ExportedLanguageModel",
    ),
    "tag": Parts(
        "keras_rnnlm.models:Tagger",
        "keras_rnnlm.training.tasks.tagging:Tagging",
        "keras_rnnlm.export.runtime.tagger:ExportedTagger",
        "keras_rnnlm.text:Vocabulary",
    ),
    "classify": Parts(
        "keras_rnnlm.models:Classifier",
        "keras_rnnlm.training.tasks.classification:Classification",
        "keras_rnnlm.export.runtime.classifier:ExportedClassifier",
        "keras_rnnlm.text:Vocabulary",
    ),
    "match": Parts(
        "keras_rnnlm.models:Matcher",
        "keras_rnnlm.training.tasks.matching:Matching",
        "keras_rnnlm.export.runtime.matcher:ExportedMatcher",
        "keras_rnnlm.text:WeightedVocabulary",
    ),
    "translate": Parts(
        "keras_rnnlm.models:Translator",
        "keras_rnnlm.training.tasks.translation:Translation",
        "keras_rnnlm.export.runtime.translator:ExportedTranslator",
        "keras_rnnlm.text:PairVocabulary",
    ),
    "describe": Parts(
        "keras_rnnlm.models:Translator",
        "keras_rnnlm.training.tasks.description:Description",
        "keras_rnnlm.export.runtime.describer:ExportedDescriber",
        "keras_rnnlm.text:TargetVocabulary",
    ),
    "transcribe": Parts(
        "keras_rnnlm.models:Translator",
        "keras_rnnlm.training.tasks.transcription:Transcription",
        "keras_rnnlm.export.runtime.describer:ExportedDescriber",
        "keras_rnnlm.text:TargetVocabulary",
    ),
}


def is_name(task):
    """Whether it may name a task: one of `TASKS`, or the place of one of your own.

    >>> is_name("tag"), is_name("my_package.tagging:TASK"), is_name("tagging")
    (True, True, False)
    """
    return isinstance(task, str) and (task in TASKS or is_place(task))


def parts_of(task):
    """The `Parts` of a task by its name.

    >>> parts_of("tag").model
    'keras_rnnlm.models:Tagger'
    """
    if not is_name(task):
        raise ValueError(f"A task is {', '.join(TASKS)}, or the place of one, package.module:NAME. Received: {task!r}")
    if task in TASKS:
        return TASKS[task]
    found = imported(task, "task")
    if not isinstance(found, Parts):
        raise ValueError(f"A task's place holds its `keras_rnnlm.tasks.Parts`. Received: {task!r}, {found!r:.80}")
    return found


def vocabulary_of(task):
    """The class of a task's vocabulary; of no task, that of texts.

    >>> vocabulary_of("translate").__name__
    'PairVocabulary'
    """
    return imported((parts_of(task) if task is not None else parts_of(DEFAULT)).vocabulary)
