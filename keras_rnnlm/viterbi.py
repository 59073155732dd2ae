"""The most probable tags of scores, in numpy alone: models and exported files decode by the same lines."""

import numpy as np


def best_tags(logits, mask, transitions=None, start=None, end=None):
    """The best tags of each row, int32 (batch, time); zeros where it is masked.

    Args:
        logits: (batch, time, tags).
        mask: booleans, (batch, time).
        transitions, start, end: of a CRF, (tags, tags), (tags,) and (tags,). None: each step's tag is chosen alone.

    >>> best_tags(np.array([[[1.0, 0.0], [1.0, 0.0]]]), np.ones((1, 2), bool), [[-9, 0], [0, -9]], [0, 0.5], [0, 0])
    array([[1, 0]], dtype=int32)
    """
    logits, mask = np.asarray(logits, "float64"), np.asarray(mask, bool)
    if transitions is None:
        return np.where(mask, logits.argmax(axis=-1), 0).astype("int32")
    transitions, start, end = (np.asarray(scores, "float64") for scores in (transitions, start, end))
    found = np.zeros(mask.shape, "int32")
    for tags, scores, shown in zip(found, logits, mask):
        if shown.any():
            tags[shown] = _best_path(scores[shown], transitions, start, end)
    return found


def _best_path(scores, transitions, start, end):
    so_far, back = start + scores[0], []
    for step in scores[1:]:
        with_last = so_far[:, None] + transitions
        back.append(with_last.argmax(axis=0))
        so_far = with_last.max(axis=0) + step
    path = [int((so_far + end).argmax())]
    for before in reversed(back):
        path.append(int(before[path[-1]]))
    return path[::-1]
