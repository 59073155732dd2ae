"""SavedModel: what a server answers, in the shapes of its REST interface."""

import json

import numpy as np
import pytest
import tensorflow as tf

from keras_rnnlm import export, models
from keras_rnnlm.generation import Greedy, Sample, TextStream
from keras_rnnlm.text import Tokenizer
from tests.export.models import NATIVE, language_model, regressor, stack_of, tagger

TEXT = "the cat sat on the mat\nthe dog ate a <eos>\n<eos>\n log \u00e9t\u00e9\n"


@pytest.fixture(scope="module", params=["word", pytest.param("char", marks=pytest.mark.long), "byte"])
def served(request, tmp_path_factory):
    tokenizer = Tokenizer.train(request.param, [TEXT])
    model = language_model("gru", layers=1, vocabulary=tokenizer.vocabulary_size)
    path = tmp_path_factory.mktemp("served") / "1"
    made = export.to_saved_model(model, path, tokenizer=tokenizer)
    assert made.parity.error < 1e-5 and made.parity.state_error < 1e-5
    return model, tokenizer, tf.saved_model.load(str(path)).signatures


def ask(signature, **inputs):
    """What TensorFlow Serving makes of JSON: a tensor of the signature's type for each list."""
    inputs = json.loads(json.dumps(inputs))
    taken = signature.structured_input_signature[1]
    found = signature(**{name: tf.constant(value, taken[name].dtype) for name, value in inputs.items()})
    return {name: value.numpy() for name, value in found.items()}


def test_logits_of_texts_side_by_side(served):
    model, _, signatures = served
    tokens = [[1, 2, 3], [3, 2, 1]]
    logits = ask(signatures["serving_default"], tokens=tokens)["logits"]
    assert logits.shape == (2, 3, model.vocabulary_size)
    np.testing.assert_allclose(logits, np.array(model(np.array(tokens))), atol=1e-5)


@pytest.mark.parametrize("sampler, options", [
    (Greedy(), {"temperature": 0.0}),
    (Sample(), {}),
    (Sample(temperature=0.5, top_k=4), {"temperature": 0.5, "top_k": 4}),
    (Sample(top_p=0.7), {"top_p": 0.7}),
])  # fmt: skip
def test_a_server_writes_what_keras_writes(served, sampler, options):
    model, _, signatures = served
    settings = {"length": 40, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 2**40 + 5, **options}
    found = ask(signatures["generate"], tokens=[[1, 2, 3], [4, 0, 0]], lengths=[3, 1], **settings)["tokens"]
    assert found.tolist() == model.generate([[1, 2, 3], [4]], 40, sampler, seed=2**40 + 5)


def test_no_tokens_are_written_when_none_are_asked_for(served):
    settings = {"length": 0, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 0}
    assert ask(served[2]["generate"], tokens=[[1, 2]], lengths=[2], **settings)["tokens"].shape == (1, 0)


@pytest.mark.parametrize(
    "tokens, lengths, told",
    [([[1, 2]], [0], "one token at least"), ([[999, 2]], [2], "ids are below"), ([[1, -1]], [2], "0 or above")],
)
def test_what_is_no_prompt_is_refused(served, tokens, lengths, told):
    settings = {"length": 3, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 0}
    with pytest.raises(tf.errors.InvalidArgumentError, match=told):
        ask(served[2]["generate"], tokens=tokens, lengths=lengths, **settings)


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("of years")
    model = models.LanguageModel(9, units=4, layers=1)
    for write in (export.to_saved_model, lambda model, path: model.export(path)):
        with pytest.raises(ValueError, match="holds something else.*name one within it, such as"):
            write(model, tmp_path / "mine")
    assert (tmp_path / "mine" / "notes.txt").read_text() == "of years"


def test_texts_come_in_and_go_out(served):
    model, tokenizer, signatures = served
    settings = {"length": 10, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 3}
    prompts = ["the ca", "", "dog \u00e9\n\n the"]
    found = ask(signatures["generate_text"], text=prompts, **settings)["text"]
    ids = [[tokenizer.start, *tokenizer.encode(prompt).tolist()] for prompt in prompts]
    streams = [TextStream(tokenizer.decode, prompt) for prompt in ids]
    wanted = [text.feed(*new) + text.finish() for text, new in zip(streams, model.generate(ids, 10, seed=3))]
    assert [text.decode("utf-8", "replace") for text in found] == wanted


@pytest.mark.parametrize(
    "text", [TEXT, "", "unknown \u2603 \u3000 <eos> x<eos>\n  <eos>  \n<eos>\n<eos>\n\r\x0b \x85a"]
)
def test_a_text_is_scored_as_keras_scores_it(served, text):
    model, tokenizer, signatures = served
    found = ask(signatures["score_text"], text=[text, "the"])
    ids = [tokenizer.start, *tokenizer.encode(text).tolist()]
    assert found["count"][0] == len(ids) - 1
    assert found["tokens"][0, : len(ids) - 1].tolist() == ids[1:]
    logs = tf.nn.log_softmax(model(np.array([ids], "int32")))[0].numpy()
    wanted = logs[np.arange(len(ids) - 1), ids[1:]]
    np.testing.assert_allclose(found["log_probabilities"][0, : len(wanted)], wanted, atol=1e-5)
    assert found["log_probability"][0] == pytest.approx(wanted.sum(), abs=1e-4)
    assert not found["log_probabilities"][1, found["count"][1] :].any()


@pytest.mark.long
def test_every_cell(tmp_path):
    made = export.to_saved_model(stack_of(list(NATIVE)), tmp_path / "m")
    assert made.parity.error < 1e-5 and made.parity.state_error < 1e-5


@pytest.mark.parametrize("make", [tagger, regressor])
def test_any_model(make, tmp_path):
    made = export.to_saved_model(make(), tmp_path / "m")
    assert made.parity.error < 1e-5
    assert list(tf.saved_model.load(str(tmp_path / "m")).signatures) == ["serving_default"]


def test_weights_are_written_once(tmp_path):
    model = language_model(units=64, layers=1, vocabulary=200)
    export.to_saved_model(model, tmp_path / "m")
    data = sum(file.stat().st_size for file in (tmp_path / "m" / "variables").iterdir())
    assert data < 1.1 * sum(4 * np.prod(weight.shape) for weight in model.weights)


def test_two_tokens_are_enough_to_compare_what_is_written(tmp_path):
    export.to_saved_model(models.LanguageModel(9, units=4, layers=1), tmp_path / "m", tokens=[3, 4])


def test_a_subword_tokenizer_has_no_endpoints_of_text(tmp_path):
    tokenizer = Tokenizer.train("bpe", [TEXT], vocabulary_size=270)
    model = models.LanguageModel(tokenizer.vocabulary_size, units=4, layers=1)
    export.to_saved_model(model, tmp_path / "m", tokenizer=tokenizer)
    assert sorted(tf.saved_model.load(str(tmp_path / "m")).signatures) == [
        "generate",
        "score",
        "serving_default",
        "step",
    ]
