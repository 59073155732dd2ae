"""The command bench, on networks so small that its figures mean nothing."""

import json
import re

import numpy as np
import pytest

from keras_rnnlm.__main__ import main
from keras_rnnlm.training.loop import steps_per_second
from keras_rnnlm.training.loop.steps_per_second import Size

TINY = "--units 4 --vocabulary 30 --batch 2 --time 3 --layers 1 --rounds 1 --steps 2".split()


def test_a_row_for_each_contender(capsys, monkeypatch):
    monkeypatch.setattr(steps_per_second, "product_rate", lambda dtype: 1e6)
    assert main(["bench", *TINY, "--only", "ours", "Keras", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["size"]["units"] == 4 and list(found["rows"]) == ["ours", "Keras"]
    ours, keras = found["rows"].values()
    assert keras["times_keras"] == 1 and ours["times_torch"] is None
    assert ours["times_keras"] == pytest.approx(ours["tokens_per_second"] / keras["tokens_per_second"])
    products = Size(4, 30, 1, 2, 3).multiply_adds()
    assert ours["share_of_products"] == pytest.approx(ours["tokens_per_second"] / 6 * products / 1e6)


def test_products_of_a_step_are_counted():
    size = Size(units=3, vocabulary=7, layers=2, batch=2, time=5)
    lstm = 2 * (3 * 12 + 3 * 12)  # of a token: input and state, into four gates, in two layers
    assert size.multiply_adds() == 10 * 3 * (lstm + 3 * 7)


def test_windows_go_on_where_the_last_one_ended():
    tokens, targets = steps_per_second.windows(Size(vocabulary=50, batch=3, time=4))
    assert tokens.shape == targets.shape == (steps_per_second.WINDOWS, 3, 4) and tokens.max() < 50
    np.testing.assert_array_equal(tokens[0, :, 1:], targets[0, :, :-1])
    np.testing.assert_array_equal(tokens[1, :, 0], targets[0, :, -1])


@pytest.mark.parametrize("arguments, message", [
    (["--units", "0"], "--units is at least 1. Received: 0"),
    (["--only", "theirs"], "There is ours, .*Keras.*Received: 'theirs'"),
])  # fmt: skip
def test_mistakes_end_in_one_line(arguments, message, capsys):
    assert main(["bench", *arguments]) == 2
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert re.search(message, told)
