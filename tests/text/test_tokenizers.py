"""Ids are what Hugging Face says, texts come back, and vocabularies hold what they should."""

import json
import os
import pathlib
import random

import numpy as np
import pytest
import tokenizers
from tokenizers import models, pre_tokenizers, processors, trainers

from keras_rnnlm.text import pipelines
from keras_rnnlm.text.tokenizers import Tokenizer
from keras_rnnlm.training.corpora.opening import open_corpus

DATA = pathlib.Path(os.environ.get("KERAS_RNNLM_DATA", "nowhere"))
has_data = pytest.mark.skipif(not DATA.is_dir(), reason="KERAS_RNNLM_DATA names no folder")
TEXT = "the cat's dog isn't <unk> here\n\nthe dog, 12 été 日本😀\n\tthe  end\n" * 3
SIZES = {"word": None, "char": None, "byte": None, "bpe": 300}

# Letters of all widths, everything that anybody calls white space or a line end, and what must not be special.
PIECES = [
    *"abt's,.!-12é日😀\U0010ffff\u0301\u200b\u200d\ufeff\x00",
    *"\t\n\n\n  \r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u1680",
]
PIECES += [
    *"\u180e\u2000\u2009\u200a\u2028\u2029\u202f\u205f\u3000",
    "<eos>",
    "<unk>",
    "<eos>\n",
    " <eos> \n",
    "'ll",
    "\r\n",
]


def random_texts(number, length, seed=0):
    pick = random.Random(seed)
    return ["".join(pick.choices(PIECES, k=pick.randrange(length))) for _ in range(number)]


@pytest.fixture(scope="module", params=pipelines.KINDS)
def tokenizer(request):
    texts = [TEXT, *random_texts(20, 60, seed=1)]
    return Tokenizer.train(request.param, [text.replace("日", "") for text in texts], SIZES[request.param])


def word(text=TEXT, **options):
    return Tokenizer.train("word", [text], **options)


def tokens(tokenizer, text):
    return [tokenizer.token(id) for id in tokenizer.encode(text)]


# One definition.


def test_any_program_gets_the_same_ids_and_texts_from_the_file(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "tokenizer.json")
    plain = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    for text in random_texts(1500, 40):
        ids = tokenizer.encode(text)
        assert ids.dtype == np.int32
        assert ids.tolist() == plain.encode(text).ids, text
        assert tokenizer.decode(ids) == plain.decode(ids.tolist())


def test_a_text_cut_at_line_ends_has_the_ids_of_the_whole(tokenizer):
    for text in random_texts(500, 60, seed=2):
        pieces = [piece + "\n" for piece in text.split("\n")]
        pieces[-1] = pieces[-1][:-1]
        parts = np.concatenate(tokenizer.encode_batch(pieces))
        np.testing.assert_array_equal(parts, tokenizer.encode(text))


def test_a_saved_tokenizer_is_the_same_tokenizer(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "tokenizer.json")
    loaded = Tokenizer.load(tmp_path / "tokenizer.json")
    for attribute in ("kind", "vocabulary_size", "unknown", "eos", "start", "fingerprint"):
        assert getattr(loaded, attribute) == getattr(tokenizer, attribute), attribute
    assert os.listdir(tmp_path) == ["tokenizer.json"]
    with pytest.raises(OSError, match="missing/tokenizer.json could not be written: there is no such folder"):
        tokenizer.save(tmp_path / "missing" / "tokenizer.json")


def test_training_twice_gives_one_fingerprint_and_another_text_another():
    for kind, size in SIZES.items():
        prints = [Tokenizer.train(kind, [text], size).fingerprint for text in (TEXT, TEXT, TEXT + "zz" * 9)]
        assert prints[0] == prints[1]
        assert prints[0] != prints[2] or kind == "byte"


def test_a_text_in_chunks_gives_the_vocabulary_of_the_whole():
    for kind, size in SIZES.items():
        lines = TEXT.splitlines(keepends=True)
        assert Tokenizer.train(kind, iter(lines), size).fingerprint == Tokenizer.train(kind, TEXT, size).fingerprint


# Text that comes back.


@pytest.mark.parametrize("kind", ["byte", "bpe"])
def test_bytes_and_pairs_of_bytes_give_every_text_back(kind):
    tokenizer = Tokenizer.train(kind, TEXT, SIZES[kind])
    for text in random_texts(300, 40, seed=3):
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_characters_give_the_text_back_but_for_unknown_ones():
    tokenizer = Tokenizer.train("char", TEXT)
    assert tokenizer.decode(tokenizer.encode(TEXT)) == TEXT
    assert tokenizer.decode(tokenizer.encode("the q")) == "the <unk>"


def test_words_come_back_joined_by_single_spaces():
    text = "\n\n the  cat \n\n the\tdog , \n the"
    tokenizer = word(text)
    assert tokenizer.decode(tokenizer.encode(text)) == "\n\nthe cat\n\nthe dog ,\nthe"
    assert tokenizer.decode([]) == ""
    assert tokenizer.decode(tokenizer.encode("\n")) == "\n"


# Words.


def test_a_blank_line_is_one_eos():
    assert tokens(word(), "the\n\n \n\nend\n") == ["the", *["<eos>"] * 4, "end", "<eos>"]


def test_a_text_without_its_last_line_end_has_no_eos():
    assert tokens(word(), "the end") == ["the", "end"]


def test_an_eos_in_the_text_is_the_line_end_that_it_stands_at():
    tokenizer = word()
    assert tokens(tokenizer, "the <eos>\nend <eos> \n<eos>\n") == ["the", "<eos>", "end", "<eos>", "<eos>"]
    assert tokens(tokenizer, "the <eos> end") == ["the", "<eos>", "end"]
    assert tokens(tokenizer, "the<eos> <eos>end\n") == ["<unk>", "<unk>", "<eos>"]


def test_an_unknown_word_and_the_mark_for_it_are_one_symbol():
    tokenizer = word("a <unk> b <unk> <unk>\n")
    assert tokenizer.vocabulary_size == 4 and tokenizer.unknown == 0 and tokenizer.eos == tokenizer.start == 1
    np.testing.assert_array_equal(tokenizer.encode("<unk> zebra a\n"), [0, 0, 2, 1])


def test_words_are_numbered_from_the_most_frequent():
    tokenizer = word("c c c b b a a d\n")
    assert [tokenizer.token(id) for id in range(6)] == ["<unk>", "<eos>", "c", "a", "b", "d"]


@pytest.mark.parametrize("kind", ["word", "char"])
def test_a_vocabulary_of_another_program_keeps_its_ids(kind):
    trained = Tokenizer.train(kind, [TEXT])
    symbols = sorted(trained.symbols(), key=trained.symbols().get)
    assert Tokenizer.of_symbols(kind, symbols).fingerprint == trained.fingerprint
    turned = Tokenizer.of_symbols(kind, symbols[::-1])
    np.testing.assert_array_equal(turned.encode(TEXT), len(symbols) - 1 - trained.encode(TEXT))
    assert turned.is_ours and turned.decode(turned.encode(TEXT)) == trained.decode(trained.encode(TEXT))


@pytest.mark.parametrize(
    "kind, symbols, message",
    [
        ("word", ["a", "<unk>"], "Received: no <eos>"),
        ("word", ["a", "<unk>", "<eos>", "a"], "Received: 'a' twice"),
        ("word", ["a b", "<unk>", "<eos>"], "words without white space. Received: 'a b'"),
        ("char", ["ab", "<unk>"], "single characters. Received: 'ab'"),
        ("bpe", [], "word or char. Received: 'bpe'"),
    ],
)
def test_symbols_that_are_no_vocabulary_are_told(kind, symbols, message):
    with pytest.raises(ValueError, match=message):
        Tokenizer.of_symbols(kind, symbols)


def test_words_are_cut_by_size_and_by_count():
    text = "c c c b b a a d\n"
    assert tokens(word(text, vocabulary_size=4), "a b c d") == ["a", "<unk>", "c", "<unk>"]
    assert tokens(word(text, min_count=2), "a b c d") == ["a", "b", "c", "<unk>"]
    assert tokens(word(text, min_count=3, vocabulary_size=10), "a b c d") == ["<unk>", "<unk>", "c", "<unk>"]


def test_counting_in_bounded_memory_keeps_the_frequent_words(monkeypatch):
    monkeypatch.setattr(pipelines, "TYPES", 100)
    chunks = ["often " * 5 + "then " * 4 + " ".join(f"rare{i}_{j}" for j in range(50)) + "\n" for i in range(40)]
    tokenizer = Tokenizer.train("word", chunks, vocabulary_size=5)
    assert [tokenizer.token(id) for id in (2, 3)] == ["often", "then"]


@has_data
def test_wikitext_2_has_its_published_vocabulary():
    tokenizer = Tokenizer.train("word", open_corpus(DATA / "wikitext-2").splits["train"].chunks())
    assert tokenizer.vocabulary_size == 33_278
    assert tokenizer.token(2) == "the"


# Characters, bytes and pairs of bytes.


@has_data
def test_tinyshakespeare_has_65_characters_and_an_unknown_one():
    tokenizer = Tokenizer.train("char", open_corpus(DATA / "tinyshakespeare/input.txt").splits["train"].chunks())
    assert (tokenizer.vocabulary_size, tokenizer.unknown, tokenizer.eos) == (66, 0, None)
    assert tokenizer.token(tokenizer.start) == "\\n"


def test_characters_are_cut_by_size_and_by_count():
    tokenizer = Tokenizer.train("char", "aaabbbccd", vocabulary_size=3)
    assert tokens(tokenizer, "abcd") == ["a", "b", "<unk>", "<unk>"]
    assert tokens(Tokenizer.train("char", "aaabbbccd", min_count=2), "abcd") == ["a", "b", "c", "<unk>"]
    assert tokenizer.start == 0  # a text without lines starts from the unknown


def test_a_byte_is_its_own_id():
    tokenizer = Tokenizer.train("byte", [])
    assert tokenizer.encode("aé\n\0").tolist() == list("aé\n\0".encode())
    assert (tokenizer.vocabulary_size, tokenizer.unknown, tokenizer.eos, tokenizer.start) == (256, None, None, 10)
    assert tokenizer.decode([0xC3]) == "\ufffd" and tokenizer.token(0xC3) == "\\xc3"


@pytest.mark.parametrize("kind", ["char", "byte", "bpe"])
def test_marks_in_a_text_are_text(kind):
    tokenizer = Tokenizer.train(kind, "<eos> <unk> " * 50, SIZES[kind])
    ids = tokenizer.encode("<eos><unk>")
    assert len(ids) >= 4 and not {tokenizer.eos, tokenizer.unknown} & set(ids.tolist())
    assert tokenizer.decode(ids) == "<eos><unk>"


def test_pairs_of_bytes_merge_and_end_a_document_by_id_only():
    tokenizer = Tokenizer.train("bpe", TEXT, 300)
    assert 257 < tokenizer.vocabulary_size <= 300
    assert (tokenizer.eos, tokenizer.start, tokenizer.unknown) == (0, 0, None)
    assert tokens(tokenizer, "the dog") == ["the", " dog"]
    assert tokenizer.decode([0, *tokenizer.encode("dog"), 0]) == "dog"
    assert tokenizer.token(0) == "<eos>"


def test_what_is_remembered_of_a_text_is_bounded(monkeypatch):
    from keras_rnnlm.text import tokenizers as module

    tokenizer = Tokenizer.train("bpe", TEXT, 300)
    expected = [tokenizer.encode(text) for text in random_texts(30, 60)]
    monkeypatch.setattr(module, "REMEMBERED", 20)
    for text, ids in zip(random_texts(30, 60), expected):
        np.testing.assert_array_equal(tokenizer.encode(text), ids)


def test_a_token_is_shown_in_one_line(tokenizer):
    shown = [tokenizer.token(id) for id in range(tokenizer.vocabulary_size)]
    assert all(text and text.isprintable() for text in shown)
    assert len(set(shown)) == len(shown)


# Other people's tokenizers.


def test_someone_elses_byte_pairs_are_read_without_what_they_add(tmp_path):
    other = tokenizers.Tokenizer(models.BPE(dropout=0.5))
    other.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    other.decoder = tokenizers.decoders.ByteLevel()
    other.train_from_iterator([TEXT], trainers.BpeTrainer(vocab_size=300, special_tokens=["<|endoftext|>"]))
    other.post_processor = processors.TemplateProcessing("<|endoftext|> $A", special_tokens=[("<|endoftext|>", 0)])
    other.enable_truncation(5)
    other.enable_padding(length=8)
    other.save(str(tmp_path / "theirs.json"))
    tokenizer = Tokenizer.load(tmp_path / "theirs.json")
    assert (tokenizer.kind, tokenizer.eos, tokenizer.start, tokenizer.unknown) == ("bpe", 0, 0, None)
    ids = tokenizer.encode("the cat's dog isn't here\n")
    np.testing.assert_array_equal(ids, tokenizer.encode("the cat's dog isn't here\n"))
    assert tokenizer.decode(ids) == "the cat's dog isn't here\n" and ids.min() > 0
    tokenizer.save(tmp_path / "ours.json")
    assert (
        tokenizers.Tokenizer.from_file(str(tmp_path / "ours.json")).encode(TEXT).ids == tokenizer.encode(TEXT).tolist()
    )


def test_someone_elses_word_pieces_and_unigrams_are_read(tmp_path):
    pieces = tokenizers.BertWordPieceTokenizer()
    pieces.train_from_iterator([TEXT], vocab_size=60, min_frequency=1)
    unigrams = tokenizers.SentencePieceUnigramTokenizer()
    unigrams.train_from_iterator([TEXT], vocab_size=60, unk_token="<unk>", special_tokens=["<unk>", "</s>"])
    for other, kind, eos in ((pieces, "wordpiece", "[SEP]"), (unigrams, "unigram", "</s>")):
        other.save(str(tmp_path / "theirs.json"))
        tokenizer = Tokenizer.load(tmp_path / "theirs.json")
        assert tokenizer.kind == kind
        assert tokenizer.eos == other.token_to_id(eos) == tokenizer.start
        assert tokenizer.unknown == other.token_to_id("[UNK]" if kind == "wordpiece" else "<unk>")
        ids = tokenizer.encode("the dog\u0488")
        assert tokenizer.unknown in ids and tokenizer.eos not in ids
        assert tokenizer.decode(tokenizer.encode("the dog")) == "the dog"


def test_a_vocabulary_with_holes_is_as_large_as_its_largest_id(tmp_path):
    other = tokenizers.Tokenizer(models.WordLevel({"a": 0, "b": 7}, unk_token="a"))
    other.save(str(tmp_path / "theirs.json"))
    tokenizer = Tokenizer.load(tmp_path / "theirs.json")
    assert (tokenizer.vocabulary_size, tokenizer.kind, tokenizer.token(3)) == (8, "wordlevel", "<3>")


# Mistakes.


@pytest.mark.parametrize(
    "kind, text, options, message",
    [
        ("words", TEXT, {}, "one of word, char, byte, bpe. Received: 'words'"),
        ("char", "aaaa", {}, "needs two symbols .* consists of 'a' only"),
        ("word", "\n\n\n", {}, "needs two symbols .* nothing that is frequent enough"),
        ("word", TEXT, dict(min_count=100), "needs two symbols .*Received: vocabulary_size=None, min_count=100"),
        ("char", "", {}, "comes from a text, and this one is empty"),
        ("bpe", [], {}, "comes from a text, and this one is empty"),
        ("word", TEXT, dict(vocabulary_size=2), "at least 3 for the kind 'word'. Received: vocabulary_size=2"),
        ("bpe", TEXT, dict(vocabulary_size=256), "at least 257"),
        ("byte", TEXT, dict(vocabulary_size=300), "has 256 symbols"),
        ("word", TEXT, dict(min_count=0), "`min_count` is a whole number, at least 1"),
        ("word", TEXT, dict(vocabulary_size=1e4), "`vocabulary_size` is a whole number"),
    ],
)
def test_a_vocabulary_that_cannot_be_is_told(kind, text, options, message):
    with pytest.raises(ValueError, match=message):
        Tokenizer.train(kind, text, **options)


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b"\xff", b'{"version": "1.0", "model": {"type": "BPE"}}', b'{"model": {"type": "Magic"}}'],
)
def test_a_file_that_is_no_tokenizer_is_told(tmp_path, content):
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(ValueError, match="tokenizer.json is no tokenizer.json that Hugging Face") as caught:
        Tokenizer.load(tmp_path / "tokenizer.json")
    assert "\n" not in str(caught.value)


def test_a_tokenizer_cut_short_is_told(tmp_path):
    path = tmp_path / "tokenizer.json"
    word().save(path)
    path.write_text(path.read_text()[:-20])
    with pytest.raises(ValueError, match="is no tokenizer.json"):
        Tokenizer.load(path)
    word().save(path)
    path.write_text(json.dumps(json.loads(path.read_text()), indent=3))  # only written another way
    assert Tokenizer.load(path).fingerprint == word().fingerprint


def foreign(**parts):
    """The definition of somebody else's tokenizer of two words."""
    model = {"type": "WordLevel", "vocab": {"a": 0, "b": 1}, "unk_token": "a"}
    none = dict.fromkeys(("truncation", "padding", "normalizer", "pre_tokenizer", "post_processor", "decoder"))
    return {"version": "1.0", **none, "added_tokens": [], "model": model, **parts}


@pytest.mark.parametrize(
    "parts",
    [
        {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}},  # a panic
        {"model": {"type": "WordLevel", "vocab": {"a": 0, "b": 2**32 - 1}, "unk_token": "a"}},  # all memory
        {"pre_tokenizer": {"type": "FixedLength", "length": 0}},  # a panic, too
        {"added_tokens": [{"id": -1, "content": "c"}]},
        {"model": None},
    ],
)
def test_a_definition_that_breaks_the_library_is_told_in_a_line(tmp_path, parts, capfd):
    (tmp_path / "tokenizer.json").write_text(json.dumps(foreign(**parts)))
    with pytest.raises(ValueError, match="tokenizer.json is no tokenizer.json that Hugging Face") as caught:
        Tokenizer.load(tmp_path / "tokenizer.json")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_a_panic_of_the_library_at_work_is_told_in_a_line():
    strip = {"type": "Strip", "content": "a", "start": 2**63, "stop": 2**63}
    with pytest.raises(ValueError, match="The library tokenizers failed to decode ids: "):
        Tokenizer(json.dumps(foreign(decoder=strip))).decode([0, 1])
    without = foreign(model={"type": "WordLevel", "vocab": {"a": 0, "\n": 1}, "unk_token": "c"})
    with pytest.raises(ValueError, match="The library tokenizers failed to encode a text: .*Missing"):
        Tokenizer(json.dumps(without)).encode("d")


@pytest.mark.parametrize("ids", [[-1], [0, 99_999], [0.5], ["a"]])
def test_ids_outside_the_vocabulary_are_told(ids):
    with pytest.raises(ValueError, match="Ids are whole numbers from 0 to 1[0-9]. Received"):
        word().decode(ids)


@pytest.mark.parametrize("text", [None, b"bytes", "half of \ud800 a pair"])
def test_what_is_no_text_is_told(tokenizer, text):
    with pytest.raises(ValueError, match="A text to encode (is|has)"):
        tokenizer.encode(text)


def test_what_is_no_text_of_a_tokenizer_json_is_told_with_the_way_to_read_a_file(tmp_path):
    path = tmp_path / "tokenizer.json"
    Tokenizer.train("char", "abc").save(path)
    for given in (path, str(path)):
        with pytest.raises(ValueError, match=r"`Tokenizer.load\(path\)` reads the file. Received: .*tokenizer.json"):
            Tokenizer(given)
    with pytest.raises(ValueError, match="The text of a tokenizer.json is JSON"):
        Tokenizer('{"model"')
