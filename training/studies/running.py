"""Runs a study: its trials one after the other, each kept as soon as it is made."""

import importlib
import io
import json
import os
import pathlib
import platform
import shlex
import time

from keras_rnnlm.training.runs.curves import read_history
from keras_rnnlm.training.runs.display import Display, duration
from keras_rnnlm.training.runs.run import to_json
from keras_rnnlm.training.studies.summaries import cell
from keras_rnnlm.whole_files import reason, write_whole

FORM = {False: "full", True: "short"}


def run_study(study, name, out, *, short=False, seeds=None, minutes=None, display=None, command=None):
    """Makes the runs of a study that `out` does not hold yet, and writes its table and its picture there.

    Args:
        study: a module of `keras_rnnlm.training.studies`, or anything that has what it has.
        name: of the files: NAME.jsonl has a line for each run, NAME.json, NAME.md and NAME.png are made of them.
        out: a folder.
        short: take the short form of its settings.
        seeds: how many runs of each kind, in place of the study's own number.
        minutes: begin no further run after so long.
        display: says what goes on; by default nothing is said.
        command: what starts it; by default `keras-rnnlm study`.

    Returns:
        What NAME.json holds: the rows of the table, the claims, the settings, and what ran where.
    """
    display = display or Display(quiet=True)
    for argument, value in (("seeds", seeds), ("minutes", minutes)):
        if value is not None and value <= 0:
            raise ValueError(f"`{argument}` is positive. Received: {argument}={value}")
    settings = study.SETTINGS[FORM[short]] | ({} if seeds is None else {"seeds": seeds})
    seeded = "" if seeds is None else f" --seeds {seeds}"
    command = command or f"keras-rnnlm study {name}{' --short' * short}{seeded}"
    files = {kind: pathlib.Path(out, f"{name}.{kind}") for kind in ("jsonl", "json", "md", "png")}
    pathlib.Path(out).mkdir(parents=True, exist_ok=True)

    kept = Kept(files["jsonl"], {"study": name, "settings": settings, "versions": versions()})
    trials = _trials(study, settings, kept)
    begun, done = time.monotonic(), sum(trial in kept for trial in trials)
    if done:
        display.say(f"resuming: {done} of {len(trials)} runs are in {kept.path} already")
    try:
        while done < len(trials):
            if minutes is not None and time.monotonic() - begun >= 60 * minutes:
                break
            start, trial = time.monotonic(), next(trial for trial in trials if trial not in kept)
            measured = study.measure(settings, **trial)
            kept.add(trial, measured, seconds=round(time.monotonic() - start, 3))
            trials = _trials(study, settings, kept)
            done = sum(trial in kept for trial in trials)  # and not one more: further runs may be there already
            display.say(f"run {done} of {len(trials)}, {duration(time.monotonic() - start)}: {_words(trial)}")
    except KeyboardInterrupt:
        again = f"{command} --out {shlex.quote(str(out))}"
        display.warn(f"interrupted: {done} of {len(trials)} runs are kept. Resume with: {again}")
        raise
    if done < len(trials):
        display.warn(f"the time is over: {done} of {len(trials)} runs were made. The same command goes on")

    results = [kept[trial] for trial in trials if trial in kept]
    complete = done == len(trials)
    found = {
        "study": name,
        "question": study.__doc__.strip(),
        "command": command,
        "short": short,
        "settings": settings,
        "seeds": settings["seeds"],
        "runs": done,
        "of_runs": len(trials),
        "seconds": round(sum(result["seconds"] for result in results), 1),
        "versions": versions(),
        "processor": processor(),
        "rows": study.table(settings, results) if results else [],
        "claims": study.claims(settings, results) if complete and hasattr(study, "claims") else [],
    }
    found = _plain(found)
    if results:
        _draw(study, settings, results, files["png"])
    write_whole(files["json"], to_json(found).encode())
    write_whole(files["md"], f"# {name}\n\n{found['question']}\n\n{shown(found)}\n\n![{name}]({name}.png)\n".encode())
    return found


def _trials(study, settings, kept):
    """The runs to make, as far as they are known: further ones depend on what all before them found."""
    trials = _plain(study.trials(settings))
    if hasattr(study, "further_trials") and all(trial in kept for trial in trials):
        trials += _plain(study.further_trials(settings, [kept[trial] for trial in trials]))
    return trials


class Kept:
    """The results in a file, a line each, after a first line that says of what.

    A last line that a killed process left unfinished is forgotten. What was measured with other settings, or by other
    versions, is no part of the same table and is refused; other seeds are.
    """

    def __init__(self, path, header):
        self.path, self.results, header = path, {}, _plain(header)
        lines = read_history(path) if path.is_file() else []
        if lines:
            self._refuse_others(lines[0], header)
        # Written as a whole: a line that is appended to an unfinished one would be lost with it.
        write_whole(path, "".join(f"{to_json(line)}\n" for line in lines or [header]).encode())
        for line in lines[1:]:
            self.results[to_json(line["trial"])] = {**line["trial"], "seconds": line["seconds"], **line["measured"]}

    def __contains__(self, trial):
        return to_json(trial) in self.results

    def __getitem__(self, trial):
        return self.results[to_json(trial)]

    def add(self, trial, measured, seconds):
        line = _plain({"trial": trial, "seconds": seconds, "measured": measured})
        self._write(line)
        self.results[to_json(trial)] = {**trial, "seconds": seconds, **line["measured"]}

    def _write(self, line):
        try:
            with open(self.path, "ab") as file:
                file.write(to_json(line).encode() + b"\n")
        except OSError as error:
            raise OSError(f"{self.path} could not be written: {reason(error)}") from error

    def _refuse_others(self, there, here):
        for part in ("study", "settings", "versions"):
            theirs, ours = (_as_dict(header.get(part), part) for header in (there, here))
            differ = [key for key in {**ours, **theirs} if key != "seeds" and ours.get(key) != theirs.get(key)]
            if differ:
                had, have = ({key: side.get(key) for key in differ} for side in (theirs, ours))
                raise ValueError(
                    f"{self.path} holds results of other {part}: choose another --out, or remove that file. "
                    f"It has {_words(had)}; received: {_words(have)}"
                )


def _as_dict(value, part):
    return value if isinstance(value, dict) else {part: value}


def _plain(value):
    """What JSON makes of it: results are the same whether they were just made or read again."""
    return json.loads(to_json(value))


def _words(trial):
    return ", ".join(f"{key}={value}" for key, value in trial.items())


def _draw(study, settings, results, path):
    # Not pyplot, which would choose a window system, and keep figures for the whole process.
    from matplotlib.figure import Figure

    figure, picture = Figure(figsize=(8, 5), layout="constrained"), io.BytesIO()
    study.draw(settings, results, figure)
    figure.savefig(picture, format="png", dpi=120)
    write_whole(path, picture.getvalue())


# What is shown


def shown(found):
    """The table in Markdown; under it the claims, the command and the machine."""
    parts = [markdown(found["rows"])] if found["rows"] else []
    parts += ["\n".join(f"- {claim}" for claim in found["claims"])] if found["claims"] else []
    complete = found["runs"] == found["of_runs"]
    if not complete:
        parts.append(f"Not complete: {found['runs']} of {found['of_runs']} runs were made.")
    if found["short"]:
        parts.append("The short form: its runs are too short for conclusions.")
    of_each = f", {found['seeds']} seeds of each kind" if complete else ""
    made_by = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    parts.append(
        f"`{found['command']}`: {found['runs']} runs{of_each}, in {duration(found['seconds'])} "
        f"on {found['processor']}; {made_by}."
    )
    return "\n\n".join(parts)


def markdown(rows):
    """
    >>> print(markdown([{"model": "lstm", "loss": 0.01234567}, {"model": "gru", "loss": None}]))
    | model |    loss |
    |-------|--------:|
    | lstm  | 0.01235 |
    | gru   |       - |
    """
    heads = list(dict.fromkeys(key for row in rows for key in row))
    lines = [[cell(row.get(head)) for head in heads] for row in rows]
    texts = [all(isinstance(row.get(head), str) for row in rows) for head in heads]
    widths = [max(len(line[k]) for line in [heads, *lines]) for k in range(len(heads))]

    def joined(words):
        return f"| {' | '.join(w.ljust(n) if text else w.rjust(n) for w, n, text in zip(words, widths, texts))} |"

    rule = "|".join("-" * (n + 2) if text else "-" * (n + 1) + ":" for n, text in zip(widths, texts))
    return "\n".join([joined(heads), f"|{rule}|", *map(joined, lines)])


def versions():
    import keras

    from keras_rnnlm import __version__

    backend = keras.backend.backend()
    return {
        "keras_rnnlm": __version__,
        "keras": keras.__version__,
        backend: importlib.import_module(backend).__version__,
    }


def processor():
    """What the processor is called, and how many cores there are."""
    name = platform.processor() or platform.machine()
    cpuinfo = pathlib.Path("/proc/cpuinfo")  # only Linux says there what the processor is called
    if cpuinfo.is_file():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        name = names[0].partition(":")[2].strip() if names else name
    return f"{name}, {os.cpu_count()} cores"
