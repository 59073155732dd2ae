"""Long short-term memory (Hochreiter and Schmidhuber 1997; Gers et al. 2000, 2002; Greff et al. 2015)."""

import numbers

import keras
from keras import ops

from keras_rnnlm.cells.recurrent_cell import RecurrentCell
from keras_rnnlm.cells.signature import SAME
from keras_rnnlm.initializers import another
from keras_rnnlm.schema import is_count

VARIANTS = {
    "V": dict(peephole=True),
    "NIG": dict(peephole=True, open_gates="i"),
    "NFG": dict(peephole=True, open_gates="f"),
    "NOG": dict(peephole=True, open_gates="o"),
    "NIAF": dict(peephole=True, activation=None, output_activation="tanh"),
    "NOAF": dict(peephole=True, output_activation=None),
    "CIFG": dict(peephole=True, coupled=True),
    "NP": dict(peephole=False),
    "FGR": dict(peephole=True, gate_recurrence=True),
}


def variant_options(name):
    """The options of a variant of Greff et al. (2015): `V`, its eight changes, and no more."""
    if name not in VARIANTS:
        raise ValueError(f"`name` is one of the variants {', '.join(VARIANTS)}. Received: name={name!r}")
    return VARIANTS[name]


def letters(argument, value, others=""):
    """The gates that an argument names, in our order."""
    names = "".join(value) if isinstance(value, (str, list, tuple)) else None
    if names is None or set(names) - set("ifo") or len(set(names)) < len(names):
        raise ValueError(f'`{argument}` is {others}letters of "ifo", each once. Received: {argument}={value!r}')
    return "".join(gate for gate in "ifo" if gate in names)


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class LSTMCell(RecurrentCell):
    """Long short-term memory, with every option that its literature gives the gates.

        i = s(x@Wi + h@Ui + pi*c + bi)
        f = s(x@Wf + h@Uf + pf*c + bf)
        g = tanh(x@Wg + h@Ug + bg)
        c' = f*c + i*g
        o = s(x@Wo + h@Uo + po*c' + bo)      the output gate sees the new cell
        h' = o*tanh(c')

    Takes every argument of `keras.layers.LSTMCell`, in its order, and by keyword:

    Args:
        peephole: which gates look at the cell: False, True (every gate that exists) or letters, `"io"`.
        peephole_kind: `"diagonal"`, a weight for each unit, or `"full"`, a matrix (c@P in place of p*c).
        coupled: write what is forgotten, i = 1 - f. Weights are stored for f, g and o alone.
        open_gates: letters of gates that are held at 1, and have no weights.
        output_activation: the function in h' = o*tanh(c'). Absent, it is `activation`; None is the identity.
        gate_recurrence: every gate also reads the previous step's gates (i@R + f@R + o@R, Greff's FGR). The states
            are then h, c and the gates.
        layer_norm: normalize the sums of all gates, those of x and those of h each by itself, and the cell where the
            output reads it (Ba et al. 2016): z = gx*norm(x@W) + gh*norm(h@U) + b, h' = o*tanh(gc*norm(c') + bc).
        zoneout, zoneout_cell: fractions of h and of c that keep their values at a step, in training; outside of it,
            what that gives in the mean. The output is made of the new cell, before it is held.
        projection_units: the width of h where it is narrower than the cell, h' = (o*tanh(c'))@P (Sak et al. 2014).
        cell_clip: the cell is held between minus and plus this number.
        peephole_initializer, peephole_regularizer, peephole_constraint: for the peephole weights.

    The weights are `kernel`, `recurrent_kernel`, `bias`, those of a Mogrifier and the learned initial states, then
    `peephole_i`, `peephole_f`, `peephole_o`, those that exist, then `gate_recurrent_kernel`, then `input_gain`,
    `recurrent_gain`, `cell_gain`, `cell_bias`, then `projection_kernel`. Columns are in the order i, f, g, o.

    >>> cell = LSTMCell(4, peephole="io", open_gates="f")
    >>> output, (h, c) = cell(np.ones((2, 3)), [np.zeros((2, 4)), np.zeros((2, 4))])
    >>> [weight.name for weight in cell.weights]
    ['kernel', 'recurrent_kernel', 'bias', 'peephole_i', 'peephole_o']
    """

    like = keras.layers.LSTMCell
    only_adds_x = True
    options = {
        "peephole": False,
        "peephole_kind": "diagonal",
        "coupled": False,
        "open_gates": "",
        "output_activation": SAME,
        "gate_recurrence": False,
        "layer_norm": False,
        "zoneout_cell": 0.0,
        "projection_units": None,
        "cell_clip": None,
        "peephole_initializer": "zeros",
        "peephole_regularizer": None,
        "peephole_constraint": None,
    }

    def step(self, dot, x, states, p):
        h, c, *before = states
        if self.layer_norm:
            z = p["input_gain"] * self.normalize(x) + p["recurrent_gain"] * self.normalize(dot(h, "recurrent_kernel"))
            z = z + p["bias"] if self.use_bias else z
        else:
            z = dot(h, "recurrent_kernel", x)
        z = dict(zip(self.gates, self.by_gate(z)))
        if self.gate_recurrence:
            r = self.by_gate(dot(ops.concatenate(before, axis=-1), "gate_recurrent_kernel"))
            z |= {name: z[name] + y for name, y in zip(self.real_gates, r)}

        def gate(name, c):
            if name in self.open_gates:
                return ops.ones_like(c)
            y = z[name]
            if name in self.peepholes:
                y = y + (p[f"peephole_{name}"] * c if self.diagonal else dot(c, f"peephole_{name}"))
            return self.recurrent_activation(y)

        f = gate("f", c)
        i = 1 - f if self.coupled else gate("i", c)
        g = self.activation(z["g"])
        c = f * c + i * g
        c = c if self.cell_clip is None else ops.clip(c, -self.cell_clip, self.cell_clip)
        o = gate("o", c)
        h = o * self.squash(p["cell_gain"] * self.normalize(c) + p["cell_bias"] if self.layer_norm else c)
        h = h if self.projection_units is None else dot(h, "projection_kernel")
        dot.note(i=i, f=f, g=g, o=o, c=c, h=h)
        return h, c, *[{"i": i, "f": f, "o": o}[name] for name in self.real_gates if self.gate_recurrence]

    def check_options(self):
        self.open_gates = letters("open_gates", self.open_gates or "")
        if self.coupled and set(self.open_gates) & set("if"):
            raise ValueError(
                "A coupled LSTM computes i = 1 - f, so neither gate can be held open: with f = 1 nothing would ever be "
                'written. Drop the letters "i" and "f" from `open_gates`, or pass `coupled=False`. '
                f"Received: coupled=True, open_gates={self.open_gates!r}"
            )
        if self.peephole_kind not in ("diagonal", "full"):
            raise ValueError(f'`peephole_kind` is "diagonal" or "full". Received: peephole_kind={self.peephole_kind!r}')
        self.diagonal = self.peephole_kind == "diagonal"
        missing = self.open_gates + ("i" if self.coupled else "")
        self.gates = "".join(gate for gate in "ifgo" if gate not in missing)
        self.real_gates = self.gates.replace("g", "")
        self.peepholes = self._peepholes(missing)
        self.state_names = ("h", "c", *self.real_gates) if self.gate_recurrence else ("h", "c")
        if self.gate_recurrence and not self.real_gates:
            raise ValueError(
                "`gate_recurrence` has no gate to read, since all are open: pass False, or drop one from `open_gates`. "
                f"Received: gate_recurrence={self.gate_recurrence!r}, open_gates={self.open_gates!r}"
            )
        projected, clip = self.projection_units, self.cell_clip
        if projected is not None and not is_count(projected):
            raise ValueError(f"`projection_units` is the width of h, or None. Received: projection_units={projected!r}")
        if clip is not None and (isinstance(clip, bool) or not isinstance(clip, numbers.Real) or clip <= 0):
            raise ValueError(f"`cell_clip` is a positive number, or None. Received: cell_clip={clip!r}")
        self.only_adds_x = type(self).only_adds_x and not self.layer_norm
        self.squash = self.activation if self.output_activation == SAME else self.output_activation

    def _peepholes(self, missing):
        """The gates that look at the cell."""
        if isinstance(self.peephole, bool) or self.peephole is None:
            return self.real_gates if self.peephole else ""
        names = letters("peephole", self.peephole, "True (every gate), False, or ")
        for name in names:
            if name in missing:
                kind, gate = {"i": "input", "f": "forget", "o": "output"}[name], f'`peephole="{name}"`'
                if name == "i" and self.coupled:
                    why = "A coupled LSTM has no input gate of its own (i = 1 - f)"
                    way = "Drop it or pass `coupled=False`"
                else:
                    why = f"The {kind} gate is held open"
                    way = f'Drop it, or drop "{name}" from `open_gates`'
                raise ValueError(f"{why}, so {gate} has nothing to read. {way}. Received: peephole={self.peephole!r}")
        return names

    @property
    def state_widths(self):
        return [self.projection_units or self.units] + [self.units] * (self.number_of_states - 1)

    def zoneout_rates(self):
        return [self.zoneout, self.zoneout_cell] + [0.0] * (self.number_of_states - 2)

    fused_kernel = "lstm"

    def beyond_cudnn(self):
        names = ("coupled", "open_gates", "gate_recurrence", "layer_norm", "projection_units", "cell_clip")
        reasons = ["peephole"] * bool(self.peepholes) + [name for name in names if getattr(self, name)]
        if self.squash is not self.activation:
            reasons.append("an output_activation of its own")
        return reasons + self.unusual_functions()

    def traced(self):
        return ["i", "f", "g", "o", "c", "h"]

    def build(self, input_shape):
        super().build(input_shape)
        for name in self.peepholes:
            shape = (self.units,) if self.diagonal else (self.units, self.units)
            self.declare(f"peephole_{name}", shape, "peephole")
        if self.gate_recurrence:
            width = len(self.real_gates) * self.units
            self.declare("gate_recurrent_kernel", (width, width), "recurrent")
        if self.layer_norm:
            for name in ("input", "recurrent"):
                self.declare_norm(name, len(self.gates) * self.units)
            self.declare_norm("cell", self.units, bias=True)
        if self.projection_units is not None:
            self.declare("projection_kernel", (self.units, self.projection_units), "kernel")

    def input_bias(self, w):
        return None if self.layer_norm else w.get("bias")

    def initialize_bias(self, shape, dtype=None, number=0):
        initializer = another(self.bias_initializer, number)
        if "f" not in self.gates or not self.unit_forget_bias:
            return initializer(shape, dtype=dtype)
        before = self.units * self.gates.index("f")  # drawn in two parts, as Keras draws them
        parts = [(before,), (self.units,), (shape[0] - before - self.units,)]
        draw = [initializer, keras.initializers.Ones(), initializer]
        return ops.concatenate([f(part, dtype=dtype) for f, part in zip(draw, parts) if part != (0,)])

    def kernels(self, w):
        names = [f"peephole_{name}" for name in self.peepholes if not self.diagonal]
        names += ["gate_recurrent_kernel"] * bool(self.gate_recurrence)
        names += ["projection_kernel"] * (self.projection_units is not None)
        return super().kernels(w) | {name: w[name] for name in names}

    def parameters(self, w):
        names = [f"peephole_{name}" for name in self.peepholes if self.diagonal]
        if self.layer_norm:
            names += ["input_gain", "recurrent_gain", "cell_gain", "cell_bias"] + ["bias"] * self.use_bias
        return {name: w[name] for name in names}

    @classmethod
    def variant(cls, name, units, **kwargs):
        """One of the networks of Greff et al. (2015): V, NIG, NFG, NOG, NIAF, NOAF, CIFG, NP, FGR."""
        return cls(units, **{**variant_options(name), **kwargs})
