"""The command `search`: which settings of a recipe suit a text, by training for some minutes with each."""

import json
import math
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import time

from keras_rnnlm.installed import import_extra
from keras_rnnlm.schema import COUNT, TEXT, Optional, check, number, parse_json, read_regular
from keras_rnnlm.training.commands.info import summary
from keras_rnnlm.training.corpora.encoded_again import absolute
from keras_rnnlm.training.loop.interrupts import exit_code, interrupts
from keras_rnnlm.training.recipes import space
from keras_rnnlm.training.recipes.recipe import Recipe
from keras_rnnlm.training.runs.display import Display, duration
from keras_rnnlm.training.runs.run import RunFolder, to_json
from keras_rnnlm.whole_files import write_whole

OVER = ("learning_rate=5e-4..2e-2", "dropout=0.0..0.6", "batch=16,32,64")
TRIAL_MINUTES = 5.0
MINUTES = 60.0
LEAST = 0.1  # minutes that are worth a trial
COMPARABLE = 0.8  # of a trial's minutes: a shorter one would be compared as if it had had them all
ABOVE = number(" above 0", lambda value: value > 0)
SCHEMA = {
    "corpus": [TEXT],
    "valid": Optional(TEXT),
    "over": [TEXT],
    "minutes": ABOVE,
    "trial_minutes": ABOVE,
    "seed": COUNT,
}


def arguments(parser):
    parser.add_argument("corpus", nargs="*", help="texts, as `train` takes them")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="a new folder; or, with --resume, an old one")
    parser.add_argument("--valid", help="a text to validate on")
    parser.add_argument("--recipe", help="the name of a built-in recipe, or a TOML file: what is not searched over")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of it")
    parser.add_argument(
        "--over",
        action="append",
        metavar="KEY=VALUES",
        help=f"what is searched over, LOW..HIGH or ONE,TWO,THREE, as often as needed (default: {' '.join(OVER)})",
    )
    parser.add_argument("--minutes", type=float, help=f"for all of it (default: {MINUTES:g})")
    parser.add_argument("--trial-minutes", type=float, help=f"for each training (default: {TRIAL_MINUTES:g})")
    parser.add_argument("--seed", type=int, help="of what is tried (default: 0)")
    parser.add_argument("--resume", action="store_true", help="resume a search; --minutes may be others")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quiet", action="store_true", help="show nothing but warnings")


def run(options):
    import_optuna()
    given = [
        name for name in ("valid", "recipe", "over", "trial_minutes", "seed") if getattr(options, name) is not None
    ]
    if options.resume and (options.corpus or options.set or given):
        raise ValueError("--resume takes all but --minutes from the search that it resumes: drop the rest")
    if not options.resume and not options.corpus:
        raise ValueError("No text to search for: name files or folders, or stdlib, Python's own library")
    if "-" in [*options.corpus, options.valid]:
        raise ValueError("A search reads its text in each trial, and standard input can be read once: name a file")
    if options.resume:
        search = Search.resumed(options.out, options.minutes, options.quiet)
    else:
        told = {
            "corpus": absolute(options.corpus),  # a search is resumed from anywhere
            **({} if options.valid is None else {"valid": absolute(options.valid)[0]}),
            "over": list(OVER) if options.over is None else options.over,
            "minutes": MINUTES if options.minutes is None else options.minutes,
            "trial_minutes": TRIAL_MINUTES if options.trial_minutes is None else options.trial_minutes,
            "seed": 0 if options.seed is None else options.seed,
        }
        recipe = (Recipe() if options.recipe is None else Recipe.load(options.recipe)).override(options.set)
        if os.path.isfile(recipe.tokenizer):
            recipe = recipe.override({"tokenizer": os.path.abspath(recipe.tokenizer)})
        search = Search.new(options.out, told, recipe, options.quiet)
    finished = search.run()
    print(to_json(search.told()) if options.json else search.table())
    return 0 if finished else exit_code()


def import_optuna():
    optuna = import_extra("optuna", "`search`", "Optuna", "search")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


class Search:
    """A folder with a run for each trial, and what Optuna knows of them.

    Args:
        path: the folder.
        told: what the search was called with.
        recipe: what is not searched over.
        quiet: whether to show nothing but warnings.
    """

    def __init__(self, path, told, recipe, quiet=False):
        self.path, self.told_of, self.recipe, self.quiet = path, told, recipe, quiet
        self.space = space.parse(told["over"])
        self.display = Display(quiet=quiet)
        self.optuna = import_optuna()
        self.is_new = False

    @classmethod
    def new(cls, path, told, recipe, quiet=False):
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise ValueError(f"{path} exists already, and nothing is written over: resume it, or choose another --out")
        for name in ("minutes", "trial_minutes", "seed"):
            if not SCHEMA[name].fits(told[name]):
                raise ValueError(f"--{name.replace('_', '-')} is {SCHEMA[name].allowed}. Received: {told[name]}")
        if recipe.eval_every == 0:
            raise ValueError("A search compares validation losses, and eval_every=0 turns validation off")
        search = cls(path, told, recipe, quiet)
        space.check(search.space, recipe)
        path.mkdir(parents=True, exist_ok=True)
        write_whole(path / "recipe.toml", recipe.to_toml().encode())
        write_whole(path / "search.json", (json.dumps(told, indent=2) + "\n").encode())
        search.is_new = True
        return search

    def _take_back(self):
        """Leaves the folder to the next search, which names another text, say."""
        shutil.rmtree(self.folder(0).path, ignore_errors=True)
        for name in ("recipe.toml", "search.json", "trial.toml", "trials.log*"):
            for file in self.path.glob(name):
                file.unlink()

    @classmethod
    def resumed(cls, path, minutes=None, quiet=False):
        file = path / "search.json"
        if not file.is_file():
            raise ValueError(f"There is no search to resume in {path}: it holds no search.json")
        try:
            told = parse_json(read_regular(file), SCHEMA)
            if minutes is not None:
                told["minutes"] = minutes
                check(told, SCHEMA)
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from error
        return cls(path, told, Recipe.load(path / "recipe.toml"), quiet)

    # The trials

    def _study(self):
        journal = self.optuna.storages.journal.JournalFileBackend(str(self.path / "trials.log"))
        return self.optuna.create_study(
            study_name="search", storage=self.optuna.storages.JournalStorage(journal), load_if_exists=True
        )

    def _distributions(self):
        of, found = self.optuna.distributions, {}
        for name, values in self.space.items():
            if isinstance(values, space.Choice):
                found[name] = of.CategoricalDistribution(values.values)
            else:
                kind = of.IntDistribution if values.is_whole else of.FloatDistribution
                found[name] = kind(values.low, values.high, log=values.by_logarithm)
        return found

    def texts(self):
        """What each training reads, in its words."""
        valid = self.told_of.get("valid")
        return [*self.told_of["corpus"], *([] if valid is None else ["--valid", valid])]

    def folder(self, number):
        return RunFolder(self.path / f"trial-{number}")

    def spent(self, study):
        """Minutes, of all trials; one that could not be trained counts, too, so that the search ends."""
        return sum(study.user_attrs.values())

    def run(self):
        """Tries until the minutes are over. Whether they are: or else it was interrupted."""
        study, states = self._study(), self.optuna.trial.TrialState
        while True:
            left = self.told_of["minutes"] - self.spent(study)
            begun = study.get_trials(deepcopy=False, states=(states.RUNNING,))
            trial_minutes = self.told_of["trial_minutes"]
            is_first = not study.get_trials(deepcopy=False)
            longest = min(trial_minutes, max(study.user_attrs.values(), default=0.0))  # some end by themselves
            if not begun and left < (LEAST if is_first else max(LEAST, COMPARABLE * longest)):
                return True
            if begun:
                number, values = begun[0].number, begun[0].params
            else:
                # A sampler of the seed and the number alone: a search that is resumed tries what it would have tried.
                number = len(study.get_trials(deepcopy=False))
                study.sampler = self.optuna.samplers.TPESampler(seed=self.told_of["seed"] + number)
                values = study.ask(self._distributions()).params
            loss, minutes = self._train(number, values, min(left, trial_minutes))
            if loss is None:
                return False
            study.set_user_attr(f"minutes of {number}", max(minutes, LEAST))
            study.tell(number, loss)
            shown = ", ".join(f"{name}={_shown(value)}" for name, value in values.items())
            self.display.say(f"trial {number}, {duration(60 * minutes)}: loss {loss:.4f} with {shown}")

    def recipe_of(self, values, minutes=None):
        changes = values if minutes is None else values | {"max_minutes": minutes}
        return self.recipe.override(changes)

    def _train(self, number, values, minutes):
        """The best validation loss of a trial and its minutes; infinite where it failed, None where it was interrupted.

        In a process of its own: what is compiled for one network stays in memory for good.
        """
        folder, began = self.folder(number), time.monotonic()
        command = [sys.executable, "-m", "keras_rnnlm", "train"]
        if folder.checkpoints().files():
            command += ["--resume"]
        else:
            try:
                recipe = self.recipe_of(values, max(minutes, LEAST))
            except ValueError as error:  # settings that do not go together
                self.display.warn(f"trial {number}: {error}")
                return math.inf, 0.0
            file = self.path / "trial.toml"
            write_whole(file, recipe.to_toml().encode())
            command += [*self.texts(), "--recipe", str(file)]
        command += ["--out", str(folder)] + ["--quiet"] * self.quiet
        # Of a session of its own: an interrupt that the terminal sends to all comes once.
        process = subprocess.Popen(command, start_new_session=True)
        with interrupts(process.send_signal):
            code = process.wait()
        if code in (130, 143, -signal.SIGINT, -signal.SIGTERM):
            resume = f"keras-rnnlm search --out {shlex.quote(str(self.path))} --resume"
            self.display.warn(f"interrupted in trial {number}. Resume with: {resume}")
            return None, None
        if code == 2 and number == 0:
            if self.is_new and not folder.recipe.is_file():
                self._take_back()
            raise ValueError("The first trial could not be trained: what was wrong stands above")
        if code == 2 and folder.recipe.is_file():  # it had begun, and may go on
            raise ValueError(f"Trial {number} could not go on: what was wrong stands above. Mend it, and --resume")
        found = summary(folder.path)["result"] if folder.recipe.is_file() else {}
        minutes = max(found.get("minutes", 0.0), (time.monotonic() - began) / 60)
        loss = found.get("validation_loss") if code == 0 else None
        if code == 0 and loss is None:
            raise ValueError(
                "A search compares validation losses, and there is no text to validate on: set split, or name --valid"
            )
        return math.inf if loss is None else loss, minutes

    # What was found

    def told(self):
        """The trials, the best one first, as a dict."""
        complete = self.optuna.trial.TrialState.COMPLETE
        trials = sorted(self._study().get_trials(states=(complete,)), key=lambda trial: trial.value)
        rows = [{"trial": trial.number, "loss": trial.value, **trial.params} for trial in trials]
        return {"best": self._best(trials), "trials": rows}

    def _best(self, trials):
        """The recipe of the best trial, as a file."""
        if not trials or not math.isfinite(trials[0].value):
            return None
        best = self.path / "best.toml"
        write_whole(best, self.recipe_of(trials[0].params).to_toml().encode())
        return str(best)

    def table(self):
        told = self.told()
        names = ["trial", "loss", *self.space]
        rows = [names] + [[_shown(row[name]) for name in names] for row in told["trials"]]
        widths = [max(len(row[k]) for row in rows) for k in range(len(names))]
        lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths)) for row in rows]
        if told["best"]:
            words = [*self.texts(), "--recipe", told["best"], "--out", "run"]
            lines += ["", f"The best as a recipe: keras-rnnlm train {shlex.join(words)}"]
        return "\n".join(lines)


def _shown(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)
