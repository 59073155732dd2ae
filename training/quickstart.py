"""A first run: a peephole LSTM learns to write Python from the standard library's own source, on this machine."""

import math
import pathlib
import sys
import sysconfig
import time


def arguments(parser):
    parser.add_argument("--out", type=pathlib.Path, help="a folder for model.keras and sample.txt (default: none)")
    parser.add_argument("--units", type=int, default=256, help="width of the LSTM (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=600, help="training steps (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights and sampling (default: %(default)s)")


def read_source(folder=None, size=2_000_000):
    """The first `size` characters of the Python files of the standard library, in the order of their names."""
    folder = pathlib.Path(folder or sysconfig.get_paths()["stdlib"])
    texts, total = [], 0
    for path in sorted(folder.glob("*.py")):
        text = path.read_bytes().decode("ascii", errors="ignore")
        texts.append(text)
        total += len(text)
        if total >= size:
            break
    if total < 10_000:
        raise ValueError(f"the folder {folder} holds {total:,} characters of Python source: too few to learn from")
    return "".join(texts)[:size]


def run(options):
    for name in ("units", "steps"):
        if getattr(options, name) <= 0:
            raise ValueError(f"--{name} is a positive number. Received: {getattr(options, name)}")
    text = read_source()  # before the slow imports: what is wrong is said at once

    import keras
    import numpy as np

    from keras_rnnlm import diagnostics, layers, optimizers

    keras.utils.set_random_seed(options.seed)
    letters = sorted(set(text))
    codes = np.searchsorted(letters, list(text)).astype("int32")
    cut = len(codes) * 95 // 100
    train, valid = codes[:cut], codes[cut:]
    batch, window = 32, 64

    lstm = layers.LSTM(options.units, peephole=True, return_sequences=True, return_state=True)
    tokens = keras.Input((None,), dtype="int32")
    hidden, *_ = lstm(keras.layers.Embedding(len(letters), 64)(tokens))
    model = keras.Model(tokens, keras.layers.Dense(len(letters))(hidden))
    model.compile(
        optimizers.ClippedOptimizer(keras.optimizers.Adam(3e-3), max_norm=1.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    say(f"{len(train):,} characters of Python source to learn from, {len(letters)} letters, {len(valid):,} held out")
    say(diagnostics.explain_kernel(lstm))

    class Windows(keras.utils.PyDataset):
        """Windows from random places of the text."""

        def __len__(self):
            return options.steps

        def __getitem__(self, index):
            starts = np.random.default_rng((options.seed, index)).integers(0, len(train) - window - 1, batch)
            rows = np.stack([train[start : start + window + 1] for start in starts])
            return rows[:, :-1], rows[:, 1:]

    began = time.perf_counter()
    history = model.fit(Windows(), epochs=1, verbose=2, callbacks=[optimizers.ClippingReport()])
    seconds = time.perf_counter() - began

    rows = len(valid) // 257
    held_out = valid[: rows * 257].reshape(rows, 257)
    nats = model.evaluate(held_out[:, :-1], held_out[:, 1:], batch_size=32, verbose=0)
    say()
    say(f"held-out text      bits per character  {nats / math.log(2):.3f}")
    say(f"same, by bigrams   bits per character  {bigram_bits(train, valid, len(letters)):.3f}")
    say(f"speed              characters a second {options.steps * batch * window / seconds:,.0f}, compilation included")
    logs = history.history
    say(
        f"gradient           mean norm {logs['gradient_norm'][-1]:.2f}, clipped in {logs['clip_rate'][-1]:.0%} of steps"
    )
    text = sample(model, lstm, letters, "def ", 300, options.seed)
    say(f"\n{text}")
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        model.save(options.out / "model.keras")
        (options.out / "sample.txt").write_text(text)
        say(f"\nsaved {options.out / 'model.keras'} and {options.out / 'sample.txt'}")


def bigram_bits(train, valid, number):
    """Bits per character of `valid` under add-one smoothed pairs of `train`: what counting alone can do."""
    import numpy as np

    counts = np.ones((number, number))
    np.add.at(counts, (train[:-1], train[1:]), 1)
    log = np.log2(counts / counts.sum(axis=1, keepdims=True))
    return -float(log[valid[:-1], valid[1:]].mean())


def sample(model, lstm, letters, prompt, length, seed):
    """Text drawn letter by letter, the states carried along."""
    import keras
    import numpy as np

    embedding, dense = model.layers[1], model.layers[-1]
    random, states, out = np.random.default_rng(seed), None, list(prompt)
    read = [letters.index(letter) for letter in prompt]
    for _ in range(length):
        hidden, *states = lstm(embedding(np.array([read], "int32")), initial_state=states)
        logits = keras.ops.convert_to_numpy(dense(hidden[:, -1]))[0] / 0.7
        odds = np.exp(logits - logits.max())
        read = [int(random.choice(len(letters), p=odds / odds.sum()))]
        out.append(letters[read[0]])
    return "".join(out)


def say(words=""):
    print(words, file=sys.stdout, flush=True)
