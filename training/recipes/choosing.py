"""A recipe for a text, a machine and a number of minutes, where the user names none."""

import collections
import dataclasses
import math
import time

from keras_rnnlm.training.runs.display import in_minutes

MINUTES = 30  # that are taken where the user says nothing
ENOUGH = 1 << 27  # characters: of a longer text no more are counted, since nothing is chosen otherwise
SAMPLE = 1 << 22  # characters whose words are looked at
MARKED = 0.002  # share of words that are <unk> where a text comes with a vocabulary of its own
# A training step takes as long as its products at so much of the machine's best rate, and so many multiply-adds a token
# more for all else. Fitted to runs on one core, from 128 units and 1,024 pieces to 384 and 4,096.
SHARE, BESIDE = 0.6, 550_000

# From the quickest to the best: units, layers.
NETWORKS = ((128, 1), (192, 1), (256, 1), (384, 1), (384, 2), (512, 2), (650, 2))
# Up to so many characters a text has so many pieces of words.
PIECES = ((300_000, 512), (3_000_000, 1024), (30_000_000, 4096), (math.inf, 8192))
BYTES = 256
MANY_WORDS = 10_000  # from here on most of a step would be the output layer's
# Up to so many passes a network of one width for each megabyte is kept by so much dropout from learning the text by
# heart; a larger one as if it read the text as many times more.
WIDTH, MEGABYTE = 256, 1_100_000
DROPOUTS = ((2, 0.0), (6, 0.1), (15, 0.2), (25, 0.3), (math.inf, 0.4))
MOST_PASSES = 40
LIKE_ADAM = ("adam", "adamw", "adamax", "nadam", "rmsprop")  # the optimizers that the rates suit


@dataclasses.dataclass(frozen=True)
class Text:
    """What is chosen by, of a text to learn from.

    Attributes:
        characters: how many there are.
        characters_of_word: in the mean, the space after it included.
        words: how many different ones there are in its first megabytes.
        marked: whether rare words have been replaced by <unk>.
    """

    characters: int
    characters_of_word: float
    words: int
    marked: bool


def look(chunks):
    """The `Text` of chunks of a text.

    >>> look(["to be or <unk> to be\\n"])
    Text(characters=21, characters_of_word=3.5, words=4, marked=True)
    """
    characters, read, words = 0, 0, collections.Counter()
    for chunk in chunks:
        characters += len(chunk)
        if read < SAMPLE:
            words.update(chunk.split())
            read += len(chunk)
        if characters >= ENOUGH:
            break
    count = max(words.total(), 1)
    return Text(characters, read / count, len(words), words["<unk>"] >= MARKED * count and words["<unk>"] > 0)


def machine_rate(seconds=0.5):
    """The most multiply-adds a second that a product of matrices reaches here."""
    import numpy as np

    a = np.random.default_rng(0).normal(size=(1024, 1024)).astype("float32")
    best, begun = math.inf, time.perf_counter()
    while time.perf_counter() - begun < seconds:
        start = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - start)
    return len(a) ** 3 / best


def choose(text, minutes, rate, tokenizer=None, vocabulary_size=None, units=None, layers=None):
    """Settings for a `Text`, so many minutes, and a machine of so many multiply-adds a second: each with its reason.

    What the user has named is taken as it is: the kind of tokenizer, how many symbols it has or of words at most, the
    units and the layers.

    >>> chosen = choose(Text(1_000_000, 5.5, 25_000, False), minutes=10, rate=5e10)
    >>> {name: value for name, (value, reason) in chosen.items() if name in ("tokenizer", "units", "layers")}
    {'tokenizer': 'bpe', 'units': 384, 'layers': 1}
    """
    kind = tokenizer or ("word" if text.marked else "bpe")
    networks, best = _networks(units, layers), None
    for units, layers in networks:
        tokens, size = _tokens(text, kind, units * layers, vocabulary_size)
        passes = minutes * 60 * _tokens_per_second(units, layers, size, rate) / tokens
        if best is None or passes >= _wanted_passes(text, kind, layers):
            best = units, layers, size, min(passes, MOST_PASSES)
    units, layers, size, passes = best
    by_heart = passes * max(1.0, units * layers / WIDTH * min(1.0, MEGABYTE / max(text.characters, 1)))
    dropout = next(share for most, share in DROPOUTS if by_heart <= most)
    chosen = {}
    if tokenizer is None:
        marked = "the text has a vocabulary of words, and <unk> for all others"
        chosen["tokenizer"] = kind, marked if text.marked else "pieces of words, of any text"
    if kind == "bpe":
        chosen["vocabulary_size"] = size, "each stands in the text often, and the network takes most of the time"
    chosen |= {
        "units": (units, f"some {passes:.2g} passes over the text in {in_minutes(minutes)} on this machine"),
        "layers": (layers, "a second costs more passes than it is worth" if layers == 1 else "there is time for them"),
        "cell_options": ({"peephole": True, "coupled": True}, "three matrices in place of four; peepholes cost little"),
        "dropout": (dropout, "what is read often is learnt by heart without it" if dropout else "for so few passes"),
        "batch": (
            16 if passes < 13 else 32,
            "few passes need many updates" if passes < 13 else "there are updates enough",
        ),
        "window": (50, "longer than most sentences"),
        "learning_rate": (4e-3 if units <= 256 else 3e-3, "the wider the network, the lower"),
        "epochs": (MOST_PASSES, "or fewer, as the minutes allow"),
        "max_minutes": (minutes, "the rate falls to zero with them"),
    }
    if size > MANY_WORDS:
        chosen["head"] = "sampled", f"a softmax over {size:,} words would take most of the time"
        chosen["learning_rate"] = 6e-3, "most rows of a large table are seen seldom"
    return chosen


def told(text, minutes, rate, chosen, has_gpu=False):
    """What was chosen and why, in lines."""
    lines = [
        f"no recipe was named: chosen for {text.characters:,} characters, {in_minutes(minutes)}, and this machine's "
        f"{rate / 1e9:.0f} thousand million multiply-adds a second:"
    ]
    if has_gpu:
        lines.append("  (its processor's: a GPU has time for more. See --set units, or a recipe such as awd-lstm)")
    settings = {f"{name}={_shown(value)}": reason for name, (value, reason) in chosen.items()}
    width = max(map(len, settings), default=0)
    return lines + [f"  {setting:<{width}}  {reason}" for setting, reason in settings.items()]


def _shown(value):
    if not isinstance(value, dict):
        return value
    return "{" + ", ".join(f"{name} = {str(inner).lower()}" for name, inner in value.items()) + "}"


def _networks(units, layers):
    """Those to choose from, from the quickest to the best, where the user has named their units or layers."""
    if units is None and layers is None:
        return NETWORKS
    widths = sorted({width for width, _ in NETWORKS}) if units is None else [units]
    depths = sorted({depth for _, depth in NETWORKS}) if layers is None else [layers]
    return [(width, depth) for depth in depths for width in widths]


def _tokens(text, kind, width, size=None):
    """How many tokens the text has, and how many different ones."""
    if kind == "word":
        return max(text.characters / text.characters_of_word, 1), min(text.words, size or text.words)
    if kind in ("char", "byte"):
        return text.characters, BYTES
    # No more pieces than stand in the text often, and so few that the network is most of a step.
    most = next(pieces for most, pieces in PIECES if text.characters <= most)
    pieces = size or min(most, max(PIECES[0][1], 2 ** round(math.log2(8 * width))))
    # English and source code: 2.1 characters a piece of 512, 2.5 of 1024, 3.3 of 4096, 3.7 of 8192.
    return max(text.characters / (2.1 + 0.4 * math.log2(pieces / 512)), 1), pieces


def _wanted_passes(text, kind, layers):
    """How often a network has to read a text before it pays beside a smaller one: the shorter, the oftener."""
    megabytes = max(text.characters, 1) / 1e6
    if kind == "word":  # of which most are seen seldom, however long the text is
        return max(min(8 / megabytes**0.5, 20), 1)
    return min((5.5 if layers == 1 else 9) / megabytes**0.9, MOST_PASSES)


def _tokens_per_second(units, layers, size, rate):
    outputs = size if size <= MANY_WORDS else size / 5  # a sampled softmax, and what is to be done with the table
    multiply_adds = 3 * (layers * 6 * units**2 + units * outputs)  # forward, and twice as many back
    return SHARE * rate / (multiply_adds + BESIDE)
