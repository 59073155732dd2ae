"""Recurrent cells in float64 numpy, typed from the published equations: the oracle for the layers' tests.

x is (batch, time, features), states are (batch, units), masks are (batch, time) booleans, and weights come in a dict
with Keras's names and layouts; a missing "bias" is zero. Row vectors: `@` is a matrix product, `*` is elementwise.

A masked step holds every state and every trace; its output repeats the last output (zeros before the first unmasked
step), or is zeros with zero_output_for_mask. With reverse, the sequence and its mask are read from the last step to
the first, and outputs and traces are in the order in which the steps were processed.
"""

import numpy as np


def sigmoid(x):
    return np.exp(-np.logaddexp(0.0, -x))


def linear(x):
    return x


def normalize(z):
    """Ba et al. (2016), over the last axis."""
    return (z - z.mean(axis=-1, keepdims=True)) / np.sqrt(z.var(axis=-1, keepdims=True) + 1e-5)


def lstm(
    x,
    w,
    h0,
    c0,
    *,
    peephole="",
    peephole_kind="diagonal",
    coupled=False,
    open_gates="",
    gate_recurrence=False,
    activation=np.tanh,
    recurrent_activation=sigmoid,
    output_activation=None,
    gates0=None,
    mask=None,
    zero_output_for_mask=False,
    reverse=False,
):
    """Gates are stored in the order i, f, g, o, without those that coupling or open_gates remove.

    gates0, and "gates" in the result, are lists of (batch, units) arrays: the gates of gate_recurrence in the order
    i, f, o, those that exist. Gate traces are zeros before the first unmasked step; "cs" is c0 there.
    A peephole of a gate that does not exist is ignored.
    """
    x, w, mask = prepare(x, w, mask, reverse)
    h, c = np.array(h0, "float64"), np.array(c0, "float64")
    units = h.shape[1]
    stored = lstm_gates(coupled, open_gates)
    states = [gate for gate in stored if gate != "g"]
    W = split(w["kernel"], stored, units)
    U = split(w["recurrent_kernel"], stored, units)
    b = split(w.get("bias", np.zeros(len(stored) * units)), stored, units)
    act, s = activation, recurrent_activation
    out = activation if output_activation is None else output_activation
    one = np.ones_like(h)
    last = {gate: np.zeros_like(h) for gate in states}
    if gates0 is not None:
        last = {gate: np.array(value, "float64") for gate, value in zip(states, gates0, strict=True)}
    R = {}
    if gate_recurrence:
        assert w["gate_recurrent_kernel"].shape[0] == len(states) * units
        for k, gate in enumerate(states):
            R[gate] = split(w["gate_recurrent_kernel"][k * units : (k + 1) * units], states, units)

    def peep(gate, cell):
        if gate not in peephole:
            return 0.0
        p = w["peephole_" + gate]
        if peephole_kind == "full":
            assert p.shape == (units, units)
            return cell @ p
        assert p.shape == (units,) and peephole_kind == "diagonal"
        return p * cell

    def recur(gate):
        return sum(last[source] @ R[source][gate] for source in R)

    trace = Trace(["output", "i", "f", "g", "o"], h, cs=c)
    for t in range(x.shape[1]):
        x_t = x[:, t]
        f = one if "f" in open_gates else s(x_t @ W["f"] + h @ U["f"] + peep("f", c) + recur("f") + b["f"])
        if coupled:
            i = 1.0 - f
        else:
            i = one if "i" in open_gates else s(x_t @ W["i"] + h @ U["i"] + peep("i", c) + recur("i") + b["i"])
        g = act(x_t @ W["g"] + h @ U["g"] + b["g"])
        c_new = f * c + i * g
        o = one if "o" in open_gates else s(x_t @ W["o"] + h @ U["o"] + peep("o", c_new) + recur("o") + b["o"])
        h_new = o * out(c_new)

        m = mask[:, t, None]
        h = np.where(m, h_new, h)
        c = np.where(m, c_new, c)
        now = {"i": i, "f": f, "o": o}
        last = {gate: np.where(m, now[gate], last[gate]) for gate in states}
        trace.add(m, output=h_new, i=i, f=f, g=g, o=o, cs=c_new)
    result = trace.result(mask, zero_output_for_mask) | {"h": h, "c": c}
    if gate_recurrence:
        result["gates"] = [last[gate] for gate in states]
    return result


def gru(
    x,
    w,
    h0,
    *,
    reset_after=True,
    activation=np.tanh,
    recurrent_activation=sigmoid,
    mask=None,
    zero_output_for_mask=False,
    reverse=False,
):
    """Gates are stored in the order z, r, n; bias is (2, 3 units), input then recurrent, if reset_after."""
    x, w, mask = prepare(x, w, mask, reverse)
    h = np.array(h0, "float64")
    units = h.shape[1]
    W = split(w["kernel"], "zrn", units)
    U = split(w["recurrent_kernel"], "zrn", units)
    bias = w.get("bias", np.zeros((2, 3 * units) if reset_after else 3 * units))
    assert bias.ndim == (2 if reset_after else 1)
    b = split(bias[0] if reset_after else bias, "zrn", units)
    bu = split(bias[1] if reset_after else np.zeros(3 * units), "zrn", units)
    act, s = activation, recurrent_activation

    trace = Trace(["output", "z", "r", "n"], h)
    for t in range(x.shape[1]):
        x_t = x[:, t]
        z = s(x_t @ W["z"] + b["z"] + h @ U["z"] + bu["z"])
        r = s(x_t @ W["r"] + b["r"] + h @ U["r"] + bu["r"])
        if reset_after:
            n = act(x_t @ W["n"] + b["n"] + r * (h @ U["n"] + bu["n"]))
        else:
            n = act(x_t @ W["n"] + b["n"] + (r * h) @ U["n"])
        h_new = z * h + (1.0 - z) * n

        m = mask[:, t, None]
        h = np.where(m, h_new, h)
        trace.add(m, output=h_new, z=z, r=r, n=n)
    return trace.result(mask, zero_output_for_mask) | {"h": h}


def simple_rnn(x, w, h0, *, activation=np.tanh, mask=None, zero_output_for_mask=False, reverse=False):
    x, w, mask = prepare(x, w, mask, reverse)
    h = np.array(h0, "float64")
    W, U, b = w["kernel"], w["recurrent_kernel"], w.get("bias", np.zeros(h.shape[1]))

    trace = Trace(["output"], h)
    for t in range(x.shape[1]):
        h_new = activation(x[:, t] @ W + h @ U + b)

        m = mask[:, t, None]
        h = np.where(m, h_new, h)
        trace.add(m, output=h_new)
    return trace.result(mask, zero_output_for_mask) | {"h": h}


def normalized_lstm(x, w, h0, c0, *, mask=None, zero_output_for_mask=False, reverse=False):
    """A plain LSTM with layer normalization: of all sums of x, of all sums of h, and of the cell that is put out."""
    x, w, mask = prepare(x, w, mask, reverse)
    h, c = np.array(h0, "float64"), np.array(c0, "float64")

    trace = Trace(["output", "i", "f", "g", "o"], h, cs=c)
    for t in range(x.shape[1]):
        z = w["input_gain"] * normalize(x[:, t] @ w["kernel"])
        z = z + w["recurrent_gain"] * normalize(h @ w["recurrent_kernel"]) + w["bias"]
        i, f, g, o = np.split(z, 4, axis=1)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        c_new = f * c + i * g
        h_new = o * np.tanh(w["cell_gain"] * normalize(c_new) + w["cell_bias"])

        m = mask[:, t, None]
        h, c = np.where(m, h_new, h), np.where(m, c_new, c)
        trace.add(m, output=h_new, i=i, f=f, g=g, o=o, cs=c_new)
    return trace.result(mask, zero_output_for_mask) | {"h": h, "c": c}


def normalized_gru(x, w, h0, *, reset_after=True, mask=None, zero_output_for_mask=False, reverse=False):
    x, w, mask = prepare(x, w, mask, reverse)
    h = np.array(h0, "float64")
    units = h.shape[1]
    gz, gn = w["recurrent_gain"][: 2 * units], w["recurrent_gain"][2 * units :]
    bias, recurrent_bias = w["bias"] if reset_after else (w["bias"], 0.0)

    trace = Trace(["output", "z", "r", "n"], h)
    for t in range(x.shape[1]):
        xz, xr, xn = np.split(w["input_gain"] * normalize(x[:, t] @ w["kernel"]) + bias, 3, axis=1)
        if reset_after:
            y = w["recurrent_gain"] * normalize(h @ w["recurrent_kernel"]) + recurrent_bias
            yz, yr, yn = np.split(y, 3, axis=1)
        else:
            yz, yr = np.split(gz * normalize(h @ w["recurrent_kernel"][:, : 2 * units]), 2, axis=1)
        z, r = sigmoid(xz + yz), sigmoid(xr + yr)
        if not reset_after:
            yn = gn * normalize((r * h) @ w["recurrent_kernel"][:, 2 * units :])
        n = np.tanh(xn + r * yn) if reset_after else np.tanh(xn + yn)
        h_new = z * h + (1 - z) * n

        m = mask[:, t, None]
        h = np.where(m, h_new, h)
        trace.add(m, output=h_new, z=z, r=r, n=n)
    return trace.result(mask, zero_output_for_mask) | {"h": h}


def normalized_simple_rnn(x, w, h0, *, mask=None, zero_output_for_mask=False, reverse=False):
    x, w, mask = prepare(x, w, mask, reverse)
    h = np.array(h0, "float64")

    trace = Trace(["output"], h)
    for t in range(x.shape[1]):
        z = normalize(x[:, t] @ w["kernel"] + h @ w["recurrent_kernel"])
        h_new = np.tanh(w["recurrent_gain"] * z + w["bias"])

        m = mask[:, t, None]
        h = np.where(m, h_new, h)
        trace.add(m, output=h_new)
    return trace.result(mask, zero_output_for_mask) | {"h": h}


def minimal_gated_unit(x, w, h0, *, mask=None, zero_output_for_mask=False, reverse=False):
    """Zhou et al. (2016). Stored in the order f, n."""
    x, w, mask = prepare(x, w, mask, reverse)
    h = np.array(h0, "float64")
    W, U, b = (split(w[name], "fn", h.shape[1]) for name in ("kernel", "recurrent_kernel", "bias"))

    trace = Trace(["output", "f", "n"], h)
    for t in range(x.shape[1]):
        f = sigmoid(x[:, t] @ W["f"] + h @ U["f"] + b["f"])
        n = np.tanh(x[:, t] @ W["n"] + (f * h) @ U["n"] + b["n"])
        h_new = (1 - f) * h + f * n

        m = mask[:, t, None]
        h = np.where(m, h_new, h)
        trace.add(m, output=h_new, f=f, n=n)
    return trace.result(mask, zero_output_for_mask) | {"h": h}


def mutation(number, x, w, h0, *, mask=None, zero_output_for_mask=False, reverse=False):
    """MUT1, MUT2 and MUT3 of Jozefowicz et al. (2015). Without a block for the gate that reads x, it reads x raw."""
    x, w, mask = prepare(x, w, mask, reverse)
    h = np.array(h0, "float64")
    units, raw = h.shape[1], {1: "n", 2: "r", 3: ""}[number]
    is_raw = raw and w["kernel"].shape[1] < 3 * units
    W = split(w["kernel"], [g for g in "zrn" if not (is_raw and g == raw)], units)
    if is_raw:
        W[raw] = np.eye(units)
    U = split(w["recurrent_kernel"], "rn" if number == 1 else "zrn", units)
    b = split(w["bias"], "zrn", units)

    trace = Trace(["output", "z", "r", "n"], h)
    for t in range(x.shape[1]):
        x_t = x[:, t]
        if number == 1:
            z = sigmoid(x_t @ W["z"] + b["z"])
        elif number == 2:
            z = sigmoid(x_t @ W["z"] + h @ U["z"] + b["z"])
        else:
            z = sigmoid(x_t @ W["z"] + np.tanh(h) @ U["z"] + b["z"])
        r = sigmoid(x_t @ W["r"] + h @ U["r"] + b["r"])
        if number == 1:
            n = np.tanh((r * h) @ U["n"] + np.tanh(x_t @ W["n"]) + b["n"])
        else:
            n = np.tanh((r * h) @ U["n"] + x_t @ W["n"] + b["n"])
        h_new = n * z + h * (1 - z)

        m = mask[:, t, None]
        h = np.where(m, h_new, h)
        trace.add(m, output=h_new, z=z, r=r, n=n)
    return trace.result(mask, zero_output_for_mask) | {"h": h}


def clockwork(x, w, h0, step0, *, periods, mask=None, zero_output_for_mask=False, reverse=False):
    """Koutnik et al. (2014), a group at a time. `step0` is (batch, units), whole numbers, all of a row alike."""
    x, w, mask = prepare(x, w, mask, reverse)
    h, steps = np.array(h0, "float64"), np.array(step0, "float64")
    size = h.shape[1] // len(periods)
    groups = [slice(k * size, (k + 1) * size) for k in range(len(periods))]
    turn = np.lcm.reduce(periods)

    trace = Trace(["output"], h)
    for t in range(x.shape[1]):
        now = np.round(steps)  # finite differences move the clock a little
        h_new = np.array(h)
        for k, group in enumerate(groups):
            z = x[:, t] @ w["kernel"][:, group] + w["bias"][group]
            for j, other in enumerate(groups):
                if periods[j] >= periods[k]:
                    z = z + h[:, other] @ w["recurrent_kernel"][other, group]
            h_new[:, group] = np.where(now[:, group] % periods[k] == 0, np.tanh(z), h[:, group])
        following = np.where(now + 1 >= turn, 0.0, steps + 1)

        m = mask[:, t, None]
        h = np.where(m, h_new, h)
        steps = np.where(m, following, steps)
        trace.add(m, output=h_new)
    return trace.result(mask, zero_output_for_mask) | {"h": h, "steps": steps}


def lstm_block(z, c):
    """Gates i, f, g, o side by side, and a cell: all that comes of them, the new c and h too."""
    i, f, g, o = np.split(z, 4, axis=1)
    i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
    c = f * c + i * g
    return {"i": i, "f": f, "g": g, "o": o, "c": c, "h": o * np.tanh(c)}


def grid_lstm(x, w, states, *, depth, tied, prioritized, mask=None, zero_output_for_mask=False, reverse=False):
    """Kalchbrenner et al. (2015): the output, then h and c of time of each layer. With a cell of width 2n, or n."""
    x, w, mask = prepare(x, w, mask, reverse)
    states = [np.array(state, "float64") for state in states]
    units = states[0].shape[1]
    names = [f"{name}_{where}_{k}" for name in "ifgoch" for where in ("time", "depth") for k in range(depth)]
    trace = Trace(["output", *names], states[0])
    for t in range(x.shape[1]):
        start, noted = x[:, t] @ w["kernel"], {}
        h_depth = start[:, :units]
        c_depth = start[:, units:] if start.shape[1] > units else np.zeros_like(h_depth)
        new = [None]
        for layer in range(depth):
            k = 0 if tied else layer
            h_time, c_time = states[1 + 2 * layer : 3 + 2 * layer]
            both = np.concatenate([h_depth, h_time], axis=1)
            matrix = np.concatenate([w[f"time_kernel_{k}"], w[f"time_recurrent_kernel_{k}"]])
            along_time = lstm_block(both @ matrix + w[f"time_bias_{k}"], c_time)
            h_new, c_new = along_time["h"], along_time["c"]
            both = np.concatenate([h_depth, h_new if prioritized else h_time], axis=1)
            matrix = np.concatenate([w[f"depth_kernel_{k}"], w[f"depth_recurrent_kernel_{k}"]])
            along_depth = lstm_block(both @ matrix + w[f"depth_bias_{k}"], c_depth)
            h_depth, c_depth = along_depth["h"], along_depth["c"]
            new += [h_new, c_new]
            for where, found in (("time", along_time), ("depth", along_depth)):
                noted |= {f"{name}_{where}_{layer}": value for name, value in found.items()}
        new[0] = h_depth
        m = mask[:, t, None]
        states = [np.where(m, n, s) for n, s in zip(new, states)]
        trace.add(m, output=h_depth, **noted)
    return trace.result(mask, zero_output_for_mask) | {"states": states}


def depth_gated_lstm(x, w, states, *, depth, project_cell, mask=None, zero_output_for_mask=False, reverse=False):
    """Yao et al. (2015): states are h and c of each layer, the last layer first."""
    x, w, mask = prepare(x, w, mask, reverse)
    states = [np.array(state, "float64") for state in states]
    units = states[0].shape[1]
    gated = range(0 if project_cell else 1, depth)
    names = [f"{name}_{k}" for name in "ifgoch" for k in range(depth)] + [f"d_{k}" for k in gated]
    trace = Trace(["output", *names], states[0])
    for t in range(x.shape[1]):
        read, below, pairs, noted = x[:, t], None, [], {}
        for k in range(depth):
            kernel, recurrent, bias = (w[n if k == 0 else f"{n}_{k}"] for n in ("kernel", "recurrent_kernel", "bias"))
            h, c = states[2 * (depth - 1 - k) : 2 * (depth - k)]
            sums = np.split(read @ kernel + bias, kernel.shape[1] // units, axis=1)
            if k == 0 and project_cell:
                below = sums[5]
            i, f, g, o = (z + u for z, u in zip(sums, np.split(h @ recurrent, 4, axis=1)))
            i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
            c_new = f * c + i * g
            if below is not None:
                d = sigmoid(sums[4] + w[f"depth_cell_{k}"] * c + w[f"depth_below_{k}"] * below)
                c_new = c_new + d * below
                noted[f"d_{k}"] = d
            h_new = o * np.tanh(c_new)
            noted |= {f"{name}_{k}": value for name, value in zip("ifgoch", (i, f, g, o, c_new, h_new))}
            pairs.append([h_new, c_new])
            read, below = h_new, c_new
        m = mask[:, t, None]
        new = [state for pair in reversed(pairs) for state in pair]
        states = [np.where(m, n, s) for n, s in zip(new, states)]
        trace.add(m, output=new[0], **noted)
    return trace.result(mask, zero_output_for_mask) | {"states": states}


def projected_lstm(x, w, states, *, cell_clip, mask=None, zero_output_for_mask=False, reverse=False):
    """Sak et al. (2014): h is a projection of the output; the cell is clipped, and has no peepholes."""
    x, w, mask = prepare(x, w, mask, reverse)
    h, c = (np.array(state, "float64") for state in states)
    trace = Trace(["output", "h"], h, **{name: np.zeros_like(c) for name in "ifgoc"})
    for t in range(x.shape[1]):
        i, f, g, o = np.split(x[:, t] @ w["kernel"] + h @ w["recurrent_kernel"] + w["bias"], 4, axis=1)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        c_new = np.minimum(np.maximum(f * c + i * g, -cell_clip), cell_clip)
        h_new = (o * np.tanh(c_new)) @ w["projection_kernel"]
        m = mask[:, t, None]
        h, c = np.where(m, h_new, h), np.where(m, c_new, c)
        trace.add(m, output=h_new, i=i, f=f, g=g, o=o, c=c_new, h=h_new)
    return trace.result(mask, zero_output_for_mask) | {"states": [h, c]}


def slstm(x, w, states, *, forget_gate, mask=None, zero_output_for_mask=False, reverse=False):
    """Beck et al. (2024), of a state with a normalizer. The traced gates are the stabilized ones."""
    x, w, mask = prepare(x, w, mask, reverse)
    h, c, n, m = (np.array(state, "float64") for state in states)
    trace = Trace(["output", "h", "i", "f", "g", "o", "c"], h)
    for t in range(x.shape[1]):
        i, f, g, o = np.split(x[:, t] @ w["kernel"] + h @ w["recurrent_kernel"] + w["bias"], 4, axis=1)
        log_f = f if forget_gate == "exponential" else np.log(sigmoid(f))
        m_new = np.maximum(log_f + m, i)
        # The equations without the stabilizer, whose c and n are larger by exp(m).
        c_whole = np.exp(log_f) * c * np.exp(m) + np.exp(i) * np.tanh(g)
        n_whole = np.exp(log_f) * n * np.exp(m) + np.exp(i)
        h_new = sigmoid(o) * c_whole / n_whole
        new = h_new, c_whole * np.exp(-m_new), n_whole * np.exp(-m_new), m_new
        gates = dict(i=np.exp(i - m_new), f=np.exp(log_f + m - m_new), g=np.tanh(g), o=sigmoid(o))
        seen = mask[:, t, None]
        h, c, n, m = (np.where(seen, after, before) for after, before in zip(new, (h, c, n, m)))
        trace.add(seen, output=h_new, h=h_new, c=new[1], **gates)
    return trace.result(mask, zero_output_for_mask) | {"states": [h, c, n, m]}


def mogrified(step_of, x, w, states, *, rounds, rank, mask=None, zero_output_for_mask=False, reverse=False):
    """Melis et al. (2020) in front of any recurrence: `step_of(x, w, *states)` runs it over a sequence of one step."""
    x, w, mask = prepare(x, w, mask, reverse)
    states = [np.array(state, "float64") for state in states]
    trace = Trace(["output", "h", *(["i", "f", "g", "o", "c"] if len(states) == 2 else ["z", "r", "n"])], states[0])
    for t in range(x.shape[1]):
        a, h = x[:, t], states[0]
        for k in range(1, rounds + 1):
            q = w[f"mogrifier_{k}"] if rank is None else w[f"mogrifier_{k}_down"] @ w[f"mogrifier_{k}_up"]
            if k % 2 == 1:
                a = 2 * sigmoid(h @ q) * a
            else:
                h = 2 * sigmoid(a @ q) * h
        result = step_of(a[:, None], w, h, *states[1:])
        m = mask[:, t, None]
        new = [result[name] for name in "hc" if name in result]
        states = [np.where(m, n, s) for n, s in zip(new, states)]
        noted = {name: result[name][:, 0] for name in "ifgozrn" if name in result}
        noted |= {"c": result["cs"][:, 0]} if "cs" in result else {}
        trace.add(m, output=new[0], h=new[0], **noted)
    return trace.result(mask, zero_output_for_mask) | {"states": states}


def finite_differences(f, arrays, eps=1e-6):
    """Central differences of the scalar f(arrays) with respect to every entry of each array of the list."""
    arrays = [np.array(array, "float64") for array in arrays]
    gradients = [np.zeros_like(array) for array in arrays]
    for array, gradient in zip(arrays, gradients, strict=True):
        for index in np.ndindex(array.shape):
            value = array[index]
            array[index] = value + eps
            above = float(f(arrays))
            array[index] = value - eps
            below = float(f(arrays))
            array[index] = value
            gradient[index] = (above - below) / (2.0 * eps)
    return gradients


def random_lstm_weights(
    rng,
    features,
    units,
    *,
    peephole="",
    peephole_kind="diagonal",
    coupled=False,
    open_gates="",
    gate_recurrence=False,
    use_bias=True,
    scale=0.5,
    **others,
):
    """Takes the options of lstm; those that change no shape (the activations) are ignored."""
    stored = lstm_gates(coupled, open_gates)
    width = len(stored) * units
    shapes = {"kernel": (features, width), "recurrent_kernel": (units, width)}
    if use_bias:
        shapes["bias"] = (width,)
    for gate in "ifo":
        if gate in peephole and gate in stored:
            shapes["peephole_" + gate] = (units, units) if peephole_kind == "full" else (units,)
    if gate_recurrence:
        shapes["gate_recurrent_kernel"] = (width - units, width - units)
    return random_weights(rng, shapes, scale)


def random_gru_weights(rng, features, units, *, reset_after=True, use_bias=True, scale=0.5):
    shapes = {"kernel": (features, 3 * units), "recurrent_kernel": (units, 3 * units)}
    if use_bias:
        shapes["bias"] = (2, 3 * units) if reset_after else (3 * units,)
    return random_weights(rng, shapes, scale)


def random_simple_rnn_weights(rng, features, units, *, use_bias=True, scale=0.5):
    shapes = {"kernel": (features, units), "recurrent_kernel": (units, units)}
    if use_bias:
        shapes["bias"] = (units,)
    return random_weights(rng, shapes, scale)


def random_weights(rng, shapes, scale):
    return {name: scale * rng.standard_normal(shape) for name, shape in shapes.items()}


def lstm_gates(coupled=False, open_gates=""):
    """The stored gates of an LSTM, in their order."""
    assert set(open_gates) <= set("ifo")
    assert not (coupled and set(open_gates) & set("if")), "a coupled gate cannot be open"
    return [gate for gate in "ifgo" if gate not in open_gates and not (coupled and gate == "i")]


def prepare(x, w, mask, reverse):
    x = np.array(x, "float64")
    w = {name: np.array(value, "float64") for name, value in w.items() if value is not None}
    mask = np.ones(x.shape[:2], bool) if mask is None else np.array(mask, bool)
    if reverse:
        x, mask = x[:, ::-1], mask[:, ::-1]
    return x, w, mask


def split(array, gates, units):
    """The block of columns of each gate."""
    assert array.shape[-1] == len(gates) * units
    return {gate: array[..., k * units : (k + 1) * units] for k, gate in enumerate(gates)}


class Trace:
    """What each step gave: at a masked step, what the last step gave; before the first, zeros or the start given."""

    def __init__(self, names, like, **starts):
        self.last = {name: np.zeros_like(like) for name in names} | starts
        self.steps = {name: [] for name in self.last}

    def add(self, m, **values):
        for name, value in values.items():
            self.last[name] = np.where(m, value, self.last[name])
            self.steps[name].append(self.last[name])

    def result(self, mask, zero_output_for_mask):
        result = {name: np.stack(steps, axis=1) for name, steps in self.steps.items()}
        if zero_output_for_mask:
            result["output"] = np.where(mask[:, :, None], result["output"], 0.0)
        return result
