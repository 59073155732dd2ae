"""Histories, read and drawn."""

import json
import math

import pytest
from matplotlib.figure import Figure

from keras_rnnlm.training.runs.curves import latest, plot, read_history

TRAIN = {"kind": "train", "epoch": 0, "tokens": 70000, "tokens_per_second": 3000, "seconds": 23.1}


def a_run(steps=20, final=4.5, rate=0.5):
    records = []
    for step in range(1, steps + 1):
        loss = final + 5 * math.exp(-step / 4)
        measured = dict(learning_rate=rate**step, gradient_norm=1 + 9 / step, clip_rate=1 / step)
        records.append({**TRAIN, "step": step, "loss": loss, "perplexity": math.exp(loss), **measured})
        if step % 5 == 0:
            records.append({"kind": "valid", "epoch": 0, "step": step, "loss": loss + 0.25, "best": True})
    return records


@pytest.fixture
def drawn(monkeypatch):
    """The figures that would be saved while a test runs."""
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *args, **kwargs: figures.append(figure))
    return figures


def test_a_history_is_read_record_by_record(tmp_path):
    path = tmp_path / "history.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in a_run()))
    assert read_history(path) == a_run()
    path.write_text("")
    assert read_history(path) == []


@pytest.mark.parametrize("cut", range(1, 36, 3))
def test_a_last_line_that_was_cut_is_left_out(cut, tmp_path):
    path = tmp_path / "history.jsonl"
    first, last = (json.dumps({"loss": 2.5, "note": "äöü"}, ensure_ascii=False).encode() for _ in range(2))
    path.write_bytes(first + b"\n" + last[:cut])
    whole = {"loss": 2.5, "note": "äöü"}
    assert read_history(path) == ([whole, whole] if cut >= len(last) else [whole])


@pytest.mark.parametrize("line", ['{"kind": "tr', "3", '{"a": 1}{"a": 2}'])
def test_a_damaged_line_before_the_last_is_named(line, tmp_path):
    path = tmp_path / "history.jsonl"
    path.write_text(f'{{"step": 1}}\n{line}\n{{"step": 2}}\n')
    with pytest.raises(ValueError) as error:
        read_history(path)
    assert str(error.value) == f"{path}, line 2: a record is a JSON object on one line. Received: {line!r}"


def test_what_a_resumed_run_repeats_counts_once():
    before = [("train", 100), ("train", 200), ("valid", 200), ("train", 300), ("valid", 300)]
    again = [("train", 200), ("valid", 200), ("train", 300)]
    records = [{"kind": kind, "step": step, "time": time} for time in (0, 1) for kind, step in (before, again)[time]]
    assert [(r["kind"], r["step"], r["time"]) for r in latest([*records, {"kind": "note"}])] == [
        ("train", 100, 0),
        ("train", 200, 1),
        ("valid", 200, 1),
        ("train", 300, 1),
    ]


def test_a_picture_is_drawn_of_a_file(tmp_path):
    source, path = tmp_path / "history.jsonl", tmp_path / "curves.png"
    source.write_text("".join(json.dumps(record) + "\n" for record in a_run()))
    plot(source, path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_picture_shows_losses_rate_and_gradients(drawn):
    plot(a_run(), "curves.png")
    loss, rate, gradients, clipped = drawn[0].axes
    train, valid, best = loss.get_lines()
    assert list(train.get_ydata()) == [record["loss"] for record in a_run() if record["kind"] == "train"]
    assert list(valid.get_xdata()) == [5, 10, 15, 20] and list(best.get_xdata()) == [20]
    assert [text.get_text() for text in loss.get_legend().get_texts()] == [
        "train",
        "validation",
        "best: 4.784 nats, perplexity 120",
    ]
    labels = [axes.get_ylabel() for axes in (loss, rate, gradients, clipped)]
    assert labels == ["loss, nats a token", "learning rate", "gradient norm", "steps clipped, %"]
    assert rate.get_yscale() == "log" and gradients.get_xlabel() == "steps"


def test_the_best_one_is_the_one_that_is_kept(drawn):
    scored = [{**record, "best": record["step"] <= 10} if "best" in record else record for record in a_run()]
    plot(scored, "curves.png")
    assert list(drawn[0].axes[0].get_lines()[2].get_xdata()) == [10]


def test_perplexities_stand_beside_their_losses(drawn):
    plot(a_run(), "curves.png")
    drawn[0].draw_without_rendering()
    (right,) = drawn[0].axes[0].child_axes
    labels = {round(tick, 6): label.get_text() for tick, label in zip(right.get_yticks(), right.get_yticklabels())}
    assert (labels[5.0], labels[8.0]) == ("148", "2,980")


def test_a_scale_is_logarithmic_only_where_it_helps(drawn):
    plot(a_run(rate=0.99), "curves.png")
    assert drawn[0].axes[1].get_yscale() == "linear"


def test_an_explosion_does_not_hide_the_rest(drawn):
    records = a_run()
    records[3]["loss"], records[4]["loss"], records[6]["loss"] = 1e9, math.nan, math.inf
    plot(records, "curves.png")
    low, high = drawn[0].axes[0].get_ylim()
    assert 4 < low < 4.6 and 8 < high < 9


@pytest.mark.parametrize(
    "records, panels",
    [
        ([{"kind": "valid", "step": 7, "loss": 4.0}], 1),
        ([{"kind": "train", "step": 7, "loss": math.nan, "gradient_norm": math.nan, "learning_rate": 0.0}], 3),
        ([{"kind": "train", "step": 7, "loss": 1.0, "gradient_norm": 2.0, "clip_rate": None}], 2),
    ],
)
def test_a_picture_shows_what_there_is(records, panels, drawn):
    plot(records, "curves.png")
    drawn[0].draw_without_rendering()
    assert len(drawn[0].axes) == panels


@pytest.mark.parametrize("records", [[], [{"kind": "train", "step": 3}], [{"kind": "note", "step": 1, "loss": 3.0}]])
def test_a_run_without_a_loss_has_no_picture_yet(records, tmp_path):
    with pytest.raises(ValueError, match=f"There is nothing to draw yet.*Received: {len(records)} records"):
        plot(records, tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()
