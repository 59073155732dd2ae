"""Makes what one version wrote, for every later version to read: models, a run and its exports.

    git worktree add ../old VERSION && cd ../old && pip install -e . && python ../keras_rnnlm/tests/golden/make.py 0.1.0

leaves 0.1.0.tar.xz beside this file. It uses what version 0.1.0 had, so that any version can run it.
"""

import json
import pathlib
import random
import subprocess
import sys
import tarfile
import tempfile

import keras
import numpy as np

from keras_rnnlm import layers, models
from keras_rnnlm.optimizers import ClippedOptimizer

VOCABULARY = 20
MODELS = {
    "lstm": dict(cell_options={"peephole": True, "coupled": True}, connection="residual", tied=True),
    "gru": dict(cell="gru", cell_options={"zoneout": 0.1}),
    "grid_lstm": dict(cell="grid_lstm", layers=1),
    "depth_gated_lstm": dict(cell="depth_gated_lstm", layers=1),
    "gate_recurrence": dict(cell_options={"peephole": "io", "peephole_kind": "full", "gate_recurrence": True}),
    "mogrifier": dict(cell_options={"mogrifier": 2, "layer_norm": True, "learned_initial_state": True}),
}
WORDS = "a gate opens and a cell keeps what it read while another forgets the rest of it slowly".split()
RUN = "tokenizer=char units=6 layers=1 batch=4 window=12 epochs=2 tied=false cell_options={peephole=true}".split()


def random_states(model, batch):
    shapes = [tuple(state.shape) for state in model.initial_states(batch)]
    return [0.3 * np.cos(np.arange(np.prod(shape))).reshape(shape).astype("float32") for shape in shapes]


def rounded(tensor):
    return np.asarray(tensor).round(6).tolist()


def make(folder, version):
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, VOCABULARY, (2, 6)).astype("int32")
    expected = {"version": version, "tokens": tokens.tolist()}
    for name, options in MODELS.items():
        model = models.LanguageModel(VOCABULARY, units=5, seed=1, **options)
        for weight in model.weights:
            weight.assign(weight + 0.2 * rng.normal(size=weight.shape).astype("float32"))
        model.compile(ClippedOptimizer(keras.optimizers.Adam(1e-2), max_norm=1.0))
        model.fit(tokens[:, :-1], tokens[:, 1:], verbose=0)
        model.save(folder / f"{name}.keras")
        logits, after = model(tokens, states=random_states(model, len(tokens)), return_states=True)
        expected[name] = {"logits": rounded(logits), "states_after": list(map(rounded, after))}
    words = keras.Input((None,), dtype="int32", name="words")
    x = keras.layers.Embedding(VOCABULARY, 4, mask_zero=True)(words)
    x = keras.layers.Bidirectional(layers.LSTM(4, peephole=True, return_sequences=True))(x)
    tagger = keras.Model(words, keras.layers.Dense(3)(x))
    for weight in tagger.weights:
        weight.assign(weight + 0.2 * rng.normal(size=weight.shape).astype("float32"))
    tagger.save(folder / "tagger.keras")
    tokens[1, 4:] = 0
    expected["tagger"] = {"words": tokens.tolist(), "outputs": rounded(tagger(tokens))}
    (folder / "expected.json").write_text(json.dumps(expected))

    draw = random.Random(0)
    lines = (" ".join(draw.choices(WORDS, k=draw.randint(3, 9))) for _ in range(60))
    (folder / "text.txt").write_text("".join(f"{line}\n" for line in lines))
    settings = [word for setting in RUN for word in ("--set", setting)]
    command = [sys.executable, "-m", "keras_rnnlm"]
    subprocess.run([*command, "train", "text.txt", "--out", "run", *settings], cwd=folder, check=True)
    subprocess.run([*command, "export", "run", "--out", "exported"], cwd=folder, check=True)


if __name__ == "__main__":
    archive = pathlib.Path(__file__).parent.absolute() / f"{sys.argv[1]}.tar.xz"
    with tempfile.TemporaryDirectory() as folder:
        make(pathlib.Path(folder), sys.argv[1])
        with tarfile.open(archive, "w:xz", preset=9) as tar:
            for path in sorted(pathlib.Path(folder).iterdir()):
                tar.add(path, path.name)
