"""The kinds of tokenizer in Hugging Face's terms, so that a `tokenizer.json` alone defines every id and every text."""

import collections
import itertools
import math
import re

import numpy as np
import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers

KINDS = ("word", "char", "byte", "bpe")
UNKNOWN, EOS = "<unk>", "<eos>"
BPE_SIZE = 10_000  # where a vocabulary size is not given
TYPES = 1 << 21  # different words that are counted at once, where a vocabulary size is given

# Unicode's White_Space, spelled out: `\s` means something else in Python, Rust, Oniguruma and JavaScript.
WHITESPACE = "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
BLANK = WHITESPACE.replace("\n", "")
# A line end, with the <eos> that some published texts have there already.
LINE_END = rf"(?:(?<![^{WHITESPACE}])<eos>[{BLANK}]*)?\n"
# GPT-2's pieces, but a line end is always a piece of its own: text that is cut at line ends has the ids of the whole.
BLANKS = rf"[{BLANK}]+(?![^{WHITESPACE}])|[{BLANK}]+"
PIECE = rf"'(?:[sdmt]|ll|ve|re)| ?\p{{L}}+| ?\p{{N}}+| ?[^{WHITESPACE}\p{{L}}\p{{N}}]+|\n|{BLANKS}"
# A stretch of text that holds whole pieces.
STRETCH = re.compile(rf" ?[^{WHITESPACE}]+|\n|{BLANKS}")

_NOT_IN_SPLIT = re.compile(rf"[^{WHITESPACE}]+")
_LINE_END = re.compile(LINE_END)


def split_words(text):
    """The words of a text: what stands between Unicode's white space."""
    # Python also splits at these four, which Unicode does not call white space.
    if any(separator in text for separator in "\x1c\x1d\x1e\x1f"):
        return _NOT_IN_SPLIT.findall(text)
    return text.split()


def words_and_line_ends(text):
    """The words of a text, with `<eos>` for every line end."""
    if EOS in text:
        return split_words(_LINE_END.sub(f" {EOS} ", text))
    return split_words(text.replace("\n", f" {EOS} "))


def letter_of_byte():
    """The letter that stands for each byte in byte-level vocabularies, as GPT-2 chose them."""
    shown = {*range(33, 127), *range(161, 173), *range(174, 256)}
    hidden = [byte for byte in range(256) if byte not in shown]
    return [chr(byte) if byte in shown else chr(256 + hidden.index(byte)) for byte in range(256)]


def pipeline(kind, model):
    """A Hugging Face tokenizer of this kind around a model."""
    tokenizer = tokenizers.Tokenizer(model)
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    if kind == "word":
        tokenizer.normalizer = normalizers.Replace(Regex(LINE_END), f" {EOS} ")
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        # Words joined by spaces, <eos> turned into a line end, no space beside a line end or before the first word.
        # Not with decoders.Strip, which panics on an empty text.
        tokenizer.decoder = decoders.Sequence(
            [
                decoders.Replace(Regex(rf"\A{EOS}\z"), "\n"),
                decoders.Replace(Regex(r"\A"), " "),
                decoders.Fuse(),
                decoders.Replace(Regex(r" ?\n ?"), "\n"),
                decoders.Replace(Regex(r"\A "), ""),
            ]
        )
    elif kind == "char":
        tokenizer.decoder = decoders.Fuse()
    elif kind == "byte":
        tokenizer.pre_tokenizer = byte_level
        tokenizer.decoder = decoders.ByteLevel()
    elif kind == "bpe":
        pieces = pre_tokenizers.Split(Regex(PIECE), "isolated")
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pieces, byte_level])
        tokenizer.decoder = decoders.Sequence([decoders.Replace(Regex(rf"\A{EOS}\z"), ""), decoders.ByteLevel()])
    return tokenizer


def train(kind, texts, vocabulary_size, min_count):
    """A Hugging Face tokenizer of this kind whose vocabulary comes from the texts."""
    if kind == "byte":
        letters = letter_of_byte()
        return pipeline(kind, models.BPE({letter: byte for byte, letter in enumerate(letters)}, []))
    if kind == "bpe":
        return _train_bpe(texts, vocabulary_size or BPE_SIZE, min_count)
    counts = _count_words(texts, vocabulary_size) if kind == "word" else _count_characters(texts)
    symbols = [UNKNOWN, EOS] if kind == "word" else [UNKNOWN]
    for symbol in symbols:
        counts.pop(symbol, None)
    kept = sorted((s for s in counts if counts[s] >= min_count), key=lambda s: (-counts[s], s))
    kept = kept[: None if vocabulary_size is None else vocabulary_size - len(symbols)]
    if len(kept) + (kind == "word") < 2:
        what = f"of {kept[0]!r} only" if kept else "of nothing that is frequent enough to be kept"
        raise ValueError(
            f"A {kind} vocabulary needs two symbols to choose between, and this text consists {what}: give more text, "
            f"or keep more of it. Received: vocabulary_size={vocabulary_size}, min_count={min_count}"
        )
    if kind == "char":
        kept.sort()
    return of_symbols(kind, [*symbols, *kept])


def of_symbols(kind, symbols):
    """A Hugging Face tokenizer whose ids are the places of its words or characters."""
    vocabulary = {symbol: id for id, symbol in enumerate(symbols)}
    if kind == "word":
        return pipeline(kind, models.WordLevel(vocabulary, unk_token=UNKNOWN))
    # Byte pair encoding without a pair cuts a text into its characters, faster than a regular expression would.
    return pipeline(kind, models.BPE(vocabulary, [], unk_token=UNKNOWN))


def _count_words(texts, vocabulary_size):
    counts = collections.Counter()
    most = math.inf if vocabulary_size is None else max(TYPES, 8 * vocabulary_size)
    for text in texts:
        counts.update(words_and_line_ends(text))
        if len(counts) > most:
            # The rarest so far are forgotten: memory stays bounded, and the frequent words lose next to nothing.
            for rare in itertools.count(1):
                counts = collections.Counter({word: count for word, count in counts.items() if count > rare})
                if len(counts) <= most // 2:
                    break
    return counts


def _count_characters(texts):
    counts = np.zeros(0x110000, np.int64)
    for text in texts:
        found = np.bincount(code_points(text), minlength=1)
        counts[: len(found)] += found
    return {chr(code): int(counts[code]) for code in np.flatnonzero(counts)}


def code_points(text):
    return np.frombuffer(text.encode("utf-32-le"), np.uint32)


def _train_bpe(texts, vocabulary_size, min_count):
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        min_frequency=min_count,
        special_tokens=[EOS],
        initial_alphabet=letter_of_byte(),
        show_progress=False,
    )
    tokenizer = pipeline("bpe", models.BPE())
    tokenizer.train_from_iterator(texts, trainer)
    # The trainer would have <eos> found in texts; as an entry of the model's vocabulary alone it is written by id only.
    return pipeline("bpe", tokenizer.model)
