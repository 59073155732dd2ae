"""Run directories: what a training leaves behind, and how it is read again."""

import contextlib
import dataclasses
import io
import json
import os
import pathlib
import shutil

from keras_rnnlm.belonging import attach, attached, other
from keras_rnnlm.quiet import import_keras
from keras_rnnlm.schema import FILE
from keras_rnnlm.text.tokenizers import Tokenizer
from keras_rnnlm.training.recipes.optimizer import optimizer_of
from keras_rnnlm.training.recipes.recipe import Recipe
from keras_rnnlm.training.runs.checkpoint_models import read_newest
from keras_rnnlm.training.runs.checkpoints import Checkpoints
from keras_rnnlm.training.runs.curves import plot, read_history
from keras_rnnlm.training.tasks import task_of
from keras_rnnlm.whole_files import reason, write_whole, written_whole

EXPORTED = (".onnx", ".tflite")  # files that others write into a run's folder


class RunFolder:
    """The files of a run: recipe.toml, tokenizer.json, history.jsonl, checkpoints/, data/, model.keras, plots/.

    In the place of the tokenizer.json stand the files of the vocabulary that its task has. A run is what has a
    checkpoint. Until there is one a hidden file marks the folder: what a process that is killed leaves there may be
    cleared away.
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.recipe, self.tokenizer = self.path / "recipe.toml", self.path / "tokenizer.json"
        self.history, self.model_file = self.path / "history.jsonl", self.path / "model.keras"
        self.data, self.plots, self.tensorboard = self.path / "data", self.path / "plots", self.path / "tensorboard"
        self.evaluations = self.path / "evaluations.jsonl"
        self.spool, self.beginning = self.path / "stdin.txt", self.path / ".keras-rnnlm-begins"

    def __str__(self):
        return str(self.path)

    def checkpoints(self, keep=2, schema=None):
        return Checkpoints(self.path / "checkpoints", keep, schema)

    # Its life

    @contextlib.contextmanager
    def new(self, files=()):
        """Makes the folder of a new run. What goes wrong before its first checkpoint takes back what was made.

        `files` are the names of those of its vocabulary.
        """
        existed = self.path.exists()
        if existed and not self._is_free():
            way = "choose another --out"
            if self.checkpoints().files():
                way = "resume it with --resume, or choose another --out"
            raise ValueError(f"{self} exists already, and nothing is written over: {way}")
        self.path.mkdir(parents=True, exist_ok=True)
        with self.held():
            self._clear()
            self.beginning.write_text("\n".join(files), encoding="utf-8")
            try:
                yield
            except BaseException:
                if not self.checkpoints().files():
                    self._clear()
                    if not existed:
                        with contextlib.suppress(OSError):
                            self.path.rmdir()
                raise

    def _is_free(self):
        """Whether it is empty, or holds only what a process left that was killed before the first checkpoint."""
        if not self.path.is_dir() or self.checkpoints().files():
            return False
        ours = self._files() if self.beginning.is_file() else []
        return all(path in ours for path in self.path.iterdir())

    def _files(self):
        named = [path for path in vars(self).values() if path != self.path]
        if self.beginning.is_file():
            names = self.beginning.read_text(encoding="utf-8").splitlines()
            named += [self.path / name for name in names if FILE.fits(name)]
        return [*named, self.path / "checkpoints", *self.path.glob("partial-*"), *self.path.glob(".data.*.partial")]

    def _clear(self):
        for path in self._files():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def held(self):
        """Keeps other processes from training the same run meanwhile."""
        try:
            import fcntl
        except ImportError:  # Windows
            yield
            return
        handle = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(handle)
            raise ValueError(f"Another process is training the run {self} just now: wait for it, or stop it") from error
        except OSError:
            pass  # a file system without locks
        try:
            yield
        finally:
            os.close(handle)

    def check_resumable(self):
        missing = None
        if not self.recipe.is_file():
            missing = self.recipe.name
        elif not self.checkpoints().files():
            missing = "checkpoint"
        else:
            files = task_of(self.read_recipe()).files
            missing = next((name for name in files if not (self.path / name).is_file()), None)
        if missing:
            raise ValueError(
                f"There is nothing to resume in {self}: it holds no {missing}. Begin the run without --resume"
            )

    def clear_partial(self):
        """Removes what a killed process left half written, and the mark of a run that has not begun.

        Exports in the run's folder are none of it: folders, and files that another process may be writing.
        """
        for path in [*self.path.glob("partial-*"), *self.checkpoints().folder.glob("partial-*")]:
            if path.is_file() and path.suffix not in EXPORTED:
                path.unlink(missing_ok=True)
        self.beginning.unlink(missing_ok=True)

    # What is read

    def read_recipe(self):
        return Recipe.load(self._of_a_run(self.recipe))

    def read_tokenizer(self):
        return self.read_vocabulary(Tokenizer)

    def read_vocabulary(self, kind):
        """What a task knows its symbols by, of the class `kind`."""
        for name in kind.FILES:
            self._of_a_run(self.path / name)
        return kind.load(self.path)

    def read_history(self):
        return read_history(self.history) if self.history.is_file() else []

    def read_model(self, text=None):
        """The best model; before the first validation, that of the newest checkpoint.

        `text`, where it matters, is the fingerprint of what it is to have been trained on.
        """
        recipe = self.read_recipe()
        if not self.model_file.is_file():
            newest = read_newest(self, build_model)
            if newest is not None:
                return newest
            raise ValueError(
                f"{self} holds no model.keras: it is written at the first validation, or at the end of the run. "
                f"Resume with: keras-rnnlm train --out {self} --resume"
            )
        task, vocabulary = task_of(recipe), None
        if all((self.path / name).is_file() for name in task.files):
            vocabulary = task.vocabulary(self)
        self._check_belongs(recipe, vocabulary, text)
        kind = task.model_class()
        from keras_rnnlm.models.reading import read_model

        model = read_model(self.model_file, kind)
        if vocabulary is not None:
            task.check_model(model, vocabulary, self)
        return model

    def _check_belongs(self, recipe, vocabulary, text):
        """Raises where the model, the recipe, the vocabulary and the text are not of one run, as far as they say it."""
        recorded = attached(self.model_file)
        settings = {name: getattr(recipe, name) for name in recorded.get("recipe", {}) if hasattr(recipe, name)}
        here = {"recipe": settings, "vocabulary": getattr(vocabulary, "fingerprint", None), "text": text}
        differs = other(recorded, {name: value for name, value in here.items() if value is not None})
        if differs:
            raise ValueError(f"{self.model_file} was trained with {differs}. Put back the files that the run wrote")

    def _of_a_run(self, file):
        if not file.is_file():
            what = f"{self} is no run: it holds no {file.name}" if self.path.exists() else f"There is no run {self}"
            if (self.path / "manifest.json").is_file() or self.path.suffix in (".onnx", ".tflite"):
                what = f"{self} is no run, but an export: `keras-rnnlm run {self}` has it write"
            raise ValueError(what)
        return file

    # What is written

    def save_model(self, model, identity=None):
        """Writes model.keras, whole or not at all, and in it what its run is known by."""
        from keras_rnnlm.distribution import undistributed

        weights = model.get_weights()
        with undistributed():
            alone = type(model).from_config(model.get_config())  # without the optimizer, which is larger than the model
            alone.set_weights(weights)
        try:
            with written_whole(self.model_file) as partial:
                alone.save(partial)
                if identity:
                    attach(partial, identity)
        except OSError as error:
            raise OSError(f"{self.model_file} could not be written: {reason(error)}") from error

    def write_recipe(self, recipe):
        write_whole(self.recipe, recipe.to_toml().encode())

    def plot(self):
        """Draws the history, where there is any."""
        if any(record.get("kind") in ("train", "valid") for record in self.read_history()):
            self.plots.mkdir(exist_ok=True)
            picture = io.BytesIO()
            plot(self.history, picture)
            write_whole(self.plots / "curves.png", picture.getvalue())

    def append_history(self, record):
        """Adds a line and returns how long the file is then."""
        try:
            with open(self.history, "ab") as file:
                file.write(to_json(record).encode() + b"\n")
            return self.history.stat().st_size
        except OSError as error:
            raise OSError(f"{self.history} could not be written: {reason(error)}") from error

    def cut_history(self, size):
        """Forgets what was recorded after a checkpoint."""
        if self.history.is_file() and self.history.stat().st_size > size:
            os.truncate(self.history, size)


def to_json(value):
    """JSON has no infinity: null stands for it."""
    return json.dumps(json.loads(json.dumps(value), parse_constant=lambda name: None))


@dataclasses.dataclass(frozen=True)
class Run:
    """A run as Python sees it: its best model so far, recipe and history.

    `tokenizer`, and by its other name `vocabulary`, is what the task knows its symbols by: a `Tokenizer`, where it
    learns from text.
    """

    model: object
    tokenizer: object
    recipe: Recipe
    history: list
    folder: RunFolder

    @property
    def vocabulary(self):
        return self.tokenizer


def load_run(path):
    """The model, tokenizer, recipe and history of a run directory.

    >>> run = load_run("run")
    >>> run.recipe.units, run.model.name, run.history[-1]["epoch"]
    (8, 'language_model', 1)
    """
    folder = RunFolder(path)
    recipe = folder.read_recipe()
    vocabulary, history = task_of(recipe).vocabulary(folder), folder.read_history()
    return Run(folder.read_model(), vocabulary, recipe, history, folder)


def build_model(recipe, vocabulary):
    """A new model by a recipe and what its task calls the vocabulary, compiled."""
    keras = import_keras()
    task = task_of(recipe)
    keras.utils.set_random_seed(recipe.seed)
    model = task.build(recipe, vocabulary)
    task.compile(model, optimizer_of(recipe), recipe)
    return model
