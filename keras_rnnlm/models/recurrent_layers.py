"""The recurrent layers of a language model, from the arguments that describe them."""

import keras

from keras_rnnlm import layers as our_layers
from keras_rnnlm.layers import Recurrent
from keras_rnnlm.schema import is_count

# What `cell` may be by name.
CELLS = {
    "lstm": our_layers.LSTM,
    "gru": our_layers.GRU,
    "simple_rnn": our_layers.SimpleRNN,
    "minimal_gated_unit": our_layers.MinimalGatedUnit,
    "mut1": our_layers.MUT1,
    "mut2": our_layers.MUT2,
    "mut3": our_layers.MUT3,
    "clockwork_rnn": our_layers.ClockworkRNN,
    "depth_gated_lstm": our_layers.DepthGatedLSTM,
    "grid_lstm": our_layers.GridLSTM,
}


def recurrent_layers(a, options):
    """The layers that the arguments of a LanguageModel describe; `options` are those of each."""
    if not is_count(a.layers):
        raise ValueError(f"`layers` is a number of layers, or a list of them. Received: layers={a.layers!r}")
    make = a.cell
    if isinstance(make, str):
        make = CELLS.get(make) or keras.saving.get_registered_object(make)
    if not (isinstance(make, type) and issubclass(make, Recurrent) and make.cell_class):
        raise ValueError(
            f"`cell` is one of {sorted(CELLS)} or a class like keras_rnnlm.layers.LSTM. Received: cell={a.cell!r}"
        )
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
