"""Weights of other libraries, in the order and layout of ours.

Weights of `keras.layers.LSTM`, `GRU` and `SimpleRNN` need no conversion: `set_weights` and `get_weights` move them.

>>> rng = np.random.default_rng(0)
>>> shapes = {"weight_ih_l0": (16, 3), "weight_hh_l0": (16, 4), "bias_ih_l0": (16,), "bias_hh_l0": (16,)}
>>> layer = keras_rnnlm.layers.LSTM(4)
>>> layer.build((None, None, 3))
>>> layer.set_weights(from_torch({name: rng.normal(size=shape) for name, shape in shapes.items()}))
"""

import numpy as np

# By the number of gates.
KINDS = {4: "lstm", 3: "gru", 1: "rnn"}
# PyTorch's rows of gates, and where each goes in our columns.
TORCH_GATES = {"lstm": ("ifgo", "ifgo"), "gru": ("rzn", "zrn"), "rnn": ("h", "h")}


def from_torch(state_dict, kind=None, layer=0, reverse=False, prefix=None):
    """The weights of one layer and direction of a `torch.nn.LSTM`, `GRU` or `RNN`, or of a cell, for `set_weights`.

    Args:
        state_dict: the module, or its `state_dict()`, tensors or arrays by name.
        kind: `"lstm"`, `"gru"` or `"rnn"`. None tells it by the shape.
        layer: which layer of the stack.
        reverse: take the backward direction of a bidirectional module.
        prefix: what the names begin with, where the module is part of a model, such as `"encoder.lstm."`. None finds
            it where the model has one such module.

    PyTorch has two biases. Where ours has one, it is their sum; a GRU with `reset_after=True` has both. An LSTM with
    `proj_size` is ours with `projection_units`.

    >>> zeros = {"weight_ih_l0": np.zeros((12, 3)), "weight_hh_l0": np.zeros((12, 4))}
    >>> [weight.shape for weight in from_torch(zeros)]  # three gates: a GRU
    [(3, 12), (4, 12)]
    """
    state_dict = state_dict.state_dict() if hasattr(state_dict, "state_dict") else state_dict
    suffix = "" if layer == 0 and not reverse and _is_cell(state_dict, prefix) else _suffix(layer, reverse)
    names = [f"{name}{suffix}" for name in ("weight_ih", "weight_hh")]
    state_dict = _without_prefix(state_dict, prefix, names[0])
    missing = [name for name in names if name not in state_dict]
    if missing:
        raise ValueError(
            f"`state_dict` has no {' and no '.join(missing)}: pass that of a torch.nn.LSTM, GRU or RNN, and a "
            f"`layer` and `reverse` that it has. Received the names: {sorted(state_dict)}"
        )
    kernel, recurrent = (_array(state_dict[name]) for name in names)
    projection = state_dict.get(f"weight_hr{suffix}")
    units = recurrent.shape[1] if projection is None else projection.shape[1]
    number = recurrent.shape[0] // units
    if kind is None:
        kind = KINDS.get(number)
    kind = kind.lower() if isinstance(kind, str) else kind
    if kind not in TORCH_GATES or len(TORCH_GATES[kind][0]) != number or recurrent.shape[0] % units:
        raise ValueError(
            f'`kind` is "lstm" (4 gates), "gru" (3) or "rnn" (1), and {names[1]} has units rows for each gate. '
            f"Received: kind={kind!r}, {names[1]} of shape {recurrent.shape}"
        )
    theirs, ours = TORCH_GATES[kind]

    def columns(rows):
        """(gates * units, ...) by rows in their order, to columns in ours."""
        return _in_order(rows, theirs, ours).T

    weights = [columns(kernel), columns(recurrent)]
    if f"bias_ih{suffix}" in state_dict:
        biases = [columns(_array(state_dict[f"{name}{suffix}"])) for name in ("bias_ih", "bias_hh")]
        weights.append(np.stack(biases) if kind == "gru" else sum(biases))
    return weights if projection is None else [*weights, _array(projection).T]


def to_torch(weights, layer=0, reverse=False):
    """The other way: arrays by PyTorch's names, of one layer and direction of a `torch.nn.LSTM`, `GRU` or `RNN`.

    The module takes them, those of all its layers and directions in one dict, by
    `module.load_state_dict({name: torch.tensor(array) for name, array in found.items()})`.

    Args:
        weights: `get_weights()` of an `LSTM`, `GRU` or `SimpleRNN` that is plain, or of an LSTM with a projection.
        layer: which layer of the module it becomes.
        reverse: whether it becomes the backward direction.

    Of PyTorch's two biases the second is zeros, but for a GRU's, which has both. It goes by shapes: without biases a
    coupled LSTM, or one with an open gate, and a GRU with `reset_after=False` look like a plain GRU, and an SLSTM like
    an LSTM. That they are plain is the caller's to know.

    >>> layer = keras_rnnlm.layers.GRU(4)
    >>> layer.build((None, None, 3))
    >>> {name: array.shape for name, array in to_torch(layer.get_weights()).items()}
    {'weight_ih_l0': (12, 3), 'weight_hh_l0': (12, 4), 'bias_ih_l0': (12,), 'bias_hh_l0': (12,)}
    """
    arrays = [_array(weight) for weight in weights]
    shapes = [array.shape for array in arrays]
    projection = None
    # PyTorch's projections are narrower than the units.
    is_projection = len(shapes) > 2 and len(shapes[-1]) == 2 and shapes[-1][1] < shapes[-1][0]
    if is_projection and shapes[-1] == (shapes[0][-1] // 4, shapes[1][0]):
        projection, shapes = arrays.pop(), shapes[:-1]
    are_plain = 2 <= len(shapes) <= 3 and len(shapes[0]) == len(shapes[1]) == 2 and shapes[0][1] == shapes[1][1]
    units = 0 if not are_plain else shapes[1][0] if projection is None else projection.shape[0]
    kind = KINDS.get(shapes[1][1] // units) if units and shapes[1][1] % units == 0 else None
    bias_of = {"gru": (2, 3 * units), "lstm": (4 * units,), "rnn": (units,)}
    if kind is None or len(shapes) == 3 and shapes[2] != bias_of[kind] or projection is not None and kind != "lstm":
        raise ValueError(
            "`weights` are those of a plain LSTM, GRU with reset_after=True or SimpleRNN: kernel, recurrent kernel, "
            f"and bias where there is one. Received shapes: {[_array(weight).shape for weight in weights]}"
        )
    theirs, ours = TORCH_GATES[kind]
    kernel, recurrent, *bias = (_in_order(array.T, ours, theirs) for array in arrays)
    found, suffix = {"weight_ih": kernel, "weight_hh": recurrent}, _suffix(layer, reverse)
    if bias:
        both = bias[0].T if kind == "gru" else (bias[0], np.zeros_like(bias[0]))
        found |= dict(zip(("bias_ih", "bias_hh"), both))
    found |= {} if projection is None else {"weight_hr": projection.T}
    return {f"{name}{suffix}": array for name, array in found.items()}


def _is_cell(state_dict, prefix):
    """Whether the names are those of a `torch.nn.LSTMCell` or the like, and of no module of layers."""
    named = [name for name in state_dict if prefix is None or name.startswith(prefix)]
    is_of_layers = any(name.endswith(f"weight_ih{_suffix(0, False)}") for name in named)
    return not is_of_layers and any(name.endswith("weight_ih") for name in named)


def _suffix(layer, reverse):
    return f"_l{layer}" + ("_reverse" if reverse else "")


def _in_order(rows, given, wanted):
    """Blocks of rows, one for each gate, in another order."""
    blocks = dict(zip(given, np.split(rows, len(given))))
    return np.concatenate([blocks[gate] for gate in wanted])


def _without_prefix(state_dict, prefix, name):
    """The weights of one module of a model, by the names that they have in it alone."""
    found = sorted(key.removesuffix(name) for key in state_dict if key.endswith(name))
    if prefix is None:
        if len(found) > 1 and "" not in found:
            raise ValueError(f"`state_dict` has several such modules: choose one by `prefix`, one of {found}")
        prefix = "" if len(found) != 1 else found[0]
    elif prefix not in found:
        raise ValueError(f"No name begins with `prefix` and ends with {name}. Received: prefix={prefix!r}; {found} do")
    return {key.removeprefix(prefix): value for key, value in state_dict.items() if key.startswith(prefix)}


def from_addons(weights):
    """The weights of TensorFlow Addons' `PeepholeLSTMCell`, for an `LSTM(units, peephole=True)`.

    Args:
        weights: the cell's `get_weights()`: kernel, recurrent kernel, bias (if it has one), then the peepholes of the
            input, forget and output gates.

    >>> shapes = (3, 16), (4, 16), (16,), (4,), (4,), (4,)
    >>> weights = from_addons([np.zeros(shape) for shape in shapes])
    >>> layer = keras_rnnlm.layers.LSTM(4, peephole=True)
    >>> layer.build((None, None, 3))
    >>> layer.set_weights(weights)
    """
    weights = [_array(weight) for weight in weights]
    shapes = [weight.shape for weight in weights]
    units = shapes[-1][0] if shapes and len(shapes[-1]) == 1 else 0
    wanted = [(4 * units,)] * (len(weights) == 6) + [(units,)] * 3
    if len(weights) not in (5, 6) or shapes[1] != (units, 4 * units) or shapes[2:] != wanted:
        raise ValueError(
            "`weights` are those of a PeepholeLSTMCell: (features, 4 units), (units, 4 units), (4 units,) where it has "
            f"a bias, and three times (units,). Received shapes: {shapes}"
        )
    return weights


def _array(tensor):
    """A numpy array from an array or a tensor of any library."""
    if hasattr(tensor, "detach"):
        tensor = tensor.detach().cpu()
        if "bfloat16" in str(tensor.dtype):  # which numpy does not know
            tensor = tensor.float()
    return np.asarray(tensor)
