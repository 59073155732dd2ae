"""Random numbers of its own for each of several weights that one initializer is given for."""


def another(initializer, number):
    """The initializer of the weight of this number, from 0 on: Keras's draw the same numbers at every call.

    With a seed of the user's it is that of the seed and the number; an initializer that is no random one, or draws from
    a generator, is returned as it is.
    """
    if not number or not hasattr(initializer, "get_config"):
        return initializer
    config = initializer.get_config()
    if "seed" not in config or not isinstance(config["seed"], (int, type(None))):
        return initializer
    seed = None if config["seed"] is None else config["seed"] + number
    try:
        return type(initializer).from_config({**config, "seed": seed})
    except TypeError:  # of someone else, and its configuration does not make it again
        return initializer
