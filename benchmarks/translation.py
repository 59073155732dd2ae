"""What a translator comes to on pairs of texts: BLEU of what it writes, for sources it has not seen.

    pip install -e ".[bleu]"
    python benchmarks/translation.py multi30k|e2e --out DIR [--seed 0] [--minutes 30] [--beam 5] [--draw 0]
        [--set KEY=VALUE]

multi30k: German from English by the recipe `translator`; BLEU of the whole text, on the validation split. e2e: a
sentence from attributes such as "food[Italian], area[riverside]"; names of places are replaced by the words NAME and
NEAR before training and put back after writing; BLEU with all references of the development split. Both are
sacrebleu's, with its own cutting into words, and its chrF beside them. `attention.png` shows what was looked at while
one text was written, the first, or that which `--draw` counts from 0. DIR keeps the run: where it was interrupted, the
same command resumes it.
"""

import argparse
import csv
import gzip
import json
import os
import pathlib
import re

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

PLACES = {"name": "NAME", "near": "NEAR"}


class Multi30k:
    changes = {}

    def __init__(self, data):
        self.pairs = {
            split: list(zip(*(self._lines(data / f"{name}.{language}.gz") for language in ("en", "de"))))
            for split, name in (("train", "train"), ("valid", "val"))
        }

    @staticmethod
    def _lines(path):
        # One sentence has a tab.
        with gzip.open(path, "rt", encoding="utf-8") as file:
            return [" ".join(line.split()) for line in file]

    def held_out(self):
        """Sources, and for each the texts that it may become."""
        return [source for source, _ in self.pairs["valid"]], [[target] for _, target in self.pairs["valid"]]

    def finished(self, number, text):
        """What is written of a source as text."""
        return text


class E2E:
    changes = {
        "layers": 1,
        "dropout": 0.3,
        "batch": 64,
        "tokenizer": "word",
        "vocabulary_size": None,
        "min_count": 2,
        "task_settings": {"label_smoothing": 0.1, "longest": 100},
    }

    def __init__(self, data):
        self.pairs, self._dev = {}, {}
        for split, name in (("train", "trainset"), ("valid", "devset")):
            with open(data / f"{name}.csv", encoding="utf-8", newline="") as file:
                rows = [(row["mr"], row["ref"].strip()) for row in csv.DictReader(file)]
            self.pairs[split] = [self._without_places(*row) for row in rows]
            if split == "valid":
                for meaning, text in rows:
                    self._dev.setdefault(meaning, []).append(text)

    @staticmethod
    def attributes(meaning):
        return dict(re.findall(r"(\w+)\[(.*?)\]", meaning))

    def source(self, meaning):
        """One word an attribute: what it may be is a short list, but for the places."""
        found = self.attributes(meaning)
        return " ".join(f"{key}={PLACES.get(key, value).replace(' ', '_')}" for key, value in found.items())

    def _without_places(self, meaning, text):
        found = self.attributes(meaning)
        for key, word in sorted(PLACES.items(), key=lambda item: -len(found.get(item[0], ""))):
            if key in found:
                text = text.replace(found[key], word)
        return self.source(meaning), " ".join(re.findall(r"\w+(?:[-']\w+)*|£?\d+(?:[.]\d+)?|[^\w\s]", text))

    def held_out(self):
        return [self.source(meaning) for meaning in self._dev], list(self._dev.values())

    def finished(self, number, text):
        found = self.attributes(list(self._dev)[number])
        text = re.sub(r" ([.,;:!?)])", r"\1", text)
        text = re.sub(r"([(£]) ", r"\1", text)
        for key, word in PLACES.items():
            text = re.sub(rf"\b{word}\b", found.get(key, ""), text)
        return text


def draw_attention(run, source, file):
    from keras_rnnlm.diagnostics import plot_attention

    [[best]] = run.model.translate([source], attention=True)
    pieces = (run.vocabulary.pieces(side, of) for side, of in (("source", source), ("target", best.ids)))
    plot_attention(best.attention, *pieces).figure.savefig(file)


TEXTS = {"multi30k": Multi30k, "e2e": E2E}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", choices=TEXTS)
    data = pathlib.Path(os.environ.get("KERAS_RNNLM_DATA", "../shared/data"))
    parser.add_argument("--data", type=pathlib.Path, default=data, help="the folder that has that of the text")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--draw", type=int, default=0, metavar="N", help="the text whose attention is drawn")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the recipe")
    options = parser.parse_args()

    from keras_rnnlm.training import Recipe, load_run, resume, train
    from keras_rnnlm.training.evaluation.bleu import bleu, import_sacrebleu

    import_sacrebleu()

    text = TEXTS[options.text](options.data / options.text)
    options.out.mkdir(parents=True, exist_ok=True)
    run = options.out / "run"
    if (run / "recipe.toml").is_file():
        resume(run)
    else:
        for split, pairs in text.pairs.items():
            lines = "".join(f"{source}\t{target}\n" for source, target in pairs)
            (options.out / f"{split}.tsv").write_text(lines, encoding="utf-8")
        recipe = Recipe.load("translator").override(text.changes)
        recipe = recipe.override({"max_minutes": options.minutes, "seed": options.seed})
        train([options.out / "train.tsv"], run, recipe.override(options.set), valid=options.out / "valid.tsv")
    trained = load_run(run)
    sources, references = text.held_out()
    ids = [trained.vocabulary.source_ids(source) for source in sources]
    found = {"text": options.text, "seed": options.seed, "minutes": options.minutes}
    found["weights"] = trained.model.count_params()
    for name, beam in (("greedy", 1), (f"beam {options.beam}", options.beam)):
        written = [
            text.finished(number, trained.vocabulary.write(best.ids))
            for number, (best, *_) in enumerate(trained.model.translate(ids, beam=beam, max_length=100, batch_size=64))
        ]
        (options.out / f"{name}.txt").write_text("\n".join(written) + "\n", encoding="utf-8")
        found[name] = bleu(written, references)
    draw_attention(trained, ids[options.draw], options.out / "attention.png")
    (options.out / "result.json").write_text(json.dumps(found, indent=1))
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
