"""What a run's history.jsonl tells, read and drawn."""

import json
import math
import os
import statistics

from keras_rnnlm.perplexity import perplexity
from keras_rnnlm.schema import COUNT, FLAG, NUMBER, TEXT, Optional, check, or_null, read_regular

RECORD = {
    "kind": TEXT,
    "best": FLAG,
    **dict.fromkeys(("epoch", "step", "tokens", "skipped_steps"), COUNT),
    **dict.fromkeys(("seconds", "loss", "perplexity", "learning_rate", "tokens_per_second"), or_null(NUMBER)),
    **dict.fromkeys(("gradient_norm", "clip_rate"), or_null(NUMBER)),
}
RECORD = {name: Optional(rule) for name, rule in RECORD.items()}


def read_history(path):
    """The records of a history.jsonl. A last line that a killed run left unfinished is none.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "history.jsonl")
    >>> _ = path.write_text('{"kind": "train", "step": 1, "loss": 2.5}\\n{"kind": "tra')
    >>> read_history(path)
    [{'kind': 'train', 'step': 1, 'loss': 2.5}]
    """
    lines = read_regular(path).split(b"\n")
    records = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError:
            if number == len(lines):
                break
            record = None
        except RecursionError:
            record = None
        if not isinstance(record, dict):
            shown = line[:60].decode(errors="replace")
            raise ValueError(f"{path}, line {number}: a record is a JSON object on one line. Received: {shown!r}")
        try:
            check(record, RECORD)
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
        records.append(record)
    return records


def latest(records):
    """The records that count: a run that went back to a checkpoint wrote some steps a second time.

    >>> latest([{"kind": "train", "step": step} for step in (100, 200, 300, 200)])
    [{'kind': 'train', 'step': 100}, {'kind': 'train', 'step': 200}]
    """
    kept = []
    for record in records:
        if "step" not in record:
            continue
        passed = []
        while kept and kept[-1]["step"] >= record["step"]:
            passed.append(kept.pop())
        # One step may have a record of each kind.
        same = [other for other in reversed(passed) if other["step"] == record["step"]]
        kept += [other for other in same if other.get("kind") != record.get("kind")] + [record]
    return kept


def plot(history, path):
    """Draws a run: its loss and perplexity over the steps, its learning rate, its gradients' norm and clipping.

    Args:
        history: records, or the path of a history.jsonl. What they do not hold is left out of the picture.
        path: of the picture, "curves.png", or a file to write it to.

    >>> import io
    >>> records = [{"kind": "train", "step": step, "loss": 5 / step} for step in (1, 2, 3)]
    >>> picture = io.BytesIO()
    >>> plot(records, picture)
    >>> picture.getvalue()[1:4]
    b'PNG'
    """
    records = latest(read_history(history) if isinstance(history, (str, os.PathLike)) else history)
    train, valid = ([record for record in records if record.get("kind") == kind] for kind in ("train", "valid"))
    if not (_column(train, "loss")[0] or _column(valid, "loss")[0]):
        raise ValueError(
            "There is nothing to draw yet: a history has records of the kind train or valid with a step and a loss. "
            f"Received: {len(records)} records"
        )
    # Not pyplot, which would choose a window system, and keep figures for the whole process.
    from matplotlib.figure import Figure

    panels = [(_draw_loss, 3.0)]
    panels += [(_draw_learning_rate, 1.0)] * bool(_column(train, "learning_rate")[0])
    panels += [(_draw_gradients, 1.4)] * bool(_column(train, "gradient_norm")[0])
    heights = [height for _, height in panels]
    figure = Figure(figsize=(8, 1.2 + 1.5 * sum(heights)), layout="constrained")
    grid = figure.subplots(len(panels), sharex=True, squeeze=False, height_ratios=heights)
    for (draw, _), axes in zip(panels, grid[:, 0]):
        axes.grid(alpha=0.25)
        draw(axes, train, valid)
    axes.set_xlabel("steps")
    axes.set_xlim(left=0)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    figure.savefig(path, format="png", dpi=120)


def _column(records, name):
    """The steps at which something was recorded, and what."""
    pairs = [(record["step"], record[name]) for record in records if record.get(name) is not None]
    return [step for step, _ in pairs], [value for _, value in pairs]


def _finite_losses(records):
    return [(loss, step) for step, loss in zip(*_column(records, "loss")) if math.isfinite(loss)]


def _draw_loss(axes, train, valid):
    for records, color, marker, label in ((train, "tab:blue", "", "train"), (valid, "tab:orange", "o", "validation")):
        steps, losses = _column(records, "loss")
        if steps:
            marker = marker or "o" * (len(steps) == 1)
            axes.plot(steps, losses, color=color, marker=marker, markersize=3.5, linewidth=1.2, label=label)
    # Of some tasks another score than the loss says which model is kept.
    finite, kept = _finite_losses(valid), _finite_losses([record for record in valid if record.get("best")])
    if finite:
        loss, step = kept[-1] if kept else min(finite)
        best = f"best: {loss:.3f} nats, perplexity {_perplexity(loss)}"
        axes.plot([step], [loss], "*", color="tab:red", markersize=12, label=best)
    _leave_out_explosions(axes, _column(train + valid, "loss")[1])
    axes.set_ylabel("loss, nats a token")
    # A loss is the logarithm of a perplexity: one curve, read on two scales.
    right = axes.secondary_yaxis("right")
    right.yaxis.set_major_formatter(lambda loss, _: _perplexity(loss))
    right.set_ylabel("perplexity")
    axes.legend()


def _leave_out_explosions(axes, losses):
    """One step that diverged would press all others to the ground."""
    finite = [loss for loss in losses if math.isfinite(loss)]
    shown = [loss for loss in finite if loss <= 2 * finite[0]]
    if len(shown) < len(finite):
        margin = 0.05 * (max(shown) - min(shown)) or 1.0
        axes.set_ylim(min(shown) - margin, max(shown) + margin)


def _perplexity(loss):
    value = float(f"{perplexity(loss):.3g}")
    return f"{value:,.0f}" if 1000 <= value < 1e7 else f"{value:g}"


def _draw_learning_rate(axes, train, _):
    steps, rates = _column(train, "learning_rate")
    axes.plot(steps, rates, color="tab:green", drawstyle="steps-post")
    axes.set_ylabel("learning rate")
    _use_a_log_scale_where_it_helps(axes, rates)


def _draw_gradients(axes, train, _):
    steps, norms = _column(train, "gradient_norm")
    axes.plot(steps, norms, color="tab:purple", linewidth=1)
    axes.set_ylabel("gradient norm", color="tab:purple")
    _use_a_log_scale_where_it_helps(axes, norms)
    steps, rates = _column(train, "clip_rate")
    if steps:
        right = axes.twinx()
        right.fill_between(steps, [100 * rate for rate in rates], color="tab:gray", alpha=0.25, linewidth=0)
        right.set_ylim(0, 100)
        right.set_ylabel("steps clipped, %", color="tab:gray")


def _use_a_log_scale_where_it_helps(axes, values):
    """Where most of the values are far below the highest."""
    finite = [value for value in values if math.isfinite(value)]
    if finite and min(finite) > 0 and statistics.median(finite) < max(finite) / 5:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
