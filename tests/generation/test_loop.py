import subprocess
import sys

import numpy as np
import pytest
from keras import ops

import keras_rnnlm
from keras_rnnlm.generation import Beam, Greedy, Sample, digits, generate, stream, uniform
from tests.generation.steps import Story, count
from tests.support import numpy

PROMPTS = [[1, 2, 3], [4], [5, 6, 0, 1, 2, 6], [4]]
SAMPLERS = [Greedy(), Sample(), Sample(0.7, top_k=5), Sample(top_p=0.8), Beam(3)]


def constant(*logits):
    """A step that always says the same."""
    return lambda tokens, states: (np.tile(np.array(logits, dtype="float32"), (len(tokens), 1)), states)


# What is written.


def test_counting_goes_on_from_every_prompt():
    assert generate(count, [], [[1, 2], [8], [0, 0, 0]], 4, Greedy()) == [[3, 4, 5, 6], [9, 0, 1, 2], [1, 2, 3, 4]]
    assert generate(count, [], [[1, 2], [8]], 4) == [[3, 4, 5, 6], [9, 0, 1, 2]]
    assert generate(count, [], np.array([[1, 2], [8, 8]]), 0) == [[], []]


def test_the_stop_ends_a_text_and_is_its_last_id():
    assert generate(count, [], [[1], [7], [4]], 5, Greedy(), stop=9) == [[2, 3, 4, 5, 6], [8, 9], [5, 6, 7, 8, 9]]
    assert generate(count, [], [[1], [7], [4]], 5, Greedy(), stop=[9, 3]) == [[2, 3], [8, 9], [5, 6, 7, 8, 9]]
    # The prompt's own stop ends nothing.
    assert generate(count, [], [[9, 9]], 3, Greedy(), stop=9) == [[0, 1, 2]]


def test_a_stream_yields_each_token_as_it_is_chosen():
    read = []

    def step(tokens, states):
        read.append(tokens.tolist())
        return count(tokens, states)

    tokens = stream(step, [], [[6], [1]], 100, Greedy(), stop=[9, 5])
    assert read == []
    assert next(tokens) == [7, 2] and read == [[6, 1]]
    assert next(tokens) == [8, 3] and read == [[6, 1], [7, 2]]
    # The last call is the one whose token ends the last text.
    assert list(tokens) == [[9, 4], [None, 5]] and read[2:] == [[8, 3], [9, 4]]


@pytest.mark.parametrize("tensors", [False, True], ids=["numpy", "tensors"])
@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_each_text_is_the_one_its_prompt_has_alone(sampler, tensors):
    step = Story(tensors=tensors)
    options = {"stop": 3, "repetition_penalty": 1.2}
    seed = {} if isinstance(sampler, Beam) else {"seed": 5}
    texts = generate(step, step.states(4), PROMPTS, 30, sampler, **options, **seed)
    assert any(len(text) < 30 for text in texts)
    for row, (prompt, text) in enumerate(zip(PROMPTS, texts)):
        alone = {} if isinstance(sampler, Beam) else {"seed": 5, "rows": [row]}
        assert generate(step, step.states(1), [prompt], 30, sampler, **options, **alone) == [text]


def test_a_recurrent_layer_writes_the_same_alone_and_in_a_batch():
    rng = np.random.default_rng(0)
    cell = keras_rnnlm.layers.SimpleRNN(16).cell
    cell.build((None, 8))
    cell.set_weights([rng.normal(size=weight.shape) for weight in cell.get_weights()])
    embedding, head = rng.normal(size=(50, 8)).astype("float32"), rng.normal(size=(16, 50)).astype("float32")

    def step(tokens, states):
        output, states = cell(ops.convert_to_tensor(embedding[tokens]), states)
        return ops.matmul(output, head), states

    states, prompts = np.zeros((3, 16), dtype="float32"), [[1, 2, 3], [4], [5, 6]]
    texts = generate(step, [ops.convert_to_tensor(states)], prompts, 20, seed=1)
    for row, (prompt, text) in enumerate(zip(prompts, texts)):
        assert generate(step, [ops.convert_to_tensor(states[:1])], [prompt], 20, seed=1, rows=[row]) == [text]


def test_the_seed_the_row_and_the_place_decide_what_is_drawn():
    step, prompts = Story(), [[1]] * 3
    texts = generate(step, step.states(3), prompts, 40, seed=7)
    assert texts == generate(step, step.states(3), prompts, 40, seed=7)
    assert texts != generate(step, step.states(3), prompts, 40, seed=8)
    assert texts[0] != texts[1] != texts[2]
    assert texts[::-1] == generate(step, step.states(3), prompts, 40, seed=7, rows=[2, 1, 0])
    # The first token is the choice of the sampler for row 0, step 0.
    logits, _ = step(np.array([1]), step.states(1))
    uniforms = uniform(7, [[0]], 0, np.arange(digits(7)))
    assert texts[0][0] == Sample().choose(logits, uniforms)[0]


def test_the_penalty_sees_the_prompt_and_the_text():
    def write(penalty):
        return generate(constant(3.0, 2.0, 1.0), [], [[2]], 4, Greedy(), repetition_penalty=penalty)[0]

    assert write(1.0) == [0, 0, 0, 0]
    # 3 2 0.5, then 1.5 2 0.5, then 1.5 1 0.5.
    assert write(2.0) == [0, 1, 0, 0]
    assert generate(constant(1.1, 1.2, 1.0), [], [[1], [2]], 2, Greedy(), repetition_penalty=2) == [[0, 2], [1, 0]]


def test_prefill_reads_all_but_the_last_tokens():
    step, seen = Story(), []

    def prefill(tokens, mask, states):
        seen.append((tokens.tolist(), mask.tolist()))
        for place in range(tokens.shape[1]):
            _, new = step(tokens[:, place], states)
            states = [np.where(mask[:, [place]], n, s) for n, s in zip(new, states)]
        return states

    prompts = [[1, 2, 3], [4], [5, 6]]
    for sampler in (Sample(), Beam(2)):
        expected = generate(step, step.states(3), prompts, 10, sampler)
        assert generate(step, step.states(3), prompts, 10, sampler, prefill=prefill) == expected
    masks = [[True, True], [False, False], [True, False]]
    assert seen == [([[1, 2], [0, 0], [5, 0]], masks)] * 2
    # Prompts of one token leave nothing to read before the loop.
    step.calls = 0
    generate(step, step.states(1), [[4]], 3, prefill=prefill)
    assert step.calls == 3 and len(seen) == 2


def test_states_given_are_left_as_they_are():
    step = Story()
    states = step.states(2)
    before = [state.copy() for state in states]
    generate(step, states, [[1, 2], [3]], 5)
    np.testing.assert_array_equal(states, before)


def test_half_precision_logits_are_read():
    def step(tokens, states):
        logits, states = count(tokens, states)
        return ops.cast(logits, "bfloat16"), states

    for sampler in (Greedy(), Sample(), Beam(2)):
        assert generate(step, [], [[1]], 3, sampler) == [[2, 3, 4]]


def test_a_sampler_is_any_object_with_choose():
    class Second:
        def choose(self, logits, uniforms):
            return np.argsort(-logits, axis=-1, kind="stable")[:, 1]

    assert generate(constant(1.0, 2.0, 3.0), [], [[0]], 2, Second()) == [[1, 1]]


def test_the_room_needs_no_keras():
    code = (
        "import sys, keras_rnnlm.generation; print([m for m in ('keras', 'tensorflow', 'torch') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


# Wrong arguments.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prompts": []}, "list of lists of ids"),
        ({"prompts": [1, 2]}, r"list of lists of ids.*Received: prompts=\[1, 2\]"),
        ({"prompts": "abc"}, "prompts='abc'"),
        ({"prompts": ["abc"]}, "list of lists of ids"),
        ({"prompts": 3}, "prompts=3"),
        ({"prompts": [[1], []]}, "start symbol.*Received: an empty list as prompt 1"),
        ({"prompts": [[1, -1]]}, r"integers from 0. Received: \[1, -1\] as prompt 0"),
        ({"prompts": [[1.5]]}, r"Received: \[1.5\]"),
        ({"prompts": [[1, 10]]}, "ids from 0 to 9. Received: a prompt that holds 10"),
        ({"length": -1}, "at least 0. Received: length=-1"),
        ({"length": 2.0}, "length=2.0"),
        ({"seed": -1}, "seed=-1"),
        ({"stop": 10}, r"no text ends. Received: stop=\[10\]"),
        ({"stop": "<eos>"}, "stop='<eos>'"),
        ({"stop": [1.0]}, r"stop=\[1.0\]"),
        ({"repetition_penalty": 0}, "repetition_penalty=0"),
        ({"repetition_penalty": float("nan")}, "repetition_penalty=nan"),
        ({"rows": [0, 1]}, r"rows=\[0, 1\] for 1 prompts"),
        ({"rows": [-1]}, r"rows=\[-1\]"),
        ({"rows": 0}, "rows=0"),
        ({"sampler": "greedy"}, "sampler='greedy'"),
        ({"sampler": Greedy}, r"Greedy\(\), Sample\(...\) or Beam\(...\)"),
        ({"states": [np.zeros((2, 4))]}, r"1 along axis 0. Received: a state of shape \(2, 4\)"),
        ({"states": [np.zeros(())]}, r"a state of shape \(\)"),
        ({"step": constant(np.nan, 1.0)}, "finite number.*Received: nan as the largest logit of row 0"),
        ({"step": constant(np.inf, 1.0)}, "Received: inf"),
        ({"step": constant(-np.inf, -np.inf)}, "Received: -inf"),
        ({"step": lambda tokens, states: (np.zeros(3), states)}, r"\(batch, vocabulary\), here .*Received: \(3,\)"),
    ],
)
def test_a_wrong_argument_is_one_clear_line(arguments, message):
    arguments = {"step": count, "states": [], "prompts": [[1]], "length": 3} | arguments
    with pytest.raises(ValueError, match=message) as error:
        generate(**arguments)
    assert "\n" not in str(error.value)
    is_random = {"seed", "rows", "sampler"} & set(arguments)
    if not is_random:
        with pytest.raises(ValueError, match=message):
            generate(**arguments, sampler=Beam(2))


def test_a_stream_complains_before_the_first_token_is_asked_for():
    with pytest.raises(ValueError, match="length=-1"):
        stream(count, [], [[1]], -1)
    with pytest.raises(ValueError, match="only at the end.*Beam"):
        stream(count, [], [[1]], 5, Beam(3))


def test_a_text_that_has_ended_may_have_logits_of_any_kind():
    def step(tokens, states):
        logits = np.where(numpy(tokens)[:, None] == 9, np.nan, count(tokens, states)[0])
        return logits, states

    assert generate(step, [], [[7], [3]], 4, stop=9) == [[8, 9], [4, 5, 6, 7]]
