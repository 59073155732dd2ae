"""The arithmetic of `zaremba-small`, beside an implementation of the paper in numpy with a backward pass of its own."""

import types

import numpy as np
import pytest
from keras import ops

from keras_rnnlm.training.evaluation.scorer import Scorer
from keras_rnnlm.training.loop.loop import Loop
from keras_rnnlm.training.recipes.recipe import Recipe
from keras_rnnlm.training.runs.display import Display
from keras_rnnlm.training.runs.run import RunFolder, build_model
from keras_rnnlm.training.streams import Contiguous

BATCH, WINDOW, UNITS, VOCABULARY, EPOCHS, START = 20, 20, 16, 12, 6, 1


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def layer_forward(x, h, c, W, U, b):
    """One layer over a window, time first: its outputs, and what the backward pass needs."""
    kept, outputs = [], []
    for x_t in x:
        z = x_t @ W + h @ U + b
        i, f, g, o = np.split(z, 4, axis=-1)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        new = f * c + i * g
        kept.append((x_t, h, c, i, f, g, o, new))
        c, h = new, o * np.tanh(new)
        outputs.append(h)
    return np.stack(outputs), h, c, kept


def layer_backward(d_outputs, kept, W, U):
    """The gradients of the inputs and of W, U and b. None flows in from beyond the window."""
    dW, dU, db = np.zeros_like(W), np.zeros_like(U), np.zeros(W.shape[1])
    dx, dh, dc = np.zeros((len(kept), *kept[0][0].shape)), 0.0, 0.0
    for t in reversed(range(len(kept))):
        x_t, h, c, i, f, g, o, new = kept[t]
        dh = dh + d_outputs[t]
        dc = dc + dh * o * (1 - np.tanh(new) ** 2)
        do = dh * np.tanh(new)
        dz = [dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g**2), do * o * (1 - o)]
        dz = np.concatenate(dz, axis=-1)
        dW, dU, db = dW + x_t.T @ dz, dU + h.T @ dz, db + dz.sum(axis=0)
        dx[t], dh, dc = dz @ W.T, dz @ U.T, dc * f
    return dx, dW, dU, db


def forward(weights, tokens, targets, states):
    """`-log p` of each target, (time, batch); the states; what the backward pass needs."""
    E, *layers, S, s = weights
    x, new, kept = E[tokens], [], []
    for k in range(len(layers) // 3):
        x, h, c, of_layer = layer_forward(x, *states[2 * k : 2 * k + 2], *layers[3 * k : 3 * k + 3])
        new, kept = [*new, h, c], [*kept, of_layer]
    logits = x @ S.T + s
    logits = logits - logits.max(axis=-1, keepdims=True)
    p = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    losses = -np.log(np.take_along_axis(p, targets[..., None], -1)[..., 0])
    return losses, new, (x, p, kept)


def gradients(weights, tokens, targets, saved):
    """Of the loss summed over time and averaged over the batch."""
    E, *layers, S, s = weights
    x, p, kept = saved
    d_logits = (p - np.eye(VOCABULARY)[targets]) / BATCH
    found = [np.einsum("tbv,tbu->vu", d_logits, x), d_logits.sum(axis=(0, 1))]
    dx = d_logits @ S
    for k in reversed(range(len(layers) // 3)):
        dx, *of_layer = layer_backward(dx, kept[k], *layers[3 * k : 3 * k + 2])
        found = [*of_layer, *found]
    dE = np.zeros_like(E)
    np.add.at(dE, tokens, dx)
    return [dE, *found]


def windows(text):
    """The text in twenty rows, side by side, twenty words at a time; each word is predicted from the one before it."""
    rows = text.reshape(BATCH, -1)
    before = np.concatenate([[START], text[:-1]]).reshape(BATCH, -1)
    for begin in range(0, rows.shape[1], WINDOW):
        yield before[:, begin : begin + WINDOW].T, rows[:, begin : begin + WINDOW].T


def zeros():
    return [np.zeros((BATCH, UNITS)) for _ in range(4)]


def loss_of(weights, text):
    states, losses = zeros(), []
    for tokens, targets in windows(text):
        found, states, _ = forward(weights, tokens, targets, states)
        losses.append(found)
    return np.mean(np.concatenate(losses))


def train(weights, text, valid):
    """What is told of each step and of each epoch, and the weights at the end."""
    steps, epochs = [], []
    for epoch in range(EPOCHS):
        rate = 0.5 ** max(epoch + 1 - 4, 0)
        states = zeros()
        for tokens, targets in windows(text):
            losses, states, saved = forward(weights, tokens, targets, states)
            slopes = gradients(weights, tokens, targets, saved)
            norm = np.sqrt(sum((slope**2).sum() for slope in slopes))
            weights = [w - rate * slope * 5 / max(norm, 5) for w, slope in zip(weights, slopes)]
            steps.append((losses.mean(), norm, rate))
        epochs.append(loss_of(weights, valid))
    return steps, epochs, weights


def test_zaremba_small_is_the_papers_arithmetic(tmp_path):
    words = ["tied=false", f"units={UNITS}", f"epochs={EPOCHS}", "log_every=1"]
    recipe = Recipe.load("zaremba-small").override(words)
    assert (recipe.layers, recipe.batch, recipe.window, recipe.dropout) == (2, BATCH, WINDOW, 0.0)
    draw = np.random.default_rng(0)
    # One word is frequent, so that the first gradients are above the limit and the later ones below it.
    text = np.cumsum(draw.choice([1, 1, 1, 5], BATCH * WINDOW * 4)) % VOCABULARY
    text = np.where(draw.random(len(text)) < 0.6, 0, text).astype(np.int32)
    valid = text[: BATCH * 30]

    model = build_model(recipe, types.SimpleNamespace(vocabulary_size=VOCABULARY))
    names = [model.embedding.embeddings]
    for layer in model.stack.layers:
        names += [layer.cell.kernel, layer.cell.recurrent_kernel, layer.cell.bias]
    names += [model.head.kernel, model.head.bias]
    begun = [np.float64(ops.convert_to_numpy(variable.value)) for variable in names]
    for weights in begun:
        if weights.ndim == 1:  # the forget gates' too
            assert not weights.any()
        else:
            assert np.abs(weights).max() <= 0.1 and weights.std() == pytest.approx(0.1 / np.sqrt(3), rel=0.15)

    steps, epochs, weights = train(begun, text, valid)
    norms = [norm for _, norm, _ in steps]
    assert min(norms) < 5 < max(norms), "the text is to reach both sides of the clipping"

    folder = RunFolder(tmp_path)
    loop = Loop(
        model,
        recipe,
        Contiguous(text, recipe.batch, recipe.window, start=START),
        folder,
        valid=valid,
        scorer=Scorer(model, start=START, batch=recipe.eval_batch, window=recipe.window),
        display=Display(quiet=True),
    )
    loop.run()
    history = folder.read_history()
    found = [(r["loss"], r["gradient_norm"], r["learning_rate"]) for r in history if r["kind"] == "train"]
    np.testing.assert_allclose(found, steps, rtol=1e-4)
    np.testing.assert_allclose([r["loss"] for r in history if r["kind"] == "valid"], epochs, rtol=1e-4)
    for variable, wanted in zip(names, weights):
        np.testing.assert_allclose(ops.convert_to_numpy(variable.value), wanted, atol=1e-4)
