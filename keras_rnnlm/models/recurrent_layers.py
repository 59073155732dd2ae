"""The recurrent layers of a language model, from the arguments that describe them."""

import keras

from keras_rnnlm import cell_list
from keras_rnnlm.cells import RecurrentCell
from keras_rnnlm.layers import Recurrent
from keras_rnnlm.layers.family import LAYERS, over_time
from keras_rnnlm.places import imported, is_place
from keras_rnnlm.schema import is_count
from keras_rnnlm.unbuilt import deserialized, serialized

# What `cell` may be by name.
CELLS = {name: LAYERS[named.layer] for name, named in cell_list.CELLS.items()}


def layer_class(cell):
    """The class of layers that `cell` stands for: a name of the list, a class, or where to find one."""
    made = cell
    if isinstance(cell, str):
        made = imported(cell, "cell") if is_place(cell) else CELLS.get(cell)
        made = made or keras.saving.get_registered_object(cell)
    if isinstance(made, type) and issubclass(made, RecurrentCell) and made is not RecurrentCell:
        return over_time(made)
    if isinstance(made, type) and issubclass(made, Recurrent) and made.cell_class:
        return made
    raise ValueError(
        f'`cell` is one of {sorted(CELLS)} or a class like keras_rnnlm.layers.LSTM or of a cell, as "{cell_list.OWN}", '
        f"too. Received: cell={cell!r}"
    )


def recurrent_layers(a, options):
    """The layers that the arguments of a LanguageModel describe; `options` are those of each."""
    if not is_count(a.layers):
        raise ValueError(f"`layers` is a number of layers, or a list of them. Received: layers={a.layers!r}")
    make = layer_class(a.cell)
    widths = list(a.units) if isinstance(a.units, (list, tuple)) else [a.units] * a.layers
    if len(widths) != a.layers:
        raise ValueError(
            f"`units` is one width, or a width for each of the {a.layers} layers. Received: units={a.units!r}"
        )
    chosen = {} if a.cell_options is None else a.cell_options
    known = [name for name in make.__signature__.parameters if name not in ("units", "kwargs")]
    if not isinstance(chosen, dict) or set(chosen) - set(known):
        raise ValueError(
            f"`cell_options` is a dict of arguments of {make.__name__}: {', '.join(known)}. "
            f"Received: cell_options={a.cell_options!r}"
        )
    made = []
    for k, width in enumerate(widths):
        kernels = ("kernel_initializer", "recurrent_initializer") if a.initial_range is not None else ()
        given = {**options, **{name: uniform(a) for name in kernels}, **chosen}
        made.append(make(width, name=f"{make.__name__.lower()}_{k}", **given))
    return made


def uniform(a):
    """How a matrix begins, where an `initial_range` says it."""
    r = a.initial_range
    return None if r is None else keras.initializers.RandomUniform(-r, r)


def to_config(arguments):
    """The arguments of a model with recurrent layers as Keras saves them: `layers` may be a list, `cell` a class."""
    config = dict(arguments)
    if isinstance(config["layers"], (list, tuple)):
        config["layers"] = [serialized(layer) for layer in config["layers"]]
    if not isinstance(config["cell"], str):
        config["cell"] = keras.saving.get_registered_name(config["cell"])
    return config


def from_config(config):
    """The arguments that `to_config` wrote, the layers new ones."""
    config = dict(config)
    if isinstance(config["layers"], list):
        config["layers"] = [deserialized(layer) for layer in config["layers"]]
    return config
