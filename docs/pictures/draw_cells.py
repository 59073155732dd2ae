"""Draws the data flow of each cell, as SVG beside this file: `python docs/pictures/draw_cells.py`.

A picture is a dict of nodes, each (column, row, kind, label, what it reads), and a list of arrows, each (from, to),
with "dashed" or bends, (column, row), behind.
"""

import html
import math
import pathlib

STEP_X, STEP_Y, MARGIN = 92, 74, 46
COLOURS = {"gate": "#cfe3ff", "made": "#ffe2c4", "op": "#ffffff", "state": "none", "block": "#e4f2e0"}


def place(point):
    return MARGIN + point[0] * STEP_X, MARGIN + point[1] * STEP_Y


def size(kind):
    return {"op": (15, 15), "state": (30, 15), "block": (62, 22)}.get(kind, (30, 18))


def edge_of(node, towards):
    """Where a line from a node's middle leaves it."""
    (x, y), (w, h) = place(node), size(node[2])
    dx, dy = towards[0] - x, towards[1] - y
    if node[2] == "op":
        scale = w / math.hypot(dx, dy)
    else:
        scale = min(w / abs(dx) if dx else math.inf, h / abs(dy) if dy else math.inf)
    return x + dx * scale, y + dy * scale


def arrow(nodes, start, end, *rest):
    bends = [place(bend) for bend in rest if not isinstance(bend, str)]
    first, last = nodes[start], nodes[end]
    path = [edge_of(first, (bends or [place(last)])[0]), *bends, edge_of(last, (bends or [place(first)])[-1])]
    points = " ".join(f"{x:.0f},{y:.0f}" for x, y in path)
    dashes = ' stroke-dasharray="4 3"' if "dashed" in rest else ""
    return f'<polyline points="{points}" class="line"{dashes} marker-end="url(#head)"/>'


def shape(node):
    kind, label, reads = node[2], node[3], node[4] if len(node) > 4 else ""
    (x, y), (w, h) = place(node), size(kind)
    parts = []
    if kind == "op":
        parts.append(f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{w}" fill="{COLOURS[kind]}" class="edge"/>')
    elif kind != "state":
        box = f'x="{x - w:.0f}" y="{y - h:.0f}" width="{2 * w}" height="{2 * h}" rx="6"'
        parts.append(f'<rect {box} fill="{COLOURS[kind]}" class="edge"/>')
    weight = ' class="state"' if kind == "state" else ""
    parts.append(f'<text x="{x:.0f}" y="{y + 5:.0f}"{weight}>{html.escape(label)}</text>')
    if reads:
        parts.append(f'<text x="{x:.0f}" y="{y + h + 15:.0f}" class="reads">{html.escape(reads)}</text>')
    return "".join(parts)


def svg(title, nodes, arrows):
    width = 2 * MARGIN + STEP_X * max(node[0] for node in nodes.values())
    height = 2 * MARGIN + STEP_Y * max(node[1] for node in nodes.values())
    style = (
        "text{font:14px sans-serif;text-anchor:middle;fill:#222}.state{font-weight:bold}"
        ".reads{font-size:11px;fill:#555}.edge{stroke:#444}.line{fill:none;stroke:#444;stroke-width:1.3}"
    )
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img">',
        f"<title>{html.escape(title)}</title><style>{style}</style>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z" fill="#444"/></marker></defs>',
        f'<rect width="{width:.0f}" height="{height:.0f}" rx="10" fill="#fafafa"/>',
        *(arrow(nodes, *each) for each in arrows),
        *map(shape, nodes.values()),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def lstm():
    nodes = {
        "c": (0, 0, "state", "c"),
        "keep": (1.5, 0, "op", "×"),
        "add": (3.2, 0, "op", "+"),
        "new": (6.4, 0, "state", "c′"),
        "f": (1.5, 2, "gate", "f", "x, h, c"),
        "i": (2.6, 2, "gate", "i", "x, h, c"),
        "g": (3.8, 2, "made", "g", "x, h"),
        "write": (3.2, 1, "op", "×"),
        "o": (4.9, 2, "gate", "o", "x, h, c′"),
        "squash": (4.9, 0.9, "made", "tanh"),
        "show": (5.7, 1.4, "op", "×"),
        "h": (6.4, 1.4, "state", "h′"),
    }
    arrows = [("c", "keep"), ("keep", "add"), ("add", "new"), ("f", "keep"), ("i", "write"), ("g", "write")]
    arrows += [("write", "add"), ("add", "squash"), ("squash", "show"), ("o", "show"), ("show", "h")]
    arrows += [("c", "f", "dashed"), ("c", "i", "dashed"), ("add", "o", "dashed", (4.2, 0.9))]
    return "An LSTM; dashed lines are its peepholes", nodes, arrows


def gated(title, z, r, n):
    """A GRU, or one of its relatives, by what its gates read."""
    nodes = {
        "h": (0, 0, "state", "h"),
        "keep": (2.4, 0, "op", "×"),
        "add": (4.8, 0, "op", "+"),
        "new": (6.2, 0, "state", "h′"),
        "r": (1.2, 2, "gate", "r", r),
        "reset": (1.2, 1, "op", "×"),
        "z": (2.9, 2, "gate", "z", z),
        "not": (3.6, 0.95, "made", "1−z"),
        "n": (4.8, 2, "made", "n", n),
        "write": (4.8, 1, "op", "×"),
    }
    arrows = [("h", "keep"), ("keep", "add"), ("add", "new"), ("h", "reset"), ("r", "reset"), ("z", "not")]
    arrows += [("z", "keep"), ("not", "write"), ("n", "write"), ("write", "add"), ("reset", "n", (2, 1.4), (3.9, 1.4))]
    return title, nodes, arrows


def mutation(title, z, r, n):
    title, nodes, arrows = gated(title, z, r, n)
    nodes["not"], nodes["keep"] = (3.6, 0.95, "op", "z"), (2.4, 0, "op", "×")
    nodes["minus"] = (2.4, 1, "made", "1−z")
    del nodes["not"]
    arrows = [each for each in arrows if "not" not in each and each != ("z", "keep")]
    return title, nodes, [*arrows, ("z", "minus"), ("minus", "keep"), ("z", "write")]


def simple_rnn():
    nodes = {
        "h": (0, 0, "state", "h"),
        "x": (0, 1, "state", "x"),
        "u": (1.2, 0, "block", "h @ U"),
        "w": (1.2, 1, "block", "x @ W"),
        "add": (2.6, 0.5, "op", "+"),
        "tanh": (3.6, 0.5, "made", "tanh"),
        "new": (4.8, 0.5, "state", "h′"),
    }
    arrows = [("h", "u"), ("x", "w"), ("u", "add"), ("w", "add"), ("add", "tanh"), ("tanh", "new")]
    return "A plain recurrent network", nodes, arrows


def minimal_gated_unit():
    nodes = {
        "h": (0, 0, "state", "h"),
        "keep": (2.2, 0, "op", "×"),
        "add": (4.4, 0, "op", "+"),
        "new": (5.8, 0, "state", "h′"),
        "f": (2.2, 2, "gate", "f", "x, h"),
        "not": (2.2, 1, "made", "1−f"),
        "reset": (0.9, 1, "op", "×"),
        "n": (4.4, 2, "made", "n", "x, f·h"),
        "write": (4.4, 1, "op", "×"),
    }
    arrows = [("h", "keep"), ("keep", "add"), ("add", "new"), ("f", "not"), ("not", "keep"), ("h", "reset")]
    arrows += [("f", "reset"), ("reset", "n", (1.5, 1.4), (3.6, 1.4)), ("n", "write"), ("f", "write"), ("write", "add")]
    return "A minimal gated unit", nodes, arrows


def clockwork():
    nodes = {f"t{period}": (0.6 + k * 1.7, 0.5, "block", f"T = {period}") for k, period in enumerate((1, 2, 4, 8))}
    nodes |= {"x": (3.1, 1.7, "state", "x"), "h": (7.0, 0.5, "state", "h′")}
    arrows = [("x", name) for name in ("t1", "t2", "t4", "t8")]
    arrows += [("t2", "t1"), ("t4", "t2"), ("t8", "t4"), ("t4", "t1", (2.3, -0.1)), ("t8", "t2", (4.0, -0.1))]
    return "A clockwork network: links run from slow groups to fast ones", nodes, arrows + [("t8", "h")]


def depth_gated_lstm():
    nodes = {
        "x": (0, 2, "state", "x"),
        "below": (1.6, 2, "block", "LSTM 0"),
        "h0": (3.2, 2, "state", "h₀′"),
        "c0": (2.4, 1.1, "state", "c₀′"),
        "d": (3.6, 1.1, "gate", "d", "x, c, c₀′"),
        "times": (3.0, 0.35, "op", "×"),
        "keep": (1.4, 0.35, "op", "f·c"),
        "write": (0.4, 0.35, "op", "i·g"),
        "add": (2.2, 0.35, "op", "+"),
        "c1": (2.2, -0.4, "state", "c₁′"),
    }
    nodes = {name: (node[0], node[1] + 0.4, *node[2:]) for name, node in nodes.items()}
    arrows = [("x", "below"), ("below", "h0"), ("below", "c0"), ("c0", "d"), ("c0", "times"), ("d", "times")]
    arrows += [("times", "add"), ("keep", "add"), ("write", "add", (0.4, 1.25), (1.8, 1.25)), ("add", "c1")]
    return "A depth-gated LSTM: a gate lets the new cell of the layer below in", nodes, arrows


def grid_lstm():
    nodes = {
        "t": (0.2, 0, "state", "hT, cT"),
        "time": (1.8, 0, "block", "LSTM, time"),
        "t2": (4.4, 0, "state", "hT′, cT′"),
        "d": (0.2, 1.2, "state", "hD, cD"),
        "depth": (3.0, 1.2, "block", "LSTM, depth"),
        "d2": (5.2, 1.2, "state", "hD′, cD′"),
    }
    arrows = [("t", "time"), ("time", "t2"), ("d", "time"), ("d", "depth"), ("depth", "d2"), ("time", "depth")]
    return "A layer of a grid LSTM: depth reads what time has just made", nodes, arrows


def slstm():
    title, nodes, arrows = lstm()
    reads = {"f": "x, h, m", "i": "x, h, m", "o": "x, h"}
    nodes = {name: (*node[:4], reads.get(name, node[4])) if len(node) > 4 else node for name, node in nodes.items()}
    nodes["squash"] = (4.9, 0.9, "op", "÷")
    nodes["n"] = (6.4, 0.7, "state", "n′")
    arrows = [each for each in arrows if "dashed" not in each]
    return (
        "An sLSTM: what is shown is c′ divided by n′, which counts what was written",
        nodes,
        [*arrows, ("n", "squash")],
    )


def attention_decoder():
    nodes = {
        "x": (0, 1, "state", "x"),
        "y": (0, 0, "state", "y"),
        "cells": (1.6, 0.5, "block", "cells"),
        "score": (3.3, 0.5, "gate", "a", "h, keys"),
        "encoded": (3.3, 1.6, "state", "e"),
        "c": (4.5, 1.0, "op", "c"),
        "combine": (5.9, 0.5, "made", "tanh", "c, h"),
        "new": (7.2, 0.5, "state", "y′"),
    }
    arrows = [("x", "cells"), ("y", "cells"), ("cells", "score"), ("score", "c"), ("encoded", "c"), ("c", "combine")]
    arrows += [("cells", "combine", (2.4, -0.1), (5.1, -0.1)), ("combine", "new")]
    return "A decoder with attention, which is fed its last output", nodes, arrows


PICTURES = {
    "lstm": lstm(),
    "gru": gated("A gated recurrent unit", z="x, h", r="x, h", n="x, r·h"),
    "simple-rnn": simple_rnn(),
    "minimal-gated-unit": minimal_gated_unit(),
    "mut1": mutation("MUT1", z="x", r="x, h", n="tanh x, r·h"),
    "mut2": mutation("MUT2", z="x, h", r="x as it is, h", n="x, r·h"),
    "mut3": mutation("MUT3", z="x, tanh h", r="x, h", n="x, r·h"),
    "clockwork-rnn": clockwork(),
    "depth-gated-lstm": depth_gated_lstm(),
    "grid-lstm": grid_lstm(),
    "slstm": slstm(),
    "attention-decoder": attention_decoder(),
}

if __name__ == "__main__":
    for name, picture in PICTURES.items():
        pathlib.Path(__file__).with_name(f"{name}.svg").write_text(svg(*picture), encoding="utf-8")
