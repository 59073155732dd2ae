"""Spoken digits: strings of them, transcribed, with and without a language model.

    python benchmarks/digits.py --out DIR [--minutes 25] [--seeds 0 1 2] [--parts all heldout ...] [--data FOLDER]

A string is three to seven takes of one speaker, spliced, with up to a tenth of a second of silence between them. Takes
10 to 46 are learned from, 47 to 49 choose the best epoch, and 5 to 9 are what is measured on. Parts:

    all       all speakers are learned from and measured on: the digit error rate, by a beam of 8
    heldout   one speaker's takes are in no string that is learned from, and all that is measured on: reported
    grammar   strings of a skewed grammar, years (1900 to 2029) and times of day, in the takes that are measured on, by
              the recogniser of `all`: the hypotheses as they come, and put in order by a language model
              of such strings, too. Its weight and the bonus are chosen on strings of the takes that choose the epoch
    heldout-grammar  such strings of the speaker that was held out, by the recogniser of `heldout`

DIR keeps recordings, runs, and results.jsonl with a line for each seed and part. What is there is resumed, or read.
"""

import argparse
import io
import json
import os
import pathlib
import statistics
import wave
import zipfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

RATE, GAP, BEAM = 8000, 0.1, 8
HELD_OUT = "theo"
TAKES = {"train": range(10, 47), "valid": range(47, 50), "test": range(5, 10)}
SIZES = {"train": 12_000, "valid": 400, "test": 1_000}
SETTINGS = {
    "units": 192,
    "layers": 3,
    "embedding_dim": 64,
    "tied": False,
    "tokenizer": "word",
    "dropout": 0.3,
    "batch": 32,
    "eval_batch": 128,
    "learning_rate": 2e-3,
    "max_norm": 5.0,
    "epochs": 24,
    "task_settings": {"decoder_layers": 1, "score": "additive", "decode": 400, "label_smoothing": 0.05},
}
LANGUAGE_MODEL = {
    "units": 64,
    "layers": 1,
    "tokenizer": "word",
    "mode": "sentences",
    "window": 12,
    "dropout": 0.1,
    "epochs": 6,
    "learning_rate": 5e-3,
}
WEIGHTS, BONUSES = (0.0, 0.1, 0.2, 0.4, 0.7, 1.0), (0.0, 0.5, 1.0)


def any_string(rng):
    return rng.integers(0, 10, rng.integers(3, 8)).tolist()


def skewed_string(rng):
    """A year, or a time of day: hours without a zero before them, minutes that mostly are quarters."""
    if rng.random() < 0.5:
        text = str(int(rng.choice([rng.integers(1900, 2000), rng.integers(2000, 2030)], p=[0.7, 0.3])))
    else:
        minute = rng.choice([0, 15, 30, 45]) if rng.random() < 0.7 else rng.integers(0, 60)
        text = f"{rng.integers(1, 24)}{minute:02}"
    return [int(digit) for digit in text]


def recordings(path):
    """The samples of each recording, by digit, speaker and take."""
    import numpy as np

    found = {}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith(".wav"):
                digit, speaker, take = pathlib.PurePath(name).stem.split("_")
                with wave.open(io.BytesIO(archive.read(name))) as file:
                    found[int(digit), speaker, int(take)] = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    return found


def write(folder, name, takes, speakers, size, draw, spoken, seed):
    """Writes strings as WAV files, and a list of them."""
    import numpy as np

    list_of_files, rng, lines = folder / f"{name}.tsv", np.random.default_rng(seed), []
    if list_of_files.is_file():
        return list_of_files
    (folder / name).mkdir(parents=True, exist_ok=True)
    for k in range(size):
        digits, speaker, parts = draw(rng), rng.choice(speakers), []
        for digit in digits:
            parts += [spoken[digit, str(speaker), int(rng.choice(takes))]]
            parts += [np.zeros(rng.integers(0, int(GAP * RATE)), "<i2")]
        with wave.open(str(folder / name / f"{k}.wav"), "wb") as file:
            file.setnchannels(1), file.setsampwidth(2), file.setframerate(RATE)
            file.writeframes(np.concatenate(parts).tobytes())
        lines.append(f"{name}/{k}.wav\t{' '.join(map(str, digits))}\n")
    list_of_files.write_text("".join(lines), encoding="utf-8")
    return list_of_files


def trained(run, recipe, lists):
    """The run, trained, resumed, or read; None where it was interrupted."""
    from keras_rnnlm.training import load_run, resume, train

    if (run / "recipe.toml").is_file():
        is_over = resume(run)
    else:
        is_over = train([lists["train"]], run, recipe, valid=lists["valid"])
    return load_run(run) if is_over else None


def hypotheses(run, list_of_files):
    """What the beam finds of each recording, with its texts, and what is said in it."""
    import dataclasses

    from keras_rnnlm.training.corpora.manifests import read_manifest

    pairs = read_manifest(list_of_files)
    found = run.model.translate([path for path, _ in pairs], beam=BEAM, max_length=16, batch_size=64)
    texts = [[dataclasses.replace(one, text=run.vocabulary.write(one.ids)) for one in some] for some in found]
    return texts, [text.split() for _, text in pairs]


def digit_errors(found, wanted):
    from keras_rnnlm.training.evaluation.edits import errors

    score = errors([best.text.split() for best, *_ in found], [[text] for text in wanted])
    return {"digit error": score["error_rate"], "strings right": score["exact"], "strings": len(wanted)}


def rescored(folder, run, lists, seed, prefix):
    """Strings of the skewed grammar, as they come and put in order by a language model."""
    import numpy as np

    from keras_rnnlm.generation import Rescoring
    from keras_rnnlm.predict import answer
    from keras_rnnlm.training import Recipe, resume, train

    text, language_model = folder / "grammar.txt", folder / f"language-model-{seed}"
    if not text.is_file():
        rng = np.random.default_rng(100)
        text.write_text("".join(" ".join(map(str, skewed_string(rng))) + "\n" for _ in range(20_000)))
    if (language_model / "recipe.toml").is_file():
        is_over = resume(language_model, quiet=True)
    else:
        recipe = Recipe(seed=seed, split="95/5", **LANGUAGE_MODEL)
        is_over = train([text], language_model, recipe, quiet=True)
    if not is_over:
        raise SystemExit(130)
    model = answer(language_model)
    found, wanted = hypotheses(run, lists[f"{prefix}grammar-valid"])
    tried = {}
    for weight in WEIGHTS:
        for bonus in BONUSES:
            tried[weight, bonus] = digit_errors(Rescoring(model, weight, bonus)(found), wanted)["digit error"]
    weight, bonus = min(tried, key=tried.get)
    found, wanted = hypotheses(run, lists[f"{prefix}grammar"])
    after = digit_errors(Rescoring(model, weight, bonus)(found), wanted)
    before = {f"{name} without": value for name, value in digit_errors(found, wanted).items() if name != "strings"}
    return {**before, **after, "weight": weight, "length bonus": bonus}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = pathlib.Path(os.environ.get("KERAS_RNNLM_DATA", "../shared/data")) / "spoken-digits"
    parts = ("all", "heldout", "grammar", "heldout-grammar")
    parser.add_argument("--data", type=pathlib.Path, default=data, help="the folder with spoken-digits.zip")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--minutes", type=float, default=25, help="of training, for each run")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()

    from keras_rnnlm.training import Recipe
    from keras_rnnlm.training.commands.info import summary

    spoken, folder = recordings(options.data / "spoken-digits.zip"), options.out
    everyone = sorted({speaker for _, speaker, _ in spoken})
    others = [speaker for speaker in everyone if speaker != HELD_OUT]
    folder.mkdir(parents=True, exist_ok=True)
    lists = {}
    for seed, (split, takes) in enumerate(TAKES.items()):
        size, takes = SIZES[split], list(takes)
        lists[split] = write(folder, split, takes, everyone, size, any_string, spoken, seed)
        takes, own = (list(range(5, 50)), [HELD_OUT]) if split == "test" else (takes, others)
        lists[f"heldout-{split}"] = write(folder, f"heldout-{split}", takes, own, size, any_string, spoken, 10 + seed)
    for seed, (name, split) in enumerate((("grammar-valid", "valid"), ("grammar", "test")), 20):
        size, takes = SIZES[split], list(TAKES[split])
        lists[name] = write(folder, name, takes, everyone, size, skewed_string, spoken, seed)
        takes, own = (list(range(5, 50)), [HELD_OUT]) if split == "test" else (takes, others)
        name = f"heldout-{name}"
        lists[name] = write(folder, name, takes, own, size, skewed_string, spoken, 10 + seed)

    results = folder / "results.jsonl"
    lines = results.read_text().splitlines() if results.is_file() else []
    done = {(one["part"], one["seed"]): one for one in map(json.loads, lines)}
    for part in options.parts:
        for seed in options.seeds:
            if (part, seed) in done:
                continue
            prefix = "heldout-" if part.startswith("heldout") else ""
            own = {split: lists[f"{prefix}{split}"] for split in TAKES}
            recipe = Recipe(task="transcribe", seed=seed, max_minutes=options.minutes, **SETTINGS)
            path = folder / f"run-{prefix}{seed}"
            run = trained(path, recipe.override(options.set), own)
            if run is None:
                return
            if part.endswith("grammar"):
                found = rescored(folder, run, lists, seed, prefix)
            else:
                found = digit_errors(*hypotheses(run, own["test"]))
            minutes, weights = summary(path)["result"]["minutes"], run.model.count_params()
            done[part, seed] = {"part": part, "seed": seed, **found, "minutes": minutes, "weights": weights}
            with open(results, "a", encoding="utf-8") as file:
                file.write(json.dumps(done[part, seed]) + "\n")
            print(json.dumps(done[part, seed]), flush=True)
        for name in ("digit error without", "digit error"):
            values = [100 * done[part, seed][name] for seed in options.seeds if name in done[part, seed]]
            if values:
                spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
                print(f"{part}: {name} {statistics.mean(values):.2f} %{spread}, {len(values)} seeds", flush=True)


if __name__ == "__main__":
    main()
