"""What holds of exported files whatever they read and wherever it is cut: examples that are drawn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_rnnlm import export
from keras_rnnlm.export import runtime
from tests.export.models import VOCABULARY, language_model
from tests.support import drawn_examples, numpy

rows = st.integers(1, 3).flatmap(
    lambda batch: st.integers(1, 9).flatmap(
        lambda time: st.lists(
            st.lists(st.integers(0, VOCABULARY - 1), min_size=time, max_size=time), min_size=batch, max_size=batch
        )
    )
)


@pytest.fixture(scope="module")
def model():
    return language_model("lstm", {"peephole": "fo", "coupled": True}, layers=2, units=6)


@pytest.fixture(scope="module", params=["m.onnx", "m.tflite"])
def exported(request, model, tmp_path_factory):
    path = tmp_path_factory.mktemp("properties") / request.param
    (export.to_onnx if path.suffix == ".onnx" else export.to_litert)(model, path)
    return runtime.load(path)


@drawn_examples
@given(rows, st.data())
def test_a_file_gives_the_logits_and_states_of_the_model_in_any_parts(model, exported, rows, data):
    tokens = np.array(rows, "int32")
    cut = data.draw(st.integers(0, tokens.shape[1]))
    wanted, after = model(tokens, model.initial_states(len(tokens)), return_states=True)
    first, states = exported.logits(tokens[:, :cut])
    second, states = exported.logits(tokens[:, cut:], states)
    np.testing.assert_allclose(np.concatenate([first, second], axis=1), numpy(wanted), atol=1e-5)
    for got, want in zip(states, after, strict=True):
        np.testing.assert_allclose(got, numpy(want), atol=1e-5)
