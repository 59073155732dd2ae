"""Our cells as ONNX's recurrent operators: which weight lies where, and what the operators cannot say.

ONNX stores a matrix a gate, output by input, in its own orders: i o f c for the LSTM, z r h for the GRU, which is ours.
"""

import dataclasses

import keras
import numpy as np

from keras_rnnlm.cells import GRUCell, LSTMCell, SimpleRNNCell

# For a gate that is held open: float32's sigmoid of it is 1.
OPEN = 30.0

# Keras's functions as ONNX has them: name, alpha, beta.
FUNCTIONS = {
    "tanh": ("Tanh", None, None),
    "sigmoid": ("Sigmoid", None, None),
    "relu": ("Relu", None, None),
    "linear": ("Affine", 1.0, 0.0),
    "hard_sigmoid": ("HardSigmoid", 1 / 6, 0.5),
    "softsign": ("Softsign", None, None),
    "softplus": ("Softplus", None, None),
    "elu": ("Elu", 1.0, None),
}
# Of these, f(OPEN) = 1.
BOUNDED = ("sigmoid", "hard_sigmoid", "tanh")
# Of these, f(-z) = 1 - f(z), so that a coupled gate is one of its own, with the sign turned.
ODD = ("sigmoid", "hard_sigmoid")


@dataclasses.dataclass(frozen=True)
class Operator:
    """A recurrent operator: its type, its attributes, and its tensors W, R, B and, with peepholes, P, one direction."""

    type: str
    attributes: dict
    tensors: dict


def obstacles(cell):
    """Why ONNX's operators cannot express the cell: a list of reasons, empty where they can."""
    # A subclass may have equations of its own.
    if type(cell) not in WRITERS:
        return [f"ONNX has no operator for {type(cell).__name__}"]
    functions = {"activation": cell.activation}
    reasons = [name for name in ("layer_norm", "mogrifier") if getattr(cell, name)]
    reasons += ["zoneout"] * any(cell.zoneout_rates())
    if isinstance(cell, (LSTMCell, GRUCell)):
        functions["recurrent_activation"] = cell.recurrent_activation
    if isinstance(cell, LSTMCell):
        functions["output_activation"] = cell.squash
        reasons += ["full peepholes"] * bool(cell.peepholes and not cell.diagonal)
        reasons += [name for name in ("gate_recurrence", "projection_units", "cell_clip") if getattr(cell, name)]
        if _name(cell.recurrent_activation) not in ODD and cell.coupled:
            reasons.append(f"coupled gates by {_name(cell.recurrent_activation)}")
        if _name(cell.recurrent_activation) not in BOUNDED and cell.open_gates:
            reasons.append(f"open gates beside {_name(cell.recurrent_activation)}")
    reasons += [f"{what}={_name(f)}" for what, f in functions.items() if _name(f) not in FUNCTIONS]
    return reasons


def operator(cell):
    """The operator that computes what the cell does."""
    return WRITERS[type(cell)](cell)


def _lstm(cell):
    blocks = {gate: k for k, gate in enumerate(cell.gates)}

    def rows(weight, open_gate=0.0):
        """ONNX's gates i o f c, of columns in ours."""
        columns = np.split(weight, len(blocks), axis=-1)
        zero = np.zeros_like(columns[0])
        found = {gate: columns[k] for gate, k in blocks.items()}
        if cell.coupled:
            found["i"] = -found["f"]
        found |= {gate: zero + open_gate for gate in cell.open_gates}
        return np.concatenate([found[gate] for gate in "iofg"], axis=-1).T

    units, bias = cell.units, cell.bias
    bias = np.zeros(len(blocks) * units, "float32") if bias is None else _array(bias)
    tensors = {
        "W": rows(_array(cell.kernel)),
        "R": rows(_array(cell.recurrent_kernel)),
        "B": np.concatenate([rows(bias, OPEN), np.zeros(4 * units, "float32")]),
    }
    if cell.peepholes:
        p = {gate: np.zeros(units, "float32") for gate in "iof"}
        p |= {gate: _array(getattr(cell, f"peephole_{gate}")) for gate in cell.peepholes}
        if cell.coupled:
            p["i"] = -p["f"]
        tensors["P"] = np.concatenate([p[gate] for gate in "iof"])
    attributes = _functions(cell.recurrent_activation, cell.activation, cell.squash)
    if cell.coupled:
        attributes["input_forget"] = 1
    return Operator("LSTM", {"hidden_size": units, **attributes}, tensors)


def _gru(cell):
    bias = np.zeros((2, 3 * cell.units), "float32")
    if cell.use_bias:
        bias[: 2 if cell.reset_after else 1] = _array(cell.bias)
    tensors = {"W": _array(cell.kernel).T, "R": _array(cell.recurrent_kernel).T, "B": bias.reshape(-1)}
    attributes = _functions(cell.recurrent_activation, cell.activation)
    attributes["linear_before_reset"] = int(cell.reset_after)
    return Operator("GRU", {"hidden_size": cell.units, **attributes}, tensors)


def _rnn(cell):
    bias = np.zeros(2 * cell.units, "float32")
    if cell.use_bias:
        bias[: cell.units] = _array(cell.bias)
    tensors = {"W": _array(cell.kernel).T, "R": _array(cell.recurrent_kernel).T, "B": bias}
    return Operator("RNN", {"hidden_size": cell.units, **_functions(cell.activation)}, tensors)


WRITERS = {LSTMCell: _lstm, GRUCell: _gru, SimpleRNNCell: _rnn}


def _functions(*functions):
    """The attributes that name the functions; none where they are the operator's defaults."""
    names = [_name(f) for f in functions]
    if names in (["sigmoid", "tanh", "tanh"], ["sigmoid", "tanh"], ["tanh"]):
        return {}
    kinds, alphas, betas = zip(*(FUNCTIONS[name] for name in names))
    attributes = {"activations": list(kinds)}
    # The lists hold a number for each function up to the last that has one, and runtimes skip those that take none.
    if any(alpha is not None for alpha in alphas):
        attributes["activation_alpha"] = [alpha for alpha in alphas if alpha is not None]
    if any(beta is not None for beta in betas):
        attributes["activation_beta"] = [beta for beta in betas if beta is not None]
    return attributes


def _name(function):
    name = keras.activations.serialize(function)
    return name if isinstance(name, str) else getattr(function, "__name__", str(function))


def _array(variable):
    return np.asarray(keras.ops.convert_to_numpy(variable), dtype="float32")
