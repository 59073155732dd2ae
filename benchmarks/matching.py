"""What the recipe `matcher` comes to beside TF-IDF: the sentences of SQuAD's paragraphs, ranked for their questions.

    python benchmarks/matching.py [--data DIR] [--seeds 0 1 2] [--out DIR] [--set KEY=VALUE]

The articles are squad-dev's. The last ten by title are held out, and the figures are of their questions; of the others
every tenth chooses the epoch, and the rest are learned from. A run that is there already is resumed, or only read: an
interrupted benchmark goes on where it was. TF-IDF is the cosine of a question and a sentence, its weights learned from
the same text as the model.
"""

import argparse
import json
import os
import pathlib
import statistics

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

HELD_OUT = 10
FILE = pathlib.Path("squad-dev", "dev-v1.1.rebuilt.json")


def write_splits(data, folder):
    """The articles of each split as a file, in the form that they come in."""
    folder.mkdir(parents=True, exist_ok=True)
    articles = sorted(json.loads((data / FILE).read_text("utf-8"))["data"], key=lambda article: article["title"])
    others, parts = articles[:-HELD_OUT], {"test": articles[-HELD_OUT:]}
    parts["valid"] = others[9::10]
    parts["train"] = [article for k, article in enumerate(others) if k % 10 != 9]
    for name, mine in parts.items():
        (folder / f"{name}.json").write_text(json.dumps({"data": mine}), "utf-8")
    return folder


def figures(seed, options):
    """What a run comes to on the held-out articles, trained where it is not there yet."""
    from keras_rnnlm import training
    from keras_rnnlm.training.commands.info import summary
    from keras_rnnlm.training.recipes.recipe import Recipe
    from keras_rnnlm.training.runs.run import RunFolder

    out = pathlib.Path(options.out)
    folder = RunFolder(out / f"run-{seed}")
    if folder.checkpoints().files():
        done = training.resume(folder.path)
    else:
        recipe = Recipe.load("matcher").override({"seed": seed}).override(options.set)
        done = training.train([write_splits(pathlib.Path(options.data), out / "articles")], folder.path, recipe)
    if not done:
        raise SystemExit(130)
    found = training.evaluate(folder.path, "test")
    best = [record for record in folder.read_history() if record.get("kind") == "valid" and record["best"]][-1]
    return {
        "seed": seed,
        **{name: round(found["model"][name], 4) for name in ("mrr", "accuracy", "questions")},
        **{f"{way} {name}": round(found[way][name], 4) for way in ("tf-idf", "shared words") for name in found[way]},
        "above tf-idf": round(found["model"]["mrr"] - found["tf-idf"]["mrr"], 4),
        "epoch": best["epoch"],
        "minutes": summary(folder.path)["result"]["minutes"],
        "weights": folder.read_model().count_params(),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", default=os.environ.get("KERAS_RNNLM_DATA", "data"), help="folder of the texts")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--out", default="matching-runs", help="folder of the runs")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the recipe")
    options = parser.parse_args()
    above = []
    for seed in options.seeds:
        found = figures(seed, options)
        above.append(found["above tf-idf"])
        print(json.dumps(found), flush=True)
    spread = f" ± {statistics.stdev(above):.4f}" if len(above) > 1 else ""
    print(f"reciprocal rank above TF-IDF's: {statistics.mean(above):.4f}{spread}, {len(above)} seeds", flush=True)


if __name__ == "__main__":
    main()
