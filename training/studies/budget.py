"""How wide a network may be: comparisons of cells at an equal number of parameters."""


def units_for(parameters, make, multiple=1):
    """The width at which a network has the number of parameters that is nearest to `parameters`.

    Args:
        parameters: the number that is wanted.
        make: `make(units)` gives a built layer or model, the larger the more units it has.
        multiple: what the width is a multiple of.

    >>> def make(units):
    ...     layer = keras_rnnlm.layers.LSTM(units)
    ...     layer.build((None, None, 3))
    ...     return layer
    >>> units_for(1000, make), make(14).count_params(), make(15).count_params()
    (14, 1008, 1140)
    """
    sizes = {}

    def size(steps):
        if steps not in sizes:
            sizes[steps] = make(multiple * steps).count_params()
        return sizes[steps]

    if parameters < size(1):
        raise ValueError(
            f"`parameters` is at least what {multiple} units have, {size(1)}. Received: parameters={parameters}"
        )
    high = 2
    while size(high) < parameters:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if size(middle) <= parameters else (low, middle)
    return multiple * min(low, high, key=lambda steps: abs(size(steps) - parameters))
