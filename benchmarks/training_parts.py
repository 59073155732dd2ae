"""Where the time of a training step goes, and how much of it its matrix products take as they have to be made.

    python benchmarks/training_parts.py [--sizes 0 1 2] [--dtypes float32 bfloat16] [--rounds 7] [--json]

Each part of the step of `benchmarks/training.py` runs alone, and so do its products: at the rate of the best product of
this machine, and in their own shapes, by TensorFlow over all steps at once, by XLA within a loop. What the latter take
is more than the former, and no step can be faster. All take their turns; figures are medians.
"""

import argparse
import dataclasses
import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from keras_rnnlm import quiet
from keras_rnnlm.training.loop.steps_per_second import LEARNING_RATE, MAX_NORM, SIZES, interleaved, ours, product_rate


def products(size):
    """The products of one step: `(rows, inner, columns, which operand is transposed)`, as often as they are made."""
    n, u, v, k = size.tokens, size.units, size.vocabulary, size.layers
    over_time = [(n, u, 4 * u, None)] + [(u, n, 4 * u, "a")] * 2 + [(n, 4 * u, u, "b")]
    return {
        "loss": [(n, u, v, "b"), (n, v, u, None), (v, n, u, "a")],
        "recurrent layers": over_time * k,
        "loop forward": [(size.batch, u, 4 * u, None)] * size.time * k,
        "loop back": [(size.batch, 4 * u, u, None)] * size.time * k,
    }


def products_over_time(shapes, dtype):
    """All of them, one after the other."""
    import tensorflow as tf

    def normal(rows, columns):
        return tf.cast(tf.random.normal((rows, columns)), dtype)

    operands = {}
    for m, k, n, transposed in set(shapes):
        a, b = (k, m) if transposed == "a" else (m, k), (n, k) if transposed == "b" else (k, n)
        operands[m, k, n, transposed] = normal(*a), normal(*b)

    def run():
        for shape in shapes:
            a, b = operands[shape]
            tf.matmul(a, b, transpose_a=shape[3] == "a", transpose_b=shape[3] == "b")

    return run


def products_in_a_loop(shapes):
    """The same product at every step, compiled, of float32: it is what half precision is multiplied in there, too."""
    import tensorflow as tf

    rows, inner, columns, _ = shapes[0]
    kernel = tf.random.normal((inner, columns)) / inner
    steps = tf.random.normal((len(shapes), rows, inner))

    @tf.function(jit_compile=True)
    def loop(kernel, steps):
        return tf.while_loop(
            lambda t, total: t < len(shapes),
            lambda t, total: (t + 1, total + tf.matmul(steps[t], kernel)),
            (tf.constant(0), tf.zeros((rows, columns))),
        )

    return lambda: loop(kernel, steps)[1].numpy()


def parts(size):
    """The parts of our step, each alone."""
    import numpy as np
    import tensorflow as tf

    keras = quiet.import_keras()
    from keras_rnnlm.models import LanguageModel
    from keras_rnnlm.optimizers import ClippedOptimizer

    model = LanguageModel(size.vocabulary, size.units, size.layers, seed=0, dtype=size.policy)
    optimizer = ClippedOptimizer(keras.optimizers.SGD(LEARNING_RATE), MAX_NORM)
    optimizer.build(model.trainable_variables)
    x = tf.cast(tf.random.normal((size.batch, size.time, size.units)), size.dtype)
    targets = tf.random.uniform((size.batch, size.time), maxval=size.vocabulary, dtype="int32")
    weights = tf.ones((size.batch, size.time)) / size.tokens
    looked_up = tf.IndexedSlices(
        tf.random.normal((size.tokens, size.units)), tf.reshape(targets, (-1,)), (size.vocabulary, size.units)
    )
    other = [tf.random.normal(variable.shape) for variable in model.trainable_variables[1:]]

    @tf.function
    def loss():
        with tf.GradientTape() as tape:
            tape.watch(x)
            total, _ = model.head.total_loss(x, targets, weights)
        return tape.gradient(total, [x, *(weight.value for weight in model.head.trainable_variables)])

    @tf.function
    def layers():
        with tf.GradientTape() as tape:
            tape.watch(x)
            output, _ = model.stack(x, model.initial_states(size.batch))
        return tape.gradient(output, [x, *(weight.value for weight in model.stack.trainable_variables)], x)

    @tf.function
    def update():
        optimizer.apply([looked_up, *other], model.trainable_variables)

    def ended(f):
        return lambda: [np.asarray(tensor[:1]) for tensor in f() or ()]

    return {"loss": ended(loss), "recurrent layers": ended(layers), "update": ended(update)}


def measure(size, rounds):
    shapes = products(size)
    runs = {f"{name}'s products": products_over_time(shapes[name], size.dtype) for name in ("loss", "recurrent layers")}
    runs |= {name: products_in_a_loop(shapes[name]) for name in ("loop forward", "loop back")}
    runs |= parts(size)
    step = ours(size)
    trains = {name: lambda n, run=run: [run() for _ in range(n)] for name, run in runs.items()}
    found = {name: 1e3 * seconds for name, seconds in interleaved({"step": step, **trains}, 5, rounds).items()}
    rate = product_rate(size.dtype)
    best = {name: 1e3 * sum(m * k * n for m, k, n, _ in part) / rate for name, part in shapes.items()}
    return found, best


def table(size, found, best):
    loops = ("loop forward", "loop back")
    rows = [("loss", found["loss"], found["loss's products"], best["loss"])]
    own = found["recurrent layers's products"] + sum(found[name] for name in loops)
    limit = best["recurrent layers"] + sum(best[name] for name in loops)
    rows.append(("recurrent layers", found["recurrent layers"], own, limit))
    rows += [(f"  their products in the {name}", None, found[name], best[name]) for name in loops]
    rows.append(("update", found["update"], 0, 0))
    rest = found["step"] - sum(found[name] for name in ("loss", "recurrent layers", "update"))
    rows.append(("embedding, states, metrics, `fit`", rest, 0, 0))
    whole = ("step", found["step"], *(sum(row[k] for row in rows[:2]) for k in (2, 3)))
    lines = [f"{size}", f"{'ms':<34}{'alone':>8}{'its products':>14}{'at the best rate':>18}"]
    for name, alone, own, limit in [*rows, whole]:
        cells = [f"{value:.1f}" if value or name == "step" else "" for value in (alone or 0, own, limit)]
        lines.append(f"{name:<34}{cells[0]:>8}{cells[1]:>14}{cells[2]:>18}")
    step, products_alone = whole[3] / whole[1], whole[3] / whole[2]
    lines.append(f"the step reaches {step:.0%} of the best rate; its products alone, {products_alone:.0%}")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="*", type=int, default=range(len(SIZES)), help="which sizes, by number")
    parser.add_argument("--dtypes", nargs="*", default=["float32", "bfloat16"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    options = parser.parse_args()
    every = {}
    for dtype in options.dtypes:
        for size in (dataclasses.replace(SIZES[k], dtype=dtype) for k in options.sizes):
            found, best = measure(size, options.rounds)
            every[str(size)] = {"ms": found, "ms at the best rate": best}
            print(table(size, found, best), end="\n\n", flush=True)
    if options.json:
        print(json.dumps(every))


if __name__ == "__main__":
    main()
