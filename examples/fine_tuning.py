"""Trains a language model on a large text, goes on with a small one of another kind, and says what that was worth.

    python fine_tuning.py large.txt small.txt --out runs

On the command line it is `keras-rnnlm train large.txt --out base`, then `keras-rnnlm train small.txt --out fine
--init-from base`. Three runs are left in the folder: `base`, `fine`, and `alone`, which learned from the small text
only.
"""

import argparse
import pathlib

from keras_rnnlm import training


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("large")
    parser.add_argument("small")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs"))
    parser.add_argument("--units", type=int, default=256)
    parser.add_argument("--minutes", type=float, default=5, help="of each run")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="another setting of all runs")
    options = parser.parse_args(arguments)

    base, fine, alone = (options.out / name for name in ("base", "fine", "alone"))
    options.out.mkdir(parents=True, exist_ok=True)
    text = pathlib.Path(options.small).read_text(encoding="utf-8")
    cut = int(0.9 * len(text))
    small, held_out = options.out / "small.txt", options.out / "held-out.txt"
    small.write_text(text[:cut], encoding="utf-8")
    held_out.write_text(text[cut:], encoding="utf-8")

    # Bytes, for which no letter of the small text is an unknown one.
    settings = ["tokenizer=byte", f"units={options.units}", f"max_minutes={options.minutes}", *options.set]
    training.train(options.large, base, "char", changes=settings, quiet=True)
    # A fifth of the rate: what was learned is to be adapted, and not to be washed away.
    rate = training.load_run(base).recipe.learning_rate / 5
    training.train(small, fine, "char", changes=[*settings, f"learning_rate={rate}"], init_from=base, quiet=True)
    training.train(small, alone, "char", changes=settings, quiet=True)

    found = {}
    for name, run in (("only the large text", base), ("then the small one", fine), ("only the small text", alone)):
        found[name] = training.evaluate(run, held_out, batch=8, quiet=True)["model"]["perplexity"]
    for name, perplexity in found.items():
        print(f"{name:20} perplexity {perplexity:.2f} of a byte of the small text, its last tenth")
    return found


if __name__ == "__main__":
    main()
