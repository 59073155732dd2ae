import pytest
import tokenizers

from keras_rnnlm.generation import TextStream

TEXT = "The naïve café costs 3 € — 😀 日本語,  two spaces\nand a line.\n" * 8


def decode_bytes(ids):
    return bytes(ids).decode(errors="replace")


def pieces(stream, ids):
    return [*[stream.feed(token) for token in ids], stream.finish()]


def byte_bpe():
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=270, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(["the the and and costs"], trainer)
    return tokenizer


def words():
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(unk_token="<unk>"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    trainer = tokenizers.trainers.WordLevelTrainer(special_tokens=["<unk>"], show_progress=False)
    tokenizer.train_from_iterator([TEXT], trainer)
    return tokenizer


def metaspace():
    tokenizer = words()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    tokenizer.decoder = tokenizers.decoders.Metaspace()
    tokenizer.train_from_iterator([TEXT], tokenizers.trainers.WordLevelTrainer(special_tokens=["<unk>"]))
    return tokenizer


def test_bytes_wait_for_their_character():
    got = pieces(TextStream(decode_bytes), "né€😀".encode())
    assert got == ["n", "", "é", "", "", "€", "", "", "", "😀", ""]


@pytest.mark.parametrize("make", [byte_bpe, words, metaspace])
def test_the_pieces_join_to_the_decoded_text(make):
    tokenizer = make()
    ids = tokenizer.encode(TEXT).ids
    got = pieces(TextStream(tokenizer.decode), ids)
    assert "".join(got) == tokenizer.decode(ids)
    assert "\ufffd" not in "".join(got) and len([piece for piece in got if piece]) > len(ids) / 3


@pytest.mark.parametrize("make", [byte_bpe, words, metaspace])
@pytest.mark.parametrize("size", [1, 3, 50])
def test_the_first_piece_joins_the_prompt(make, size):
    tokenizer = make()
    ids = tokenizer.encode(TEXT).ids
    prompt, rest = ids[:size], ids[size:]
    assert tokenizer.decode(prompt) + "".join(pieces(TextStream(tokenizer.decode, prompt), rest)) == tokenizer.decode(
        ids
    )


def test_several_ids_at_once_are_one_piece():
    stream = TextStream(decode_bytes)
    assert stream.feed(*"a€"[:2].encode()[:3]) == "a" and stream.feed(*"€".encode()[2:], 98) == "€b"


def test_what_is_no_character_is_held_back_three_ids_at_most():
    got = pieces(TextStream(decode_bytes), [255] * 5 + [65] + [0xE2])
    assert got == ["", "", "", "\ufffd", "\ufffd", "\ufffd\ufffd\ufffdA", "", "\ufffd"]


def test_a_long_text_is_decoded_a_window_at_a_time():
    sizes = []

    def decode(ids):
        sizes.append(len(ids))
        return decode_bytes(ids)

    data = (TEXT * 10).encode()
    assert "".join(pieces(TextStream(decode), data)) == TEXT * 10
    assert max(sizes) < 100
