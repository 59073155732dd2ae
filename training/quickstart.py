"""A first run: a language model learns to write Python from the standard library's own source, on this machine."""

import contextlib
import pathlib
import tempfile

from keras_rnnlm.training.evaluate import evaluate
from keras_rnnlm.training.recipe import Recipe
from keras_rnnlm.training.train import train

TEXT = "stdlib:2M"
ORDER = 5  # of the n-gram beside it
PROMPT = "def "


def arguments(parser):
    parser.add_argument("--out", type=pathlib.Path, help="a new run directory (default: one that is removed again)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the recipe")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights and sampling (default: %(default)s)")


def run(options):
    recipe = Recipe.load("quickstart").override([f"seed={options.seed}", *options.set])
    with contextlib.ExitStack() as stack:
        out = options.out
        if out is None:
            out = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="keras-rnnlm-"))) / "run"
        if not train([TEXT], out, recipe):
            return 130
        found = evaluate(out, "test", ngram=ORDER, batch=recipe.eval_batch)
        sample = write(out, PROMPT, recipe.seed)
        if options.out is not None:
            (out / "sample.txt").write_text(sample, encoding="utf-8")
    print(report(found))
    print(f"\nA sample:\n\n{sample}\n")
    if options.out is not None:
        print(f"The run is in {out}: try `keras-rnnlm generate {out}` and `keras-rnnlm info {out}`.")


def report(found):
    """The model beside the n-gram, on files that neither has seen."""
    lines = [f"{'On files held out':<24}" + "".join(f"{name:>12}" for name in found)]
    for key, title in (("perplexity", "perplexity of a token"), ("bits_per_character", "bits per character")):
        lines.append(f"{title:<24}" + "".join(f"{measured[key]:>12.3f}" for measured in found.values()))
    return "\n".join(lines)


def write(run, prompt, seed, length=160):
    """Text in the manner of a run's best model."""
    from keras_rnnlm.training.generate import prompt_ids
    from keras_rnnlm.training.run import load_run

    from keras_rnnlm.generation import Sample, TextStream

    trained = load_run(run)
    ids = prompt_ids(trained.tokenizer, prompt)
    text = TextStream(trained.tokenizer.decode, ids)
    (new,) = trained.model.generate([ids], length, Sample(temperature=0.8, top_p=0.95), seed=seed)
    return prompt + text.feed(*new) + text.finish()
