"""Perplexity by the minutes of training: a recipe, PyTorch's word language model example, and a 5-gram.

    python benchmarks/word_minutes.py --out DIR [--minutes 15 30 60 120] [--recipe NAME] [--set KEY=VALUE]
    python benchmarks/word_minutes.py --out DIR --only torch

The recipe is trained anew for each budget, since its schedule ends with it. The example's learning rate falls when a
validation is no better than the best before it, whatever the budget: one run gives all figures, each of the best of
the models of its validations until then and of the model of that moment, whose validation takes none of its minutes.
Its settings are its defaults: two LSTM layers of 200 units, embeddings as wide, dropout of 0.2, 20 rows, windows of
35, SGD at 20, divided by 4, gradients clipped at 0.25, every type of the text. Validation counts as training time in
both but for that. Every result is kept in DIR as soon as it is there: an interrupted run resumes.
"""

import argparse
import json
import math
import os
import pathlib
import time

from keras_rnnlm.training.commands.evaluate import evaluate
from keras_rnnlm.training.commands.info import summary
from keras_rnnlm.training.commands.train import resume, train
from keras_rnnlm.training.recipes.recipe import Recipe

UNITS, ROWS, WINDOW, DROPOUT, RATE, CLIP, EVALUATED_ROWS = 200, 20, 35, 0.2, 20.0, 0.25, 10


def of_recipe(data, out, recipe, settings, minutes, ways):
    run = out / "-".join([recipe, f"{minutes:g}", *settings])
    if (run / "recipe.toml").exists():
        is_over = resume(run)
    else:
        is_over = train([str(data)], run, Recipe.load(recipe).override([f"max_minutes={minutes}", *settings]))
    if not is_over:
        raise SystemExit(130)
    return {"training": summary(run)["result"], "test": evaluate(run, "test", **ways)}


def ids_of(data):
    """The example's corpus: words between white space, `<eos>` for a line's end, every type of all three files."""
    import torch

    types, splits = {}, {}
    for split in ("train", "valid", "test"):
        with open(data / f"{split}.txt", encoding="utf-8") as file:
            words = (word for line in file for word in [*line.split(), "<eos>"])
            splits[split] = torch.tensor([types.setdefault(word, len(types)) for word in words])
    return len(types), splits


def side_by_side(ids, rows):
    length = len(ids) // rows
    return ids[: length * rows].view(rows, length).t().contiguous()


def of_example(data, budgets, seed=1111):
    """Each of some minutes, and the example's test perplexity after them, as soon as it is there."""
    import torch

    torch.manual_seed(seed)
    count, splits = ids_of(data)
    texts = {name: side_by_side(ids, ROWS if name == "train" else EVALUATED_ROWS) for name, ids in splits.items()}

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.drop = torch.nn.Dropout(DROPOUT)
            self.embedding = torch.nn.Embedding(count, UNITS)
            self.layers = torch.nn.LSTM(UNITS, UNITS, 2, dropout=DROPOUT)
            self.logits = torch.nn.Linear(UNITS, count)
            torch.nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
            torch.nn.init.uniform_(self.logits.weight, -0.1, 0.1)
            torch.nn.init.zeros_(self.logits.bias)

        def forward(self, ids, states):
            hidden, states = self.layers(self.drop(self.embedding(ids)), states)
            return self.logits(self.drop(hidden)).flatten(0, 1), states

    model = Model()
    loss_of = torch.nn.CrossEntropyLoss()

    def score(text):
        model.eval()
        total, states = 0.0, None
        with torch.no_grad():
            for begin in range(0, len(text) - 1, WINDOW):
                end = min(begin + WINDOW, len(text) - 1)
                logits, states = model(text[begin:end], states)
                total += float(loss_of(logits, text[begin + 1 : end + 1].flatten())) * (end - begin)
        return total / (len(text) - 1)

    best, best_of, kept, rate = math.inf, None, None, RATE
    begin_time, not_counted = time.perf_counter(), 0.0

    def minutes():
        return (time.perf_counter() - begin_time - not_counted) / 60

    def now():
        """The test's figures of the best model so far, of the model as it is or of those that were validated."""
        nonlocal not_counted
        started = time.perf_counter()
        weights = {name: value.clone() for name, value in model.state_dict().items()}
        valid, of = score(texts["valid"]), epoch
        if kept and best < valid:
            model.load_state_dict(kept)
            valid, of = best, best_of
        found = {"test": math.exp(score(texts["test"])), "valid": math.exp(valid), "epochs": round(epoch, 2)}
        model.load_state_dict(weights)
        not_counted += time.perf_counter() - started
        return found | {"of": round(of, 2)}

    left, epoch, steps = sorted(budgets), 0.0, len(range(0, len(texts["train"]) - 1, WINDOW))
    while left:
        states, text = None, texts["train"]
        for number, begin in enumerate(range(0, len(text) - 1, WINDOW)):
            model.train()
            end = min(begin + WINDOW, len(text) - 1)
            states = states and tuple(state.detach() for state in states)
            model.zero_grad()
            logits, states = model(text[begin:end], states)
            loss_of(logits, text[begin + 1 : end + 1].flatten()).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            with torch.no_grad():
                for weight in model.parameters():
                    weight.add_(weight.grad, alpha=-rate)
            epoch = int(epoch) + (number + 1) / steps if number + 1 < steps else int(epoch) + 1
            while left and minutes() >= left[0]:
                yield left.pop(0), now()
            if not left:
                return
        valid = score(texts["valid"])
        if valid < best:
            best, best_of, kept = valid, epoch, {name: value.clone() for name, value in model.state_dict().items()}
        else:
            rate /= 4


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, required=True, help="keep runs and results here")
    parser.add_argument("--minutes", type=float, nargs="*", default=[15, 30, 60, 120])
    parser.add_argument("--recipe", default="word-cpu")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--only", nargs="*", default=["recipe", "torch"], choices=["recipe", "torch"])
    parser.add_argument("--data", type=pathlib.Path, default=os.environ.get("KERAS_RNNLM_DATA"))
    options = parser.parse_args()
    if options.data is None:
        parser.error("say where the corpora are: --data DIR, or KERAS_RNNLM_DATA")
    data, file = pathlib.Path(options.data) / "wikitext-2", options.out / "results.json"
    options.out.mkdir(parents=True, exist_ok=True)
    kept = json.loads(file.read_text()) if file.exists() else {}

    def keep(name, result):
        kept[name] = result
        file.write_text(json.dumps(kept, indent=1))

    if "torch" in options.only:
        import torch  # noqa: F401 - it is missed at once, and not after hours

    of_all = ", ".join([options.recipe, *options.set])
    name_of = {minutes: f"{of_all}, {minutes:g} minutes" for minutes in options.minutes}
    for minutes, name in name_of.items() if "recipe" in options.only else ():
        if name not in kept:
            ways = {"ngram": 5, "cache": 2000, "dynamic": True}
            keep(name, of_recipe(data, options.out, options.recipe, options.set, minutes, ways))
    missing = [m for m in options.minutes if f"torch, {m:g} minutes" not in kept]
    if "torch" in options.only and missing:
        for minutes, result in of_example(data, missing):
            print(f"PyTorch's example, {minutes:g} minutes: {result}", flush=True)
            keep(f"torch, {minutes:g} minutes", result)

    print(f"{'minutes':<10}{'recipe':>10}{'+ cache':>10}{'dynamic':>10}{'PyTorch':>10}{'5-gram':>10}")
    for minutes in options.minutes:
        ours, example = (kept.get(name, {}) for name in (name_of[minutes], f"torch, {minutes:g} minutes"))
        figures = [ours.get("test", {}).get(way, {}).get("perplexity") for way in ("model", "cache", "dynamic")]
        figures += [example.get("test"), ours.get("test", {}).get("5-gram", {}).get("perplexity")]
        print(f"{minutes:<10g}" + "".join(f"{'-' if f is None else f'{f:.1f}':>10}" for f in figures))


if __name__ == "__main__":
    main()
