"""The training loop: `fit` in stretches, with checkpoints, validation, schedules, recovery and exact resumption.

A stretch ends where something has to happen that `fit` does not know of: a validation, an interrupt, the end of the
run, a loss that is no number. What a run's future depends on is in the variables of the model and of the optimizer and
in `Progress`. A checkpoint holds these three, and is written when all that is due at its step has been done: weights
that turn out to be no good in a validation are not saved before.
"""

import math
import time

import keras
import numpy as np

from keras_rnnlm.perplexity import perplexity
from keras_rnnlm.recurrence import backend
from keras_rnnlm.training.devices.together import Alone
from keras_rnnlm.training.loop.averaging import Averaging
from keras_rnnlm.training.loop.deadline import Deadline
from keras_rnnlm.training.loop.failures import Diverged, check_loss, check_steps, decisive, is_finite, plain_errors
from keras_rnnlm.training.loop.interrupts import exit_code, interrupts
from keras_rnnlm.training.loop.keeping import Keeping
from keras_rnnlm.training.loop.progress import RECORD, Progress, nothing
from keras_rnnlm.training.loop.sums import Sums
from keras_rnnlm.training.recipes import growth
from keras_rnnlm.training.runs.display import in_minutes

LOOK_EVERY = 10  # steps between looks at the loss, for the display and for NaN
MANY_SKIPPED = 50  # steps: a loss scale finds its place in fewer


class Interrupted(Exception):
    """Somebody wants the run to end, in the middle of a validation."""


class Loop(Keeping):
    """Trains a model by a recipe and keeps what is needed to go on after any interruption.

    Args:
        model: a compiled model with `tally()`, see `keras_rnnlm.models.tally`; where the stream has it carry states,
            with `reset_states(batch_size)` too. Its optimizer is a `ClippedOptimizer`.
        recipe: a `Recipe`.
        stream: `Contiguous`, `Sentences`, or what else `Task.stream` describes.
        folder: a `RunFolder`.
        valid: what to validate on, or None.
        scorer: of the model; its `score(valid, progress)` validates, see `keras_rnnlm.training.tasks.Scorer`.
        display: shows the progress, see `keras_rnnlm.training.runs.display`.
        identity: what a checkpoint must agree with to be resumed, a dict of strings.
        team: who trains, see `keras_rnnlm.training.devices.together`. The first process of several writes all files.

    >>> from keras_rnnlm import training
    >>> from keras_rnnlm.training.runs.display import Display
    >>> from keras_rnnlm.training.runs.run import RunFolder, build_model
    >>> recipe = training.Recipe(units=8, layers=1, batch=2, window=8, epochs=1, eval_every=0)
    >>> model = build_model(recipe, training.Tokenizer.train("byte", ["any"]))
    >>> stream = training.Contiguous(np.arange(200) % 9, batch=2, window=8, start=0)
    >>> folder = RunFolder("by-hand")
    >>> with folder.new():
    ...     loop = Loop(model, recipe, stream, folder, valid=None, scorer=None, display=Display(quiet=True))
    ...     loop.save()  # and loop.run() trains
    >>> len(folder.checkpoints().files())
    1
    """

    def __init__(self, model, recipe, stream, folder, *, valid, scorer, display, identity=None, team=None):
        self.model, self.recipe, self.stream, self.folder = model, recipe, stream, folder
        self.valid, self.scorer, self.display, self.identity = valid, scorer, display, identity or {}
        self.team = team or Alone()
        self.optimizer = model.optimizer
        model.steps_per_execution = recipe.steps_per_execution
        self.optimizer.build(model.trainable_variables)
        # `fit` would put the averages in place of the weights at the end of every stretch.
        self.optimizer.finalize_variable_values = lambda variables: None
        if getattr(stream, "carries_states", False):
            for batch in growth.batches(recipe):
                model.reset_states(batch)
        self.tally = model.tally()
        self.sums, self.averaging = Sums(self.tally, model.optimizer), Averaging(recipe, model)
        self.checkpoints = folder.checkpoints(recipe.keep_checkpoints, RECORD)
        self.progress = Progress()
        self.asked = self.interrupted = self.diverged = False
        self.loss = None  # of the last look, a mean
        self.epoch = None  # the one that `steps` and `lengths` are of
        self.rate_set = None
        self.deadline = Deadline(recipe.max_minutes)
        self.compiled = False
        # Of several processes, a few seconds' worth: they learn of interrupts where they look.
        self.look_every = self.team.pace(1.0, 1, LOOK_EVERY)
        self.looked_at, self.look_at = 0, 1  # batches of a validation, at the last look and the next
        self.clock = time.monotonic()

    # The run

    def run(self, late=None):
        """Trains to the end of the recipe. Returns why the run is over, or None: it was interrupted.

        `late()` is called before SIGTERM ends the process in the middle of a step, see `interrupts`.
        """
        recipe, alone = self.recipe, self.team.count == 1
        with interrupts(self._interrupt, late):
            self.clock = time.monotonic()
            self.save()  # something to go back to, from the first step on
            # Processes would not find the same number of seconds, by which all have to end.
            if recipe.max_minutes is not None and self.valid is not None and recipe.eval_every != 0 and alone:
                self.deadline.try_validation(self.scorer, self.valid, lambda: self.interrupted)
            while True:
                p = self.progress
                if p.window >= self._steps():
                    p.epoch, p.window = p.epoch + 1, 0
                    if p.step >= MANY_SKIPPED:
                        self._check_steps()
                if self.interrupted:
                    self.save()
                    return None
                if self._is_due():
                    fine = self._validate()
                elif over := self._over():
                    fine = self._finish()
                    if fine:
                        return over
                else:
                    if p.step and p.window == 0 and self._passes(recipe.checkpoint_every):
                        self.save()  # due at an epoch's last step, which ended the stretch
                    fine = self._stretch()
                if not fine:
                    self._recover()

    def _over(self):
        """Why the run is over, or None."""
        p, recipe = self.progress, self.recipe
        if recipe.stop_after is not None and p.waits >= recipe.stop_after:
            return f"{p.waits} validations brought no better loss"
        if p.epoch >= recipe.epochs:
            return "1 epoch is done" if recipe.epochs == 1 else f"{recipe.epochs} epochs are done"
        if recipe.max_minutes is not None and p.seconds >= self.deadline.last_second:
            are = "is" if recipe.max_minutes == 1 else "are"
            return f"the {in_minutes(recipe.max_minutes)} of `max_minutes` {are} over"
        return None

    def _is_late(self):
        """Whether the minutes are over before the next look: a step may take seconds. Processes look together."""
        if self.recipe.max_minutes is None or self.team.count > 1:
            return False
        return self.progress.seconds + time.monotonic() - self.clock >= self.deadline.last_second

    def _is_due(self):
        """Whether to validate now: at the end of an epoch, every `eval_every` steps, and at the end of the run."""
        p, every = self.progress, self.recipe.eval_every
        if self.valid is None or every == 0 or p.validated == p.step or not p.step:
            return False
        return bool(self._over()) or (p.window == 0 if every is None else self._passes(every))

    def _passes(self, every):
        """Whether the last execution came to a multiple of so many steps, or beyond."""
        return self.progress.step % every < self.progress.taken

    def _finish(self):
        """Leaves a model. Whether its weights are numbers."""
        validated = self.progress.best_step >= 0
        if not validated and not self._save_model():
            return False
        self._record_training()
        self.save()
        self._check_steps()
        best = validated and self.scorer.decides == "loss"
        loss = self.progress.best if best else self.loss
        if loss is not None:
            check_loss(loss, self.tally, "best validation loss" if best else "last training loss")
        return True

    def _check_steps(self):
        skipped = self.sums.counts()["skipped"]
        check_steps(self.progress.step - skipped, skipped)  # batches that wait for a step of several count, too

    def _save_model(self):
        """Writes model.keras, unless a weight is no number. Whether it did."""
        with self.averaging.in_place(self.progress):
            if not is_finite(self.model.get_weights()):
                return False
            with self.team.waited_for():
                if self.team.is_first:
                    self.folder.save_model(self.model, self.identity)
        return True

    def _steps(self):
        """The windows of the epoch."""
        if self.epoch != self.progress.epoch:
            self.epoch = self.progress.epoch
            self.steps = self.stream.steps(self.epoch)
            # Of a loss that is summed over time, the gradient is longer for a longer window by itself.
            scaled = self.recipe.random_windows and self.recipe.reduction == "mean"
            self.lengths = self.stream.lengths(self.epoch) if scaled else None
            self.usual = growth.at(self.recipe, self.epoch).window
            if self.recipe.grow:
                self.team.runs_something_new()
        return self.steps

    def _epochs(self):
        """How many epochs are done, a fraction included."""
        return self.progress.epoch + self.progress.window / self._steps()

    def rate(self):
        """The learning rate of now, for a window of the usual length."""
        p, seconds = self.progress, self.deadline.of_whole(self.progress.seconds)
        return self.recipe.learning_rate_at(p.step, self._epochs(), p.decays, p.retries, seconds)

    def record(self, kind, **values):
        """A line of history.jsonl."""
        p = self.progress
        line = {"kind": kind, "epoch": p.epoch, "step": p.step, "tokens": p.tokens, "seconds": round(p.seconds, 3)}
        line |= values
        # Another process has no file, and sees all the same that there is something to keep.
        p.history = self.folder.append_history(line) if self.team.is_first else p.history + 1
        self.display.recorded(line)

    def _tick(self):
        """Adds the time since the last tick, that of all processes; returns it. Here they learn of interrupts, too."""
        now = time.monotonic()
        passed, number = self.team.meet(now - self.clock)
        self.clock = now
        self.interrupted = self.interrupted or number is not None
        self.progress.seconds += passed
        return passed

    # Training

    def _stretch(self):
        """Trains to where something is due. Whether the loss remained a number."""
        p = self.progress
        self.diverged, self.rate_set = False, None
        self.sums.begin()
        self.averaging.begin()
        self._tick()
        with plain_errors():
            self.model.fit(
                self.stream.dataset(p.epoch, first=p.window),
                initial_epoch=p.epoch,
                epochs=p.epoch + 1,
                steps_per_epoch=self._steps() - p.window,
                callbacks=[_Steps(self)],
                shuffle=False,
                verbose=0,
            )
        self.generators = backend.random_states()
        return not self.diverged

    def before_step(self):
        if self.rate_set is None:  # the stretch begins: what began it may have drawn numbers, too
            backend.set_random_states(self.generators)
        rate = self.rate()
        if self.lengths is not None:
            rate *= self.lengths[self.progress.window] / self.usual
        if rate != self.rate_set:
            backend.synchronize(self.model)
            # Among processes a number would be compared, step by step.
            self.optimizer.learning_rate = rate if self.team.count == 1 else backend.placed(np.float32(rate))
            self.rate_set = rate
        self.averaging.before_step(self.progress, self._epochs())

    def after_step(self):
        """Whether the stretch is over."""
        p, recipe = self.progress, self.recipe
        p.taken = min(recipe.steps_per_execution, self._steps() - p.window)
        p.step, p.window = p.step + p.taken, p.window + p.taken
        if not self.compiled:
            self._tick()  # the time of the first step is the compiler's, and says nothing of the speed
            self.compiled = True
        ends = p.window == self._steps() or self._is_due()
        keeps, looks = self._passes(recipe.checkpoint_every), self._passes(recipe.log_every)
        if not (ends or keeps or looks or self.interrupted or self._passes(self.look_every) or self._is_late()):
            return False
        if not self._look():
            self.diverged = True
            return True
        if self.interrupted:
            self.display.warn("interrupted: writing a checkpoint; once more to end at once")
        if ends or self.interrupted or self._over():
            return True
        if keeps:
            self.save()
        return False

    def _look(self):
        """Adds up what happened since the last look. False where the loss is no number."""
        backend.synchronize(self.model)
        self.team.arrives()
        p, more = self.progress, self.sums.take() | {"seconds": self._tick()}
        self.team.settles()
        self.look_every = self.team.pace(more["seconds"], more["steps"] + more["skipped"], LOOK_EVERY)
        if not math.isfinite(more["nats"]):
            return False
        p.tokens += more["tokens"]
        self.loss = more["nats"] / more["tokens"] if more["tokens"] else self.loss
        p.sums = {name: p.sums[name] + more[name] for name in p.sums}
        self.display.training(p, self._steps(), self.recipe, {**self._shown(), "unit": self.tally.unit})
        if self._passes(self.recipe.log_every):
            self._record_training()
        return True

    def _shown(self):
        sums = self.progress.sums
        loss = sums["nats"] / max(sums["tokens"], 1)
        return {
            "loss": loss,
            **({} if self.tally.choices is None else {"perplexity": perplexity(loss)}),
            "learning_rate": self.rate_set,
            "gradient_norm": sums["norm"] / max(sums["steps"], 1),
            "clip_rate": sums["clipped"] / max(sums["steps"], 1),
            "skipped_steps": sums["skipped"],
            "tokens_per_second": sums["tokens"] / max(sums["seconds"], 1e-9),
        }

    def _record_training(self):
        if self.progress.sums["tokens"]:
            shown, self.progress.sums = self._shown(), nothing()
            self.record("train", **shown)

    # Validation

    def _validate(self):
        """Whether the loss is a number."""
        p, recipe = self.progress, self.recipe
        self.team.runs_something_new()  # once, at least; and for sources of another length
        self._tick()
        begun, self.looked_at, self.look_at = p.seconds, 0, 1
        try:
            with self.averaging.in_place(self.progress):
                scores = self.scorer.score(self.valid, self._validating)
                value = decisive(scores, self.scorer)
                if not math.isfinite(value):
                    return False
            value = -value if self.scorer.larger_is_better else value
            better = value < p.best
            if better and not self._save_model():
                return False
        except Interrupted:
            return True
        if better:
            p.best, p.best_step, p.waits, p.plateau_waits = value, p.step, 0, 0
        else:
            p.waits, p.plateau_waits = p.waits + 1, p.plateau_waits + 1
        if recipe.schedule == "plateau" and p.plateau_waits >= recipe.patience:
            p.decays, p.plateau_waits = p.decays + 1, 0
        p.validated = p.step
        self._tick()
        self.deadline.validation = p.seconds - begun
        self.record("valid", **scores, best=better)
        self.display.validated(p, scores, better)
        if self.averaging.validated(p, value):
            self.record("averaging")
            self.display.say(f"from step {p.step:,} on, the mean of the weights is validated and saved")
        self.save()
        return True

    def _validating(self, done, windows):
        if self.team.count > 1 and done >= self.look_at:
            steps, self.looked_at = done - self.looked_at, done
            self.look_at = done + self.team.pace(self._tick(), steps, 10)
            if steps < done:  # the second time
                self.team.settles()
        if self.interrupted:
            raise Interrupted
        self.display.validating(done, windows)

    # What may go wrong

    def _recover(self):
        """Back to the last good checkpoint, with a lower learning rate."""
        failed, retries, seconds = self.progress.step, self.progress.retries, self.progress.seconds
        if retries >= self.recipe.retries:
            tried = f", after {retries} times going back and lowering it" if retries else ""
            raise Diverged(
                f"The loss was no finite number at step {failed:,}, with a learning rate of {self.rate():.3g}{tried}. "
                f"What there was before is in {self.folder}: resume with a lower --set learning_rate and a higher "
                f"--set retries, or start a new run with a lower learning_rate or max_norm"
            )
        # From where the last retry began, and nothing good came after: that was no good place.
        bad = self.saved.step == self.saved.went_back_to
        if not (bad and self.restore(older_than=self.saved_in) or self.restore()):
            raise Diverged(f"The loss was no finite number at step {failed:,}, and no checkpoint is whole")
        p = self.progress
        p.retries, p.went_back_to, p.seconds = retries + 1, p.step, seconds
        self.record("recovery", failed=failed, learning_rate=self.rate(), retries=p.retries)
        self.save()
        self.display.warn(
            f"the loss was no finite number at step {failed:,}: back to step {p.step:,} with a learning rate of "
            f"{self.rate():.3g} (retry {p.retries} of {self.recipe.retries})"
        )

    def _interrupt(self, number):
        """A first interrupt ends the run after the step it is in; a second one ends it at once."""
        if self.asked:
            error = KeyboardInterrupt()
            error.exit_code = exit_code()
            raise error
        self.asked = True
        self.interrupted = self.team.interrupt(number) or self.interrupted


class _Steps(keras.callbacks.Callback):
    def __init__(self, loop):
        super().__init__()
        self.loop = loop

    def on_train_batch_begin(self, batch, logs=None):
        self.loop.before_step()

    def on_train_batch_end(self, batch, logs=None):
        if self.loop.after_step():
            self.model.stop_training = True
