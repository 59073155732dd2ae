"""Heads on WikiText-2, all 33,278 words: the time of a whole training step, and perplexity after equal steps.

    python benchmarks/heads.py [--heads full adaptive ...] [--data DIR]
    python benchmarks/heads.py --train 3000    # and validation perplexity after so many steps

A step is that of the recipe `wikitext-2`: two LSTMs of 200 units, 20 texts, 35 words of each. For the times the heads
take their steps in turn, and figures are medians.
"""

import argparse
import json
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from keras_rnnlm import quiet
from keras_rnnlm.training.loop.steps_per_second import interleaved

HEADS = {
    "full": dict(),
    "full, tied": dict(tied=True),
    "adaptive": dict(head="adaptive"),
    "adaptive, tied": dict(head="adaptive", tied=True),
    "sampled": dict(head="sampled"),
    "sampled, tied": dict(head="sampled", tied=True),
    "mixture, tied": dict(head="mixture", head_options={"components": 3}, tied=True),
}
UNITS, BATCH, TIME, LEARNING_RATE, DROPOUT = 200, 20, 35, 3e-3, 0.2


def read(folder):
    """The ids of each split, and their frequencies in the training text."""
    from keras_rnnlm.text.tokenizers import Tokenizer

    texts = {name: (folder / f"{name}.txt").read_text(encoding="utf-8") for name in ("train", "valid")}
    tokenizer = Tokenizer.train("word", texts["train"])
    splits = {name: tokenizer.encode(text) for name, text in texts.items()}
    counts = 1 + np.bincount(splits["train"], minlength=tokenizer.vocabulary_size)
    return tokenizer, splits, counts / counts.sum()


def model_of(frequencies, steps, precision, **options):
    keras = quiet.import_keras()
    from keras_rnnlm.models import LanguageModel
    from keras_rnnlm.optimizers import ClippedOptimizer

    keras.utils.set_random_seed(0)
    model = LanguageModel(len(frequencies), UNITS, 2, dropout=DROPOUT, seed=0, dtype=precision, **options)
    model.head.begin_with_frequencies(frequencies)
    rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps) if steps else LEARNING_RATE
    model.compile(ClippedOptimizer(keras.optimizers.Adam(rate), 1.0))
    return model


def stream_of(tokens, tokenizer):
    from keras_rnnlm.training.streams import Contiguous

    return Contiguous(tokens, BATCH, TIME, start=tokenizer.start)


def times(heads, tokenizer, splits, frequencies, options):
    """The median seconds of a step of each head."""
    trains = {}
    for name in heads:
        model = model_of(frequencies, None, options.precision, **HEADS[name])
        dataset = stream_of(splits["train"], tokenizer).dataset().repeat()
        trains[name] = lambda n, model=model, dataset=dataset: model.fit(dataset, steps_per_epoch=n, verbose=0)
        trains[name](1)
    return interleaved(trains, options.steps, options.rounds)


def perplexity(name, tokenizer, splits, frequencies, options):
    """Of the validation text, exactly, after so many steps."""
    from keras_rnnlm.training.evaluation.scorer import Scorer

    model = model_of(frequencies, options.train, options.precision, **HEADS[name])
    model.fit(stream_of(splits["train"], tokenizer).dataset().repeat(), steps_per_epoch=options.train, verbose=0)
    return Scorer(model, start=tokenizer.start, batch=16).score(splits["valid"][: options.tokens])["perplexity"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--heads", nargs="*", default=list(HEADS), choices=list(HEADS), metavar="NAME", help=f"of {', '.join(HEADS)}"
    )
    parser.add_argument("--data", type=pathlib.Path, default=os.environ.get("KERAS_RNNLM_DATA"))
    parser.add_argument("--precision", default="float32", help="or mixed_bfloat16, as the recipe has it")
    parser.add_argument("--steps", type=int, default=5, help="that a head takes at its turn")
    parser.add_argument("--rounds", type=int, default=7, help="0: no times")
    parser.add_argument("--train", type=int, metavar="STEPS")
    parser.add_argument(
        "--tokens", type=int, metavar="N", help="of the validation text, the first so many (default: all)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    options = parser.parse_args()
    if options.data is None:
        parser.error("say where the corpora are: --data DIR, or KERAS_RNNLM_DATA")
    quiet.import_keras()
    tokenizer, splits, frequencies = read(pathlib.Path(options.data) / "wikitext-2")
    print(f"{len(frequencies):,} words, {UNITS} units, {BATCH} times {TIME} tokens, {options.precision}")
    found = {name: {} for name in options.heads}
    with quiet.loggers("tensorflow"):  # which warns of as many models as there are heads
        seconds = times(options.heads, tokenizer, splits, frequencies, options) if options.rounds else {}
    for name, spent in seconds.items():
        found[name] |= {"ms": 1e3 * spent, "tokens_per_second": BATCH * TIME / spent}
        times_full = f"{seconds['full'] / spent:8.2f} x full" if "full" in seconds else ""
        print(f"{name:<16}{1e3 * spent:8.1f} ms a step{BATCH * TIME / spent:10,.0f} tokens/s{times_full}", flush=True)
    for name in options.heads if options.train else ():
        found[name]["perplexity"] = perplexity(name, tokenizer, splits, frequencies, options)
        print(f"{name:<16}{found[name]['perplexity']:8.1f} perplexity after {options.train:,} steps", flush=True)
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
