"""Tensors side by side as one, so that a step of a loop writes them at once."""

from keras import ops, tree


class Together:
    """What a step keeps, (batch, features) each: those of one dtype are one tensor, of all steps as of one.

    It notes what it joined last, since a loop that is compiled is traced once and runs often.

    >>> together = Together()
    >>> joined = together.join({"a": ops.ones((2, 3)), "b": ops.zeros((2, 1)), "c": ops.ones((2, 1), "int32")})
    >>> [tuple(tensor.shape) for tensor in joined]
    [(2, 4), (2, 1)]
    >>> tuple(together.part(joined)["b"].shape)
    (2, 1)
    """

    def __init__(self):
        self._joined = None

    def join(self, tensors):
        flat, groups = tree.flatten(tensors), {}
        for k, tensor in enumerate(flat):
            groups.setdefault(tensor.dtype if len(tensor.shape) == 2 else k, []).append(k)
        structure = tree.map_structure(lambda _: 0, tensors)
        self._joined = structure, list(groups.values()), [tensor.shape[-1] for tensor in flat]
        return [ops.concatenate([flat[k] for k in group], axis=-1) for group in groups.values()]

    def part(self, joined):
        structure, groups, widths = self._joined
        flat = [None] * len(widths)
        for group, tensor in zip(groups, joined):
            begin = 0
            for k in group:
                flat[k] = tensor[..., begin : begin + widths[k]]
                begin += widths[k]
        return tree.pack_sequence_as(structure, flat)
