"""Recipes: every setting of a training run as data, with its meaning, its limits and its place in a TOML file."""

import dataclasses
import difflib
import importlib
import importlib.resources
import json
import math
import os
import pathlib
import re
import tomllib

from keras_rnnlm import tasks
from keras_rnnlm.cell_list import CELLS, OWN, is_path
from keras_rnnlm.schema import Rule, choice, number, read_regular, whole

NONE = "none"  # TOML has no word for it
LARGEST = 1 << 20  # bytes of a recipe
COMMENTS_AT = 32  # the column of the settings' meanings


def optional(rule):
    return Rule(
        f'{rule.allowed}, or "{NONE}"',
        lambda value: value in (None, NONE) or rule.fits(value),
        lambda value: None if value in (None, NONE) else rule.keep(value),
    )


def _is_text(value):
    return isinstance(value, str) and value != ""


def _is_widths(value):
    listed = isinstance(value, (list, tuple)) and len(value) > 0
    return all(map(COUNT.fits, value)) if listed else COUNT.fits(value)


def _is_plain(value):
    """Whether TOML can write it."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(inner) for key, inner in value.items())
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or type(value) in (bool, int, float, str)


def _copy(value):
    if isinstance(value, dict):
        return {key: _copy(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_copy(inner) for inner in value]
    return None if value == NONE else value


COUNT = whole(1)
POSITIVE = number(" above 0", lambda value: value > 0)
NOT_NEGATIVE = number(", 0 or above", lambda value: value >= 0)
FACTOR = number(" above 0, at most 1", lambda value: 0 < value <= 1)
FLAG = Rule("true or false", lambda value: isinstance(value, bool))
TEXT = Rule("a text", _is_text)
SHARES = Rule('percentages, such as "90/5/5"', _is_text)
TABLE = Rule('a table, such as {name = true, other = "word"}', lambda v: isinstance(v, dict) and _is_plain(v), _copy)
WIDTHS = Rule(
    f"{COUNT.allowed}, or a list of them",
    _is_widths,
    lambda value: [int(width) for width in value] if isinstance(value, (list, tuple)) else int(value),
)
CELL = Rule(
    f'{choice(*CELLS).allowed}, or a class of your own, "{OWN}"', lambda value: value in tuple(CELLS) or is_path(value)
)
TASK = Rule(f"{choice(*tasks.TASKS).allowed}, or the place of one, package.module:NAME", tasks.is_name)
TOKENIZERS = ("word", "char", "byte", "bpe")
TOKENIZER = Rule(
    f"{choice(*TOKENIZERS).allowed}, or a path to a .json file",
    lambda value: _is_text(value) and (value in TOKENIZERS or value.endswith(".json")),
)


def setting(default, meaning, rule, begins=None):
    """A field of `Recipe`. `{}` in its meaning stands for what is allowed; `begins` is the heading above it."""
    metadata = {"help": meaning.replace("{}", rule.allowed), "rule": rule, "begins": begins}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=dict, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


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
        None, "at most so many symbols; none: as many as the tokenizer finds or prefers", optional(whole(2))
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
    connection: str | None = setting(None, "between the layers: {}", optional(choice("residual", "dense", "highway")))
    dropout: float = setting(
        0.3,
        "fraction dropped before, between and after the layers",
        number(", 0 or above and below 1", lambda value: 0 <= value < 1),
    )
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
        "{}: one long text with its states carried, or line by line",
        choice("contiguous", "sentences"),
        begins="Data",
    )
    batch: int = setting(32, "texts side by side", COUNT)
    window: int = setting(64, "time steps that a gradient reaches back; in sentences, the longest one", COUNT)
    random_windows: bool = setting(False, "their length is drawn around `window`, and the rate follows it", FLAG)
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
    decay_from: int = setting(5, "with decay: so many epochs at the full rate", whole(0))
    patience: int = setting(1, "with plateau: the rate falls after so many validations without a better loss", COUNT)
    warmup_steps: int = setting(100, "the rate rises over the first so many steps", whole(0))
    min_learning_rate: float = setting(0.0, "no schedule goes below this", NOT_NEGATIVE)
    weight_decay: float = setting(0.0, "of the optimizer; 0: off", NOT_NEGATIVE)
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

    epochs: int = setting(10, "passes over the text", COUNT, begins="Length")
    stop_after: int | None = setting(
        None, "the run ends after so many validations without a better loss; none: never", optional(COUNT)
    )
    max_minutes: float | None = setting(
        None, "the run ends by then, with its best model; none: no limit", optional(POSITIVE)
    )
    eval_every: int | None = setting(None, "steps between validations; none: each epoch; 0: never", optional(whole(0)))
    log_every: int = setting(50, "steps between lines of history.jsonl", COUNT)
    checkpoint_every: int = setting(500, "steps between checkpoints", COUNT)
    keep_checkpoints: int = setting(3, "so many of the newest stay, at least two", COUNT)

    retries: int = setting(
        3, "so many times a NaN or Inf is answered by going back to a checkpoint", whole(0), begins="Recovery"
    )
    retry_factor: float = setting(0.5, "each time multiplies the rate with this", FACTOR)

    seed: int = setting(0, "of weights, dropout and order", whole(0, 2**32 - 1), begins="Repetition")
    deterministic: bool = setting(False, "whether every operation repeats bit for bit, at some cost", FLAG)

    task: str = setting(tasks.DEFAULT, "what is learned: {}", TASK, begins="Task")
    task_settings: dict = setting({}, "the task's own settings, where it has some", TABLE)

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value, rule = getattr(self, field.name), field.metadata["rule"]
            if not rule.fits(value):
                raise ValueError(f"`{field.name}` is {rule.allowed}. Received: {field.name}={value!r}")
            object.__setattr__(self, field.name, rule.keep(value))
        _check_task(self)
        _check_options(self)
        _check_optimisation(self)

    @classmethod
    def load(cls, name_or_path):
        """A built-in recipe by its name, or one of a TOML file by its path. What it does not name has its default."""
        name = os.fspath(name_or_path)
        file = _files().get(name) or pathlib.Path(name).expanduser()
        if not file.is_file():
            raise ValueError(
                f"There is no recipe {name!r}: give the path of a TOML file, or one of {', '.join(_files())}."
            )
        try:
            settings = tomllib.loads(read_regular(file, LARGEST).decode("utf-8-sig"))
            for key in settings:
                _check_known(key)
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
            _check_known(key)
            if not inner:
                changes[key] = value
                continue
            table = changes.setdefault(key, _copy(getattr(self, key)))
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
            lines.append(_line(field, getattr(self, field.name)))
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

# Arguments of Keras's optimizers that are settings of their own.
ELSEWHERE = {
    **dict.fromkeys(("clipnorm", "global_clipnorm", "clipvalue"), "`max_norm` and `clip_by`"),
    **dict.fromkeys(("use_ema", "ema_momentum", "ema_overwrite_frequency"), "`ema`"),
}


def built_in():
    """The recipes that come with the package: from each one's name to its description.

    >>> built_in()["zaremba-small"]
    'Zaremba et al. (2014), the small network: Penn Treebank, perplexity 121.4 / 115.9.'
    """
    return {name: file.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ") for name, file in _files().items()}


def settings_help():
    """The settings with their defaults and meanings, in the lines of a recipe.toml."""
    return Recipe().to_toml().partition("\n\n")[2]


def _files():
    folder = importlib.resources.files("keras_rnnlm.training") / "recipes"
    files = {file.name.removesuffix(".toml"): file for file in folder.iterdir() if file.name.endswith(".toml")}
    return dict(sorted(files.items()))


def _check_known(key):
    if key not in SETTINGS:
        near = difflib.get_close_matches(key, SETTINGS, n=2)
        way = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(SETTINGS)}."
        raise ValueError(f"There is no setting {key!r}: {way}")


def _assigned(changes):
    """Each setting of a change: as it was given, its name, its value."""
    if isinstance(changes, dict):
        return [(f"{name}={value!r}", str(name), value) for name, value in changes.items()]
    found = []
    for assignment in [changes] if isinstance(changes, str) else changes:
        if not isinstance(assignment, str) or "=" not in assignment:
            raise ValueError(f"A setting is given as key=value, such as units=650. Received: {assignment!r}")
        name, _, text = assignment.partition("=")
        found.append((assignment, name, _parse(text)))
    return found


def _parse(text):
    """The value that a text is in TOML; the text itself where it is none."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text.strip()
    return parsed["value"] if len(parsed) == 1 else text.strip()


def _line(field, value):
    return f"{field.name} = {_literal(value)}".ljust(COMMENTS_AT - 1) + f" # {field.metadata['help']}"


def _literal(value):
    if value is None:
        return f'"{NONE}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # JSON's strings are TOML's, but for one character.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, dict):
        entries = [f"{_key(key)} = {_literal(inner)}" for key, inner in value.items()]
        return f"{{{', '.join(entries)}}}"
    return repr(value)


def _key(key):
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _literal(key)


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
    for table, allowed in (("cell_options", ("dropout",)), ("optimizer_options", ())):
        for key in getattr(recipe, table):
            if key in SETTINGS and key not in allowed:
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
