"""What the loop, the run directory and the commands ask of a task."""

import collections.abc
import dataclasses
import os

from keras_rnnlm import tasks

VOCABULARY = ("tokenizer", "vocabulary_size", "min_count")
NETWORK = ("task", "task_settings", "units", "layers", "cell", "cell_options", "embedding_dim", "tied", "connection")
NETWORK += ("head", "head_options")
FIXED = (*VOCABULARY, "encoding", "split", *NETWORK, "initial_range", "forget_bias", "unigram_bias", "precision")
FIXED += ("text_column", "mode", "batch", "window", "grow", "random_windows", "window_multiple")
FIXED += ("optimizer", "ema", "seed")


@dataclasses.dataclass(frozen=True)
class Given:
    """The texts as the user named them: paths, globs, "stdlib", "tfds:NAME".

    >>> Given(["reviews.csv"], valid=["dev.csv"]).test is None
    True
    """

    corpus: object
    valid: object = None
    test: object = None


@dataclasses.dataclass(frozen=True)
class Data:
    """What a task learns from.

    Attributes:
        splits: by name, "train" always and "valid" where there is one: what `Task.stream` and `Scorer.score` read.
        vocabulary: what `Task.build` needs to know of the symbols, of the class that the task's `Parts` name.
        fingerprints: the texts "vocabulary" and "text", of what a run must resume with.

    >>> data = Data({"train": np.zeros((9, 2))}, vocabulary=None, fingerprints={"vocabulary": "a", "text": "b"})
    >>> sorted(data.fingerprints)
    ['text', 'vocabulary']
    """

    splits: collections.abc.Mapping
    vocabulary: object
    fingerprints: dict


class Scorer:
    """Scores splits by a model.

    Attributes:
        decides: which of the numbers says which model is best.
        larger_is_better: whether it is better when it is larger.
        in_detail: whether `score` tells what is of `evaluate` alone, too.

    >>> class Accuracy(Scorer):
    ...     decides, larger_is_better = "accuracy", True
    ...
    ...     def score(self, split, progress=None):
    ...         right = self.model(split) == 0
    ...         return {"loss": 1.0, "accuracy": float(np.mean(right))}
    >>> Accuracy(np.sign).score(np.array([0.0, 2.0]))["accuracy"]
    0.5
    """

    decides = "loss"
    larger_is_better = False
    in_detail = False

    def __init__(self, model):
        self.model = model

    def score(self, split, progress=None):
        """A dict of numbers, `loss` among them. `progress(done, steps)` is called meanwhile."""
        raise NotImplementedError


class Task:
    """How a model learns. A task overrides what it does its own way; methods that raise have no default.

    Attributes:
        settings: its own settings, which a recipe has in `task_settings`: from each one's name to a `setting`.
        recipe: the built-in recipe that is taken where none is named; None: the defaults.
        unread: settings of a recipe that it does not read: another value than the default is refused.
        vocabulary_settings, network_settings: a run that begins with another's weights has these from it.
        text_settings: of its own settings those that are of its text, such as columns: such a run begins without them.
        free_settings: those that say nothing of the network either: such a run may have others.
        retired_settings: that it had in an older version, and never read: recipes of that time hold them as none.
        reads_examples: whether an epoch may be few steps: epochs and warm-up are then chosen by their number, where the
            user names neither these nor a recipe.
        writes: whether `evaluate` takes `beam`, `rescoring` and `bleu`, by which a translator writes.
        fixed: what `--resume` must not change: it would be another run, or the setting would have no effect any more.

    >>> from keras_rnnlm import schema
    >>> from keras_rnnlm.training.tasks import setting
    >>> class Counting(Task):
    ...     settings = {"length": setting(7, "symbols in a sequence", schema.whole(1))}
    >>> Counting(tasks.parts_of("tag")).vocabulary_class.__name__
    'Vocabulary'
    """

    settings = {}
    recipe = None
    unread = ()
    vocabulary_settings = VOCABULARY
    network_settings = NETWORK
    text_settings = free_settings = retired_settings = ()
    fixed = FIXED
    reads_examples = True
    writes = False

    def __init__(self, parts):
        self.parts = parts

    @property
    def vocabulary_class(self):
        """The class of what it knows its symbols by, see `keras_rnnlm.tasks.Parts`."""
        return tasks.imported(self.parts.vocabulary)

    @property
    def files(self):
        """Of the run directory, what is needed to resume. What else it keeps it puts into `folder.data`."""
        return self.vocabulary_class.FILES

    # What it reads

    def check(self, recipe):
        """Raises a ValueError where settings of a recipe do not fit each other."""

    def choose(self, given, recipe, named, folder, display, minutes):
        """Settings that suit what is `Given`, where the user names no recipe: a dict, told with its reasons.

        `named` are the settings that the user has named all the same, and `minutes` may be None.
        """
        return {} if minutes is None else {"max_minutes": minutes}

    def brings(self, given, recipe, named):
        """Settings that what is `Given` decides by itself, a dict; a ValueError where the user has `named` others."""
        return {}

    def prepare(self, given, recipe, folder, display, first=None):
        """Reads what is `Given`, learns a vocabulary, leaves all that is read again in a `RunFolder`: a `Data`.

        `first` is the `RunFolder` of a run that this one begins with: its vocabulary is taken.
        """
        raise NotImplementedError

    def restore(self, recipe, folder, display):
        """The `Data` that `prepare` left."""
        raise NotImplementedError

    def vocabulary(self, folder):
        """The vocabulary that `prepare` left, without the texts."""
        return folder.read_vocabulary(self.vocabulary_class)

    def describe(self, data):
        """The data in a few words, for the display."""
        return ", ".join(f"{len(split):,} in {name}" for name, split in data.splits.items())

    def stream(self, data, split, recipe):
        """A split in batches, a function of the seed and the epoch alone.

        It has `steps(epoch)`, `dataset(epoch, first)`, the `tf.data.Dataset` from batch `first` on, or what else `fit`
        takes, and, where the model carries its states from batch to batch, `carries_states`.
        """
        raise NotImplementedError

    def carries(self, recipe):
        """Whether its streams have the model carry its states."""
        return False

    # The model

    def model_class(self):
        from keras_rnnlm.quiet import import_keras

        import_keras()
        return tasks.imported(self.parts.model)

    def build(self, recipe, vocabulary):
        """A new model, not compiled. It and its layers have names of their own: checkpoints know variables by these."""
        raise NotImplementedError

    def compile(self, model, optimizer, recipe):
        model.compile(optimizer, auto_scale_loss=False)

    def begin(self, model, data, recipe):
        """Shows a new model the data before it learns."""

    def check_model(self, model, vocabulary, folder):
        """Raises a ValueError where a model and a vocabulary are not of one run."""

    # A run that begins with the weights of another

    def settings_from(self, begun):
        """What it must have from the recipe of a run of another task, a dict for `Recipe.override`.

        A ValueError where it cannot begin with such a run.
        """
        raise ValueError(f"A run of another task has other weights, with which this one cannot begin: {begun.task}")

    def begin_with(self, model, other, vocabulary, other_vocabulary):
        """Gives a new model the weights of another; a ValueError where they do not fit."""
        model.set_weights(other.get_weights())

    # Its score

    def scorer(self, model, data, recipe):
        """A `Scorer`, which validates."""
        raise NotImplementedError

    def evaluate(self, folder, recipe, text, display, **options):
        """What the command `evaluate` finds: a dict of numbers under "model". `options` are those of the command."""
        check_options(options, folder, recipe, self.unread)
        data = self.restore(recipe, folder, display)
        column = options["text_column"]
        check_split(folder, text, data.splits, column)
        is_own = text in data.splits
        recipe = dataclasses.replace(recipe, text_column=column or recipe.text_column)
        split = data.splits[text] if is_own else self.read(text, data, recipe, options["encoding"], display)
        if split is None:
            raise ValueError(f"The run {folder} has no {text} split, but {', '.join(data.splits)}: name one")
        model = folder.read_model(data.fingerprints.get("text") if is_own else None)
        recipe = dataclasses.replace(recipe, eval_batch=options["batch"] or recipe.eval_batch)
        scorer = self.scorer(model, data, recipe)
        scorer.in_detail = True
        return {"model": scorer.score(split, display.evaluating), **self.others(split)}

    def others(self, split):
        """What ways without a model come to on a split, for `evaluate` to show beside it: dicts by name."""
        return {}

    def read(self, path, data, recipe, encoding, display):
        """A file of examples, or one split of a data set, as a split, for `evaluate`; None where it is neither."""


def check_split(folder, text, splits, column=None):
    """Raises where `text` names a split that a run does not have, or a column is named of one that it has.

    A file of that name is ./test, or a `Path`.
    """
    from keras_rnnlm.training.corpora.file_sources import SPLITS

    if text in splits and column is not None:
        raise ValueError(f"The {text} split is of one text: drop `text_column`. Received: {column!r}")
    if text in SPLITS and text not in splits:
        file = f"the file as {os.path.join('.', text)}" if os.path.exists(text) else "a file"
        raise ValueError(
            f"The run {folder} has no {text} split, but {', '.join(splits)}: name one, or {file} "
            f"(it was trained without --{text})"
        )


def check_options(options, folder, recipe, unread):
    """Raises for an option of the command `evaluate` that is for language models alone, or `unread` by the task."""
    if options.get("text_column") is not None and "text_column" in unread:
        raise ValueError(f"`text_column` is for texts in tables, and {folder} is a run of the task {recipe.task}")
    for name in set(options) - {"batch", "window", "encoding", "text_column"}:
        if options[name] not in (None, False):
            raise ValueError(f"`{name}` is for language models, and {folder} is a run of the task {recipe.task}")
