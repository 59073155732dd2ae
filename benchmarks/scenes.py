"""Scenes of handwritten digits, described: how many are right, and whether the model looks where it should.

    python benchmarks/scenes.py --out DIR [--minutes 25] [--seeds 0 1 2] [--data FOLDER] [--set KEY=VALUE]

A scene is a canvas of 64 x 64 with one digit of mnist-10k, or two that do not overlap. Its description:

    scene     "a" digit | "a" digit relation "a" digit
    relation  "left of" | "above"
    digit     "zero" ... "nine"

"left of" is said, by the left one first, if the digits' middles are further apart from left to right than from top to
bottom, and else "above", by the upper one first. Each fifth scene has one digit. A tenth of the digits, of each kind,
is for the scenes of the test alone, and another tenth for those that choose the best epoch.

Measured are exact matches, and for the words that name a digit whether the middle of the region with the most
attention lies in the 28 x 28 box of that digit; and in the smallest box around its ink; and both for the article before
it, whose attention is fed to the step that writes the name. DIR keeps scenes, runs, the
picture of the attention, and results.jsonl with a line for each seed. What is there is resumed, or only read.
"""

import argparse
import json
import os
import pathlib
import statistics

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

CANVAS, DIGIT = 64, 28
NAMES = "zero one two three four five six seven eight nine".split()
SIZES = {"train": 20_000, "valid": 1_000, "test": 2_000}
SETTINGS = {
    "units": 128,
    "layers": 1,
    "embedding_dim": 64,
    "tied": False,
    "tokenizer": "word",
    "dropout": 0.2,
    "batch": 32,
    "eval_batch": 128,
    "learning_rate": 2e-3,
    "max_norm": 5.0,
    "epochs": 12,
    "task_settings": {"filters": [16, 32, 64, 128], "decode": 500, "label_smoothing": 0.0},
}


def draw(images, labels, rng):
    """A scene: the canvas, its description, and for each digit that this names its place, top and left, and picture."""
    import numpy as np

    number = 1 if rng.random() < 0.2 else 2
    while True:
        places = rng.integers(0, CANVAS - DIGIT + 1, (number, 2))
        if number == 1 or np.abs(places[0] - places[1]).max() >= DIGIT:
            break
    chosen, canvas = rng.integers(0, len(images), number), np.zeros((CANVAS, CANVAS), "uint8")
    for (top, left), digit in zip(places, chosen):
        canvas[top : top + DIGIT, left : left + DIGIT] = images[digit]
    order, text = [0], f"a {NAMES[labels[chosen[0]]]}"
    if number == 2:
        apart = np.abs(places[0] - places[1])
        axis, relation = (1, "left of") if apart[1] > apart[0] else (0, "above")
        order = np.argsort(places[:, axis], kind="stable").tolist()
        first, second = (NAMES[labels[chosen[k]]] for k in order)
        text = f"a {first} {relation} a {second}"
    return canvas, text, [(places[k].tolist(), images[chosen[k]]) for k in order]


def boxes(named):
    """Of each digit, the box that it was drawn in and the smallest around its ink: top, left, bottom, right."""
    import numpy as np

    found = []
    for (top, left), image in named:
        rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
        ink = [top + rows[0], left + columns[0], top + rows[-1] + 1, left + columns[-1] + 1]
        found.append({"box": [top, left, top + DIGIT, left + DIGIT], "ink": [int(side) for side in ink]})
    return found


def write(data, folder):
    """Writes the scenes of each split as pictures, and lists of them."""
    import numpy as np
    from PIL import Image

    with np.load(data) as file:
        images, labels = file["images"], file["labels"]
    tenth = np.arange(len(labels)) % 10  # they are sorted by label: a tenth of each kind
    own_digits = {"train": tenth > 1, "valid": tenth == 0, "test": tenth == 1}
    for number, (split, size) in enumerate(SIZES.items()):
        list_of_files = folder / f"{split}.jsonl"
        if list_of_files.is_file():
            continue
        (folder / split).mkdir(exist_ok=True)
        rng, lines, own = np.random.default_rng(number), [], own_digits[split]
        own_images, own_labels = images[own], labels[own]
        for k in range(size):
            canvas, text, named = draw(own_images, own_labels, rng)
            Image.fromarray(canvas).save(folder / split / f"{k}.png")
            lines.append(json.dumps({"path": f"{split}/{k}.png", "text": text, "digits": boxes(named)}))
        list_of_files.write_text("\n".join(lines) + "\n", encoding="utf-8")


def inside(weights, grid, box):
    """Whether the middle of the region with the most attention lies in a box."""
    row, column = divmod(int(weights.argmax()), grid[1])
    y, x = (row + 0.5) * CANVAS / grid[0], (column + 0.5) * CANVAS / grid[1]
    top, left, bottom, right = box
    return top <= y <= bottom and left <= x <= right


def measure(run, folder, picture):
    """What a trained run comes to on the scenes of the split `test`."""
    from keras_rnnlm.diagnostics import plot_regions

    scenes = [json.loads(line) for line in (folder / "test.jsonl").read_text(encoding="utf-8").splitlines()]
    files, grid = [str(folder / scene["path"]) for scene in scenes], run.model.encoder.grid
    found = run.model.translate(files, attention=True, max_length=12, batch_size=128)
    exact, hits = 0, {f"{name}{of}": [] for of in ("", " of article") for name in ("box", "ink")}
    for scene, (best, *_) in zip(scenes, found):
        words, wanted = run.vocabulary.write(best.ids).split(), scene["text"].split()
        exact += words == wanted
        places = [place for place, word in enumerate(words) if word in NAMES]
        # Of a digit that was called another the place is counted all the same; of one that was not named it is missed.
        for k, digit in enumerate(scene["digits"]):
            for name, box in digit.items():
                for of, before in (("", 0), (" of article", 1)):
                    at = places[k] - before if k < len(places) else -1
                    hits[name + of].append(at >= 0 and inside(best.attention[at], grid, box))
    scene = next(k for k, one in enumerate(scenes) if len(one["digits"]) == 2)
    best = found[scene][0]
    words = run.vocabulary.write(best.ids).split()
    plot_regions(best.attention, run.vocabulary.source.read(files[scene]), words, grid).savefig(picture, dpi=110)
    return {
        "exact": exact / len(scenes),
        **{f"attention in {name}": statistics.mean(each) for name, each in hits.items()},
        "scenes": len(scenes),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = pathlib.Path(os.environ.get("KERAS_RNNLM_DATA", "../shared/data")) / "mnist-10k"
    parser.add_argument("--data", type=pathlib.Path, default=data, help="the folder with mnist-10k.npz")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--minutes", type=float, default=25, help="of training, for each seed")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()

    from keras_rnnlm.training import Recipe, load_run, resume, train
    from keras_rnnlm.training.commands.info import summary

    options.out.mkdir(parents=True, exist_ok=True)
    write(next(options.data.glob("*.npz")), options.out)
    results = options.out / "results.jsonl"
    lines = results.read_text().splitlines() if results.is_file() else []
    found = {one["seed"]: one for one in map(json.loads, lines)}
    for seed in options.seeds:
        if seed in found:
            continue
        run = options.out / f"run-{seed}"
        if (run / "recipe.toml").is_file():
            is_over = resume(run)
        else:
            recipe = Recipe(task="describe", seed=seed, max_minutes=options.minutes, **SETTINGS).override(options.set)
            is_over = train([options.out / "train.jsonl"], run, recipe, valid=options.out / "valid.jsonl")
        if not is_over:
            return
        trained = load_run(run)
        found[seed] = {
            "seed": seed,
            **measure(trained, options.out, options.out / f"attention-{seed}.png"),
            "minutes": summary(run)["result"]["minutes"],
            "weights": trained.model.count_params(),
        }
        with open(results, "a", encoding="utf-8") as file:
            file.write(json.dumps(found[seed]) + "\n")
        print(json.dumps(found[seed]), flush=True)
    for name in ("exact", *(name for name in found[options.seeds[0]] if name.startswith("attention"))):
        values = [100 * found[seed][name] for seed in options.seeds]
        spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
        print(f"{name}: {statistics.mean(values):.2f} %{spread}, {len(values)} seeds", flush=True)


if __name__ == "__main__":
    main()
