"""The training loop: what is validated, kept, scheduled, and what happens when something goes wrong."""

import dataclasses
import itertools
import math
import os
import signal
import types

import numpy as np
import pytest
from keras import backend as keras_backend
from keras import ops

from keras_rnnlm.training import tasks
from keras_rnnlm.training.evaluation.scorer import Scorer
from keras_rnnlm.training.loop import deadline
from keras_rnnlm.training.loop import loop as loop_module
from keras_rnnlm.training.loop.failures import Diverged, LearnedNothing
from keras_rnnlm.training.loop.interrupts import exit_code
from keras_rnnlm.training.loop.loop import Loop
from keras_rnnlm.training.recipes import growth
from keras_rnnlm.training.recipes.recipe import Recipe
from keras_rnnlm.training.runs.run import RunFolder, build_model
from keras_rnnlm.training.streams import Contiguous, Sentences

VOCABULARY, END = 7, 3
TEXT = np.random.default_rng(0).integers(0, VOCABULARY, 480).astype(np.int32)  # 20 windows an epoch
VALID = TEXT[:60]
TINY = Recipe(
    units=6,
    layers=1,
    tied=False,
    dropout=0.2,
    batch=4,
    window=6,
    epochs=2,
    learning_rate=0.01,
    warmup_steps=0,
    schedule="constant",
    checkpoint_every=4,
    log_every=5,
)
_models = {}


class Watcher:
    """A display that keeps what it is told, and does what a test has it do at a step."""

    def __init__(self, at=None):
        self.at, self.lines, self.losses = at or {}, [], []

    def warn(self, text):
        self.lines.append(text)

    say = warn

    def training(self, progress, steps, recipe, shown):
        if progress.step in self.at:
            self.at.pop(progress.step)()

    def validating(self, done, windows):
        if "validating" in self.at:
            self.at.pop("validating")()

    def validated(self, progress, scores, better):
        self.losses.append((progress.step, scores["loss"], better))

    def recorded(self, record):
        pass


class Scripted(tasks.Scorer):
    """A scorer that says what it is told to, and keeps the weights that it saw."""

    def __init__(self, losses):
        self.script, self.seen, self.model = iter(losses), [], None

    def score(self, tokens, progress):
        self.seen.append([np.array(w) for w in self.model.get_weights()])
        progress(1, 1)
        return {"loss": next(self.script)}


class Windows(Contiguous):
    """The same windows, in a data set that is made in no time."""

    def dataset(self, epoch=0, first=0):
        import tensorflow as tf

        inputs, targets, weights = zip(*self.windows(epoch, first))
        inputs = {name: np.stack([window[name] for window in inputs]) for name in inputs[0]}
        return tf.data.Dataset.from_tensor_slices((inputs, np.stack(targets), np.stack(weights)))


class FewLengths(Contiguous):
    """Random windows of two lengths: each is compiled."""

    def _draw(self, epoch):
        yield np.cumsum(np.random.default_rng(epoch).choice([5, 7], 1000))


@pytest.fixture
def make(tmp_path):
    """`make(name, units=3, ...)`: a loop in a folder of that name. Models are compiled once and begin anew."""

    def make(name="run", *, scorer=None, valid=VALID, at=None, identity=None, **changes):
        recipe = dataclasses.replace(TINY, **changes)
        kind = {"units": recipe.units, "dropout": recipe.dropout, "ema": recipe.ema, "optimizer": recipe.optimizer}
        kind |= {"reduction": recipe.reduction, "max_norm": recipe.max_norm, "dtype": recipe.precision}
        kind |= {"averages": recipe.averages, "accumulate": recipe.accumulate, "weight_decay": recipe.weight_decay}
        kind |= {"batches": tuple(growth.batches(recipe)), "together": recipe.steps_per_execution}
        key = tuple(kind.items())
        if key not in _models:
            model = build_model(recipe, types.SimpleNamespace(vocabulary_size=VOCABULARY))
            model.jit_compile = False  # to begin sooner; test_resume.py runs the commands as they are
            model.optimizer.build(model.trainable_variables)
            for batch in growth.batches(recipe):
                model.reset_states(batch)
            values = [ops.convert_to_numpy(v.value).copy() for v in model.variables + model.optimizer.variables]
            _models[key] = model, values, Scorer(model, start=0, batch=2, window=recipe.window)
        model, values, usual = _models[key]
        for variable, value in zip(model.variables + model.optimizer.variables, values):
            variable.assign(value)
        if recipe.mode == "sentences":
            stream = Sentences(TEXT, recipe.batch, end=END, longest=recipe.window, seed=recipe.seed)
        elif recipe.random_windows:
            stream = FewLengths(TEXT, recipe.batch, recipe.window, start=0, random=True)
        else:
            stream = growth.stream_of(recipe, lambda recipe: Windows(TEXT, recipe.batch, recipe.window, start=0))
        folder = RunFolder(tmp_path / name)
        folder.path.mkdir(exist_ok=True)
        folder.write_recipe(recipe)
        scorer = scorer or usual
        scorer.model = model
        return Loop(model, recipe, stream, folder, valid=valid, scorer=scorer, display=Watcher(at), identity=identity)

    return make


def final(loop):
    """What the last checkpoint of a loop holds."""
    _, arrays, progress = loop.checkpoints.read()
    progress.pop("seconds"), progress.pop("sums"), progress.pop("history")
    return arrays, progress


def assert_same(one, other):
    (arrays, progress), (others, other_progress) = final(one), final(other)
    assert progress == other_progress
    assert arrays.keys() == others.keys()
    assert [name for name in arrays if not np.array_equal(arrays[name], others[name])] == []


def records(loop, kind=None):
    return [record for record in loop.folder.read_history() if kind in (None, record["kind"])]


# Validation


def test_the_best_model_by_validation_is_the_one_that_is_kept(make):
    scorer = Scripted([3.0, 2.0, 4.0, 2.0])
    loop = make(scorer=scorer, eval_every=10)
    assert loop.run() == "2 epochs are done"
    assert loop.display.losses == [(10, 3.0, True), (20, 2.0, True), (30, 4.0, False), (40, 2.0, False)]
    assert (loop.progress.best, loop.progress.best_step) == (2.0, 20)
    for kept, at_20, at_40 in zip(loop.folder.read_model().get_weights(), scorer.seen[1], scorer.seen[3]):
        np.testing.assert_array_equal(kept, at_20)
        assert not np.array_equal(at_20, at_40)


def test_a_run_whose_model_was_taken_away_makes_another(make):
    loop = make(scorer=Scripted([1.0]), epochs=1)
    loop.run()
    loop.folder.model_file.unlink()
    again = make(scorer=Scripted([3.0]), epochs=2)
    assert again.restore() and again.progress.best_step == -1
    assert again.run() and again.folder.model_file.is_file()


def test_without_validation_the_last_model_is_kept(make):
    for name, changes in (("none", dict(valid=None)), ("never", dict(eval_every=0))):
        loop = make(name, epochs=1, **changes)
        assert loop.run() == "1 epoch is done"
        assert not records(loop, "valid")
        for kept, last in zip(loop.folder.read_model().get_weights(), loop.model.get_weights()):
            np.testing.assert_array_equal(kept, last)


def test_validation_comes_with_each_epoch_or_every_so_many_steps_and_at_the_end(make):
    for name, every, steps in (("epochs", None, [20, 40]), ("15", 15, [15, 30, 40]), ("20", 20, [20, 40])):
        loop = make(name, scorer=Scripted(itertools.repeat(1.0)), eval_every=every)
        loop.run()
        assert [step for step, *_ in loop.display.losses] == steps


def test_a_validation_is_what_a_scorer_says_and_changes_nothing(make):
    loop, silent = make("one", eval_every=7), make("other", eval_every=0)
    loop = make("one", eval_every=7)
    loop.run()
    wanted = loop.scorer.losses(VALID).mean(dtype=np.float64)
    assert records(loop, "valid")[-1]["loss"] == pytest.approx(wanted, rel=1e-12)
    silent = make("other", eval_every=0)
    silent.run()
    arrays, others = final(loop)[0], final(silent)[0]
    assert [name for name in arrays if not np.array_equal(arrays[name], others[name])] == []


def test_early_stopping_waits_for_so_many_validations(make):
    loop = make(scorer=Scripted([3.0, 2.0, 2.5, 2.0, 2.1, 1.0]), eval_every=5, stop_after=3)
    assert loop.run() == "3 validations brought no better loss"
    assert (loop.progress.step, loop.progress.best_step) == (25, 10)


def test_a_run_ends_when_its_minutes_are_over_and_validates_then(make, monkeypatch):
    clock = itertools.count(0, 1.0)  # each look at it takes a second
    monkeypatch.setattr(loop_module, "time", types.SimpleNamespace(monotonic=lambda: next(clock)))
    loop = make(scorer=Scripted(itertools.repeat(1.0)), max_minutes=0.5, epochs=50)
    assert loop.run() == "the 0.5 minutes of `max_minutes` are over"
    assert 0 < loop.progress.step < 50 and 30 <= loop.progress.seconds < 45
    assert loop.display.losses[-1][0] == loop.progress.step
    assert loop.checkpoints.read()[0] == loop.progress.step


def test_a_run_of_slow_steps_looks_at_the_clock_at_each(make, monkeypatch):
    clock = types.SimpleNamespace(now=0.0)
    monkeypatch.setattr(loop_module, "time", types.SimpleNamespace(monotonic=lambda: clock.now))
    loop = make(valid=None, max_minutes=0.5, epochs=50)
    monkeypatch.setattr(loop, "before_step", lambda: setattr(clock, "now", clock.now + 7.0))
    assert loop.run() == "the 0.5 minutes of `max_minutes` are over"
    assert 30 <= loop.progress.seconds < 38


def test_the_last_validation_ends_with_the_minutes_and_the_rate_with_the_training(make, monkeypatch):
    clock, rates = iter(itertools.count()), []  # each look at it takes a second

    class Slow(Scripted):
        def score(self, valid, progress):
            for k in range(8):
                progress(k + 1, 8)
                next(clock)
            return super().score(valid, progress)

    for module in (loop_module, deadline):
        monkeypatch.setattr(module, "time", types.SimpleNamespace(monotonic=lambda: next(clock)))
    loop = make(scorer=Slow(itertools.repeat(1.0)), max_minutes=0.5, epochs=50, schedule="cosine")
    monkeypatch.setattr(loop, "before_step", lambda: rates.append(loop.rate()))
    assert loop.run() == "the 0.5 minutes of `max_minutes` are over"
    assert len(loop.display.losses) == 1 and 25 < loop.progress.seconds < 36
    assert rates[-1] < 0.1 * rates[0]


# Schedules


def test_a_plateau_lowers_the_rate_after_validations_that_were_no_better(make):
    scorer = Scripted([3.0, 4.0, 4.0, 2.0, 3.0, 3.0, 3.0, 3.0])
    loop = make(scorer=scorer, schedule="plateau", patience=2, decay=0.1, eval_every=5, log_every=5, learning_rate=1e-3)
    loop.run()
    rates = [record["learning_rate"] for record in records(loop, "train")]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-3, 1e-4, 1e-4, 1e-4, 1e-5, 1e-5])


def test_the_rate_of_every_step_is_the_recipes(make):
    loop = make(schedule="cosine", warmup_steps=7, log_every=1, valid=None)
    loop.run()
    rates = [record["learning_rate"] for record in records(loop, "train")]
    assert rates == [loop.recipe.learning_rate_at(step, step / 20) for step in range(40)]
    assert max(rates) == rates[6] and rates[-1] < 1e-4


def test_the_rate_follows_the_length_of_a_random_window_unless_the_loss_does(make):
    for reduction, follows in (("mean", True), ("sum", False)):
        changes = dict(random_windows=True, reduction=reduction)
        loop, rates = make(reduction, **changes), []
        for window in range(loop.stream.steps(0)):  # no training: each length would be compiled
            loop.progress.window = window
            loop.before_step()
            rates.append(loop.optimizer.learning_rate.numpy())
        lengths = loop.stream.lengths(0)
        assert lengths.min() < lengths.max()
        np.testing.assert_allclose(rates, 0.01 * lengths / 6 if follows else np.full(len(lengths), 0.01), rtol=1e-6)


# Averages


def test_averages_are_validated_and_saved_and_training_goes_on_with_the_weights(make):
    scorer = Scripted([3.0, 2.0, 1.0, 4.0])
    loop = make("averaged", scorer=scorer, ema=0.8, eval_every=10)
    averages = []
    loop.display.validated = lambda *_: averages.append(
        [np.array(v.value) for v in loop.optimizer.inner_optimizer._model_variables_moving_average]
    )
    loop.run()
    plain = make("plain", scorer=Scripted(itertools.repeat(1.0)), eval_every=10)
    plain.run()
    for seen, average in zip(scorer.seen, averages):
        for variable, value in zip(loop.model.trainable_variables, average):
            place = [id(weight) for weight in loop.model.weights].index(id(variable))
            np.testing.assert_array_equal(seen[place], value)
    for kept, best in zip(loop.folder.read_model().get_weights(), scorer.seen[2]):
        np.testing.assert_array_equal(kept, best)
    weights, others = final(loop)[0], final(plain)[0]
    assert all(np.array_equal(weights[name], others[name]) for name in others if name.startswith("model"))
    assert not np.array_equal(weights["model 0 embeddings"], averages[3][0])


def test_without_validation_the_averages_are_saved(make):
    loop = make(ema=0.8, valid=None, epochs=1)
    loop.run()
    averages = [np.array(v.value) for v in loop.optimizer.inner_optimizer._model_variables_moving_average]
    saved = loop.folder.read_model().trainable_variables
    for average, variable in zip(averages, saved):
        np.testing.assert_array_equal(average, np.array(variable.value))


# What is recorded


def test_the_history_counts_every_token_once_and_tells_the_loss_of_its_steps(make):
    loop = make(valid=None, epochs=1, log_every=8)
    loop.run()
    history = records(loop)
    assert [record["step"] for record in history] == [8, 16, 20]
    assert [record["tokens"] for record in history] == [192, 384, 480]
    every = make("every", valid=None, epochs=1, log_every=1)
    every.run()
    losses = [record["loss"] for record in records(every)]
    assert history[0]["loss"] == pytest.approx(np.mean(losses[:8]), rel=1e-6)
    assert history[2]["loss"] == pytest.approx(np.mean(losses[16:]), rel=1e-6)
    assert all(record["perplexity"] == pytest.approx(math.exp(record["loss"])) for record in history)


def test_time_is_counted_once(make):
    loop = make(eval_every=5)
    loop.run()
    times = [record["seconds"] for record in records(loop)]
    assert times == sorted(times) and times[-1] == pytest.approx(loop.progress.seconds, abs=0.2)


# Interruptions


def interrupt(number=signal.SIGINT):
    return lambda: os.kill(os.getpid(), number)


@pytest.mark.parametrize(
    "changes",
    [
        dict(eval_every=15, schedule="plateau", ema=0.8),
        pytest.param(dict(random_windows=True, schedule="cosine"), marks=pytest.mark.long),
        pytest.param(dict(mode="sentences", window=8), marks=pytest.mark.long),
    ],
    ids=["averages", "random", "sentences"],
)
def test_an_interrupted_run_ends_as_an_uninterrupted_one_would(make, changes):
    whole = make("whole", **changes)
    whole.run()
    for step in (10, 15, 25):
        broken = make("broken", at={step: interrupt(signal.SIGTERM)}, **changes)
        assert broken.restore() == (step > 10)
        assert broken.run() is None and exit_code() == 143
        assert broken.checkpoints.read()[0] == step
    broken = make("broken", **changes)
    assert broken.restore()
    assert broken.run() == "2 epochs are done"
    assert_same(whole, broken)


@pytest.mark.skipif(keras_backend.backend() == "torch", reason="PyTorch takes one step in an execution")
def test_steps_of_one_execution_learn_what_single_steps_do_and_resume_exactly(make):
    single = make("single", eval_every=14)
    single.run()
    changes = dict(eval_every=14, steps_per_execution=3, schedule="constant")
    whole = make("whole", **changes)
    whole.run()
    # An epoch's 20 windows end in an execution of fewer, and what is due comes after the execution that reaches it.
    assert [record["step"] for record in records(whole, "valid")] == [15, 29, 40]
    assert sum(record["tokens"] for record in records(whole, "train")[-1:]) == 2 * len(TEXT)
    (mine, _), (wanted, _) = final(whole), final(single)
    for name, value in wanted.items():
        np.testing.assert_allclose(mine[name], value, rtol=1e-5, atol=1e-6, err_msg=name)
    broken = make("broken", at={26: interrupt(signal.SIGTERM)}, **changes)
    assert broken.run() is None and broken.checkpoints.read()[0] == 26
    again = make("broken", **changes)
    assert again.restore() and again.run() == "2 epochs are done"
    assert_same(whole, again)


def test_an_interrupt_in_a_validation_leaves_the_validation_for_later(make):
    whole = make("whole", eval_every=10)
    whole.run()
    broken = make("broken", eval_every=10, at={"validating": interrupt()})
    broken.display.validating = lambda done, windows: broken.display.at.pop("validating", lambda: None)()
    assert broken.run() is None
    assert (broken.progress.step, broken.progress.validated) == (10, -1)
    assert not records(broken, "valid")
    again = make("broken", eval_every=10)
    assert again.restore() and again.run() == "2 epochs are done"
    assert_same(whole, again)
    assert [r["step"] for r in records(again, "valid")] == [10, 20, 30, 40]


def test_a_second_interrupt_ends_at_once(make):
    def twice():
        interrupt()()
        interrupt()()

    loop = make(at={10: twice})
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        loop.run()
    assert signal.getsignal(signal.SIGINT) is handler
    assert loop.checkpoints.read()[0] == 8


def test_an_ignored_interrupt_stays_ignored(make):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert make(at={10: interrupt()}, epochs=1).run() == "1 epoch is done"
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_was_recorded_after_the_last_checkpoint_is_forgotten(make):
    whole = make("whole", eval_every=10)
    whole.run()

    def dies():
        raise SystemExit

    broken = make("broken", eval_every=10, at={15: dies})  # with checkpoints at 10 and 12
    with pytest.raises(SystemExit):
        broken.run()
    with open(broken.folder.history, "a") as file:
        file.write('{"kind": "train", "st')
    (broken.folder.path / "partial-123.keras").touch()
    (broken.checkpoints.folder / "partial-123").touch()
    (broken.folder.path / "partial-123-exported").mkdir()  # of an export, which is not the run's own
    again = make("broken", eval_every=10)
    assert again.restore() and again.progress.step == 12
    (broken.folder.path / "partial-123-exported").rmdir()
    again.run()
    timed = ("seconds", "tokens_per_second")
    told = [[{k: v for k, v in r.items() if k not in timed} for r in records(loop)] for loop in (whole, again)]
    assert told[0] == told[1]
    assert not list(again.folder.path.rglob("partial-*"))


# Recovery


def poison(loop, weights=False):
    def poison():
        for variable in loop.model.trainable_variables if weights else loop.model.carried.variables:
            variable.assign(np.full(variable.shape, math.nan, "float32"))

    return poison


def test_a_loss_that_is_no_number_sends_the_run_back_with_a_lower_rate(make):
    loop = make(eval_every=0)
    loop.display.at[10] = poison(loop)  # the carried states; the checkpoint before is of step 8
    loop.run()
    (recovery,) = records(loop, "recovery")
    assert (recovery["step"], recovery["failed"], recovery["learning_rate"]) == (8, 12, 0.005)
    assert loop.display.lines == [
        "the loss was no finite number at step 12: back to step 8 with a learning rate of 0.005 (retry 1 of 3)"
    ]
    assert [record["step"] for record in records(loop, "train")] == [5, 10, 15, 20, 25, 30, 35, 40]
    assert records(loop, "train")[-1]["learning_rate"] == 0.005
    assert (loop.progress.step, loop.progress.retries) == (40, 1)


def test_a_recovery_is_repeated_exactly_after_a_kill(make):
    whole = make("whole", eval_every=0)
    whole.display.at[10] = poison(whole)
    whole.run()
    broken = make("broken", eval_every=0)
    broken.display.at = {10: poison(broken), 25: interrupt()}
    assert broken.run() is None
    again = make("broken", eval_every=0)
    assert again.restore()
    again.run()
    assert_same(whole, again)
    assert len(records(again, "recovery")) == 1


def spoil_the_checkpoint_of_step_12(loop):
    save = loop.save

    def bad_save():
        if loop.progress.step == 12 and not loop.progress.retries:
            poison(loop, weights=True)()
        save()

    loop.save = bad_save


def test_a_checkpoint_that_leads_to_nothing_good_twice_is_passed_over(make):
    loop = make(eval_every=0, retries=4)
    spoil_the_checkpoint_of_step_12(loop)
    loop.run()
    assert ["back to step 12" in line for line in loop.display.lines] == [True, False]
    assert ["back to step 8" in line for line in loop.display.lines] == [False, True]
    assert (loop.progress.step, loop.progress.retries) == (40, 2)


@pytest.mark.parametrize("keep", [1, 2])
def test_a_good_checkpoint_outlives_a_bad_one_however_few_are_kept(make, keep):
    loop = make(eval_every=0, retries=4, keep_checkpoints=keep)
    spoil_the_checkpoint_of_step_12(loop)
    assert loop.run() == "2 epochs are done"
    back = [line.split(" with ")[0].split(": ")[1] for line in loop.display.lines]
    assert back == ["back to step 12", "back to step 8"]
    assert [int(path.name.split("-")[2]) for _, path in loop.checkpoints.files()] == [36, 40]
    for weights in loop.folder.read_model().get_weights():
        assert np.isfinite(weights).all()


def test_of_two_checkpoints_of_one_step_the_good_one_is_found_again(make):
    loop = make(eval_every=0, at={12: interrupt()}, log_every=4)
    assert loop.run() is None
    step, arrays, progress = loop.checkpoints.read()
    bad = {name: array * math.nan if name == "model 0 embeddings" else array for name, array in arrays.items()}
    loop.checkpoints.write(step, bad, progress)
    again = make(eval_every=0)
    assert again.restore() and again.run() == "2 epochs are done"
    assert [line.split(" with ")[0] for line in again.display.lines] == [
        "the loss was no finite number at step 15: back to step 12"
    ] * 2


def test_of_the_checkpoints_of_one_step_the_last_stays(make):
    loop = make(eval_every=10, checkpoint_every=1000)
    loop.run()
    steps = [int(path.name.split("-")[2]) for _, path in loop.checkpoints.files()]
    assert steps == [20, 30, 40]


def test_a_checkpoint_that_is_due_at_the_end_of_an_epoch_is_written(make):
    for name, changes in (("none", dict(valid=None)), ("never", dict(eval_every=0))):
        loop = make(name, checkpoint_every=20, at={25: interrupt()}, **changes)
        written, write = [], loop.checkpoints.write
        loop.checkpoints.write = lambda step, *more: written.append(step) or write(step, *more)
        assert loop.run() is None and written == [0, 20, 25]


def test_what_is_damaged_does_not_push_out_what_is_whole(make):
    how = dict(valid=None, keep_checkpoints=2, checkpoint_every=8)
    make(epochs=1, **how).run()
    loop = make(epochs=2, at={21: interrupt()}, log_every=1, **how)
    damaged = loop.checkpoints.files()[-1][1]
    damaged.write_bytes(damaged.read_bytes()[:-100])
    assert loop.restore() and loop.run() is None
    assert [int(path.name.split("-")[2]) for _, path in loop.checkpoints.files()] == [16, 21]
    assert not damaged.exists()


def test_a_run_that_goes_back_too_often_gives_up_and_says_how_to_go_on(make):
    loop = make(eval_every=0, optimizer="sgd", learning_rate=1e38, max_norm=None, retries=2)
    with pytest.raises(Diverged, match=r"no finite number at step \d+, .* after 2 times going back .*learning_rate"):
        loop.run()
    assert [line.split("retry ")[1] for line in loop.display.lines] == ["1 of 2)", "2 of 2)"]
    assert loop.checkpoints.files()
    mended = make(eval_every=0, optimizer="sgd", learning_rate=0.1, max_norm=None, retries=4)
    assert mended.restore() and mended.run() == "2 epochs are done"


def test_a_validation_that_is_no_number_sends_the_run_back_and_is_never_the_best(make):
    loop = make(scorer=Scripted([math.nan, math.inf, 2.0, 1.0]), eval_every=None, checkpoint_every=5)
    loop.run()
    assert [line.split(" with ")[0] for line in loop.display.lines] == [
        "the loss was no finite number at step 20: back to step 15",
        "the loss was no finite number at step 20: back to step 10",
    ]
    assert loop.display.losses == [(20, 2.0, True), (40, 1.0, True)]


# Runs in vain


def scaled(loop, scale):
    """A loop whose output layer is far too large, though its weights are numbers."""
    kernel = loop.model.head.kernel
    kernel.assign(scale * np.random.default_rng(0).normal(size=kernel.shape))
    return loop


@pytest.mark.parametrize("epochs, steps", [(1, 20), (9, 60)])
def test_a_run_whose_every_step_was_skipped_fails(make, epochs, steps):
    loop = make(epochs=epochs, eval_every=0)
    counts = loop.optimizer.steps, loop.optimizer.skipped_steps
    loop.display.at[steps] = lambda: [counted.assign(count) for counted, count in zip(counts, (0, steps))]
    with pytest.raises(LearnedNothing, match=f"learned nothing: {steps} of {steps} steps were skipped") as caught:
        loop.run()
    assert caught.value.exit_code == 1 and "\n" not in str(caught.value)


def test_batches_that_wait_for_a_step_are_no_skipped_ones(make):
    loop = make(epochs=1, eval_every=0, accumulate=1000)
    loop.display.at[20] = lambda: loop.optimizer.skipped_steps.assign(3)
    loop.run()
    assert loop.progress.step == 20


@pytest.mark.parametrize("every, what", [(0, "last training"), (None, "best validation")])
def test_a_run_that_ends_far_above_guessing_fails(make, every, what):
    loop = scaled(make(epochs=1, eval_every=every), 1e10)
    with pytest.raises(LearnedNothing, match=rf"its {what} loss is \d.*e\+\d+ nats a token, .* all 7 symbols .* 1.95"):
        loop.run()


@pytest.mark.parametrize("changes", [dict(valid=None), dict(scorer=Scripted(itertools.repeat(1.0)), eval_every=1)])
def test_no_model_is_written_whose_weights_are_no_numbers(make, changes):
    loop = make(max_minutes=1e-9, retries=1, **changes)
    poison(loop, weights=True)()
    if loop.valid is not None:
        loop.progress.step = 1  # as if one step had been made, so that a validation is due
    with pytest.raises(Diverged, match="no finite number"):
        loop.run()
    assert not loop.folder.model_file.exists()


def test_a_text_that_is_lost_while_it_is_read_is_told_in_one_line(make, monkeypatch):
    for error, told in (
        (ValueError("shard 3 is damaged: gone"), "shard 3 is damaged"),
        (OSError(5, "Bad", "f"), "Bad"),
    ):

        def blocks(self, epoch, first, error=error):
            raise error
            yield

        monkeypatch.setattr(Windows, "_blocks", blocks)
        monkeypatch.setattr(Windows, "dataset", Contiguous.dataset)
        with pytest.raises((ValueError, OSError), match=told) as caught:
            make().run()
        assert "\n" not in str(caught.value)


# Checkpoints that do not fit


def test_a_damaged_checkpoint_is_passed_over_and_told(make):
    loop = make(epochs=1, valid=None)
    loop.run()
    newest = loop.checkpoints.files()[-1][1]
    newest.write_bytes(newest.read_bytes()[:-100])
    again = make(epochs=1, valid=None)
    assert again.restore() and again.progress.step == 16
    assert again.display.lines == [
        f"{newest} is damaged: its content does not have the hash in its name. Going back to the one before it"
    ]
    again.run()
    assert again.checkpoints.read()[0] == 20
    for _, path in again.checkpoints.files():
        path.write_bytes(b"")
    assert make(epochs=1).restore() is False


def test_checkpoints_of_another_text_or_model_are_refused(make):
    loop = make(epochs=1, valid=None, identity={"vocabulary": "a", "text": "b"})
    loop.run()
    with pytest.raises(ValueError, match="written with another text: resume with the one"):
        make(identity={"vocabulary": "a", "text": "c"}).restore()
    with pytest.raises(ValueError, match=r"of another model or optimizer.*differ in .*\(7, 6\) there, \(7, 7\) here"):
        make(units=7, identity={"vocabulary": "a", "text": "b"}).restore()
    with pytest.raises(ValueError, match="of another model or optimizer"):
        make(optimizer="sgd", identity={"vocabulary": "a", "text": "b"}).restore()
