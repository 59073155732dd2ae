"""What each piece of a recipe is worth, in equal minutes: the recipe, it without each piece, and it with further ones.

    python benchmarks/ablation.py --out DIR [--recipe word-cpu] [--text wikitext-2] [--minutes 10] [--seeds 3]

Every run is kept in DIR as soon as it is over, and the same command resumes. Of each the perplexity of the validation
text, by its best validation; validations are a part of the minutes. Medians of the seeds, with their range, or from six
seeds on their interval. Nothing else may run on the machine meanwhile: minutes are what is compared.
With `--of-processor` they are those that the processor was at it, on one thread, and others may run beside it.
"""

import argparse
import contextlib
import os
import pathlib
import shlex
import sys
import tempfile
import time
import types
import unittest.mock

if "--of-processor" in sys.argv:  # before anything makes threads
    os.environ |= {name: "1" for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")}

from keras_rnnlm import standard_streams
from keras_rnnlm.training.commands.info import summary
from keras_rnnlm.training.commands.train import train
from keras_rnnlm.training.loop import deadline, loop
from keras_rnnlm.training.loop.failures import Failed
from keras_rnnlm.training.recipes.recipe import Recipe
from keras_rnnlm.training.runs.display import Display
from keras_rnnlm.training.runs.run import RunFolder
from keras_rnnlm.training.studies.running import run_study, shown
from keras_rnnlm.training.studies.summaries import groups, median

WHOLE = "the recipe"
PIECES = {
    "without peepholes": {"cell_options.peephole": False},
    "without coupled gates": {"cell_options.coupled": False},
    "without the head": {"head": "full", "head_options": {}},
    "without tied weights": {"tied": False},
    "without dropout": {"dropout": 0.0},
    "without a falling rate": {"schedule": "constant"},
    "without warm-up": {"warmup_steps": 0},
    "without clipping": {"max_norm": None},
    "without unigram bias": {"unigram_bias": False},
    "without a second layer": {"layers": 1},
    "with locked dropout": {"locked_dropout": True},
    "with embedding dropout": {"embedding_dropout": 0.1},
    "with weight drop": {"weight_drop": 0.2},
    "with zoneout": {"zoneout": 0.1},
    "with AR and TAR": {"ar": 2.0, "tar": 1.0},
    "with averaged weights": {"ema": 0.999},
    "with random windows": {"random_windows": True},
    "with residual connections": {"connection": "residual"},
    "with layer normalization": {"cell_options.layer_norm": True},
}


def pieces(recipe):
    """Those that change something of the recipe, and go together with the rest of it."""
    found = [WHOLE]
    for name, changes in PIECES.items():
        try:
            differs = _changed(recipe, changes) != recipe
        except ValueError:
            continue
        found += [name] * differs
    return found


def _changed(recipe, changes):
    options = {name.partition(".")[2]: value for name, value in changes.items() if name.startswith("cell_options.")}
    absent = {name for name, value in options.items() if value is False and name not in recipe.cell_options}
    return recipe.override({name: value for name, value in changes.items() if name.partition(".")[2] not in absent})


def trials(settings):
    return [dict(piece=piece, seed=seed) for seed in range(settings["seeds"]) for piece in settings["pieces"]]


def measure(settings, piece, seed):
    recipe = _changed(Recipe.load(settings["recipe"]).override(settings["set"]), PIECES.get(piece, {}))
    recipe = recipe.override({"seed": seed, "max_minutes": settings["minutes"]})
    clock = _of_processor() if settings.get("of_processor") else contextlib.nullcontext()
    with tempfile.TemporaryDirectory() as scratch, clock:
        run = pathlib.Path(scratch, "run")
        try:
            if not train([settings["text"]], run, recipe, quiet=True):
                raise KeyboardInterrupt
        except ValueError as error:  # it learned nothing, or a network cannot be made so
            if piece == WHOLE and not isinstance(error, Failed):  # a text that is not there, say
                raise
            return {"validation_perplexity": None, "tokens": 0, "failed": str(error)}
        return summary(run)["result"] | {"precision": RunFolder(run).read_recipe().precision}


@contextlib.contextmanager
def _of_processor():
    """Meanwhile the clock of trainings is that of this process's processor."""
    own = types.SimpleNamespace(**{**vars(time), "monotonic": time.process_time})
    with unittest.mock.patch.object(loop, "time", own), unittest.mock.patch.object(deadline, "time", own):
        yield


def table(settings, results):
    found = groups(results, "piece")
    whole = median([result["validation_perplexity"] for result in found[WHOLE]])["median"]
    rows = []
    for piece, group in found.items():
        perplexity = median([result["validation_perplexity"] for result in group])
        is_there = whole is not None and perplexity["median"] is not None
        beside = f"{perplexity['median'] / whole - 1:+.1%}" if is_there else "diverged"
        row = {"": piece, "validation perplexity": perplexity, "beside the recipe": beside}
        rows.append(row | {"tokens read": median([float(result["tokens"]) for result in group])})
    return rows


def draw(settings, results, figure):
    axes, found = figure.subplots(), groups(results, "piece")
    for row, group in enumerate(found.values()):
        values = [result["validation_perplexity"] or float("nan") for result in group]
        axes.plot(values, [row] * len(values), "o", color="#0072B2", alpha=0.6)
    axes.set_yticks(range(len(found)), list(found))
    axes.invert_yaxis()
    axes.set(xlabel="validation perplexity")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True, help="keep results here")
    parser.add_argument("--recipe", default="word-cpu")
    parser.add_argument("--text", default="wikitext-2", help="within the data's folder, or stdlib")
    parser.add_argument("--minutes", type=float, default=10.0, help="of each run")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--pieces", nargs="*", metavar="NAME", help="only these, such as 'without dropout'")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of the recipe, in all runs")
    parser.add_argument("--of-processor", action="store_true", help="minutes of the processor's time, on one thread")
    parser.add_argument("--data", type=pathlib.Path, default=os.environ.get("KERAS_RNNLM_DATA"))
    options = parser.parse_args()
    text = options.text
    if not text.startswith("stdlib"):
        if options.data is None:
            parser.error("say where the corpora are: --data DIR, or KERAS_RNNLM_DATA")
        text = str(pathlib.Path(options.data) / text)
    recipe = Recipe.load(options.recipe).override(options.set)
    unknown = set(options.pieces or ()) - set(pieces(recipe))
    if unknown:
        parser.error(f"there is no piece {', '.join(unknown)}; there are {', '.join(pieces(recipe))}")
    settings = dict(
        seeds=options.seeds,
        recipe=options.recipe,
        text=text,
        minutes=options.minutes,
        set=options.set,
        **({"of_processor": True} if options.of_processor else {}),
        pieces=[piece for piece in pieces(recipe) if not options.pieces or piece in (WHOLE, *options.pieces)],
    )
    study = types.SimpleNamespace(
        __doc__=__doc__.partition("\n")[0],
        SETTINGS={"full": settings},
        trials=trials,
        measure=measure,
        table=table,
        draw=draw,
    )
    command = f"python benchmarks/ablation.py {shlex.join(sys.argv[1:])}"
    print(shown(run_study(study, "ablation", options.out, display=Display(), command=command)))


if __name__ == "__main__":
    standard_streams.prepare()
    main()
