"""Checks of what a cell, or its layer, is called with or given."""


def check_layout(layer, weights):
    """Says which weight does not fit, and what would, before Keras says that something does not."""
    expected = [(variable.name, tuple(variable.shape)) for variable in layer.weights]
    received = [tuple(getattr(weight, "shape", ())) for weight in weights]
    if received != [shape for _, shape in expected]:
        wanted = ", ".join(f"{name} {shape}" for name, shape in expected) or "nothing before it is built"
        raise ValueError(
            f"`weights` does not have the layout of {layer.name!r}, which takes {wanted}. "
            f"Received shapes: {received}. For weights of PyTorch or TensorFlow Addons see keras_rnnlm.layers.convert."
        )


def checked_step(cell, step):
    """The step, which says so where it does not return what it has to."""
    name, names, widths = cell.name, ", ".join(cell.state_names), list(cell.state_widths)

    def checked(dot, x, states, p):
        new = step(dot, x, states, p)
        shapes = [_shape(state) for state in new] if isinstance(new, (list, tuple)) else None
        fit = shapes is not None and len(shapes) == len(widths)
        if not fit or any(shape[-1:] not in ((width,), (None,)) for shape, width in zip(shapes, widths)):
            raise ValueError(
                f"`step` of {name!r} returns its new states, a tuple of {names}, (batch, width), of widths {widths}. "
                f"Received: {type(new).__name__ if shapes is None else f'shapes {shapes}'}"
            )
        return new

    return checked


def _shape(state):
    """What is known of it while a graph is traced."""
    shape = getattr(state, "shape", ())
    return (None,) if getattr(shape, "rank", 0) is None else tuple(shape)


def check_reads(cell, reads, batch=None):
    """What every step reads, by name, where it is what the cell has to be given."""
    given = {} if reads is None else reads
    if not isinstance(given, dict) or set(given) != set(cell.reads):
        raise ValueError(
            f"`reads` is a dict of the tensors that every step of {cell.name!r} reads, here of "
            f"{', '.join(cell.reads) or 'none'}. Received: {sorted(given) if isinstance(given, dict) else type(given)}"
        )
    for name, value in given.items():
        shape = tuple(getattr(value, "shape", ()))
        if not shape or (None not in (shape[0], batch) and shape[0] != batch):
            raise ValueError(
                f"`reads` are tensors of shape (batch, ...), a row for each sequence, here {batch}. "
                f"Received: {name!r} of shape {shape}"
            )
    return dict(given)
