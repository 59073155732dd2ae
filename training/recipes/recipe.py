"""Recipes: every setting of a training run as data, with its meaning, its limits and its place in a TOML file."""

import dataclasses
import importlib.resources
import math
import os
import pathlib
import tomllib

from keras_rnnlm import tasks
from keras_rnnlm.cell_list import OWN
from keras_rnnlm.schema import choice, nearest, number, read_regular, whole
from keras_rnnlm.training.recipes import consistency, toml_text
from keras_rnnlm.training.recipes.growth import GROWTH
from keras_rnnlm.training.recipes.rules import (
    CELL,
    COUNT,
    FACTOR,
    FLAG,
    HEAD,
    NOT_NEGATIVE,
    POSITIVE,
    RATE,
    SHARES,
    TABLE,
    TASK,
    TEXT,
    TOKENIZER,
    WIDTHS,
    copy_of,
    optional,
    setting,
)

LARGEST = 1 << 20  # bytes of a recipe


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Every setting of a training run. The defaults suit some millions of words, or of pieces of them, on two cores.

    `settings_help()` lists the settings and their meanings, `built_in()` the recipes that come with the package.

    >>> recipe = Recipe.load("zaremba-small").override(["units=250", "cell_options.peephole=true"])
    >>> recipe.units, recipe.cell_options, recipe.max_norm
    (250, {'peephole': True}, 5.0)
    >>> Recipe(batch=0)
    Traceback (most recent call last):
        ...
    ValueError: `batch` is a whole number, at least 1. Received: batch=0
    """

    tokenizer: str = setting("bpe", "{}", TOKENIZER, begins="Text")
    vocabulary_size: int | None = setting(
        None, "the most symbols that it may have; none: as many as the tokenizer finds or prefers", optional(whole(2))
    )
    min_count: int = setting(1, "rarer symbols are left out of the vocabulary", COUNT)
    encoding: str = setting("utf-8", "of the text's files", TEXT)
    text_column: str | None = setting(
        None, "of tables, the column to learn from; none: the one that plainly is text", optional(TEXT)
    )
    split: str | None = setting(
        None, "percentages to cut the text by; none: its own splits, else 90/5/5", optional(SHARES)
    )

    units: int | list[int] = setting(400, "width of the layers, or a list with each one's", WIDTHS, begins="Network")
    layers: int = setting(2, "number of recurrent layers", whole(1, 1000))
    cell: str = setting("lstm", f"kind of layer: lstm, gru, ..., or a class of your own, {OWN}", CELL)
    cell_options: dict = setting(
        {}, "further arguments of the layers, such as {peephole = true, coupled = true}", TABLE
    )
    embedding_dim: int | None = setting(None, "width of the embedding; none: as the layers'", optional(COUNT))
    tied: bool = setting(True, "whether embedding and output layer share their weights", FLAG)
    head: str = setting("full", f"of the logits: full, adaptive, ..., or a class of your own, {OWN}", HEAD)
    head_options: dict = setting({}, "further arguments of the head, such as {cutoffs = [2000, 10000]}", TABLE)
    connection: str | None = setting(None, "between the layers: {}", optional(choice("residual", "dense", "highway")))
    dropout: float = setting(0.3, "fraction dropped before, between and after the layers", RATE)
    input_dropout: float | None = setting(None, "fraction dropped before the layers; none: `dropout`", optional(RATE))
    output_dropout: float | None = setting(None, "fraction dropped after the layers; none: `dropout`", optional(RATE))
    locked_dropout: bool = setting(False, "whether these masks are the same at all steps of a window", FLAG)
    embedding_dropout: float = setting(0.0, "fraction of the symbols that are zero throughout a window", RATE)
    weight_drop: float = setting(0.0, "fraction of the recurrent weights that are zero throughout a window", RATE)
    recurrent_dropout: float = setting(0.0, "fraction of the states that steps do not read, throughout a window", RATE)
    zoneout: float = setting(0.0, "fraction of the outputs of layers that keep their values at a step", RATE)
    ar: float = setting(0.0, "factor of a penalty on the last layer's outputs, as AWD-LSTM has it", NOT_NEGATIVE)
    tar: float = setting(0.0, "factor of a penalty on their change from step to step", NOT_NEGATIVE)
    initial_range: float | None = setting(
        None, "weights start uniform in ± this; none: each layer's own way", optional(POSITIVE)
    )
    forget_bias: float | None = setting(
        None, "of the forget gates at the start; none: the layer's own", optional(number("", lambda value: True))
    )
    unigram_bias: bool = setting(True, "whether the output's bias starts at the log of the symbols' frequencies", FLAG)
    precision: str = setting(
        "float32", "{}, by measuring", choice("float32", "mixed_bfloat16", "mixed_float16", "auto")
    )

    mode: str = setting(
        "contiguous",
        "{}: one long text, states carried, or each line alone",
        choice("contiguous", "sentences"),
        begins="Data",
    )
    batch: int = setting(32, "texts side by side", COUNT)
    window: int = setting(64, "time steps that a gradient reaches back; in sentences, the longest one", COUNT)
    grow: dict = setting({}, "other values from an epoch on, such as {3 = {batch = 64}, 5 = {window = 140}}", GROWTH)
    random_windows: bool = setting(False, "their length is drawn around `window`, and the rate follows it", FLAG)
    window_multiple: int = setting(1, "of which random lengths are multiples: JAX compiles each length", COUNT)
    eval_batch: int = setting(16, "texts side by side in validation", COUNT)

    optimizer: str = setting(
        "adam",
        "a Keras optimizer",
        choice("sgd", "adam", "adamw", "adamax", "nadam", "rmsprop", "adagrad", "adadelta", "adafactor", "lion"),
        begins="Optimisation",
    )
    learning_rate: float = setting(2e-3, "the highest of the schedule", POSITIVE)
    optimizer_options: dict = setting({}, "further arguments, such as {momentum = 0.9} or {beta_2 = 0.99}", TABLE)
    schedule: str = setting(
        "cosine", "{}; cosine ends with epochs or max_minutes", choice("constant", "plateau", "decay", "cosine")
    )
    decay: float = setting(0.5, "a plateau, or each epoch of a decay, multiplies the rate with this", FACTOR)
    decay_from: int = setting(5, "with decay: the number of epochs at the full rate", whole(0))
    patience: int = setting(1, "with plateau: validations without a better loss before the rate falls", COUNT)
    warmup_steps: int = setting(100, "the number of steps over which the rate rises at first", whole(0))
    min_learning_rate: float = setting(0.0, "no schedule goes below this", NOT_NEGATIVE)
    weight_decay: float = setting(0.0, "of the optimizer, by rate and decay, for sgd as L2; 0: off", NOT_NEGATIVE)
    max_norm: float | None = setting(1.0, "gradients are clipped to this; none: never", optional(POSITIVE))
    clip_by: str = setting(
        "global", "the norm of all, of each variable, or each number: {}", choice("global", "variable", "value")
    )
    reduction: str = setting(
        "mean", "{} of the loss over time, which is then averaged over the batch", choice("mean", "sum")
    )
    ema: float | None = setting(
        None,
        "momentum of the average of weights that is validated and saved; none: no average",
        optional(number(" between 0 and 1", lambda value: 0 < value < 1)),
    )
    swa_from: float | None = setting(
        None, "epochs after which the mean of the weights is validated and saved; none: never", optional(NOT_NEGATIVE)
    )
    nt_asgd: int | None = setting(
        None,
        "the same once a loss is worse than the best more than so many validations ago",
        optional(COUNT),
    )
    average_every: int = setting(1, "steps from one to the next of the weights in such a mean", COUNT)
    accumulate: int = setting(1, "batches whose gradients make one update", COUNT)
    steps_per_execution: int = setting(
        1, "steps that one call takes, at one rate: faster for small networks on TensorFlow", COUNT
    )

    epochs: int = setting(10, "passes over the text", COUNT, begins="Length")
    stop_after: int | None = setting(
        None, "validations without a better loss that end the run; none: they never do", optional(COUNT)
    )
    max_minutes: float | None = setting(
        None, "the run ends by then, with its best model; none: no limit", optional(POSITIVE)
    )
    eval_every: int | None = setting(None, "steps between validations; none: each epoch; 0: never", optional(whole(0)))
    log_every: int = setting(50, "steps between lines of history.jsonl", COUNT)
    checkpoint_every: int = setting(500, "steps between checkpoints", COUNT)
    keep_checkpoints: int = setting(3, "how many of the newest are kept, at least two", COUNT)

    retries: int = setting(
        3, "how often a NaN or Inf is answered by going back to a checkpoint", whole(0), begins="Recovery"
    )
    retry_factor: float = setting(0.5, "each time multiplies the rate with this", FACTOR)

    seed: int = setting(0, "of weights, dropout and order", whole(0, 2**32 - 1), begins="Repetition")
    deterministic: bool = setting(
        False, "whether TensorFlow repeats bit for bit, at some cost, and no rate follows the clock", FLAG
    )

    task: str = setting(tasks.DEFAULT, "{}", TASK, begins="Task")
    task_settings: dict = setting({}, "the task's own settings, where it has some", TABLE)

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value, rule = getattr(self, field.name), field.metadata["rule"]
            if not rule.fits(value):
                raise ValueError(f"`{field.name}` is {rule.allowed}. Received: {field.name}={value!r}")
            object.__setattr__(self, field.name, rule.keep(value))
        consistency.check(self)

    @property
    def averages(self):
        """Whether an average of the weights is validated and saved in their place."""
        return any(value is not None for value in (self.ema, self.swa_from, self.nt_asgd))

    @classmethod
    def load(cls, name_or_path):
        """A built-in recipe by its name, or one of a TOML file by its path. What it does not name has its default."""
        name = os.fspath(name_or_path)
        file = _files().get(name) or pathlib.Path(name).expanduser()
        if not file.is_file():
            raise ValueError(
                f"There is no recipe {name!r}: {nearest(name, _files())} The path of a TOML file is one, too"
            )
        try:
            settings = tomllib.loads(read_regular(file, LARGEST).decode("utf-8-sig"))
            for key in settings:
                _check_known(key, settings.get("task"))
            return cls(**settings)
        except (ValueError, RecursionError) as error:
            deep = isinstance(error, RecursionError)
            raise ValueError(f"The recipe {name}: {'it is nested too deep' if deep else error}") from error

    @classmethod
    def of(cls, given):
        """A recipe from one, from what `load` takes, or from a dict of settings.

        >>> Recipe.of({"units": 16}) == Recipe(units=16), Recipe.of("char").units
        (True, 384)
        """
        if isinstance(given, dict):
            return cls().override(given)
        if isinstance(given, (str, os.PathLike)):
            return cls.load(given)
        if not isinstance(given, cls):
            raise ValueError(
                f"A recipe is a Recipe, a dict of settings, one of {', '.join(_files())}, or the path of a TOML file. "
                f"Received: {given!r}"
            )
        return given

    @classmethod
    def of_task(cls, task):
        """The recipe that a task takes by itself.

        >>> Recipe.of_task("tag") == Recipe.load("tagger"), Recipe.of_task("translate") == Recipe(task="translate")
        (True, True)
        """
        own = cls(task=task)
        name = consistency.task_of(own).recipe
        return own if name is None else cls.load(name)

    def override(self, assignments):
        """The recipe with other settings: a dict of them, or each `key=value` in TOML's terms, without quotation marks.

        >>> Recipe().override(["units=[1150, 400]", "cell=lstm", "max_norm=none"]).units
        [1150, 400]
        >>> Recipe().override({"units": 16, "cell_options.peephole": True}).cell_options
        {'peephole': True}
        """
        changes = {}
        for assignment, path, value in _assigned(assignments):
            key, *inner = [part.strip() for part in path.split(".")]
            _check_known(key, changes.get("task", self.task))
            if not inner:
                changes[key] = value
                continue
            table = changes.setdefault(key, copy_of(getattr(self, key)))
            for part in inner[:-1]:
                table = table.setdefault(part, {}) if isinstance(table, dict) else None
            if not isinstance(table, dict):
                raise ValueError(f"`{path.strip()}` names an entry of what is no table. Received: {assignment!r}")
            table[inner[-1]] = value
        return dataclasses.replace(self, **changes)

    def to_toml(self):
        """Every setting with its meaning as a comment, in the text of a TOML file that `load` reads.

        >>> print(Recipe(units=[300, 200]).to_toml().splitlines()[11])
        units = [300, 200]              # width of the layers, or a list with each one's
        """
        lines = ["# Every setting of a run. A recipe that you write names only what differs from the defaults."]
        for field in dataclasses.fields(self):
            if field.metadata["begins"]:
                lines += ["", f"# {field.metadata['begins']}"]
            lines.append(toml_text.line(field, getattr(self, field.name)))
        return "\n".join(lines) + "\n"

    def learning_rate_at(self, step, epoch, decays=0, retries=0, seconds=0.0):
        """The learning rate of a step.

        Args:
            step: how many steps came before, for the warm-up.
            epoch: how many epochs came before, a fraction included: 1.5 in the middle of the second.
            decays: how many times a plateau has lowered the rate.
            retries: how many times a NaN has.
            seconds: the time since the run began: a cosine ends with `max_minutes` where the epochs would end later,
                unless the run is to repeat bit for bit.

        >>> recipe = Recipe(schedule="decay", learning_rate=1.0, decay=0.5, decay_from=4, warmup_steps=0)
        >>> [recipe.learning_rate_at(0, epoch) for epoch in (0, 3.9, 4, 5.5)]
        [1.0, 1.0, 0.5, 0.25]
        """
        rate, lowest = self.learning_rate, self.min_learning_rate
        if self.schedule == "plateau":
            rate = max(lowest, rate * self.decay**decays)
        elif self.schedule == "decay":
            rate = max(lowest, rate * self.decay ** max(0, int(epoch) + 1 - self.decay_from))
        elif self.schedule == "cosine":
            done = epoch / self.epochs
            if self.max_minutes is not None and not self.deterministic:
                done = max(done, seconds / (60 * self.max_minutes))
            done = min(1.0, done)
            rate = lowest + (rate - lowest) * (1 + math.cos(math.pi * done)) / 2
        if step < self.warmup_steps:
            rate *= (step + 1) / self.warmup_steps
        return rate * self.retry_factor**retries


SETTINGS = {field.name: field for field in dataclasses.fields(Recipe)}


def built_in():
    """The recipes that come with the package: from each one's name to its description.

    >>> built_in()["zaremba-small"]
    'Zaremba et al. (2014), the small network: Penn Treebank, perplexity 121.4 / 115.9.'
    """
    return {name: file.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ") for name, file in _files().items()}


def settings_help(task=None):
    """The settings with their defaults and meanings, in the lines of a recipe.toml; of a task, with its own ones."""
    if task is None:
        return Recipe().to_toml().partition("\n\n")[2]
    recipe = Recipe.of_task(task)
    of_task = consistency.task_of(recipe)
    lines = ["", f"# Of the task {task} alone, such as --set task_settings.NAME=VALUE"]
    for name, field in of_task.settings.items():
        lines.append(toml_text.line_of(name, recipe.task_settings[name], field.metadata["help"]))
    return recipe.to_toml().partition("\n\n")[2] + "\n".join(lines if of_task.settings else [])


def names_of(changes):
    """The settings that changes name, which are such as `Recipe.override` takes."""
    return {path.split(".")[0].strip() for _, path, _ in _assigned(changes)}


def added(changes, more):
    """Changes and further ones, a dict, of those that are not None."""
    more = {name: value for name, value in more.items() if value is not None}
    if isinstance(changes, dict):
        return {**more, **changes}
    return [*(f"{name}={value}" for name, value in more.items()), *([changes] if isinstance(changes, str) else changes)]


def _files():
    folder = importlib.resources.files("keras_rnnlm.training.recipes")
    files = {file.name.removesuffix(".toml"): file for file in folder.iterdir() if file.name.endswith(".toml")}
    return dict(sorted(files.items()))


def _check_known(key, task=None):
    if key not in SETTINGS:
        of_tasks = [name for name in tasks.TASKS if key in consistency.task_of(Recipe(task=name)).settings]
        if of_tasks:
            those = "" if task in of_tasks else f", of --task {' or '.join(of_tasks)}"
            raise ValueError(f"There is no setting {key!r}: did you mean task_settings.{key}{those}?")
        raise ValueError(f"There is no setting {key!r}: {nearest(key, SETTINGS)}")


def _assigned(changes):
    """Each setting of a change: as it was given, its name, its value."""
    if isinstance(changes, dict):
        return [(f"{name}={value!r}", str(name), value) for name, value in changes.items()]
    found = []
    for assignment in [changes] if isinstance(changes, str) else changes:
        if not isinstance(assignment, str) or "=" not in assignment:
            raise ValueError(f"A setting is given as key=value, such as units=650. Received: {assignment!r}")
        name, _, text = assignment.partition("=")
        found.append((assignment, name, toml_text.parse(text)))
    return found
