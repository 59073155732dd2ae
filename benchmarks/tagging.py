"""What the recipe `tagger` comes to: parts of speech of ud-ewt, named things of wnut17, on their development splits.

    python benchmarks/tagging.py [--data DIR] [--texts ud-ewt wnut17] [--seeds 0 1 2] [--out DIR] [--set KEY=VALUE]

A run that is there already is resumed, or only read: an interrupted benchmark goes on where it was. The figures are
of the best epoch by that very split: the accuracy of parts of speech, the F1 of spans of named things.
"""

import argparse
import json
import os
import pathlib
import statistics

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# The files, the number that counts, and what differs from the recipe.
TEXTS = {
    "ud-ewt": ("train.tsv", "dev.tsv", "accuracy", {}),
    # Most named things of the development split are new: words are trusted less.
    "wnut17": (
        "wnut17train.conll",
        "emerging.dev.conll",
        "f1",
        {"epochs": 12, "dropout": 0.2, "task_settings": {"lower": True, "filters": 100, "word_dropout": 0.2}},
    ),
}


def figures(text, seed, options):
    """What a run found, trained where it is not there yet."""
    from keras_rnnlm.training.commands.info import summary
    from keras_rnnlm.training.commands.train import resume, train
    from keras_rnnlm.training.recipes.recipe import Recipe
    from keras_rnnlm.training.runs.run import RunFolder

    corpus, valid, decides, changes = TEXTS[text]
    folder = RunFolder(pathlib.Path(options.out) / f"{text}-{seed}")
    if folder.checkpoints().files():
        resume(folder.path)
    else:
        recipe = Recipe.load("tagger").override({**changes, "seed": seed}).override(options.set)
        data = pathlib.Path(options.data) / text
        train([data / corpus], folder.path, recipe, valid=str(data / valid))
    best = [record for record in folder.read_history() if record.get("kind") == "valid" and record["best"]][-1]
    model = folder.read_model()
    return {
        "text": text,
        "seed": seed,
        decides: best[decides],
        **{name: best[name] for name in ("accuracy", "accuracy_of_new_words", "precision", "recall") if name in best},
        "epoch": best["epoch"],
        "minutes": summary(folder.path)["result"]["minutes"],
        "weights": model.count_params(),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", default=os.environ.get("KERAS_RNNLM_DATA", "data"), help="folder of the texts")
    parser.add_argument("--texts", nargs="+", choices=TEXTS, default=list(TEXTS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--out", default="tagging-runs", help="folder of the runs")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the recipe")
    options = parser.parse_args()
    for text in options.texts:
        found, decides = [], TEXTS[text][2]
        for seed in options.seeds:
            found.append(figures(text, seed, options))
            print(json.dumps(found[-1]), flush=True)
        values = [100 * one[decides] for one in found]
        spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
        print(f"{text}: {decides} {statistics.mean(values):.2f} %{spread}, {len(values)} seeds", flush=True)


if __name__ == "__main__":
    main()
