"""How well sentences of film reviews are classified, from scratch and begun with a language model, over ten folds.

    python benchmarks/classification.py [--data DIR] --out DIR [--folds 0 1 2] [--set KEY=VALUE]

The sentences are mr-polarity's. Every tenth line of each class is a fold; of the others every tenth chooses the epoch,
and the rest are learned from. A fold that is done is not done again, and one that was interrupted resumes. The language
model is a run of words of other text, in lower case as these reviews are: without one, WikiText-2's is trained first,
for `--minutes` at most.
"""

import argparse
import json
import os
import pathlib
import statistics
import time

from keras_rnnlm import training
from keras_rnnlm.training.recipes.recipe import Recipe
from keras_rnnlm.training.runs.run import RunFolder

CLASSES = ("neg", "pos")
# Of what was tried on the validation lines of the first fold: rates from 0.001 to 0.01, all layers at one rate and
# lower ones slower, unfrozen in turn, 2 to 6 epochs.
FROM_LANGUAGE_MODEL = {"learning_rate": 0.01, "epochs": 2, "max_norm": 5.0}


def write_fold(data, fold, folder):
    """The lines of a fold as files of their split and class: a pattern that finds them."""
    folder.mkdir(parents=True, exist_ok=True)
    for label in CLASSES:
        lines = (data / "mr-polarity" / f"rt-polarity.{label}").read_text("latin-1").removesuffix("\n").split("\n")
        parts = {"train": [], "valid": [], "test": []}
        for k, line in enumerate(lines):
            name = "test" if k % 10 == fold else "valid" if k // 10 % 10 == fold else "train"
            parts[name].append(line)
        for name, mine in parts.items():
            (folder / f"{name}.{label}").write_text("\n".join(mine) + "\n", "utf-8")
    return folder


def language_model(data, out, minutes):
    """A run that learned WikiText-2 in lower case."""
    run, text = out / "language-model", out / "wikitext-2.txt"
    text.write_text((data / "wikitext-2" / "train.txt").read_text("utf-8").lower(), "utf-8")
    if RunFolder(run).checkpoints().files():
        if not training.resume(run):
            raise SystemExit(130)
        return run
    changes = {"min_count": 3, "layers": 1, "head": "sampled", "batch": 32, "epochs": 8, "precision": "float32"}
    changes["max_minutes"] = minutes
    if not training.train([str(text)], run, Recipe.load("wikitext-2").override(changes), split="97/3"):
        raise SystemExit(130)
    return run


def measure(data, out, fold, way, begins, settings):
    """The accuracy on the fold's own lines."""
    run = out / f"{way}-{fold}"
    if RunFolder(run).checkpoints().files():
        done = training.resume(run)
    else:
        texts = write_fold(data, fold, out / f"texts-{fold}")
        changes = {"seed": fold} | (FROM_LANGUAGE_MODEL if begins else {})
        changes = [*(f"{name}={value}" for name, value in changes.items()), *settings]
        done = training.train([str(texts)], run, task="classify", changes=changes, init_from=begins)
    if not done:
        raise SystemExit(130)
    seconds = RunFolder(run).read_history()[-1]["seconds"]
    return {**training.evaluate(run, "test")["model"], "minutes": round(seconds / 60, 2)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, default=os.environ.get("KERAS_RNNLM_DATA"))
    parser.add_argument("--out", type=pathlib.Path, required=True, help="runs and results stay here")
    parser.add_argument("--folds", type=int, nargs="*", default=list(range(10)))
    parser.add_argument("--ways", nargs="*", choices=("scratch", "begun"), default=["scratch", "begun"])
    parser.add_argument("--language-model", type=pathlib.Path, metavar="RUN")
    parser.add_argument("--minutes", type=float, default=30, help="of learning the language model")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the recipe")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.data is None:
        parser.error("say where the corpora are: --data DIR, or KERAS_RNNLM_DATA")
    options.out.mkdir(parents=True, exist_ok=True)
    data, file = pathlib.Path(options.data), options.out / "results.json"
    results = json.loads(file.read_text()) if file.is_file() else {}
    for fold in options.folds:
        for way in options.ways:
            if f"{way}-{fold}" in results:
                continue
            begins = None
            if way == "begun":
                begins = options.language_model or language_model(data, options.out, options.minutes)
            begin = time.monotonic()
            results[f"{way}-{fold}"] = measure(data, options.out, fold, way, begins, options.set)
            file.write_text(json.dumps(results, indent=1))
            accuracy = results[f"{way}-{fold}"]["accuracy"]
            print(f"fold {fold} {way:<8} {accuracy:.4f} in {(time.monotonic() - begin) / 60:.1f} minutes", flush=True)
    if options.json:
        print(json.dumps(results))
        return
    for way in options.ways:
        found = [result["accuracy"] for name, result in results.items() if name.startswith(f"{way}-")]
        spread = statistics.stdev(found) if len(found) > 1 else 0.0
        print(f"{way:<8} accuracy {statistics.mean(found):.4f}, deviation {spread:.4f}, over {len(found)} folds")


if __name__ == "__main__":
    main()
