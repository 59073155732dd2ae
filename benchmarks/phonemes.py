"""Spelling to phonemes on CMUdict: how many phonemes and words are wrong after some minutes of training.

    python benchmarks/phonemes.py --out DIR [--minutes 30] [--data FOLDER] [--set KEY=VALUE]

Every 20th word is held out with all of its pronunciations; stress is left out. A word is right where what is written is
one of the listed pronunciations, and phonemes are compared with the nearest of them. The network is a bidirectional
LSTM over the letters and an LSTM that attends to it. DIR keeps the run: where it was interrupted, the same command
resumes it.
"""

import argparse
import json
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

EVERY = 20
SETTINGS = {
    "units": 256,
    "layers": 2,
    "cell_options": {"peephole": True},
    "embedding_dim": 64,
    "tied": False,
    "dropout": 0.2,
    "tokenizer": "word",
    "batch": 64,
    "eval_batch": 128,
    "learning_rate": 3e-3,
    "epochs": 30,
    "task_settings": {
        "format": "cmudict",
        "source_tokenizer": "char",
        "decoder_layers": 1,
        "label_smoothing": 0.05,
        "decode": 1000,
    },
}


def split(dictionary, folder):
    """Writes the words that are learned, and those that are held out, as dictionaries of their own."""
    from keras_rnnlm.training.corpora.pairs import read_pairs

    numbers, parts = {}, {"train": [], "valid": []}
    for word, phonemes in read_pairs(dictionary, "cmudict"):
        number = numbers.setdefault(word, len(numbers))
        parts["valid" if number % EVERY == EVERY - 1 else "train"].append(f"{word} {phonemes}\n")
    for name, lines in parts.items():
        (folder / f"{name}.dict").write_text("".join(lines), encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = pathlib.Path(os.environ.get("KERAS_RNNLM_DATA", "../shared/data")) / "cmudict"
    parser.add_argument("--data", type=pathlib.Path, default=data, help="the folder with cmudict.dict")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--beam", type=int, default=4)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()

    from keras_rnnlm.training import Recipe, load_run, resume, train
    from keras_rnnlm.training.evaluation.translations import Scorer
    from keras_rnnlm.training.tasks import task_of

    options.out.mkdir(parents=True, exist_ok=True)
    run = options.out / "run"
    if (run / "recipe.toml").is_file():
        resume(run)
    else:
        split(options.data / "cmudict.dict", options.out)
        recipe = Recipe(task="translate", max_minutes=options.minutes, **SETTINGS).override(options.set)
        train([options.out / "train.dict"], run, recipe, valid=options.out / "valid.dict")
    trained = load_run(run)
    held_out = task_of(trained.recipe).restore(trained.recipe, trained.folder, None).splits["valid"]
    found = {"minutes": options.minutes, "weights": trained.model.count_params()}
    for name, beam in (("greedy", 1), (f"beam {options.beam}", options.beam)):
        score = Scorer(trained.model, batch=128, decode=len(held_out), beam=beam).score(held_out)
        found[name] = {
            "phoneme error": score["error_rate"],
            "word error": 1 - score["exact"],
            "words": score["written"],
        }
    (options.out / "result.json").write_text(json.dumps(found, indent=1))
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
