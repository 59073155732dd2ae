"""What an exported language model reads: ids of any kind of whole number, in calls of a bounded length."""

import numpy as np
import pytest

from keras_rnnlm.export.runtime import ExportedLanguageModel
from keras_rnnlm.export.runtime.language_model import WINDOW
from keras_rnnlm.export.runtime.models import ExportedModel
from keras_rnnlm.generation import Greedy

VOCABULARY = 10


class Counting:
    """An engine whose state is a number that every token changes, the logits' largest the state's last digit."""

    def __init__(self):
        self.sizes = []

    def run(self, inputs):
        tokens, h = inputs["tokens"], inputs["h"]
        assert tokens.dtype == np.int32 and h.dtype == np.float32 and tokens.flags.c_contiguous
        self.sizes.append(tokens.shape)
        logits = []
        for column in tokens.T:
            h = (3 * h + column[:, None] + 1) % 97
            logits.append(np.eye(VOCABULARY, dtype="float32")[h[:, 0].astype(int) % VOCABULARY])
        return {"logits": np.stack(logits, axis=1), "h_out": h.astype("float32")}

    def step(self, inputs):
        outputs = self.run({**inputs, "tokens": inputs["tokens"][:, None]})
        return {**outputs, "logits": outputs["logits"][:, 0]}


@pytest.fixture
def model():
    return ExportedLanguageModel(Counting(), "onnx", VOCABULARY, [("h", "h_out", 1)])


def test_long_prompts_are_read_in_parts(model):
    prompt = np.random.default_rng(0).integers(0, VOCABULARY, 3 * WINDOW + 5)
    (written,) = model.generate([prompt], 4, Greedy())
    assert model.engine.sizes[:4] == [(1, WINDOW)] * 3 + [(1, 4)]  # the last token is read by a step
    states = model.initial_states()
    for token in prompt:
        logits, states = model.step([token], states)
    for token in written:
        assert token == logits.argmax()
        logits, states = model.step([token], states)
    assert list(model.stream(prompt, 4, Greedy())) == written


def test_prompts_side_by_side_are_read_each_to_its_end(model):
    rng = np.random.default_rng(1)
    prompts = [rng.integers(0, VOCABULARY, size).tolist() for size in (2 * WINDOW, 1, 40, WINDOW + 7, 40)]
    written = model.generate(prompts, 5, Greedy())
    assert max(time for _, time in model.engine.sizes) <= WINDOW
    assert len(model.engine.sizes) < 12  # not a call for each token
    assert written == [model.generate([prompt], 5, Greedy())[0] for prompt in prompts]


def test_logits_and_scores_are_those_of_one_call(model):
    tokens = np.random.default_rng(2).integers(0, VOCABULARY, (2, 2 * WINDOW + 3))
    states = [np.array([[4], [5]], "float32")]
    logits, after = model.logits(tokens, states)
    wanted = model.engine.run({"tokens": tokens.astype("int32"), "h": states[0]})
    np.testing.assert_array_equal(logits, wanted["logits"])
    np.testing.assert_array_equal(after[0], wanted["h_out"])
    scores = [model.score(tokens[0], window) for window in (1, 7, WINDOW, 10**9)]
    assert all(score == scores[0] for score in scores) and len(scores[0]["tokens"]) == tokens.shape[1] - 1


@pytest.mark.parametrize("ids", [
    [1, 2, 3], (1, 2, 3), range(1, 4), iter([1, 2, 3]), [np.int8(1), np.uint64(2), 3],
    np.array([1, 2, 3], "uint16"), np.array([1, 2, 3], "int64"),
])  # fmt: skip
def test_ids_are_whole_numbers_of_any_kind(model, ids):
    assert model.score(ids)["tokens"] == [2, 3]


@pytest.mark.parametrize(
    "ids, received",
    [
        ([1, 1.9], "1.9 in shape"),
        ([1, 2.0], "2.0 in shape"),
        ([True, 1], "True in shape"),
        (["1", "2"], "'1' in shape"),
        ([1, float("inf")], "inf in shape"),
        ([1, float("nan")], "nan in shape"),
        ([1, None], "None in shape"),
        ([1, [2]], r"\[2\] in shape"),
        (np.array([1.0, 2.0]), "float64"),
        (np.array([True, False]), "bool"),
        (3, r"shape \(\)"),
        ([1, VOCABULARY], f"ids from 1 to {VOCABULARY}"),
        ([-1, 2], "ids from -1 to 2"),
        ([1, 2**70], f"ids from 1 to {2**70}"),
    ],
)
def test_what_is_no_id_is_told(model, ids, received):
    calls = [
        lambda: model.score(ids),
        lambda: model.step(ids, model.initial_states(2)),
        lambda: model.logits(np.array([ids]) if hasattr(ids, "dtype") else [ids]),
        lambda: model.generate([ids], 1),
        lambda: model.stream(ids, 1),  # before the first token is asked for
    ]
    for number, call in enumerate(calls):
        with pytest.raises(ValueError, match=received if number < 2 else None) as error:
            call()
        assert "\n" not in str(error.value)
    assert not model.engine.sizes


@pytest.mark.parametrize("prompt", [["the", [1, 2]], [[1, 2], "the"], [1, 2], 3, [], [[]], b"the", "the", {"a": 1}])
def test_what_are_no_prompts_is_told(model, prompt):
    with pytest.raises(ValueError, match="not both at once|list of lists of ids|at least one id|without a tokenizer"):
        model.generate(prompt, 1)


@pytest.mark.parametrize("window", [-1, 0, 1.5, True, None])
def test_a_window_holds_a_token_at_least(model, window):
    with pytest.raises(ValueError, match="`window` is a whole number, at least 1. Received: window="):
        model.score([1, 2, 3], window=window)


@pytest.mark.parametrize("inputs, received", [({"serie": 0}, "serie"), ({}, "none"), (np.zeros(2), "ndarray")])
def test_what_a_file_takes_is_told_where_something_else_comes(inputs, received):
    loaded = ExportedModel(None, "onnx", {"inputs": [{"name": "series", "dtype": "float32", "shape": [None, None, 1]}]})
    with pytest.raises(ValueError, match=f"takes a dict of arrays by name, with series. Received: {received}$"):
        loaded.run(inputs)
