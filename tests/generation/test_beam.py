import itertools

import numpy as np
import pytest

from keras_rnnlm.generation import Beam, Greedy, Hypothesis, beam_search, generate
from tests.generation.steps import Story, count
from tests.support import numpy


def log_probabilities(step, prompt, text):
    """Of each token of `text` after `prompt`, one step at a time."""
    states, found = step.states(1), []
    for token, following in itertools.pairwise([*prompt, *text]):
        logits, states = step(np.array([token]), states)
        logits = numpy(logits)[0].astype("float64")
        found.append(logits[following] - np.log(np.sum(np.exp(logits))))
    return found[len(prompt) - 1 :]


def every_text(vocabulary, length, stop):
    """All texts that end in `stop` or have `length` tokens."""
    for size in range(1, length + 1):
        for text in itertools.product(range(vocabulary), repeat=size):
            if stop not in text[:-1] and (size == length or text[-1] == stop):
                yield list(text)


@pytest.mark.parametrize("tensors", [False, True], ids=["numpy", "tensors"])
@pytest.mark.parametrize("length_penalty", [0.0, 0.7, 1.0])
def test_a_beam_wide_enough_finds_the_best_of_all_texts(length_penalty, tensors):
    step = Story(vocabulary=3, tensors=tensors)
    prompts = [[1, 2], [2], [0, 1, 1, 0]]
    texts = list(every_text(3, 4, stop=0))
    beam = Beam(len(texts), length_penalty)
    found = beam_search(step, step.states(3), prompts, 4, beam, stop=0)
    for prompt, hypotheses in zip(prompts, found):
        scores = [sum(log_probabilities(step, prompt, text)) / len(text) ** length_penalty for text in texts]
        expected = [texts[place] for place in np.argsort(scores)[::-1]]
        assert [hypothesis.ids for hypothesis in hypotheses] == expected
        np.testing.assert_allclose([h.score for h in hypotheses], sorted(scores, reverse=True), rtol=1e-6)
    assert generate(step, step.states(3), prompts, 4, beam, stop=0) == [best.ids for best, *_ in found]


@pytest.mark.parametrize("seed", range(5))
def test_a_width_of_one_is_greedy(seed):
    step, prompts = Story(seed=seed), [[1, 2], [3], [4, 5, 6]]
    options = {"stop": 6, "repetition_penalty": 1.1}
    expected = generate(step, step.states(3), prompts, 20, Greedy(), **options)
    assert generate(step, step.states(3), prompts, 20, Beam(1), **options) == expected


def test_a_beam_finds_what_greedy_misses():
    # After 0, 1 is likelier than 2; but whoever takes 2 is sure of what follows.
    table = np.log(np.array([[0.01, 0.54, 0.44, 0.01], [0.25] * 4, [0.01, 0.01, 0.01, 0.97], [0.25] * 4]))

    def step(tokens, states):
        return table[tokens], states

    assert generate(step, [], [[0]], 2, Greedy())[0][0] == 1
    best, second = beam_search(step, [], [[0]], 2, Beam(2))[0]
    assert best.ids == [2, 3] and best.score == pytest.approx(np.log(0.44 * 0.97))
    assert second.ids == [1, 0] and second.score == pytest.approx(np.log(0.54 * 0.25))


def test_states_follow_their_hypotheses():
    step = Story()
    for hypotheses in beam_search(step, step.states(2), [[1, 2], [3]], 12, Beam(4), stop=5):
        assert 1 <= len(hypotheses) <= 4 and hypotheses == sorted(hypotheses, key=lambda h: -h.score)
    for prompt, hypotheses in zip([[1, 2], [3]], beam_search(step, step.states(2), [[1, 2], [3]], 12, Beam(4), stop=5)):
        for hypothesis in hypotheses:
            expected = sum(log_probabilities(step, prompt, hypothesis.ids))
            assert hypothesis.score == pytest.approx(expected, rel=1e-6)


def test_a_penalty_for_length_favours_longer_texts():
    def step(tokens, states):
        # 0 stops; its probability of 0.4 beats 0.6 * 0.6, but not as a mean of each token.
        return np.log(np.tile(np.float32([[0.4, 0.6]]), (len(tokens), 1))), states

    assert generate(step, [], [[1]], 2, Beam(4), stop=0) == [[0]]
    assert generate(step, [], [[1]], 2, Beam(4, length_penalty=1.0), stop=0) == [[1, 1]]


def test_the_search_ends_when_no_place_is_left():
    calls = []

    def step(tokens, states):
        calls.append(len(tokens))
        return count(tokens, states)

    assert generate(step, [], [[7], [6]], 1000, Beam(1), stop=9) == [[8, 9], [7, 8, 9]]
    assert calls == [2, 2, 2]


def test_equal_hypotheses_keep_the_order_of_their_ids():
    def step(tokens, states):
        return np.zeros((len(tokens), 3)), states

    found = beam_search(step, [], [[0]], 2, Beam(4))[0]
    assert [hypothesis.ids for hypothesis in found] == [[0, 0], [0, 1], [0, 2], [1, 0]]


def test_nothing_to_write_is_an_empty_text():
    assert beam_search(count, [], [[1]], 0, Beam(2)) == [[Hypothesis([], 0.0)]]
