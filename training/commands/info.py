"""The command `info`: runs side by side."""

import dataclasses
import pathlib

from keras_rnnlm.training.recipes.recipe import Recipe
from keras_rnnlm.training.runs.curves import latest
from keras_rnnlm.training.runs.kept_evaluations import kept_evaluations
from keras_rnnlm.training.runs.run import RunFolder, to_json


def arguments(parser):
    parser.add_argument("runs", metavar="RUN", nargs="+", type=pathlib.Path, help="run directories")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options):
    runs = {str(path): summary(path) for path in options.runs}
    if options.json:
        print(to_json(runs))
        return
    rows = [("", list(runs))]
    rows += [(key, [found["result"][key] for found in runs.values()]) for key in next(iter(runs.values()))["result"]]
    texts = dict.fromkeys(text for found in runs.values() for text in found["evaluations"])
    for text in texts:
        by_run = [found["evaluations"].get(text, {}) for found in runs.values()]
        for name in dict.fromkeys(name for measured in by_run for name in measured):
            of = "" if name == "model" else f" of a {name}"
            found = [measured.get(name, {}) for measured in by_run]
            known = list(dict.fromkeys(key for measured in found for key in measured))
            # Of the many of a language model, two.
            for key in [key for key in ("perplexity", "bits_per_character") if key in known] or known:
                values = [measured.get(key) for measured in found]
                rows.append((f"{text}: {key}{of}", [value and round(value, 3) for value in values]))
    recipes = [found["recipe"] for found in runs.values()]
    for key, default in dataclasses.asdict(Recipe()).items():
        values = [recipe[key] for recipe in recipes]
        if not isinstance(default, dict):
            rows += [(key, values)] * any(value != default for value in values)
            continue
        usual = [getattr(Recipe(task=recipe["task"]), key) for recipe in recipes]
        for name in dict.fromkeys(name for value in values for name in value):
            found = [value.get(name) for value in values]
            rows += [(f"{key}.{name}", found)] * any(f != u.get(name) for f, u in zip(found, usual))
    width = max(len(key) for key, _ in rows)
    columns = [max(len(_shown(row[1][k])) for row in rows) for k in range(len(runs))]
    for key, values in rows:
        print("  ".join([key.ljust(width), *(_shown(v).rjust(c) for v, c in zip(values, columns))]).rstrip())


def summary(path):
    """What a run directory tells: its recipe, how far it came, how good it was, what `evaluate` found."""
    folder = RunFolder(path)
    recipe = folder.read_recipe()
    records = latest(folder.read_history())
    validations = [record for record in records if record.get("kind") == "valid" and record.get("loss") is not None]
    best = next((record for record in reversed(validations) if record.get("best")), None)
    speeds = [record.get("tokens_per_second") for record in records if record.get("kind") == "train"]
    speeds = [speed for speed in speeds if speed is not None]
    last = records[-1] if records else {}
    result = {
        "steps": last.get("step", 0),
        "epochs": last.get("epoch", 0),
        "tokens": last.get("tokens", 0),
        "minutes": round((last.get("seconds") or 0) / 60, 2),
        "tokens_per_second": round(_median(speeds)) if speeds else None,
        "best_step": best and best["step"],
        "validation_loss": best and round(best["loss"], 4),
        "validation_perplexity": best and best.get("perplexity") and round(best["perplexity"], 3),
        "has_model": folder.model_file.is_file(),
        "began_with": next((record.get("run") for record in records if record.get("kind") == "origin"), None),
    }
    return {"result": result, "evaluations": kept_evaluations(folder), "recipe": dataclasses.asdict(recipe)}


def _median(values):
    return sorted(values)[len(values) // 2]


def _shown(value):
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)
