"""What `train` without a recipe comes to in some minutes, beside the recipes that come along.

    python benchmarks/choosing.py --out DIR [--minutes 10] [--texts small middle large] [--recipes quickstart char]
    python benchmarks/choosing.py --out DIR --texts shakespeare --minutes 3 10 30 --recipes char

The texts are of 0.1, 1 and 10 MB: the beginning of tinyshakespeare, all of it, the source of Python's standard library;
and `shakespeare`, all of it cut 90/10 as others cut it. Figures are of the validation text, bits and nats a character,
since vocabularies differ; a recipe that does not finish an epoch in the time says so. Every run is kept in DIR as soon
as it is over, and the same command resumes. Nothing else may run on the machine meanwhile.
"""

import argparse
import math
import os
import pathlib
import shlex
import sys
import tempfile
import types

from keras_rnnlm import standard_streams
from keras_rnnlm.training.commands.evaluate import evaluate
from keras_rnnlm.training.commands.info import summary
from keras_rnnlm.training.commands.train import train
from keras_rnnlm.training.loop.failures import Failed
from keras_rnnlm.training.recipes.recipe import Recipe
from keras_rnnlm.training.runs.display import Display
from keras_rnnlm.training.studies.running import run_study, shown

CHOSEN = "chosen"
# The source, the characters of it that are taken, and how they are split.
TEXTS = {
    "small": ("tinyshakespeare/input.txt", 100_000, None),
    "middle": ("tinyshakespeare/input.txt", None, None),
    "large": ("stdlib:10M", None, None),
    "shakespeare": ("tinyshakespeare/input.txt", None, "90/10"),
}


def trials(settings):
    runs = [(minutes, text) for minutes in settings["minutes"] for text in settings["texts"]]
    return [dict(text=text, minutes=m, recipe=recipe) for m, text in runs for recipe in (CHOSEN, *settings["recipes"])]


def measure(settings, text, minutes, recipe):
    source, characters, split = TEXTS[text]
    with tempfile.TemporaryDirectory() as scratch:
        run, source = pathlib.Path(scratch, "run"), _source(settings["data"], source, characters, scratch)
        named = None if recipe == CHOSEN else Recipe.load(recipe)
        try:
            if not train([source], run, named, minutes=minutes, split=split):
                raise KeyboardInterrupt
        except Failed as error:
            return {"bits": None, "epochs": 0, "settings": {"failed": str(error)}}
        found = summary(run)
        score = evaluate(run, "valid", batch=16, quiet=True)["model"]
    keys = ("tokenizer", "vocabulary_size", "units", "layers", "dropout")
    settings_of_run = {key: found["recipe"][key] for key in keys}
    return {"bits": score["bits_per_character"], "epochs": found["result"]["epochs"], "settings": settings_of_run}


def _source(data, source, characters, scratch):
    if source.startswith("stdlib"):
        return source
    path = pathlib.Path(data, source)
    if characters is None:
        return str(path)
    cut = pathlib.Path(scratch, "text.txt")
    cut.write_text(path.read_text(encoding="utf-8")[:characters], encoding="utf-8")
    return str(cut)


def table(settings, results):
    return [
        {
            "text": result["text"],
            "minutes": result["minutes"],
            "recipe": result["recipe"],
            "bits a character": result["bits"],
            "nats": result["bits"] and result["bits"] * math.log(2),
            "epochs": float(result["epochs"]),
            "settings": ", ".join(f"{key} {value}" for key, value in result["settings"].items()),
        }
        for result in results
    ]


def claims(settings, results):
    """Whether what was chosen is at most 3 % worse than the best recipe that read the text once."""
    said = []
    for minutes in settings["minutes"]:
        for text in settings["texts"]:
            here = [r for r in results if (r["text"], r["minutes"]) == (text, minutes)]
            chosen = next(r["bits"] for r in here if r["recipe"] == CHOSEN)
            others = {r["recipe"]: r["bits"] for r in here if r["recipe"] != CHOSEN and r["epochs"] >= 1 and r["bits"]}
            if others and chosen is not None:
                best = min(others, key=others.get)
                said.append(f"{text}, {minutes:g} minutes: {chosen / others[best] - 1:+.1%} beside the best, {best}")
    return said


def draw(settings, results, figure):
    axes = figure.subplots()
    names = [f"{r['text']}, {r['minutes']:g} min, {r['recipe']}" for r in results]
    axes.barh(range(len(results)), [r["bits"] or 0 for r in results], color="#0072B2")
    axes.set_yticks(range(len(results)), names)
    axes.invert_yaxis()
    axes.set(xlabel="validation, bits a character")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True, help="keep results here")
    parser.add_argument("--minutes", type=float, nargs="*", default=[10.0])
    parser.add_argument("--texts", nargs="*", default=["small", "middle", "large"], choices=list(TEXTS))
    parser.add_argument("--recipes", nargs="*", default=["quickstart", "char"])
    parser.add_argument("--data", type=pathlib.Path, default=os.environ.get("KERAS_RNNLM_DATA"))
    options = parser.parse_args()
    if options.data is None:
        parser.error("say where the corpora are: --data DIR, or KERAS_RNNLM_DATA")
    settings = {name: getattr(options, name) for name in ("minutes", "texts", "recipes")}
    study = types.SimpleNamespace(
        __doc__=__doc__.partition("\n")[0],
        SETTINGS={"full": settings | {"seeds": 1, "data": str(options.data)}},
        trials=trials,
        measure=measure,
        table=table,
        claims=claims,
        draw=draw,
    )
    command = f"python benchmarks/choosing.py {shlex.join(sys.argv[1:])}"
    print(shown(run_study(study, "choosing", options.out, display=Display(), command=command)))


if __name__ == "__main__":
    standard_streams.prepare()
    main()
