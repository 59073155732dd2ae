"""Batches where TensorFlow is not installed: what `fit` takes in place of a `tf.data.Dataset`."""

import keras


class Batches(keras.utils.PyDataset):
    """Batches in their order. They are made as they are read: from the next to the last, each once.

    Args:
        read: `read(first)` generates the batches from number `first` on: tuples of arrays, and of dicts of them.
        count: how many there are. None: `read` never ends.
    """

    def __init__(self, read, count):
        super().__init__()
        self._read, self._count = read, count
        self._batches, self._next = None, 0

    @property
    def num_batches(self):
        return self._count

    @property
    def element_spec(self):
        """The arrays of a batch, as tensors without numbers. Their time is that of the first."""
        return keras.tree.map_structure(lambda array: keras.KerasTensor(array.shape, array.dtype), next(self._read(0)))

    def __len__(self):
        return self._count

    def __iter__(self):
        return self._read(0)

    def __getitem__(self, number):
        if self._batches is None or number != self._next:
            self._batches = self._read(number)
        self._next = number + 1
        return next(self._batches)

    def map(self, f):
        """The same batches, each as `f(*batch)` returns it when it is read."""
        return Batches(lambda first: (f(*batch) for batch in self._read(first)), self._count)

    def repeat(self):
        """The same batches over and over, without an end."""

        def read(first):
            first %= self._count
            while True:
                yield from self._read(first)
                first = 0

        return Batches(read, None)


def numbered(arrays):
    """What `Batches` reads of arrays, tuples and dicts of them: batch k is `array[k]` of each."""

    def read(first):
        for k in range(first, len(keras.tree.flatten(arrays)[0])):
            yield keras.tree.map_structure(lambda array: array[k], arrays)

    return read
