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
        trace = {gate: result[gate] for gate in "ifgo"} | {"c": result["cs"]}
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
            "trace": {gate: result[gate] for gate in "zrn"},
        }

    return Case(name, layers.GRU, options, equations)


def simple_rnn(name, **options):
    def equations(x, w, states, **how):
        result = reference.simple_rnn(x, w, states[0], **how)
        return {"output": result["output"], "states": [result["h"]], "trace": {}}

    return Case(name, layers.SimpleRNN, options, equations)


def minimal_gated_unit(name, **options):
    def equations(x, w, states, **how):
        result = reference.minimal_gated_unit(x, w, states[0], **how)
        trace = {gate: result[gate] for gate in "fn"}
        return {"output": result["output"], "states": [result["h"]], "trace": trace}

    return Case(name, layers.MinimalGatedUnit, options, equations)


def mutation(name, number, **options):
    def equations(x, w, states, **how):
        result = reference.mutation(number, x, w, states[0], **how)
        trace = {gate: result[gate] for gate in "zrn"}
        return {"output": result["output"], "states": [result["h"]], "trace": trace}

    return Case(name, getattr(layers, f"MUT{number}"), options, equations)


def clockwork(name, **options):
    def equations(x, w, states, **how):
        result = reference.clockwork(x, w, *states, periods=options["periods"], **how)
        return {"output": result["output"], "states": [result["h"], result["steps"]], "trace": {}}

    return Case(name, layers.ClockworkRNN, options, equations)


def other(name, layer, equations, wanted, **options):
    """A case whose reference gives the states as a list; `wanted` are the reference's options."""

    def as_case(x, w, states, **how):
        result = equations(x, w, states, **how, **wanted)
        return {"output": result["output"], "states": result["states"], "trace": {}}

    return Case(name, layer, options, as_case)


def grid(name, depth, tied=False, prioritized=True, **more):
    options = dict(depth=depth, tied=tied, prioritized=prioritized)
    return other(name, layers.GridLSTM, reference.grid_lstm, options, **options, **more)


def depth_gated(name, depth, project_cell=False):
    options = dict(depth=depth, project_cell=project_cell)
    return other(name, layers.DepthGatedLSTM, reference.depth_gated_lstm, options, **options)


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

CASES = [
    lstm("lstm"),
    *[lstm(f"lstm-peephole-{gates}", peephole=gates) for gates in ("i", "f", "o", "if", "io", "fo", "ifo")],
    *[lstm(f"lstm-full-peephole-{g}", peephole=g, peephole_kind="full") for g in ("i", "o", "ifo")],
    lstm("lstm-coupled", coupled=True),
    *[lstm(f"lstm-coupled-peephole-{gates}", coupled=True, peephole=gates) for gates in ("f", "o", "fo")],
    lstm("lstm-coupled-full-peephole", coupled=True, peephole=True, peephole_kind="full"),
    lstm("lstm-coupled-open-o", coupled=True, open_gates="o"),
    lstm("lstm-no-gates", open_gates="ifo", activation="softsign"),
    lstm("lstm-functions", activation="softsign", recurrent_activation="softsign", peephole=True),
    lstm("lstm-no-bias", use_bias=False, peephole=True),
    *[lstm(f"lstm-{name}", **options) for name, options in {
        "nig": dict(peephole=True, open_gates="i"),
        "nfg": dict(peephole=True, open_gates="f"),
        "nog": dict(peephole=True, open_gates="o"),
        "niaf": dict(peephole=True, activation=None, output_activation="tanh"),
        "noaf": dict(peephole=True, output_activation=None),
        "fgr": dict(peephole=True, gate_recurrence=True),
        "fgr-coupled": dict(coupled=True, gate_recurrence=True),
    }.items()],
    gru("gru"),
    gru("gru-before", reset_after=False),
    gru("gru-no-bias", use_bias=False),
    gru("gru-before-no-bias", reset_after=False, use_bias=False),
    simple_rnn("simple-rnn"),
    normalized("lstm-norm", layers.LSTM, reference.normalized_lstm),
    normalized("gru-norm", layers.GRU, reference.normalized_gru),
    normalized("gru-before-norm", layers.GRU, reference.normalized_gru, reset_after=False),
    normalized("simple-rnn-norm", layers.SimpleRNN, reference.normalized_simple_rnn),
    minimal_gated_unit("minimal-gated-unit"),
    *[mutation(f"mut{number}", number, **({} if number == 3 else {"projection": True})) for number in (1, 2, 3)],
    clockwork("clockwork", periods=(1, 3)),
    other("lstm-projection", layers.LSTM, reference.projected_lstm, dict(cell_clip=np.inf), projection_units=2),
    other("lstm-projection-clip", layers.LSTM, reference.projected_lstm, dict(cell_clip=0.4), projection_units=3,
          cell_clip=0.4),
    mogrified("lstm-mogrifier", layers.LSTM, reference.lstm, 5),
    mogrified("gru-mogrifier-rank", layers.GRU, reference.gru, 2, rank=2),
    depth_gated("depth-gated", 2),
    depth_gated("depth-gated-projection", 3, project_cell=True),
    grid("grid", 1),
    grid("grid-tied-projection", 2, tied=True, project_cell=True),
    grid("grid-unprioritized", 2, prioritized=False),
]  # fmt: skip

# What only combines options that are there already. On a backend after the first these may be left out.
COMBINATIONS = [f"lstm-peephole-{gates}" for gates in ("f", "if", "io", "fo")] + [
    "lstm-full-peephole-i", "lstm-full-peephole-o", "lstm-coupled-peephole-f", "lstm-coupled-peephole-o",
    "lstm-coupled-open-o", "lstm-no-bias", "lstm-nfg", "lstm-nog", "gru-no-bias", "gru-before-no-bias",
    "lstm-fgr-coupled", "lstm-noaf", "lstm-functions", "lstm-coupled-full-peephole", "gru-before-norm", "mut2",
    "lstm-projection", "depth-gated-projection", "grid-tied-projection", "grid-unprioritized",
]  # fmt: skip
FEWER = bool(os.environ.get("KERAS_RNNLM_FEWER_CASES"))
if FEWER:
    CASES = [case for case in CASES if case.name not in COMBINATIONS]

# One of each mechanism, for what does not depend on the equations.
FEW = [case for case in CASES if case.name in (
    "lstm", "lstm-peephole-ifo", "lstm-full-peephole-ifo", "lstm-coupled-peephole-fo", "lstm-fgr", "gru", "gru-before",
    "simple-rnn", "mut1", "clockwork", "lstm-projection-clip", "lstm-mogrifier", "depth-gated", "grid",
)]  # fmt: skip
# Each cell, and each of its mechanisms, once.
EACH = FEW if FEWER else FEW + [case for case in CASES if case.name in (
    "minimal-gated-unit", "mut2", "mut3", "lstm-norm", "gru-norm", "simple-rnn-norm",
)]  # fmt: skip


BATCH, TIME, FEATURES, UNITS = 6, 5, 3, 4
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
    return rng.normal(size=(batch, time, FEATURES)), states
