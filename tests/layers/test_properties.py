"""What holds of layers whatever is masked and wherever a sequence is cut: examples that are drawn."""

import functools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.cases import BATCH, FEW, TIME, build, data, named
from tests.support import drawn_examples, numpy

cases = st.sampled_from(FEW[::2])
masks = arrays(bool, (BATCH, TIME))


@functools.cache
def made(name, **how):
    """A layer, its weights, inputs and states: made once, so that it is compiled once."""
    (case,) = named(name)
    layer, weights = build(case, return_sequences=True, return_state=True, **how)
    x, states = data(layer)
    return layer, weights, x.astype("float32"), [state.astype("float32") for state in states]


@drawn_examples
@given(cases, masks, st.booleans())
def test_whatever_is_masked_outputs_and_states_equal_the_reference(case, mask, backwards):
    layer, weights, x, states = made(case.name, go_backwards=backwards, zero_output_for_mask=backwards)
    wanted = case.equations(x, weights, states, mask=mask, reverse=backwards, zero_output_for_mask=backwards)
    output, *after = layer(x, initial_state=states, mask=mask)
    np.testing.assert_allclose(numpy(output), wanted["output"], atol=1e-5)
    for got, want in zip(after, wanted["states"], strict=True):
        np.testing.assert_allclose(numpy(got), want, atol=1e-5)


@drawn_examples
@given(cases, masks, st.lists(st.integers(1, TIME - 1), max_size=3, unique=True))
def test_wherever_a_sequence_is_cut_its_parts_give_the_whole(case, mask, cuts):
    layer, _, x, states = made(case.name, zero_output_for_mask=True)
    whole, *final = layer(x, initial_state=states, mask=mask)
    parts = []
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), TIME]):
        output, *states = layer(x[:, begin:end], initial_state=states, mask=mask[:, begin:end])
        parts.append(numpy(output))
    np.testing.assert_allclose(np.concatenate(parts, axis=1), numpy(whole), atol=1e-6)
    for got, want in zip(states, final, strict=True):
        np.testing.assert_allclose(numpy(got), numpy(want), atol=1e-6)
