"""Which examples go into a batch together: those of similar length, so that little is padding."""

import numpy as np

POOL = 64  # batches among which examples are sorted by length


def pools(count, lengths_of, batch, epoch, first, *, shuffle, seed):
    """Yields the batches of each pool, lists of examples' numbers, from the epoch's batch `first` on.

    Examples are shuffled, taken in pools of 64 batches, sorted by length in the pool and cut to batches, which are
    shuffled again. All of it is a function of the seed, the epoch and the batch's number.

    Args:
        count: how many examples there are.
        lengths_of: from an array of examples' numbers to their lengths.
        batch: the examples in a batch. The last one may have fewer.
        shuffle: whether epochs differ. Without, pools are taken in order, and begin with their longest examples.
    """
    order = np.random.default_rng((seed, epoch)).permutation(count) if shuffle else np.arange(count)
    for pool in range(first // POOL, -(-count // (POOL * batch))):
        chosen = order[pool * POOL * batch : (pool + 1) * POOL * batch]
        # The longest come first, so that a batch that is not full holds the shortest.
        chosen = chosen[np.argsort(-lengths_of(chosen), kind="stable")]
        batches = [chosen[i : i + batch] for i in range(0, len(chosen), batch)]
        if shuffle:
            # From a generator of its own, so that no pool depends on those before it. (A 0 would change nothing.)
            places = np.random.default_rng((seed, epoch, pool + 1)).permutation(len(batches))
            batches = [batches[i] for i in places]
        batches = batches[max(first - pool * POOL, 0) :]
        if batches:
            yield batches
