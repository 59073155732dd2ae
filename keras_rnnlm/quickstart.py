"""A first run: a language model learns to write Python from the standard library's own source, and is exported.

Beside `__main__` and `predict`, this is the one place that knows more rooms than one.
"""

import itertools
import os
import pathlib
import shlex
import time

from keras_rnnlm import standard_streams
from keras_rnnlm.quiet import import_keras
from keras_rnnlm.training.commands.evaluate import evaluate
from keras_rnnlm.training.commands.train import train
from keras_rnnlm.training.loop.interrupts import exit_code
from keras_rnnlm.training.recipes.recipe import Recipe
from keras_rnnlm.training.runs.display import duration
from keras_rnnlm.training.runs.run import RunFolder

TEXT = "stdlib:500k"
ORDER = 5  # of the n-gram beside it
PROMPT = "def "
OUT = pathlib.Path("keras-rnnlm-quickstart")
SECONDS = 110  # for all of it
SHORTEST = 15  # seconds of training, on however slow a machine
# What follows and precedes the training took 3.4 times as long as the imports, which measure how fast a machine is.
REST = 4.0


def arguments(parser):
    parser.add_argument("--out", type=pathlib.Path, help=f"a new run directory (default: {OUT}, or {OUT}-2, ...)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the recipe")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights and sampling (default: %(default)s)")


def run(options):
    began = time.monotonic()
    recipe = Recipe.load("quickstart").override([f"seed={options.seed}", *options.set])
    out = options.out or free_folder(OUT)
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")  # as `export` does, which comes at the end
    keras = import_keras()
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "The quickstart ends with an export, which is made with Keras's TensorFlow backend: "
            f"KERAS_BACKEND=tensorflow keras-rnnlm quickstart. Received: the backend {keras.backend.backend()}"
        )
    if not any(setting.partition("=")[0].strip() == "max_minutes" for setting in options.set):
        minutes = training_seconds(time.monotonic() - began) / 60
        recipe = recipe.override({"max_minutes": min(round(minutes, 2), recipe.max_minutes)})
    if not train([TEXT], out, recipe):
        return exit_code()
    found = evaluate(out, "test", ngram=ORDER, batch=recipe.eval_batch)
    sample = write(out, PROMPT, recipe.seed)
    (out / "sample.txt").write_text(sample, encoding="utf-8")
    exported = export(out, out / "exported")
    page = make_page(out / "exported", out / "page")
    print(report(found))
    if found["model"]["perplexity"] >= found[f"{ORDER}-gram"]["perplexity"]:
        print(why_behind(out, recipe))
    print(f"\nA sample:\n\n{sample}\n")
    print(exported)
    print(f"\n{duration(time.monotonic() - began)} in all. The run is in {out}. Next:\n\n{next_commands(out, page)}")


def free_folder(folder):
    """The folder, or the first of folder-2, folder-3, ... that does not exist."""
    names = itertools.chain([folder], (folder.with_name(f"{folder.name}-{k}") for k in itertools.count(2)))
    return next(path for path in names if not path.exists())


def training_seconds(imports):
    """How long to train, so that all of it takes `SECONDS` on a machine whose imports took so long."""
    return max(SECONDS - (1 + REST) * imports, SHORTEST)


def make_page(exported, folder):
    """A page that the model writes in: its folder, or None where what runs it would have to be downloaded."""
    from keras_rnnlm.export import page

    if page.onnxruntime_web.cached() is None:
        return None
    page.make_page(exported, folder, title="A language model writes Python", prompt=PROMPT)
    return folder


def next_commands(out, page=None):
    name, exported = shlex.quote(str(out)), shlex.quote(str(out / "exported"))
    made = "" if page is None else f", as in {page} for any server"
    return "\n".join(
        [
            f"    keras-rnnlm demo {exported} --serve    # a page that writes{made}",
            f'    keras-rnnlm generate {name} --prompt "class "',
            f"    keras-rnnlm evaluate {name} FILE.py --ngram {ORDER}",
            f'    keras-rnnlm run {exported} --prompt "import "',
        ]
    )


def why_behind(out, recipe):
    """Why the n-gram predicts better, and what to do."""
    last = RunFolder(out).read_history()[-1]
    seconds = recipe.max_minutes and 60 * recipe.max_minutes
    if seconds is not None and last["seconds"] >= seconds:
        return (
            f"The {ORDER}-gram is ahead: in the {seconds:.0f} seconds of training that there were, this machine came "
            f"to {last['tokens']:,} tokens. `--set max_minutes=5`, for example, gives the model more time."
        )
    return (
        f"The {ORDER}-gram is ahead: the model is small, or its passes are few. See `--set units` and `--set epochs`."
    )


def export(run, folder):
    """Exports a run's model in every format, verifies what was written, and says how large it is."""
    from keras_rnnlm.export import export_run, verify

    export_run(run, folder, say=standard_streams.tell)
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
    from keras_rnnlm.training.commands.generate import prompt_ids
    from keras_rnnlm.training.runs.run import load_run

    trained = load_run(run)
    ids = prompt_ids(trained.tokenizer, prompt)
    (new,) = trained.model.generate([ids], length, Sample(temperature=0.8, top_p=0.95), seed=seed)
    return prompt + TextStream(trained.tokenizer.decode, ids).whole(new)
