"""The picture of the README, of a run of `keras-rnnlm quickstart`: python docs/pictures/draw_readme.py RUN

Its curves, text that it wrote, and one unit's cell over source code that it never saw: the unit that follows best how
many brackets are open.
"""

import pathlib
import sys
import textwrap

import matplotlib.pyplot as plt
import numpy as np

from keras_rnnlm import diagnostics, training

TEXT = """def read(self, size=-1):
    if not self.readable():
        raise OSError(errno.EBADF, "not open for reading")
    with self._lock:
        data = self._read_unlocked(max(size, 0))
        self._check(len(data), [self.name, (size, self.mode)])
    return data


def close(self):
    for name in sorted(self._files):
        os.remove(os.path.join(self.folder, name))
    self._files.clear()
"""


def open_brackets(pieces):
    depth, found = 0, []
    for piece in pieces:
        depth += sum(piece.count(c) for c in "([{") - sum(piece.count(c) for c in ")]}")
        found.append(depth)
    return found


def draw(run, out):
    trained = training.load_run(run)
    ids = trained.tokenizer.encode(TEXT)
    pieces = [trained.tokenizer.decode([token]) for token in ids]
    cells = diagnostics.activity(trained.model, ids, value="c")
    follows = cells.correlations(open_brackets(pieces))
    unit = int(np.argmax(np.abs(follows)))
    values = cells.values[:, unit] * np.sign(follows[unit])

    figure = plt.figure(figsize=(11, 5.6), dpi=110, layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(1, 1.35))
    axes = figure.add_subplot(grid[0, 0])
    for kind, style in (("train", "-"), ("valid", "o-")):
        lines = [record for record in trained.history if record["kind"] == kind]
        axes.plot(
            [line["tokens"] / 1e3 for line in lines], [line["perplexity"] for line in lines], style, label=kind, ms=4
        )
    axes.set(xlabel="thousands of tokens", ylabel="perplexity", yscale="log", title="it learns")
    axes.legend()

    axes = figure.add_subplot(grid[1, 0])
    written = pathlib.Path(run, "sample.txt").read_text(encoding="utf-8").expandtabs(4)
    lines = [part for line in written.splitlines() for part in textwrap.wrap(line, 46, drop_whitespace=False) or [""]]
    axes.text(0, 1, "\n".join(lines[:14]).replace("$", r"\$"), family="monospace", size=8.5, va="top")
    axes.set(title="it writes")
    axes.axis("off")

    axes = figure.add_subplot(grid[:, 1])
    # Depth of brackets and the unit, over the letters of the text.
    row, column, scale = 0, 0, np.abs(values).max()
    for piece, value in zip(pieces, values):
        for letter in piece:
            if letter == "\n":
                row, column = row + 1, 0
                continue
            colour = plt.cm.RdBu_r(0.5 + 0.24 * value / scale)
            axes.add_patch(plt.Rectangle((column, row - 0.5), 1, 1, color=colour, linewidth=0))
            axes.text(
                column + 0.5, row, letter.replace("$", r"\$"), family="monospace", size=8.5, ha="center", va="center"
            )
            column += 1
    axes.set(
        xlim=(0, 68),
        ylim=(13.5, -1),
        title=f"the cell of unit {unit}: it follows the brackets (correlation {abs(follows[unit]):.2f})",
    )
    axes.axis("off")
    figure.savefig(out)


if __name__ == "__main__":
    draw(sys.argv[1], pathlib.Path(__file__).with_name("readme.png"))
