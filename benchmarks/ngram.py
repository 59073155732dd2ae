"""Our modified Kneser-Ney n-grams beside KenLM's, on WikiText-2.

    python benchmarks/ngram.py                      # reads the folder wikitext-2 in KERAS_RNNLM_DATA
    python benchmarks/ngram.py --data corpora --json > result.json

KenLM's perplexities are those of `lmplz -o ORDER`, then `query`, on the same files, one sentence a line, with `<unk>`
renamed, as lmplz refuses it. Every line, a blank one too, ends in one `<eos>`, which counts as a token.
"""

import argparse
import functools
import json
import os
import pathlib
import sys
import time

import numpy as np

from keras_rnnlm.training.evaluation.ngram import NGram

KENLM = {3: dict(valid=242.3, test=226.1), 5: dict(valid=234.9, test=220.1)}


def read_wikitext(folder):
    """The tokens of train, valid and test, the number of types, and the number of `<eos>`."""
    numbers, texts = {}, {}
    for name in ("train", "valid", "test"):
        # lmplz knows no other white space: a no-break space is part of a word.
        lines = (pathlib.Path(folder) / f"{name}.txt").read_bytes().removesuffix(b"\n").split(b"\n")
        words = (word for line in lines for word in (*line.split(), b"<eos>"))
        texts[name] = np.fromiter((numbers.setdefault(word, len(numbers)) for word in words), np.int32)
    return texts, len(numbers), numbers[b"<eos>"]


def measure(order, texts, size, eos):
    """Perplexities on valid and test, and the seconds to build the model and to score test."""
    start = time.perf_counter()
    model = NGram(texts["train"], vocabulary_size=size, order=order, boundary=eos)
    built = time.perf_counter()
    test = model.perplexity(texts["test"])
    scored = time.perf_counter()
    return dict(valid=model.perplexity(texts["valid"]), test=test, build=built - start, score=scored - built)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--data", help="the folder that holds wikitext-2", default=os.environ.get("KERAS_RNNLM_DATA"))
    options = parser.parse_args()
    if options.data is None:
        parser.error("Say where wikitext-2 lies, with --data FOLDER or in the environment as KERAS_RNNLM_DATA.")
    say = functools.partial(print, file=sys.stderr if options.json else sys.stdout, flush=True)
    corpus = read_wikitext(pathlib.Path(options.data) / "wikitext-2")
    say(", ".join(f"{name} {len(text):,}" for name, text in corpus[0].items()), f"tokens; {corpus[1]:,} types")
    say(f"{'order':>5}{'valid':>10}{'KenLM':>8}{'test':>10}{'KenLM':>8}{'build s':>10}{'score s':>10}")
    results = {}
    for order, kenlm in KENLM.items():
        row = results[order] = measure(order, *corpus)
        say(
            f"{order:5}{row['valid']:10.2f}{kenlm['valid']:8.1f}{row['test']:10.2f}{kenlm['test']:8.1f}"
            f"{row['build']:10.2f}{row['score']:10.2f}"
        )
    if options.json:
        print(json.dumps({"ngram": results, "kenlm": KENLM}))


if __name__ == "__main__":
    main()
