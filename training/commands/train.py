"""The command `train`: texts in, a run directory out."""

import argparse
import dataclasses
import pathlib
import shlex

import numpy as np

from keras_rnnlm import cell_list
from keras_rnnlm.quiet import import_keras
from keras_rnnlm.text.tokenizers import Tokenizer
from keras_rnnlm.training.commands.info import summary
from keras_rnnlm.training.corpora import open_corpus, tell_columns
from keras_rnnlm.training.display import Display, duration
from keras_rnnlm.training.encoded import encode_corpus
from keras_rnnlm.training.encoded_again import as_given, text_of
from keras_rnnlm.training.failures import LearnedNothing, is_finite
from keras_rnnlm.training.kept_evaluations import model_digest
from keras_rnnlm.training.recipe import TOKENIZERS, Recipe, built_in, settings_help
from keras_rnnlm.training.run import RunFolder, build_model, to_json
from keras_rnnlm.training.streams import Contiguous, Sentences

VOCABULARY = ("tokenizer", "vocabulary_size", "min_count")
NETWORK = ("units", "layers", "cell", "cell_options", "embedding_dim", "tied", "connection")
# What a run has to go on with: else it would not be the same run, or the setting would have no effect any more.
FIXED = (*VOCABULARY, "encoding", "split", *NETWORK, "initial_range", "forget_bias", "unigram_bias", "precision")
FIXED += ("text_column", "mode", "batch", "window", "random_windows", "optimizer", "ema", "seed")


def arguments(parser):
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "corpus",
        nargs="*",
        help="files, folders, globs, .gz, tables (.csv, .tsv, .jsonl, .json, .parquet), - for standard input, "
        "tfds:NAME, or stdlib: Python's own library here",
    )
    parser.add_argument(
        "--out", type=pathlib.Path, required=True, help="the run directory, new; or, with --resume, old"
    )
    parser.add_argument("--valid", help="a text to validate on")
    parser.add_argument("--test", help="a text kept for `evaluate RUN test`")
    parser.add_argument("--split", help="percentages to cut a text by that has no splits of its own, such as 90/5/5")
    parser.add_argument("--text-column", metavar="NAME", help="of tables, the column that is the text")
    parser.add_argument("--encoding", help="of the text's files, such as latin-1 (default: utf-8)")
    parser.add_argument("--recipe", help="the name of a built-in recipe, or a TOML file")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting, as often as needed")
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    parser.add_argument("--init-from", type=pathlib.Path, metavar="RUN", help="begin with the weights of another run")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end: what `info` tells")
    parser.add_argument("--quiet", action="store_true", help="show nothing while it runs")
    recipes = "\n".join(f"  {name:<16}{text}" for name, text in built_in().items())
    parser.epilog = (
        f"recipes:\n{recipes}\n\ncells:\n{cell_list.listed()}\n\n"
        f"settings, their defaults and meanings:\n{settings_help()}"
    )


def run(options):
    alone = ("valid", "test", "split", "text_column", "encoding", "recipe", "init_from")
    given = [name for name in alone if getattr(options, name) is not None]
    if options.resume and (options.corpus or given):
        raise ValueError(
            "--resume goes on with the text and the recipe of the run; only --set may change a setting. Received: "
            f"{' '.join([*options.corpus, *('--' + name.replace('_', '-') for name in given)])}"
        )
    if not options.resume and not options.corpus:
        raise ValueError("No text to learn from: name files or folders, or stdlib, Python's own library")
    if options.resume:
        finished = resume(options.out, changes=options.set, quiet=options.quiet)
    else:
        finished = train(
            options.corpus,
            options.out,
            options.recipe,
            changes=options.set,
            valid=options.valid,
            test=options.test,
            split=options.split,
            text_column=options.text_column,
            encoding=options.encoding,
            init_from=options.init_from,
            quiet=options.quiet,
        )
    if options.json:
        print(to_json(summary(options.out)))
    return 0 if finished else 130


def train(
    corpus,
    out,
    recipe=None,
    *,
    changes=(),
    valid=None,
    test=None,
    split=None,
    text_column=None,
    encoding=None,
    init_from=None,
    quiet=False,
):
    """Trains a new model and leaves everything in the run directory `out`.

    Args:
        corpus: what `open_corpus` takes: paths, globs, "stdlib", "tfds:NAME".
        out: the run directory, which must be new.
        recipe: a `Recipe`, the name of one that comes along, the path of a TOML file, or a dict of settings; by default
            that of `init_from`, else `Recipe()`.
        changes: settings to change, a dict of them, or each "key=value".
        valid, test, split, text_column, encoding: see `open_corpus`.
        init_from: a run to begin with: its best weights, its vocabulary, its network. What of these the recipe leaves
            at its default is that run's.
        quiet: whether to show nothing but warnings.

    Returns:
        Whether the run came to its end; an interrupted one goes on by `resume(out)`.
    """
    first = None if init_from is None else RunFolder(init_from)
    recipe = None if recipe is None else Recipe.of(recipe)
    recipe = _fine_tuning(recipe, first, changes) if first else (recipe or Recipe()).override(changes)
    given = {"split": split, "text_column": text_column, "encoding": encoding}
    recipe = dataclasses.replace(recipe, **{name: value for name, value in given.items() if value is not None})
    folder = RunFolder(out)
    display = Display(quiet=quiet, tensorboard=folder.tensorboard)
    with folder.new():
        texts = open_corpus(
            corpus,
            valid=valid,
            test=test,
            split=recipe.split,
            encoding=recipe.encoding,
            spool=folder.spool,
            text_column=recipe.text_column,
        )
        tell_columns(texts, recipe.text_column, display)
        if first is not None:
            tokenizer = first.read_tokenizer()
        elif recipe.tokenizer in TOKENIZERS:
            display.say(f"learning a vocabulary ({recipe.tokenizer})")
            tokenizer = Tokenizer.train(
                recipe.tokenizer, texts.splits["train"].chunks(), recipe.vocabulary_size, recipe.min_count
            )
        else:
            tokenizer = Tokenizer.load(recipe.tokenizer)
        given = as_given(corpus, valid, test)
        encoded = encode_corpus(texts, tokenizer, folder.data, display.encoding, given)
        folder.spool.unlink(missing_ok=True)
        tokenizer.save(folder.tokenizer)
        recipe = _with_precision(recipe, tokenizer, encoded["train"], display)
        folder.write_recipe(recipe)
        loop = _loop(folder, recipe, tokenizer, encoded, display)
        if first is not None:
            _begin_with(loop.model, first)
            loop.record("origin", run=str(first.path.absolute()), model=model_digest(first))
        elif recipe.unigram_bias:
            _begin_with_frequencies(loop.model, encoded["train"])
        loop.save()
        folder.clear_partial()
        return _go(loop)


def resume(out, *, changes=(), quiet=False):
    """Goes on with an interrupted run, exactly as it would have gone on. Returns whether it came to its end.

    Args:
        out: the run directory.
        changes: settings to change, a dict of them, or each "key=value": more epochs, say.
        quiet: whether to show nothing but warnings.
    """
    folder = RunFolder(out)
    folder.check_resumable()
    with folder.held():
        recipe = folder.read_recipe()
        changed = recipe.override(changes)
        for name in FIXED:
            if getattr(changed, name) != getattr(recipe, name):
                raise ValueError(
                    f"A run goes on with the {name} that it began with: begin a new run for another. "
                    f"Received: {name}={getattr(changed, name)!r} after {getattr(recipe, name)!r}"
                )
        display = Display(quiet=quiet, tensorboard=folder.tensorboard)
        tokenizer = folder.read_tokenizer()
        loop = _loop(folder, changed, tokenizer, text_of(folder, recipe, tokenizer, display), display)
        if not loop.restore():
            raise ValueError(f"No checkpoint in {folder} is whole: begin a new run with another --out")
        folder.write_recipe(changed)
        display.say(f"going on from step {loop.progress.step:,}")
        return _go(loop)


def _loop(folder, recipe, tokenizer, encoded, display):
    if encoded.tokenizer != tokenizer.fingerprint:
        raise ValueError(
            f"{folder.tokenizer} is not the vocabulary that {folder.data} is written in: put back the one that the run "
            "began with, or begin a new run with another --out"
        )
    if encoded.vocabulary_size != tokenizer.vocabulary_size:
        raise ValueError(
            f"{folder.data} was written with {encoded.vocabulary_size:,} ids, and {folder.tokenizer} has "
            f"{tokenizer.vocabulary_size:,}: begin a new run with another --out"
        )
    keras = import_keras()
    if recipe.deterministic and keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    from keras_rnnlm.training.evaluation import Scorer
    from keras_rnnlm.training.loop import Loop

    text, valid = encoded["train"], encoded["valid"] if "valid" in encoded else None
    stream = make_stream(recipe, text, tokenizer)
    model = build_model(recipe, tokenizer.vocabulary_size)
    display.say(
        f"{len(text):,} tokens to learn from, {tokenizer.vocabulary_size:,} different; "
        f"{0 if valid is None else len(valid):,} to validate on; {model.count_params():,} weights"
    )
    by_sentence = tokenizer.eos if recipe.mode == "sentences" else None
    return Loop(
        model,
        recipe,
        stream,
        folder,
        valid=valid,
        scorer=Scorer(model, start=tokenizer.start, batch=recipe.eval_batch, window=recipe.window, end=by_sentence),
        display=display,
        identity={
            "vocabulary": tokenizer.fingerprint,
            "text": encoded.corpus,
            "recipe": {name: getattr(recipe, name) for name in FIXED},
        },
    )


def _go(loop):
    folder, display = loop.folder, loop.display
    how = f"Go on with: keras-rnnlm train --out {shlex.quote(str(folder))} --resume"
    try:
        over = loop.run()
    except LearnedNothing:
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
    folder.plot()
    best = "the best model" if loop.progress.best_step >= 0 else "the model"
    display.say(f"{over}, in {duration(loop.progress.seconds)}; {best} is {folder.model_file}")
    return True


def _with_precision(recipe, tokenizer, text, display):
    """The recipe with the faster precision, where it is to be found."""
    if recipe.precision != "auto":
        return recipe
    from keras_rnnlm.training.precision import faster

    precision, seconds = faster(recipe, tokenizer.vocabulary_size, make_stream(recipe, text, tokenizer))
    measured = ", ".join(f"{name} {1000 * spent:,.0f} ms" for name, spent in seconds.items())
    display.say(f"precision={precision}, by the time of a step ({measured})")
    return dataclasses.replace(recipe, precision=precision)


def make_stream(recipe, tokens, tokenizer):
    """The stream of windows, or of sentences, that a recipe asks for."""
    if recipe.mode == "contiguous":
        return Contiguous(
            tokens,
            recipe.batch,
            recipe.window,
            start=tokenizer.start,
            random=recipe.random_windows,
            seed=recipe.seed,
        )
    if tokenizer.eos is None:
        raise ValueError(
            f"mode=sentences needs a symbol that ends a sentence, and a {tokenizer.kind} tokenizer has none: take "
            "tokenizer=word, or mode=contiguous"
        )
    return Sentences(tokens, recipe.batch, end=tokenizer.eos, longest=recipe.window, seed=recipe.seed)


def _fine_tuning(recipe, first, changes):
    """The recipe with the network and the vocabulary of the run to begin with."""
    begun, default = dataclasses.replace(first.read_recipe(), text_column=None), Recipe()  # of another text
    taken = {
        name: getattr(begun, name)
        for name in (*VOCABULARY, *NETWORK)
        if recipe is not None and getattr(recipe, name) == getattr(default, name)
    }
    recipe = (begun if recipe is None else dataclasses.replace(recipe, **taken)).override(changes)
    for name in (*VOCABULARY, *NETWORK):
        if getattr(recipe, name) != getattr(begun, name):
            raise ValueError(
                f"A run that begins with another's weights has its vocabulary and its network, too: drop `{name}`. "
                f"Received: {name}={getattr(recipe, name)!r}, and {first} has {getattr(begun, name)!r}"
            )
    if not first.model_file.is_file() and not first.checkpoints().files():
        first.read_model()  # which tells what is missing
    return recipe


def _begin_with_frequencies(model, text, chunk=1 << 20):
    """Has the output begin with the symbols' frequencies.

    Learnt from zero, they take hundreds of steps, and the states help to learn them: they settle where the logits are
    right on average. A text that then begins from fresh states may settle elsewhere, and is predicted badly throughout.
    """
    counts = np.ones(model.vocabulary_size)  # what the text lacks is not impossible
    for begin in range(0, len(text), chunk):
        counts += np.bincount(text[begin : begin + chunk], minlength=len(counts))
    model.head.begin_with_frequencies(counts / counts.sum())


def _begin_with(model, first):
    weights = first.read_model().get_weights()
    if not is_finite(weights):
        raise LearnedNothing(f"There is nothing to begin with: weights of {first.model_file} are NaN or infinite")
    try:
        model.set_weights(weights)
    except ValueError as error:
        raise ValueError(f"The weights of {first} do not fit the model: {error}") from error
