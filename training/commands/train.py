"""The command `train`: texts in, a run directory out."""

import dataclasses
import os
import shlex
from contextlib import nullcontext

from keras_rnnlm import tasks
from keras_rnnlm.quiet import import_keras
from keras_rnnlm.training.commands.info import summary
from keras_rnnlm.training.commands.train_options import arguments  # noqa: F401, a command has them
from keras_rnnlm.training.devices import choice, launcher
from keras_rnnlm.training.devices.choice import Choice
from keras_rnnlm.training.devices.together import Alone
from keras_rnnlm.training.loop.failures import LearnedNothing, is_finite
from keras_rnnlm.training.loop.interrupts import PATIENCE, exit_code
from keras_rnnlm.training.recipes.consistency import check_averages, check_validated
from keras_rnnlm.training.recipes.growth import batches, stream_of
from keras_rnnlm.training.recipes.length import of_fitting_length
from keras_rnnlm.training.recipes.recipe import Recipe, added, names_of
from keras_rnnlm.training.runs.display import Display, duration
from keras_rnnlm.training.runs.kept_evaluations import model_digest
from keras_rnnlm.training.runs.run import RunFolder, build_model, to_json
from keras_rnnlm.training.tasks import Given, task_of
from keras_rnnlm.training.tasks.needed import OF_MODEL, OF_SCORER, OF_STREAM, check_has


def run(options):
    alone = ("task", "valid", "test", "split", "text_column", "encoding", "recipe", "minutes", "init_from")
    given = [name for name in alone if getattr(options, name) is not None]
    if options.resume and (options.corpus or given):
        raise ValueError(
            "--resume takes the text and the recipe of the run; only --set may change a setting, such as max_minutes. "
            "Received: "
            f"{' '.join([*options.corpus, *('--' + name.replace('_', '-') for name in given)])}"
        )
    if not options.resume and not options.corpus:
        raise ValueError("No text to learn from: name files or folders, or stdlib, Python's own library")
    on = choice.of(options)
    on.check()
    if launcher.is_to_launch(on):
        return launcher.launch(options.argv, on, _how_to_resume(RunFolder(options.out), on))
    if options.resume:
        finished = resume(options.out, changes=options.set, quiet=options.quiet, **dataclasses.asdict(on))
    else:
        finished = train(
            options.corpus,
            options.out,
            options.recipe,
            task=options.task,
            minutes=options.minutes,
            changes=options.set,
            valid=options.valid,
            test=options.test,
            split=options.split,
            text_column=options.text_column,
            encoding=options.encoding,
            init_from=options.init_from,
            quiet=options.quiet,
            **dataclasses.asdict(on),
        )
    if options.json and on.is_of_the_first:
        print(to_json(summary(options.out)))
    return 0 if finished else exit_code()


def train(
    corpus,
    out,
    recipe=None,
    *,
    task=None,
    minutes=None,
    changes=(),
    valid=None,
    test=None,
    split=None,
    text_column=None,
    encoding=None,
    init_from=None,
    quiet=False,
    backend=None,
    devices=None,
    processes=None,
    coordinator=None,
    process=None,
    shard_vocabulary=None,
):
    """Trains a new model and leaves everything in the run directory `out`.

    Args:
        corpus: what `open_corpus` takes: paths, globs, "stdlib", "tfds:NAME"; or a folder that `encode` has written.
        out: the run directory, which must be new.
        recipe: a `Recipe`, the name of one that comes along, the path of a TOML file, or a dict of settings; by default
            that of `init_from`, or that of the `task`. Without these, and with `minutes` or no `changes`, what suits
            the text and this machine is chosen; with `changes` alone, `Recipe()`. Where no recipe is named, epochs and
            warm-up of a task that reads examples suit how many there are.
        task: what is learned; by default the recipe's, that of language models.
        minutes: how long it may train: the recipe's `max_minutes`.
        changes: settings to change, a dict of them, or each "key=value".
        valid, test, split, text_column, encoding: see `open_corpus`.
        init_from: a run to begin with: its best weights, its vocabulary, its network. What of these the recipe leaves
            at its default is that run's, but for what is of its text: encoding, split, columns and format.
        quiet: whether to show nothing but warnings.
        backend, devices, processes, coordinator, process, shard_vocabulary: what to compute on, see `Choice` in
            `keras_rnnlm.training.devices.choice`. Each of several processes calls this function alike.

    Returns:
        Whether the run came to its end; an interrupted one is resumed by `resume(out)`.

    >>> small = {"tokenizer": "byte", "units": 8, "layers": 1, "batch": 4, "window": 32, "epochs": 1}
    >>> train("stdlib:20k", "run", changes=small, quiet=True)
    True
    """
    first, names_a_recipe = None if init_from is None else RunFolder(init_from), recipe is not None
    if recipe is None and first is None and task is not None:
        recipe = task_of(Recipe(task=task)).recipe
    chooses = recipe is None and first is None and (minutes is not None or not changes)
    recipe, named = None if recipe is None else Recipe.of(recipe), names_of(changes)
    fits = not names_a_recipe and (first is None or task not in (None, first.read_recipe().task))
    if minutes is not None and "max_minutes" in named:
        raise ValueError(f"`minutes` are the setting `max_minutes`: give one of them. Received: minutes={minutes}")
    changes = added(changes, {"task": task, "max_minutes": minutes})
    recipe = _fine_tuning(recipe, first, changes, task) if first else (recipe or Recipe()).override(changes)
    given = {"split": split, "text_column": text_column, "encoding": encoding}
    recipe = dataclasses.replace(recipe, **{name: value for name, value in given.items() if value is not None})
    folder, task = RunFolder(out), task_of(recipe)
    given, on = Given(corpus, valid, test), Choice(backend, devices, processes, coordinator, process, shard_vocabulary)
    brought = task.brings(given, recipe, named)
    if first is None:
        recipe = dataclasses.replace(recipe, **brought)
    with on.in_use(_how_to_resume(folder, on)) as team, _new(folder, task, team):
        display = _display(folder, quiet, team)
        if team.is_first:
            if chooses:
                # A vocabulary that is divided over devices has a head of its own kind.
                taken = {*named, "head"} if on.shards > 1 else named
                recipe = recipe.override(task.choose(given, recipe, taken, folder, display, minutes))
            _check_batches(recipe, team)
            _check_shards(recipe, on)
            data = task.prepare(given, recipe, folder, display, first)
            check_validated(recipe, data.splits)
            if task.reads_examples:
                stream = _stream(task, data, recipe, team)
                recipe = of_fitting_length(recipe, stream, named if fits else None, display)
            check_averages(recipe)
            recipe = _with_precision(recipe, data, display, team)
            folder.write_recipe(recipe)
        team.told()  # that all of it is there
        if not team.is_first:
            if not folder.recipe.is_file():
                raise ValueError(
                    f"Process {team.index} does not find what the first one has written: {folder} has to be on a disk "
                    "that all processes share"
                )
            recipe = folder.read_recipe()
            data = task.restore(recipe, folder, display)
        loop = _loop(folder, recipe, data, display, team)
        if first is not None:
            _begin_with(task, loop.model, first, data)
            loop.record("origin", run=str(first.path.absolute()), model=model_digest(first))
        else:
            task.begin(loop.model, data, recipe)
        loop.save()
        if team.is_first:
            folder.clear_partial()
        return _go(loop)


def resume(
    out,
    *,
    changes=(),
    quiet=False,
    backend=None,
    devices=None,
    processes=None,
    coordinator=None,
    process=None,
    shard_vocabulary=None,
):
    """Resumes an interrupted run, bit for bit as if nothing had happened. Returns whether it came to its end.

    On another number of devices, sums are formed in another order: the run goes on, and not bit for bit.

    Args:
        out: the run directory.
        changes: settings to change, a dict of them, or each "key=value": more epochs, say.
        quiet: whether to show nothing but warnings.
        backend, devices, processes, coordinator, process, shard_vocabulary: as in `train`.

    >>> resume("run", quiet=True)  # which had come to its end
    True
    """
    folder, on = RunFolder(out), Choice(backend, devices, processes, coordinator, process, shard_vocabulary)
    folder.check_resumable()
    with on.in_use(_how_to_resume(folder, on)) as team, folder.held() if team.is_first else nullcontext():
        recipe = folder.read_recipe()
        changed, task = recipe.override(changes), task_of(recipe)
        for name in task.fixed:
            if getattr(changed, name) != getattr(recipe, name):
                raise ValueError(
                    f"`--resume` must not change {name}: start a new run for another. "
                    f"Received: {name}={getattr(changed, name)!r} after {getattr(recipe, name)!r}"
                )
        _check_batches(changed, team)
        _check_shards(changed, on)
        if {"swa_from", "epochs"} & names_of(changes):
            check_averages(changed)
        display = _display(folder, quiet, team)
        data = task.restore(recipe, folder, display)
        check_validated(changed, data.splits)
        loop = _loop(folder, changed, data, display, team)
        if not loop.restore():
            raise ValueError(f"No checkpoint in {folder} is whole: start a new run with another --out")
        if team.is_first:
            folder.write_recipe(changed)
        display.say(f"resuming at step {loop.progress.step:,}")
        return _go(loop)


def _new(folder, task, team):
    return folder.new(task.files) if team.is_first else nullcontext()


def _display(folder, quiet, team):
    """Of several processes, the first one tells how the run goes."""
    if team.is_first:
        return Display(quiet=quiet, tensorboard=folder.tensorboard)
    return Display(open(os.devnull, "w"), quiet=True)


def _check_batches(recipe, team):
    keras = import_keras()
    if recipe.accumulate > 1 and team.parts > 1 and keras.backend.backend() == "tensorflow":
        raise ValueError(
            "On several devices TensorFlow cannot accumulate gradients: drop `accumulate`, and take a larger `batch`, "
            f"or --backend jax. Received: accumulate={recipe.accumulate} on {team.parts} devices"
        )
    for batch in batches(recipe):
        if batch % team.parts:
            raise ValueError(
                f"Each of {team.parts} devices has as many rows of a batch as the others: set `batch`, and those of "
                f"`grow`, to multiples of {team.parts}. Received: batch={batch}"
            )


def _check_shards(recipe, on):
    """Before the text is read, which may take long."""
    if on.shards == 1:
        return
    if recipe.task != tasks.DEFAULT:
        raise ValueError(
            "`shard_vocabulary` divides the vocabulary of a language model: drop it. "
            f"Received: shard_vocabulary={on.shards}, task={recipe.task!r}"
        )
    from keras_rnnlm.distribution import check_can_be_divided
    from keras_rnnlm.heads import HEADS

    if recipe.head in HEADS:
        check_can_be_divided(HEADS[recipe.head])


def _loop(folder, recipe, data, display, team=None):
    team = team or Alone()
    keras, task = import_keras(), task_of(recipe)
    if recipe.steps_per_execution > 1 and keras.backend.backend() == "torch":
        raise ValueError(
            "PyTorch takes one step in an execution: drop `steps_per_execution`. "
            f"Received: steps_per_execution={recipe.steps_per_execution}"
        )
    if recipe.deterministic and keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    from keras_rnnlm.training.loop.loop import Loop

    stream = _stream(task, data, recipe, team)
    with team.scope():
        model = build_model(recipe, data.vocabulary)
        scorer = task.scorer(model, data, recipe)
        check_has(model, OF_MODEL, "The model of a task")
        check_has(scorer, OF_SCORER, "The scorer of a task")
        display.say(f"{task.describe(data)}; {model.count_params():,} weights")
        return Loop(
            model,
            recipe,
            stream,
            folder,
            valid=data.splits.get("valid"),
            scorer=scorer,
            display=display,
            identity={**data.fingerprints, "recipe": {name: getattr(recipe, name) for name in task.fixed}},
            team=team,
        )


def _stream(task, data, recipe, team):
    def own(recipe):
        stream = task.stream(data, "train", recipe)
        check_has(stream, OF_STREAM, "The stream of a task")
        if team.count == 1:
            return stream
        from keras_rnnlm.training.devices.rows import Rows

        return Rows(stream, team.index, team.count)

    return stream_of(recipe, own)


def _how_to_resume(folder, on):
    return f"Resume with: keras-rnnlm train --out {shlex.quote(str(folder))} --resume{on.words()}"


def _go(loop):
    folder, display, how = loop.folder, loop.display, loop.team.how

    def late():
        display.warn(f"ended {PATIENCE} s after SIGTERM; the newest checkpoint is of step {loop.saved.step:,}. {how}")

    try:
        over = loop.run(late)
    except LearnedNothing:
        if loop.team.is_first:
            folder.plot()
        raise
    except OSError as error:
        raise OSError(f"{error}. When that is mended: {how[0].lower()}{how[1:]}") from error
    except KeyboardInterrupt:
        display.warn(f"ended at once; the newest checkpoint is of step {loop.saved.step:,}. {how}")
        raise
    if over is None:
        display.warn(f"interrupted at step {loop.progress.step:,}; nothing is lost. {how}")
        return False
    if loop.team.is_first:
        folder.plot()
    if loop.recipe.swa_from is not None and loop.progress.averaging_from < 0:
        display.warn(f"no mean of weights was made: the run ended before `swa_from`={loop.recipe.swa_from:g} epochs")
    best = "the best model" if loop.progress.best_step >= 0 else "the model"
    display.say(f"{over}, in {duration(loop.progress.seconds)}; {best} is {folder.model_file}")
    return True


def _with_precision(recipe, data, display, team):
    """The recipe with the faster precision, where it is to be found."""
    if recipe.precision != "auto":
        return recipe
    if team.count > 1:
        raise ValueError(
            "The faster precision is found by one process: set `precision` to float32 or mixed_bfloat16. "
            f"Received: precision='auto' with {team.count} processes"
        )
    from keras_rnnlm.training.recipes.precision import faster

    precision, seconds = faster(recipe, data.vocabulary, task_of(recipe).stream(data, "train", recipe))
    measured = ", ".join(f"{name} {1000 * spent:,.0f} ms" for name, spent in seconds.items())
    display.say(f"precision={precision}, by the time of a step ({measured})")
    return dataclasses.replace(recipe, precision=precision)


def _fine_tuning(recipe, first, changes, wanted):
    """The recipe with the network and the vocabulary of the run to begin with."""
    default = Recipe()
    of_its_text = {name: getattr(default, name) for name in ("encoding", "split", "text_column")}
    begun = dataclasses.replace(first.read_recipe(), **of_its_text)
    begun = begun.override({"task_settings": _of_another_text(begun)})
    _check_weights(first)
    if wanted is None and recipe is not None and recipe.task != tasks.DEFAULT:
        wanted = recipe.task
    if wanted not in (None, begun.task):
        return _from_another_task(recipe, begun, changes, wanted)
    task = task_of(begun)
    names = (*task.vocabulary_settings, *task.network_settings)
    taken = {
        name: getattr(begun, name)
        for name in names
        if recipe is not None and getattr(recipe, name) == getattr(default, name)
    }
    if recipe is not None and recipe.task == begun.task:
        own = Recipe(task=begun.task).task_settings  # what the recipe leaves at its default is that run's
        given = {name: value for name, value in recipe.task_settings.items() if value != own[name]}
        taken["task_settings"] = begun.task_settings | given
    recipe = (begun if recipe is None else dataclasses.replace(recipe, **taken)).override(changes)
    for name in names:
        if _of_network(recipe, name, task) != _of_network(begun, name, task):
            raise ValueError(
                f"A run that begins with another's weights has its vocabulary and its network, too: drop `{name}`. "
                f"Received: {name}={getattr(recipe, name)!r}, and {first} has {getattr(begun, name)!r}"
            )
    return recipe


def _of_another_text(recipe):
    """Its task's settings, but for those of its text."""
    defaults = Recipe(task=recipe.task).task_settings
    return recipe.task_settings | {name: defaults[name] for name in task_of(recipe).text_settings}


def _of_network(recipe, name, task):
    value = getattr(recipe, name)
    if name != "task_settings":
        return value
    return {name: one for name, one in value.items() if name not in (*task.text_settings, *task.free_settings)}


def _from_another_task(recipe, begun, changes, wanted):
    own = task_of(Recipe(task=wanted))
    taken = own.settings_from(begun)
    if recipe is None:
        recipe = Recipe.of_task(wanted)
    recipe = recipe.override({"task": wanted, **taken}).override(changes)
    kept = recipe.override(taken)
    for field in dataclasses.fields(recipe):
        given, needed = getattr(recipe, field.name), getattr(kept, field.name)
        if given != needed:
            raise ValueError(
                f"A run that begins with another's weights has its network: drop `{field.name}`. "
                f"Received: {field.name}={given!r}, and it takes {needed!r}"
            )
    return recipe


def _check_weights(first):
    if not first.model_file.is_file() and not first.checkpoints().files():
        first.read_model()  # which tells what is missing


def _begin_with(task, model, first, data):
    other = first.read_model()
    if not is_finite(other.get_weights()):
        raise LearnedNothing(f"There is nothing to begin with: weights of {first.model_file} are NaN or infinite")
    try:
        task.begin_with(model, other, data.vocabulary, task_of(first.read_recipe()).vocabulary(first))
    except ValueError as error:
        raise ValueError(f"The weights of {first} do not fit the model: {error}") from error
