"""A first run: a language model learns to write Python from the standard library's own source, and is exported.

Beside `__main__`, this is the one place that knows more rooms than one.
"""

import contextlib
import pathlib
import sys
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
        exported = export(out, out / "exported")
    print(report(found))
    print(f"\nA sample:\n\n{sample}\n")
    print(exported)
    if options.out is not None:
        print(f"\nThe run is in {out}: try `keras-rnnlm generate {out}` and `keras-rnnlm run {out / 'exported'}`.")


def export(run, folder):
    """Exports a run's model in every format, verifies what was written, and says how large it is."""
    from keras_rnnlm.export import export_run, verify

    export_run(run, folder, say=lambda text: print(text, file=sys.stderr, flush=True))
    lines = [f"{'Exported, and verified':<24}{'megabytes':>12}{'error':>12}"]
    for report in verify(folder).values():
        if "problem" in report:
            raise ValueError(report["problem"])
        lines.append(f"{report['file']:<24}{report['bytes'] / 1e6:>12.2f}{report['error']:>12.1e}")
    return "\n".join(lines)


def report(found):
    """The model beside the n-gram, on files that neither has seen."""
    lines = [f"{'On files held out':<24}" + "".join(f"{name:>12}" for name in found)]
    for key, title in (("perplexity", "perplexity of a token"), ("bits_per_character", "bits per character")):
        lines.append(f"{title:<24}" + "".join(f"{measured[key]:>12.3f}" for measured in found.values()))
    return "\n".join(lines)


def write(run, prompt, seed, length=160):
    """Text in the manner of a run's best model."""
    from keras_rnnlm.generation import Sample, TextStream
    from keras_rnnlm.training.generate import prompt_ids
    from keras_rnnlm.training.run import load_run

    trained = load_run(run)
    ids = prompt_ids(trained.tokenizer, prompt)
    (new,) = trained.model.generate([ids], length, Sample(temperature=0.8, top_p=0.95), seed=seed)
    return prompt + TextStream(trained.tokenizer.decode, ids).whole(new)
