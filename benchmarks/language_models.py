"""How good the recipes are, beside n-grams of the same text: what the table of `docs/guides/perplexity.md` says.

    python benchmarks/language_models.py [tinyshakespeare] [wikitext-2] [--data DIR] [--out DIR] [--json]

Each takes as long as its recipe says: half an hour and an hour on two cores.
"""

import argparse
import json
import os
import pathlib
import platform
import tempfile

from keras_rnnlm.training.commands.evaluate import evaluate
from keras_rnnlm.training.commands.info import summary
from keras_rnnlm.training.commands.train import train
from keras_rnnlm.training.recipes.recipe import Recipe

# The text within the data's folder, the recipe, and the n-gram's order.
CORPORA = {
    "tinyshakespeare": ("tinyshakespeare/input.txt", "char", 6),
    "wikitext-2": ("wikitext-2", "wikitext-2", 5),
}


def measure(name, data, out, settings):
    text, recipe, order = CORPORA[name]
    run = out / name
    train([str(data / text)], run, Recipe.load(recipe).override(settings))
    found = {"training": summary(run)["result"]}
    for split in ("valid", "test"):
        found[split] = evaluate(run, split, ngram=order)  # a batch of one, its states carried
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpora", nargs="*", help=f"of {', '.join(CORPORA)} (default: all)")
    parser.add_argument("--data", type=pathlib.Path, default=os.environ.get("KERAS_RNNLM_DATA"))
    parser.add_argument("--out", type=pathlib.Path, help="keep the runs here")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.data is None:
        parser.error("say where the corpora are: --data DIR, or KERAS_RNNLM_DATA")
    with tempfile.TemporaryDirectory() as scratch:
        out = options.out or pathlib.Path(scratch)
        found = {
            name: measure(name, pathlib.Path(options.data), out, options.set) for name in options.corpora or CORPORA
        }
    if options.json:
        print(json.dumps({"machine": platform.processor() or platform.machine(), "corpora": found}))
        return
    print(f"{'':<18}{'split':<8}{'':<10}{'perplexity':>12}{'nats/token':>12}{'bits/char':>12}{'minutes':>10}")
    for name, result in found.items():
        for split in ("valid", "test"):
            for who, m in result[split].items():
                minutes = result["training"]["minutes"] if who == "model" else ""
                print(
                    f"{name:<18}{split:<8}{who:<10}{m['perplexity']:>12.2f}{m['nats_per_token']:>12.4f}"
                    f"{m['bits_per_character']:>12.4f}{minutes:>10}"
                )


if __name__ == "__main__":
    main()
