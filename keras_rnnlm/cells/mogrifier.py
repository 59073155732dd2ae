"""Mogrifier steps in front of a cell (Melis et al. 2020): input and state gate each other before they meet.

    x = 2 s(h@Q_1) * x;  h = 2 s(x@R_2) * h;  x = 2 s(h@Q_3) * x;  ...

Each round reads what the round before it made. With a rank every matrix is a product of two thin ones.
"""

from keras import ops

from keras_rnnlm.schema import is_count


def check(cell):
    rounds, rank = cell.mogrifier, cell.mogrifier_rank
    if rounds and not cell.takes_mogrifier:
        raise ValueError(
            "A Mogrifier gates the one h of a cell, which must read all of it at every step; "
            f"{type(cell).__name__} is no such cell: drop `mogrifier`. Received: mogrifier={rounds!r}"
        )
    if rounds != 0 and not is_count(rounds):
        raise ValueError(f"`mogrifier` is a number of rounds, 0 for none. Received: mogrifier={rounds!r}")
    if rank is not None and not (is_count(rank) and rounds):
        raise ValueError(
            "`mogrifier_rank` is the width between the two factors of a matrix, for a `mogrifier` of at least 1 round. "
            f"Received: mogrifier_rank={rank!r}, mogrifier={rounds}"
        )


def declare(cell, features):
    """Adds the matrices: those of odd rounds read the state, those of even rounds the input."""
    for k in range(1, cell.mogrifier + 1):
        read, made = (cell.output_size, features) if k % 2 else (features, cell.output_size)
        if cell.mogrifier_rank is None:
            cell.declare(f"mogrifier_{k}", (read, made), "kernel")
        else:
            cell.declare(f"mogrifier_{k}_down", (read, cell.mogrifier_rank), "kernel")
            cell.declare(f"mogrifier_{k}_up", (cell.mogrifier_rank, made), "kernel")


def kernels(w):
    """The matrices that `dot` reads: here the input's own kernel is one of them."""
    return {name: w[name] for name in w if name == "kernel" or name.startswith("mogrifier")}


def in_front(cell, step):
    """The step of inputs that are not projected yet."""

    def product(dot, a, k):
        if cell.mogrifier_rank is None:
            return dot(a, f"mogrifier_{k}")
        return dot(dot(a, f"mogrifier_{k}_down"), f"mogrifier_{k}_up")

    def mogrified(dot, x, states, p):
        h, *others = states
        for k in range(1, cell.mogrifier + 1):
            if k % 2:
                x = 2 * ops.sigmoid(product(dot, h, k)) * x
            else:
                h = 2 * ops.sigmoid(product(dot, x, k)) * h
        z = cell.with_raw(dot(x, "kernel"), x)
        z = z + p["bias_of_x"] if "bias_of_x" in p else z
        return step(dot, z, (h, *others), p)

    return mogrified
