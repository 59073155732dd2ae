"""The command `evaluate`: how well a model predicts a text, in comparable units, beside other ways to predict it."""

import os
import pathlib

from keras_rnnlm.predict import rescoring_arguments, rescoring_of
from keras_rnnlm.schema import is_count
from keras_rnnlm.training.corpora.named_sources import of_rows, to_evaluate
from keras_rnnlm.training.evaluation.bleu import import_sacrebleu
from keras_rnnlm.training.runs.display import Display
from keras_rnnlm.training.runs.kept_evaluations import keep_evaluation, model_digest, text_name
from keras_rnnlm.training.runs.run import RunFolder, to_json
from keras_rnnlm.training.tasks import task_of


def arguments(parser):
    parser.add_argument("run_directory", metavar="RUN", type=pathlib.Path, help="a run directory")
    parser.add_argument(
        "text",
        metavar="TEXT",
        help="a text; or train, valid, test: the run's own splits (a file of such a name is ./test); or a data set, "
        "as hf:NAME@SPLIT",
    )
    parser.add_argument("--ngram", type=int, metavar="ORDER", help="compare with an n-gram of the run's training text")
    parser.add_argument("--interpolate", action="store_true", help="mix the model and the n-gram too")
    parser.add_argument("--temperature", action="store_true", help="divide the logits by a temperature")
    parser.add_argument(
        "--cache",
        type=int,
        nargs="?",
        const=2000,
        metavar="TOKENS",
        help="remember what came after states like this one in the last tokens (default: 2000)",
    )
    parser.add_argument("--dynamic", action="store_true", help="learn on from the text while it is read")
    parser.add_argument(
        "--ensemble",
        nargs="*",
        metavar="RUN",
        help="average with other runs of the same vocabulary; without any, with the checkpoints of this one",
    )
    parser.add_argument(
        "--batch",
        type=int,
        metavar="N",
        help="rows side by side (default: 1, as published tables have it; of other tasks, as in the run's validation)",
    )
    parser.add_argument("--window", type=int, default=64, help="tokens at once: changes the speed alone (default: 64)")
    parser.add_argument("--log-probabilities", type=pathlib.Path, metavar="FILE", help="write a line for each token")
    parser.add_argument("--beam", type=int, metavar="N", help="of translators: hypotheses a source")
    rescoring_arguments(parser)
    parser.add_argument("--bleu", action="store_true", help="of translators: BLEU and chrF, too, by sacrebleu")
    parser.add_argument("--text-column", metavar="NAME", help="of a table, the column that is the text")
    parser.add_argument("--encoding", default="utf-8", help="of the text (default: utf-8)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quiet", action="store_true", help="show nothing but warnings")


def run(options):
    result = evaluate(
        options.run_directory,
        options.text,
        ngram=options.ngram,
        interpolate=options.interpolate,
        temperature=options.temperature,
        cache=options.cache,
        dynamic=options.dynamic,
        ensemble=options.ensemble,
        batch=options.batch,
        window=options.window,
        log_probabilities=options.log_probabilities,
        encoding=options.encoding,
        text_column=options.text_column,
        beam=options.beam,
        language_model=options.language_model,
        lm_weight=options.lm_weight,
        length_bonus=options.length_bonus,
        bleu=options.bleu,
        quiet=options.quiet,
    )
    if options.json:
        print(to_json(result))
        return
    names = list(result)
    print(f"{'':<28}" + "".join(f"{name:>16}" for name in names))
    for key in dict.fromkeys(key for found in result.values() for key in found):
        values = [result[name].get(key) for name in names]
        shown = ["" if v is None else f"{v:,}" if isinstance(v, int) else f"{v:,.4f}" for v in values]
        print(f"{key.replace('_', ' '):<28}" + "".join(f"{value:>16}" for value in shown))


def evaluate(
    run,
    text,
    *,
    ngram=None,
    interpolate=False,
    temperature=False,
    cache=None,
    dynamic=False,
    ensemble=None,
    batch=None,
    window=64,
    log_probabilities=None,
    encoding="utf-8",
    text_column=None,
    beam=None,
    language_model=None,
    lm_weight=None,
    length_bonus=None,
    bleu=False,
    quiet=False,
):
    """Measures a run's best model on a text.

    Args:
        run: a run directory.
        text: a path, or "train", "valid" or "test" for the run's own splits; or a data set, as "hf:NAME" or
            "hf:NAME@SPLIT": without a split, its test split, or what else it has.
        ngram: the order of a modified Kneser-Ney n-gram of the run's training text, to compare with.
        interpolate: whether to mix the model and the n-gram, too.
        temperature: whether to divide the logits by a temperature, too.
        cache: how many tokens a continuous cache remembers; None for no cache.
        dynamic: whether to have the model learn on from the text, too, which takes several times as long.
        ensemble: runs of the same vocabulary whose probabilities are averaged with this one's; an empty list for the
            checkpoints of this one; None for neither.
        batch, window: see `Scorer`. The batch of other tasks is by default their recipe's `eval_batch`.
        log_probabilities: a file to write each token and its log-probability to, tab-separated.
        encoding: of the text.
        text_column: of a table, the column that is the text; by default that of the run's recipe.
        beam: of a translator, how many hypotheses a source; by default its recipe's.
        language_model: of a translator, a run or an export by which, too, they are put in order.
        lm_weight, length_bonus: of that, see `keras_rnnlm.generation.Rescoring`.
        bleu: of a translator, whether to find BLEU and chrF, too.
        quiet: whether to show nothing but warnings.

    Returns:
        A dict of `measures`: of "model", the plain figure, and of what else is asked for: "5-gram", "model + 5-gram",
        "temperature", "cache", "dynamic", "ensemble of 3". What these are tuned by is the run's validation text, and
        what came of it stands beside the measures. Of a run of another task, what its scorer says of a split, under
        "model".

    >>> found = evaluate("run", "valid", ngram=2, batch=8, quiet=True)
    >>> list(found), 2 < found["model"]["bits_per_character"] < 8
    (['model', '2-gram'], True)
    """
    for name, value in (("batch", batch), ("window", window), ("ngram", ngram), ("cache", cache)):
        if value is not None and value < 1:
            raise ValueError(f"`{name}` is at least 1. Received: {name}={value}")
    if log_probabilities is not None and not pathlib.Path(log_probabilities).absolute().parent.is_dir():
        raise ValueError(f"There is no folder for the file {log_probabilities}")
    if log_probabilities is not None and pathlib.Path(log_probabilities).is_dir():
        raise ValueError(f"{log_probabilities} is a folder, and log-probabilities go to a file")
    folder, display = RunFolder(run), Display(quiet=quiet)
    if named := of_rows([os.fspath(text)]):
        text = to_evaluate(*named)
        display.say(f"reading {text}")
    recipe = folder.read_recipe()
    writing = _writing(task_of(recipe), beam, language_model, lm_weight, length_bonus, bleu)
    scored = model_digest(folder)
    result = task_of(recipe).evaluate(
        folder,
        recipe,
        text,
        display,
        ngram=ngram,
        interpolate=interpolate,
        temperature=temperature,
        cache=cache,
        dynamic=dynamic,
        ensemble=ensemble,
        batch=batch,
        window=window,
        log_probabilities=log_probabilities,
        encoding=encoding,
        text_column=text_column,
        **writing,
    )
    display.clear()
    keep_evaluation(folder, text_name(text), scored, result, to_json, display.warn)
    return result


def _writing(task, beam, language_model, lm_weight, length_bonus, bleu):
    """What a translator is to write by, and be measured by, as far as it is told."""
    if beam is not None and not is_count(beam):
        raise ValueError(f"`beam` is at least 1. Received: beam={beam}")
    rescoring = rescoring_of(language_model, lm_weight, length_bonus)
    found = {} if beam is None else {"beam": beam}
    found |= {} if rescoring is None else {"rescoring": rescoring}
    found |= {"bleu": True} if bleu else {}
    if found and not task.writes:
        raise ValueError("`beam`, `language_model` and `bleu` are for translators, and this is no run of one")
    if bleu:
        import_sacrebleu()  # before anything takes its time
    return found
