"""The page that shows a run while it goes on."""

import json
import time
import urllib.error
import urllib.request

import pytest

from benchmarks import chromium
from keras_rnnlm.__main__ import main
from keras_rnnlm.training.commands.watch import handler
from keras_rnnlm.training.runs import watching
from keras_rnnlm.training.runs.run import RunFolder
from tests.pages import served


def train(step, **more):
    usual = {"loss": 5 / step, "gradient_norm": 0.5, "clip_rate": 0.25, "learning_rate": 0.1}
    return {"kind": "train", "epoch": 0, "step": step, "seconds": step / 10, "perplexity": 9.0, **usual, **more}


def valid(step, **more):
    return {"kind": "valid", "epoch": 0, "step": step, "seconds": step / 10, "loss": 6 / step, "best": True, **more}


@pytest.fixture
def folder(tmp_path):
    """A run as it stands after some steps."""
    (tmp_path / "run").mkdir()
    found = RunFolder(tmp_path / "run")
    found.recipe.write_text("units = 3\n")
    for record in (train(1), train(2), valid(2), train(3, loss=float("inf"))):
        found.append_history(record)
    return found


def test_what_is_shown_is_what_the_run_recorded_and_counts(folder):
    assert [record["step"] for record in watching.state(folder)["records"]] == [1, 2, 2, 3]
    folder.append_history(train(2, loss=1.5))  # it went back to a checkpoint
    state = watching.state(folder, [{"step": 2, "text": "a"}])
    assert [record["step"] for record in state["records"]] == [1, 2, 2] and state["records"][-1]["loss"] == 1.5
    assert (state["name"], len(state["samples"])) == ("run", 1) and 0 <= state["age"] < 60
    with open(folder.history, "a") as file:
        file.write("no record\n\n")
    assert "line 6: a record is a JSON object" in watching.state(folder)["problem"]
    folder.history.unlink()
    assert watching.state(folder)["records"] == [] and watching.state(folder)["age"] is None


def test_of_a_long_run_every_validation_and_the_last_step_stay(folder):
    with open(folder.history, "a") as file:
        for step in range(4, 9000):
            file.write(json.dumps(train(step, skipped_steps=1) if step % 100 else valid(step)) + "\n")
    state = watching.state(folder)
    records = state["records"]
    assert state["skipped"] == 8996 - 89 and state["epochs"] == folder.read_recipe().epochs
    assert len(records) < watching.MOST + 200 and records[-1]["step"] == 8999
    assert sum(record["kind"] == "valid" for record in records) == 1 + 89


def test_a_run_that_is_none_is_told_in_a_line(tmp_path, capsys):
    assert main(["watch", str(tmp_path)]) == 2
    assert "is no run: it holds no recipe.toml" in capsys.readouterr().err


class Written(watching.Samples):
    """Samples whose process is another one."""

    code, out, problem = 0, json.dumps({"texts": [" sat"]}), ""

    def _written(self):
        return watching.subprocess.CompletedProcess([], self.code, self.out, self.problem)


def test_each_better_model_writes_once(folder):
    said = []
    samples = Written(folder, "the cat", said.append)
    assert samples.take() and samples.found == []  # there is no model yet
    folder.model_file.write_bytes(b"first")
    assert samples.take() and samples.take()
    assert samples.found == [{"step": 2, "prompt": "the cat", "text": " sat"}]
    time.sleep(0.02)
    folder.append_history(valid(7))
    folder.model_file.write_bytes(b"second")
    assert samples.take() and [one["step"] for one in samples.found] == [2, 7] and said == []


def test_a_task_that_does_not_write_has_no_samples(folder):
    said = []
    samples = Written(folder, "", said.append)
    samples.code, samples.problem = (
        2,
        "warning\nkeras-rnnlm generate: run is a run of the task tag, which does not write",
    )
    folder.model_file.write_bytes(b"model")
    assert not samples.take() and samples.found == []
    assert said == ["no samples: keras-rnnlm generate: run is a run of the task tag, which does not write"]


def test_the_command_generate_writes_the_samples(folder):
    samples = watching.Samples(folder, "the cat", print)
    done = samples._written()
    assert done.returncode == 2 and "holds no" in done.stderr  # there is no tokenizer


@pytest.fixture
def samples():
    return [{"step": 2, "prompt": "the <b>", "text": "cat\n"}]


@pytest.fixture
def address(folder, samples):
    with served(handler(folder, samples)) as found:
        yield found


def test_nothing_of_the_run_is_served_but_what_the_page_shows(address):
    def read(path):
        with urllib.request.urlopen(address + path) as answer:
            return answer.headers["Content-Type"], answer.read().decode()

    kind, text = read("")
    assert kind.startswith("text/html") and "://" not in text
    kind, text = read("state.json")
    assert kind == "application/json" and json.loads(text)["records"][-1]["loss"] is None  # JSON has no infinity
    with pytest.raises(urllib.error.HTTPError, match="405"):
        urllib.request.urlopen(urllib.request.Request(f"{address}/setup.cfg", method="HEAD"))
    with pytest.raises(urllib.error.HTTPError, match="404"):
        read("recipe.toml")


@pytest.mark.skipif(chromium.path() is None, reason="there is no Chromium")
def test_the_page_draws_and_follows_the_run(address, folder, samples):
    with chromium.Chromium() as page:
        page.open(address, width=320, mobile=True)
        page.wait("document.documentElement?.dataset.ready === 'true'")
        assert page.run("document.title") == "run"
        assert page.run("Array.from(document.querySelectorAll('figure'), (f) => f.hidden)") == [False] * 4
        labels = page.run("Array.from(document.querySelectorAll('svg'), (svg) => svg.getAttribute('aria-label'))")
        assert labels[0].startswith("Loss, nats a token: training from 5 (perplexity 148) to 2.5")
        assert page.run("document.querySelector('.sample pre').textContent") == "the <b>cat\n"
        assert page.run("document.documentElement.scrollWidth") <= 320
        folder.append_history(valid(9, loss=0.25))
        page.wait("document.querySelectorAll('tr.is-best td')[0]?.textContent === '9'", 10)
        assert (
            page.run("document.getElementById('said').textContent")
            == "Validation at step 9: loss 0.25, the best so far"
        )
        page.run("document.querySelector('#gradients svg').focus()")
        for key, step in (("Home", 1), ("ArrowRight", 2), ("End", 3), ("ArrowLeft", 2)):
            page.press(key)
            assert page.run("document.getElementById('said').textContent").endswith(
                f"before clipping 0.5 at step {step}"
            )
        assert page.run("document.activeElement.closest('figure').id") == "gradients"
        assert page.run("document.querySelectorAll('.at').length") == 4  # in all pictures
        page.press("Tab")
        assert page.run("document.activeElement.closest('figure').id") == "clipping"
        assert page.run("document.querySelectorAll('.at').length") == 0
        samples[:] = []  # `watch` was ended, and started again
        page.wait("document.querySelectorAll('.sample').length === 0", 10)
        assert page.said == []
