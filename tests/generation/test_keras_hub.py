import numpy as np
import pytest
from keras import ops

from keras_rnnlm.generation import Greedy, generate, stream
from tests.support import BACKEND, numpy


class FakeGreedy:
    """A sampler with the interface of `keras_hub.samplers.Sampler` 0.32, written out without its graph loop."""

    def __call__(
        self,
        next,
        prompt,
        cache=None,
        index=0,
        mask=None,
        stop_token_ids=None,
        hidden_states=None,
        model=None,
        **kwargs,
    ):
        text, mask = numpy(prompt).copy(), numpy(mask)
        assert text.shape == mask.shape and mask[:, :index].all() and not mask[:, index:].any()
        for place in range(index, text.shape[1]):
            logits, hidden, cache = next(ops.convert_to_tensor(text), cache, place)
            assert hidden is None and isinstance(cache, list)
            text[:, place] = self.get_next_token(numpy(ops.softmax(logits)))
            if stop_token_ids and np.isin(text[:, index:], stop_token_ids).any(axis=-1).all():
                break
        return ops.convert_to_tensor(text)

    def get_next_token(self, probabilities):
        return probabilities.argmax(axis=-1)


def step(tokens, states):
    """A step of ten tokens in tensors: each is followed by the sum of all that were read, modulo 10."""
    total = states[0] + ops.cast(ops.convert_to_tensor(tokens), "float32")[:, None]
    following = ops.cast(total[:, 0], "int32") % 10
    logits = 5 * ops.one_hot(following, 10) + 3 * ops.one_hot((following + 1) % 10, 10)
    return logits, [total]


def states(batch):
    return [ops.zeros((batch, 1))]


PROMPTS = [[1, 2], [3], [5, 5, 1], [4, 4]]


@pytest.mark.parametrize("stop", [None, 6, [6, 2]])
def test_a_sampler_with_this_interface_writes_what_ours_writes(stop):
    expected = generate(step, states(4), PROMPTS, 6, Greedy(), stop=stop)
    assert generate(step, states(4), PROMPTS, 6, FakeGreedy(), stop=stop) == expected
    assert expected[0][:3] == [3, 6, 2][: len(expected[0])]


@pytest.mark.parametrize("name", ["GreedySampler", "TopKSampler", "TopPSampler", "RandomSampler", "BeamSampler"])
def test_the_samplers_of_kerashub_write(name):
    samplers = pytest.importorskip("keras_hub").samplers
    options = {"TopKSampler": {"k": 1}, "TopPSampler": {"p": 1e-3}, "RandomSampler": {"temperature": 1e-2}}
    make = getattr(samplers, name)
    expected = generate(step, states(4), PROMPTS, 6, Greedy(), stop=2)
    assert generate(step, states(4), PROMPTS, 6, make(**options.get(name, {})), stop=2) == expected
    if name == "BeamSampler":
        assert generate(step, states(4), PROMPTS, 6, make(return_all_beams=True), stop=2) == expected


def test_a_sampler_that_wants_hidden_states_says_so():
    samplers = pytest.importorskip("keras_hub").samplers
    with pytest.raises(ValueError, match="hidden_states"):
        generate(step, states(1), [[1]], 3, samplers.ContrastiveSampler())


@pytest.mark.parametrize("options", [{"seed": 1}, {"rows": [0]}, {"repetition_penalty": 1.5}])
def test_what_only_our_samplers_read_is_an_error(options):
    with pytest.raises(ValueError, match="generator of its own.*Received: seed="):
        generate(step, states(1), [[1]], 3, FakeGreedy(), **options)


def test_a_stream_of_these_samplers_is_an_error():
    with pytest.raises(ValueError, match="use `generate`"):
        stream(step, states(1), [[1]], 3, FakeGreedy())


@pytest.mark.skipif(BACKEND != "tensorflow", reason="one backend is enough")
def test_steps_of_numpy_will_do_where_nothing_is_traced():
    def count(tokens, states):
        return np.eye(10, dtype="float32")[(numpy(tokens) + 1) % 10], states

    assert generate(count, [], [[7], [1, 2]], 3, FakeGreedy(), stop=9) == [[8, 9], [3, 4, 5]]
