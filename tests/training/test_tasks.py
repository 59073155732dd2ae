"""What the studies of streams, waveforms and timing ask for."""

import re

import numpy as np
import pytest

from keras_rnnlm.training.studies import clockwork, reber

# The grammar as a regular expression, written down by itself.
MIDDLE = "(?:XT*VP)*(?:S|XT*VV)"
INNER = f"B(?:TS*X{MIDDLE}|PT*V(?:V|P{MIDDLE}))E"
STRING = f"B(?:T{INNER}T|P{INNER}P)E"


def a_stream(window=50, number=40):
    parts = [part for part, _ in zip(reber.windows([0, 1], 2, window), range(number))]
    return [np.concatenate(arrays, axis=2) for arrays in zip(*parts)]


def test_streams_are_embedded_reber_strings_one_after_the_other():
    read, symbols, _ = a_stream()
    for row in symbols.reshape(4, -1):
        text = "".join(reber.SYMBOLS[k] for k in row)
        whole = re.match(f"(?:{STRING})+", text)
        assert whole.end() > len(text) - 60
        assert re.fullmatch(STRING, "BTBTXSETE") and not re.fullmatch(STRING, "BTBTXSEPE")
    np.testing.assert_array_equal(read.argmax(axis=-1)[..., 1:], symbols[..., :-1])


def test_every_string_of_the_grammar_comes():
    _, symbols, _ = a_stream()
    text = "".join(reber.SYMBOLS[k] for k in symbols.ravel())
    for string in ("BTBTXSETE", "BPBPVVEPE", "BTBPVPSETE", "BPBTSXSEPE", "BTBTXXVVETE", "BPBPTVVEPE", "BTBPVPXVVETE"):
        assert string in text


def test_what_comes_is_allowed_and_remembered_is_the_second_to_last():
    _, symbols, states = a_stream()
    assert np.take_along_axis(reber.ALLOWED[states], symbols[..., None], axis=-1).all()
    text, asked = "".join(reber.SYMBOLS[k] for k in symbols[0, 0]), reber.REMEMBERED[states][0, 0]
    wanted = [match.end() - 2 for match in re.finditer(STRING, text)]
    assert np.flatnonzero(asked)[: len(wanted)].tolist() == wanted
    assert (reber.ALLOWED[states][0, 0][asked].sum(axis=-1) == 1).all()


def test_streams_are_their_seeds_own():
    one, other = next(reber.windows([0, 1], 2, 30))[1]
    np.testing.assert_array_equal(next(reber.windows([1], 2, 30))[1][0], other)
    assert (one != other).any() and (one[0] != one[1]).any()


def test_a_waveform_is_its_seeds_own_and_smooth():
    wave = clockwork.waveform(3, time=320, sines=10, highest=20)
    np.testing.assert_array_equal(wave, clockwork.waveform(3, time=320, sines=10, highest=20))
    assert (wave != clockwork.waveform(4, time=320, sines=10, highest=20)).any()
    assert len(wave) == 320 and np.abs(wave).max() == pytest.approx(1)
    power = np.abs(np.fft.rfft(wave)) ** 2
    assert power[:25].sum() > 0.98 * power.sum()
