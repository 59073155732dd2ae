"""From text to ids and back: Hugging Face tokenizers, with table look-ups where those give the same ids faster."""

import collections
import contextlib
import hashlib
import itertools
import json
import os

import numpy as np
import tokenizers

from keras_rnnlm import quiet
from keras_rnnlm.schema import TEXT, Optional, Rule, is_a, is_whole, parse_json, read_regular, whole
from keras_rnnlm.text import pipelines
from keras_rnnlm.text.vocabulary import file_of
from keras_rnnlm.whole_files import write_whole

# What other people's vocabularies call the end of a text.
ENDS = ("<eos>", "</s>", "<|endoftext|>", "<|end_of_text|>", "<end_of_turn>", "[EOS]", "[SEP]")
REMEMBERED = 1 << 25  # characters of stretches whose ids are kept at hand
LARGEST = 1 << 28  # bytes of a tokenizer.json
HOLES = 1 << 20  # ids that nothing stands for: the library counts through them all, and can run out of memory


def _is_vocabulary(value):
    """Symbols with their ids, or, of a unigram model, with their scores."""
    if isinstance(value, list):
        return True
    if not isinstance(value, dict) or not all(is_a(id, int) for id in value.values()):
        return False
    return min(value.values(), default=0) >= 0 and max(value.values(), default=0) < len(value) + HOLES


VOCABULARY = Rule("an object of symbols and their ids, from 0 on and without large holes", _is_vocabulary)
SCHEMA = {
    "model": {"type": TEXT, "vocab": Optional(VOCABULARY)},
    "added_tokens": Optional([{"id": whole(0, 2**31 - 1), "content": TEXT}]),
}


@contextlib.contextmanager
def _rust(what):
    """The library raises bare exceptions, and where its authors did not think of something a panic, which is none."""
    try:
        yield
    except BaseException as error:
        if type(error) is not Exception and type(error).__name__ != "PanicException":
            raise
        raise ValueError(f"The library tokenizers failed {what}: {' '.join(str(error).split())[:200]}") from None


class Tokenizer:
    """Text to ids, ids to text.

    The kinds that are trained here: "word" (what stands between white space; every line ends in `<eos>`), "char",
    "byte", and "bpe" (byte-level, `<eos>` ends a document). Text is never special: "<eos>" written in a text means the
    end of a line to the word tokenizer, and five characters to the others.

    Attributes:
        kind: as above, or the model of someone else's tokenizer: "bpe", "wordpiece", "unigram", "wordlevel".
        is_ours: whether it is of a kind that is trained here.
        vocabulary_size: the number of ids.
        unknown: the id of what is not in the vocabulary, or None.
        eos: the id that ends a line ("word") or a document, or None.
        start: the id that a text without a prompt starts from: `eos`, else the line end's, else 0.
        fingerprint: a hash of all that defines the ids.

    >>> tokenizer = Tokenizer.train("word", ["the cat\\nthe dog\\n"])
    >>> tokenizer.encode("the dog\\na cat\\n")
    array([2, 4, 1, 0, 3, 1], dtype=int32)
    >>> tokenizer.decode([2, 4, 1, 0, 3, 1])
    'the dog\\n<unk> cat\\n'
    """

    FILES = ("tokenizer.json",)

    def __init__(self, definition):
        """Args: definition: the text of a tokenizer.json."""
        self._data = data = _parsed(definition)
        # A text that is read in pieces has no beginning, end or length of its own; sampled ids would not be the text's.
        data.update(truncation=None, padding=None, post_processor=None)
        if data["model"].get("dropout"):
            data["model"]["dropout"] = None
        with quiet.standard_error(), _rust("to read it"):
            self._inner = tokenizers.Tokenizer.from_str(json.dumps(data))
            ids = self._inner.get_vocab().values()
            self.vocabulary_size = max(ids, default=-1) + 1
            if self.vocabulary_size < 2:
                raise ValueError("A vocabulary needs two symbols to choose between. Received: one, or none")
            ours = _kind(self._inner)
            self.kind, self.is_ours = ours or data["model"]["type"].lower(), ours is not None
            self.unknown, self.eos = self._unknown(ours), self._eos(ours)
            self.start = self._start()
            self._encode = {
                "word": self._word_encoder,
                "char": self._char_encoder,
                "byte": self._byte_encoder,
                "bpe": self._bpe_encoder,
            }.get(ours, lambda: None)()

    @classmethod
    def train(cls, kind, texts, vocabulary_size=None, min_count=1):
        """A tokenizer with the vocabulary of the texts (any iterable; a corpus's `splits["train"].chunks()`).

        Args:
            kind: "word", "char", "byte" or "bpe".
            texts: strings that are cut, if at all, at line ends.
            vocabulary_size: the most ids it may have, `<unk>` and `<eos>` included: the most frequent symbols stay.
            min_count: symbols that are rarer are left out.
        """
        least = {"word": 3, "char": 3, "byte": 256, "bpe": 257}
        if kind not in least:
            raise ValueError(f"A tokenizer is one of {', '.join(pipelines.KINDS)}. Received: {kind!r}")
        _check_count("min_count", min_count, 1)
        if vocabulary_size is not None:
            _check_count("vocabulary_size", vocabulary_size, least[kind], f" for the kind {kind!r}")
        if kind == "byte" and vocabulary_size not in (None, 256):
            raise ValueError(f"A byte vocabulary has 256 symbols. Received: vocabulary_size={vocabulary_size}")
        texts = [texts] if isinstance(texts, str) else texts
        if kind != "byte":
            texts = filter(None, texts)
            first = next(texts, None)
            if first is None:
                raise ValueError(f"A {kind} vocabulary comes from a text, and this one is empty.")
            texts = itertools.chain([first], texts)
        return cls(pipelines.train(kind, texts, vocabulary_size, min_count).to_str())

    @classmethod
    def of_symbols(cls, kind, symbols):
        """A tokenizer of a vocabulary that another program made: ids are the places of its symbols.

        Args:
            kind: "word" or "char".
            symbols: words or characters, `<unk>` among them, and where they are words, `<eos>`.

        >>> Tokenizer.of_symbols("word", ["<eos>", "dog", "the", "<unk>"]).encode("the dog\\n").tolist()
        [2, 1, 0]
        """
        marks = {"word": [pipelines.UNKNOWN, pipelines.EOS], "char": [pipelines.UNKNOWN]}
        if kind not in marks:
            raise ValueError(f"Symbols are of the kind word or char. Received: {kind!r}")
        symbols = list(symbols)
        wrong = [symbol for symbol in symbols if not _is_symbol(kind, symbol)]
        if wrong:
            what = "words without white space" if kind == "word" else "single characters"
            raise ValueError(f"`symbols` are {what}. Received: {wrong[0]!r}")
        missing = [mark for mark in marks[kind] if mark not in symbols]
        if missing or len(set(symbols)) < len(symbols):
            twice = next((s for s, n in collections.Counter(symbols).items() if n > 1), None)
            raise ValueError(
                f"`symbols` are different, and hold {' and '.join(marks[kind])}: put what is missing at the end. "
                f"Received: {f'{twice!r} twice' if not missing else 'no ' + ' and no '.join(missing)}"
            )
        return cls(pipelines.of_symbols(kind, symbols).to_str())

    @classmethod
    def load(cls, path):
        """The tokenizer of a `tokenizer.json`, ours or anyone's, or of the folder that holds one.

        What someone else's adds around a text (beginning, end, padding) or cuts off is left out, and so is BPE dropout:
        `save` writes it as it is used.
        """
        path = file_of(cls, path)
        definition = read_regular(path, LARGEST)
        try:
            return cls(definition)
        except Exception as error:  # Hugging Face raises a bare Exception
            raise ValueError(
                f"{path} is no tokenizer.json that Hugging Face tokenizers {tokenizers.__version__} can read: "
                f"{' '.join(str(error).split())}"
            ) from error

    def save(self, path):
        """Writes the tokenizer.json, to a path or into a folder."""
        write_whole(file_of(self, path), self.definition.encode())

    @property
    def definition(self):
        """The text of the tokenizer.json."""
        return json.dumps(self._data, ensure_ascii=False, indent=1)

    @property
    def definitions(self):
        """The text of each of `FILES`."""
        return {"tokenizer.json": self.definition}

    @classmethod
    def of(cls, definitions):
        """The tokenizer of the texts of its `FILES`, by name."""
        return cls(definitions["tokenizer.json"])

    def symbols(self):
        """Each symbol and its id: words, characters or single bytes; of the other kinds, as their model spells them."""
        found = self._inner.get_vocab()
        if self.kind == "byte":
            found = {bytes([byte]): found[letter] for byte, letter in enumerate(pipelines.letter_of_byte())}
        return found

    @property
    def fingerprint(self):
        canonical = json.dumps(self._data, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def encode(self, text):
        """The ids of a text, int32."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts):
        """The ids of each text; other people's tokenizers work on them side by side."""
        for text in texts:
            if not isinstance(text, str):
                raise ValueError(f"A text to encode is a string. Received: {text!r}")
            try:
                text.isascii() or text.encode()
            except UnicodeEncodeError as error:
                raise ValueError(f"A text to encode has no halves of surrogate pairs. Received: {error}") from error
        if self._encode is not None:
            return [self._encode(text) for text in texts]
        with _rust("to encode a text"):
            encodings = self._inner.encode_batch_fast(texts, add_special_tokens=False)
        return [np.array(encoding.ids, np.int32) for encoding in encodings]

    def decode(self, ids):
        """The text of ids. Words are joined by single spaces, and a word tokenizer's `<eos>` is a line end."""
        with _rust("to decode ids"):
            return self._inner.decode(self._checked(ids))

    def token(self, id):
        """A readable piece of text for an id, for tables: line ends and other unprintable characters are escaped."""
        piece = self._inner.id_to_token(self._checked([id])[0])
        if piece is None:
            return f"<{id}>"  # someone else's vocabulary may have holes
        if "ByteLevel" in json.dumps(self._data["decoder"]):
            byte_of_letter = {letter: byte for byte, letter in enumerate(pipelines.letter_of_byte())}
            if all(letter in byte_of_letter for letter in piece):
                piece = bytes(byte_of_letter[letter] for letter in piece).decode("utf-8", "backslashreplace")
        return "".join(c if c.isprintable() else _escaped(c) for c in piece)

    def _checked(self, ids):
        ids = np.asarray(ids).reshape(-1)
        if ids.size and (ids.dtype.kind not in "iu" or ids.min() < 0 or ids.max() >= self.vocabulary_size):
            wrong = [id for id in ids.tolist() if not (isinstance(id, int) and 0 <= id < self.vocabulary_size)]
            raise ValueError(f"Ids are whole numbers from 0 to {self.vocabulary_size - 1}. Received: {wrong[:5]}")
        return ids.tolist()

    def _unknown(self, ours):
        token = pipelines.UNKNOWN if ours in ("word", "char") else self._data["model"].get("unk_token")
        if isinstance(self._data["model"].get("unk_id"), int):  # Unigram
            return self._data["model"]["unk_id"]
        return None if token is None else self._inner.token_to_id(token)

    def _eos(self, ours):
        if ours in ("char", "byte"):
            return None
        found = (self._inner.token_to_id(token) for token in ENDS)
        return next((id for id in found if id is not None), None)

    def _start(self):
        if self.eos is not None:
            return self.eos
        ids = self._inner.encode("\n", add_special_tokens=False).ids
        return ids[0] if len(ids) == 1 and ids[0] != self.unknown else 0

    # Each encoder says what the Hugging Face definition says, faster; the tests hold them together.

    def _word_encoder(self):
        ids = _WithDefault(self._inner.get_vocab())
        ids.default = self.unknown

        def encode(text):
            return np.array(list(map(ids.__getitem__, pipelines.words_and_line_ends(text))), np.int32)

        return encode

    def _char_encoder(self):
        vocabulary = {symbol: id for symbol, id in self._inner.get_vocab().items() if len(symbol) == 1}
        table = np.full(0x110000, self.unknown, np.int32)
        for symbol, id in vocabulary.items():
            table[ord(symbol)] = id
        return lambda text: table[pipelines.code_points(text)]

    def _byte_encoder(self):
        table = np.array([self._inner.token_to_id(letter) for letter in pipelines.letter_of_byte()], np.int32)
        return lambda text: table[np.frombuffer(text.encode(), np.uint8)]

    def _bpe_encoder(self):
        # Stretches of text repeat: with their ids at hand, one core does more than two do without.
        line_end = self._inner.token_to_id(pipelines.letter_of_byte()[ord("\n")])
        known, size = {"\n": [line_end]}, 0

        def learn(stretches, known):
            # A line end is always a piece of its own, so that it can stand between stretches and tell them apart.
            parts = [stretches[i::4] for i in range(4)]
            for part, encoding in zip(parts, self._inner.encode_batch_fast(["\n".join(part) for part in parts])):
                known.update(zip(part, _split(encoding.ids, line_end)))

        def encode(text):
            nonlocal known, size
            mine = known  # another thread may begin a new one meanwhile
            stretches = pipelines.STRETCH.findall(text)
            new = list(set(stretches).difference(mine))
            if new:
                learn(new, mine)
            ids = np.array(list(itertools.chain.from_iterable(map(mine.__getitem__, stretches))), np.int32)
            size += sum(map(len, new))
            if size > REMEMBERED:
                known, size = {"\n": [line_end]}, 0
            return ids

        return encode


def _parsed(definition):
    if isinstance(definition, os.PathLike) or isinstance(definition, str) and not definition.lstrip().startswith("{"):
        raise ValueError(
            "A tokenizer is made of the text of a tokenizer.json, and `Tokenizer.load(path)` reads the file. "
            f"Received: {str(definition)[:200]!r}"
        )
    try:
        return parse_json(definition, SCHEMA)
    except (json.JSONDecodeError, TypeError) as error:
        raise ValueError(f"The text of a tokenizer.json is JSON: {error}. Received: {definition[:60]!r}") from error


def _is_symbol(kind, symbol):
    if not isinstance(symbol, str) or kind == "char":
        return isinstance(symbol, str) and (len(symbol) == 1 or symbol == pipelines.UNKNOWN)
    return pipelines.split_words(symbol) == [symbol]


class _WithDefault(dict):
    """Not a defaultdict, which would keep every unknown word."""

    def __missing__(self, key):
        return self.default


def _escaped(character):
    # Not \\x85 for U+0085, which is how the byte is shown.
    return f"\\u{ord(character):04x}" if "\x7f" < character < "\u0100" else ascii(character)[1:-1]


def _split(ids, separator):
    start = 0
    for _ in range(ids.count(separator)):
        end = ids.index(separator, start)
        yield ids[start:end]
        start = end + 1
    yield ids[start:]


def _kind(inner):
    """Which of our kinds a Hugging Face tokenizer is, or None."""
    data = json.loads(inner.to_str())
    model = data["model"]
    for kind in pipelines.KINDS:
        empty = tokenizers.models.WordLevel({}, unk_token="") if kind == "word" else tokenizers.models.BPE()
        ours = json.loads(pipelines.pipeline(kind, empty).to_str())
        if any(data[part] != ours[part] for part in data if part not in ("model", "version")):
            continue
        if model["type"] == ours["model"]["type"] and _model_fits(kind, model):
            return kind
    return None


def _model_fits(kind, model):
    vocabulary, merges, unknown = model["vocab"], model.get("merges"), model.get("unk_token")
    options = ("continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", "byte_fallback", "ignore_merges")
    if any(model.get(option) for option in options):
        return False
    if kind in ("word", "char"):
        needed = {"word": {pipelines.UNKNOWN, pipelines.EOS}, "char": {pipelines.UNKNOWN}}[kind]
        return unknown == pipelines.UNKNOWN and needed <= vocabulary.keys() and not merges
    letters = set(pipelines.letter_of_byte())
    if kind == "byte":
        return unknown is None and letters == vocabulary.keys() and not merges
    return unknown is None and letters | {pipelines.EOS} <= vocabulary.keys()


def _check_count(name, value, least, where=""):
    if not is_whole(value, least):
        raise ValueError(f"`{name}` is a whole number, at least {least}{where}. Received: {name}={value!r}")
