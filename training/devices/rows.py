"""The part of a stream that one of several processes reads."""

import keras


class Rows:
    """A stream of which this process has as many rows of each batch as the others, in their order.

    A row of windows stays in its process: the states that it carries do, too. A stream with a method `part` reads these
    rows alone; of another, they are cut from the batches.

    Args:
        stream: what `Task.stream` returns.
        index, count: the number of this process, and how many there are.
    """

    def __init__(self, stream, index, count):
        self.stream, self.index, self.count = stream, index, count
        self.carries_states = getattr(stream, "carries_states", False)

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def dataset(self, epoch=0, first=0):
        if hasattr(self.stream, "part"):
            return self.stream.part(self.index, self.count).dataset(epoch, first)

        def rows(array):
            share = array.shape[0] // self.count
            return array[self.index * share : (self.index + 1) * share]

        dataset = self.stream.dataset(epoch, first)
        mapped = dataset.map(lambda *batch: keras.tree.map_structure(rows, batch))
        if hasattr(dataset, "options"):  # of tf.data, which reads ahead
            mapped = mapped.prefetch(2)
        return mapped
