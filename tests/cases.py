"""Every recurrence and every option of it, once. The shared tests run over all of them: a new cell is one line here."""

import dataclasses
import os
from collections.abc import Callable

import numpy as np

from keras_rnnlm import layers
from tests import reference


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    layer: type
    options: dict
    equations: Callable  # (x, w, states, **how) -> {"output": ..., "states": [...], "trace": {...}}
    combines: bool = False  # options that other cases have: it may be left out on a backend after the first
    few: bool = False  # one of each mechanism, for what does not depend on the equations
    each: bool = False  # with the few, each cell and each of its mechanisms once
    halves: bool = False  # runs in each half precision, on every backend

    def __str__(self):
        return self.name


def lstm(name, **options):
    kwargs = {key: value for key, value in options.items() if key in ("coupled", "open_gates", "gate_recurrence")}
    missing = options.get("open_gates", "") + ("i" if options.get("coupled") else "")
    peephole = options.get("peephole", False)
    kwargs["peephole"] = "".join(g for g in "ifo" if g not in missing) if peephole is True else peephole or ""
    kwargs["peephole_kind"] = options.get("peephole_kind", "diagonal")
    for key in ("activation", "recurrent_activation", "output_activation"):
        if key in options:
            kwargs[key] = FUNCTIONS[options[key]]

    def equations(x, w, states, **how):
        h, c, *gates = states
        if options.get("gate_recurrence"):
            how["gates0"] = gates
        result = reference.lstm(x, w, h, c, **kwargs, **how)
        trace = {gate: result[gate] for gate in "ifgo"} | {"c": result["cs"], "h": result["output"]}
        return {
            "output": result["output"],
            "states": [result["h"], result["c"], *result.get("gates", [])],
            "trace": trace,
        }

    return Case(name, layers.LSTM, options, equations)


def gru(name, **options):
    kwargs = {"reset_after": options.get("reset_after", True)}

    def equations(x, w, states, **how):
        result = reference.gru(x, w, states[0], **kwargs, **how)
        return {
            "output": result["output"],
            "states": [result["h"]],
            "trace": {gate: result[gate] for gate in "zrn"} | {"h": result["output"]},
        }

    return Case(name, layers.GRU, options, equations)


def simple_rnn(name, **options):
    def equations(x, w, states, **how):
        result = reference.simple_rnn(x, w, states[0], **how)
        return {"output": result["output"], "states": [result["h"]], "trace": {"h": result["output"]}}

    return Case(name, layers.SimpleRNN, options, equations)


def minimal_gated_unit(name, **options):
    def equations(x, w, states, **how):
        result = reference.minimal_gated_unit(x, w, states[0], **how)
        trace = {gate: result[gate] for gate in "fn"} | {"h": result["output"]}
        return {"output": result["output"], "states": [result["h"]], "trace": trace}

    return Case(name, layers.MinimalGatedUnit, options, equations)


def mutation(name, number, **options):
    def equations(x, w, states, **how):
        result = reference.mutation(number, x, w, states[0], **how)
        trace = {gate: result[gate] for gate in "zrn"} | {"h": result["output"]}
        return {"output": result["output"], "states": [result["h"]], "trace": trace}

    return Case(name, getattr(layers, f"MUT{number}"), options, equations)


def clockwork(name, **options):
    def equations(x, w, states, **how):
        result = reference.clockwork(x, w, *states, periods=options["periods"], **how)
        states = [result["h"], result["steps"]]
        return {"output": result["output"], "states": states, "trace": {"h": result["output"]}}

    return Case(name, layers.ClockworkRNN, options, equations)


def other(name, layer, equations, wanted, **options):
    """A case whose reference gives the states as a list, and the trace beside; `wanted` are the reference's options."""

    def as_case(x, w, states, **how):
        result = equations(x, w, states, **how, **wanted)
        output, states = result.pop("output"), result.pop("states")
        return {"output": output, "states": states, "trace": result}

    return Case(name, layer, options, as_case)


def grid(name, depth, tied=False, prioritized=True, **more):
    options = dict(depth=depth, tied=tied, prioritized=prioritized)
    return other(name, layers.GridLSTM, grid_equations, options, **options, **more)


def grid_equations(x, w, states, **how):
    result = reference.grid_lstm(x, w, states, **how)
    return result | {"h": result["output"]}


def depth_gated(name, depth, project_cell=False):
    options = dict(depth=depth, project_cell=project_cell)
    return other(name, layers.DepthGatedLSTM, reference.depth_gated_lstm, options, **options)


def slstm(gate):
    return other(f"slstm-{gate}", layers.SLSTM, reference.slstm, dict(forget_gate=gate), forget_gate=gate)


def mogrified(name, layer, step_of, rounds, rank=None, **options):
    def equations(x, w, states, **how):
        return reference.mogrified(step_of, x, w, states, **how)

    wanted = dict(rounds=rounds, rank=rank)
    return other(name, layer, equations, wanted, mogrifier=rounds, mogrifier_rank=rank, **options)


def normalized(name, layer, equations, **options):
    def as_case(x, w, states, **how):
        result = equations(x, w, *states, **how, **options)
        trace = {gate: result[gate] for gate in "ifgozrn" if gate in result}
        trace |= {"c": result["cs"]} if "cs" in result else {}
        trace["h"] = result["output"]
        return {
            "output": result["output"],
            "states": [result[state] for state in "hc" if state in result],
            "trace": trace,
        }

    return Case(name, layer, {"layer_norm": True, **options}, as_case)


FUNCTIONS = {
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "softsign": lambda x: x / (1 + np.abs(x)),
    None: reference.linear,
}


def combining(case):
    return dataclasses.replace(case, combines=True)


def one_of_few(case, **flags):
    return dataclasses.replace(case, few=True, **flags)


def one_of_each(case, **flags):
    return dataclasses.replace(case, each=True, **flags)


CASES = [
    one_of_few(lstm("lstm"), halves=True),
    *[lstm(f"lstm-peephole-{gates}", peephole=gates) for gates in ("i", "o")],
    *[combining(lstm(f"lstm-peephole-{gates}", peephole=gates)) for gates in ("f", "if", "io", "fo")],
    one_of_few(lstm("lstm-peephole-ifo", peephole="ifo")),
    *[combining(lstm(f"lstm-full-peephole-{g}", peephole=g, peephole_kind="full")) for g in ("i", "o")],
    one_of_few(lstm("lstm-full-peephole-ifo", peephole="ifo", peephole_kind="full")),
    lstm("lstm-coupled", coupled=True),
    *[combining(lstm(f"lstm-coupled-peephole-{gate}", coupled=True, peephole=gate)) for gate in ("f", "o")],
    one_of_few(lstm("lstm-coupled-peephole-fo", coupled=True, peephole="fo")),
    combining(lstm("lstm-coupled-full-peephole", coupled=True, peephole=True, peephole_kind="full")),
    combining(lstm("lstm-coupled-open-o", coupled=True, open_gates="o")),
    lstm("lstm-no-gates", open_gates="ifo", activation="softsign"),
    combining(lstm("lstm-functions", activation="softsign", recurrent_activation="softsign", peephole=True)),
    combining(lstm("lstm-no-bias", use_bias=False, peephole=True)),
    lstm("lstm-nig", peephole=True, open_gates="i"),
    combining(lstm("lstm-nfg", peephole=True, open_gates="f")),
    combining(lstm("lstm-nog", peephole=True, open_gates="o")),
    lstm("lstm-niaf", peephole=True, activation=None, output_activation="tanh"),
    combining(lstm("lstm-noaf", peephole=True, output_activation=None)),
    one_of_few(lstm("lstm-fgr", peephole=True, gate_recurrence=True)),
    combining(lstm("lstm-fgr-coupled", coupled=True, gate_recurrence=True)),
    one_of_few(gru("gru"), halves=True),
    one_of_few(gru("gru-before", reset_after=False)),
    combining(gru("gru-no-bias", use_bias=False)),
    combining(gru("gru-before-no-bias", reset_after=False, use_bias=False)),
    one_of_few(simple_rnn("simple-rnn")),
    one_of_each(normalized("lstm-norm", layers.LSTM, reference.normalized_lstm)),
    one_of_each(normalized("gru-norm", layers.GRU, reference.normalized_gru)),
    combining(normalized("gru-before-norm", layers.GRU, reference.normalized_gru, reset_after=False)),
    one_of_each(normalized("simple-rnn-norm", layers.SimpleRNN, reference.normalized_simple_rnn)),
    one_of_each(minimal_gated_unit("minimal-gated-unit")),
    one_of_few(mutation("mut1", 1, projection=True)),
    one_of_each(mutation("mut2", 2, projection=True), combines=True),
    one_of_each(mutation("mut3", 3)),
    one_of_few(clockwork("clockwork", periods=(1, 3))),
    combining(other("lstm-projection", layers.LSTM, reference.projected_lstm, dict(cell_clip=np.inf),
                    projection_units=2)),
    one_of_few(other("lstm-projection-clip", layers.LSTM, reference.projected_lstm, dict(cell_clip=0.4),
                     projection_units=3, cell_clip=0.4)),
    one_of_few(mogrified("lstm-mogrifier", layers.LSTM, reference.lstm, 5)),
    mogrified("gru-mogrifier-rank", layers.GRU, reference.gru, 2, rank=2),
    one_of_few(depth_gated("depth-gated", 2)),
    combining(depth_gated("depth-gated-projection", 3, project_cell=True)),
    one_of_few(grid("grid", 1)),
    combining(grid("grid-tied-projection", 2, tied=True, project_cell=True)),
    combining(grid("grid-unprioritized", 2, prioritized=False)),
    slstm("sigmoid"),  # its stabilizer has a kink so near that half precision falls on the other side of it
    one_of_each(slstm("exponential")),
]  # fmt: skip

# Each option and each cell once; with this variable every combination of options, too.
FEWER = not os.environ.get("KERAS_RNNLM_EVERY_CASE")
if FEWER:
    CASES = [case for case in CASES if not case.combines]
FEW = [case for case in CASES if case.few]
EACH = FEW if FEWER else FEW + [case for case in CASES if case.each]


def named(*names):
    """Cases of the few by their names, in this order; a name that there is not is an error."""
    return [{case.name: case for case in FEW}[name] for name in names]


BATCH, TIME, FEATURES, UNITS = 6, 5, 3, 4
# States that cannot be any number: a clock counts whole steps, a normalizer sums from 1.
AS_IT_CAN_BE = {"t": lambda state: np.round(np.abs(2 * state)), "n": lambda state: 1 + np.abs(state)}
# Rows: nothing masked, right padding twice, left padding, steps within, everything.
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0], [0, 0, 1, 1, 1], [0, 1, 0, 1, 0], [0] * 5], "bool")


def build(case, dtype="float32", seed=0, **more):
    """A layer with random weights, not one of them like another, and its weights by name."""
    layer = case.layer(UNITS, dtype=dtype, **{**case.options, **more})
    layer.build((None, None, FEATURES))
    rng = np.random.default_rng(seed)
    weights = {variable.name: rng.normal(size=variable.shape) * 0.5 for variable in layer.weights}
    layer.set_weights(list(weights.values()))
    return layer, weights


def data(layer, seed=1, batch=BATCH, time=TIME):
    """Random inputs and initial states."""
    rng = np.random.default_rng(seed)
    states = [rng.normal(size=(batch, width)) * 0.5 for width in layer.state_widths]
    states = [AS_IT_CAN_BE.get(name, lambda s: s)(state) for name, state in zip(layer.state_names, states)]
    return rng.normal(size=(batch, time, FEATURES)), states
