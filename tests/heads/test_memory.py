"""In training there are never all logits."""

import numpy as np
import pytest
from keras import ops

from keras_rnnlm.heads import by_name, cross_entropy
from tests.heads.every_head import randomized
from tests.heads.test_cross_entropy import largest_tensor

VOCABULARY, ROWS, FEATURES = 1200, 60, 4


@pytest.mark.parametrize("name", sorted(by_name.HEADS))
def test_no_head_holds_all_logits_in_training(name, monkeypatch):
    monkeypatch.setattr(cross_entropy, "CHUNK", 8 * VOCABULARY)
    head = by_name.head_from(name, VOCABULARY)
    head.build((None, FEATURES))
    randomized(head.trainable_weights)
    rng = np.random.default_rng(0)
    targets, weights = rng.integers(0, VOCABULARY, ROWS).astype("int32"), np.ones(ROWS, "float32")
    arrays = [rng.normal(size=(ROWS, FEATURES)).astype("float32"), np.float32(1), np.float32(1)]

    def total(given):
        return head.total_loss(given[0], *map(ops.convert_to_tensor, (targets, weights)))[0] * given[1] * given[2]

    assert largest_tensor(total, arrays) <= ROWS * VOCABULARY / 4
