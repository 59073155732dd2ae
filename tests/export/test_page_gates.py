"""The page of a language model whose text may have the colours of its gates."""

import argparse
import json

import numpy as np
import pytest

from keras_rnnlm import diagnostics, models
from keras_rnnlm.__main__ import main
from keras_rnnlm.export.commands import demo
from keras_rnnlm.export.page.gates import write_steps
from keras_rnnlm.generation import Sample
from keras_rnnlm.text import Tokenizer
from tests.export.models import run_directory
from tests.pages import opened


def made(run, folder):
    parser = argparse.ArgumentParser()
    demo.arguments(parser)
    demo.run(parser.parse_args([str(run), "--gates", "--out", str(folder)]))


def test_a_text_has_the_colours_of_a_gate_and_is_the_same(tmp_path):
    tokenizer = Tokenizer.train("char", ["the cat sat on the mat\n"])
    model = run_directory(tmp_path / "run", tokenizer, layers=1, cell="gru", scale=1.0)
    with opened(tmp_path / "run", tmp_path / "page", made) as page:
        manifest = json.loads((tmp_path / "page" / "model" / "manifest.json").read_text())
        assert manifest["gates"] == [[f"layer_0_gate_{name}", 16] for name in "zr"]
        page.set(prompt="the", length=40, temperature=0.8, top_p=1, seed=5, unit=3)
        page.run("document.getElementById('write').click()")
        page.wait("document.querySelectorAll('#text span').length === 43 && document.getElementById('stop').hidden")
        begun = [tokenizer.start, *tokenizer.encode("the")]
        (written,) = model.generate([begun], 40, Sample(0.8), seed=5)
        assert page.text() == "the" + tokenizer.decode(written)

        options = page.texts("#colour option")
        assert options[1:4] == ["Layer 1, output", "Layer 1, gate z", "Layer 1, gate r"]
        page.set(colour="gate 2")
        page.wait("document.getElementById('scale').textContent === 'closedopen'")
        wanted = diagnostics.activity(model, [*begun, *written], value="r").values[1:, 3]
        assert wanted.std() > 0.05
        np.testing.assert_allclose(page.weights("#text span"), wanted, atol=2e-3)
        assert page.said == []


def test_what_has_no_gates_is_told_in_a_line(tmp_path, capsys):
    assert main(["demo", str(tmp_path), "--gates", "--out", str(tmp_path / "page")]) == 2
    assert "--gates needs a run, whose model has them" in capsys.readouterr().err
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.keras").write_bytes(b"which nobody has to read for that")
    for task, more, told in (
        ("classify", [], "pages for the tasks language_model, tag"),
        ("tag", ["--gates"], "--gates"),
    ):
        (tmp_path / "run" / "recipe.toml").write_text(f'task = "{task}"\n')
        assert main(["demo", str(tmp_path / "run"), *more, "--out", str(tmp_path / "page")]) == 2
        assert told in capsys.readouterr().err
    with pytest.raises(ValueError, match="no gates to colour a text by in cells of the kind SimpleRNNCell"):
        write_steps(models.LanguageModel(9, units=4, layers=1, cell="simple_rnn"), tmp_path / "steps.onnx")
    with pytest.raises(ValueError, match="what a language model writes. Received: a model of the task tag"):
        write_steps(models.Tagger(9, 9, tags=2, units=2, layers=1), tmp_path / "steps.onnx")
