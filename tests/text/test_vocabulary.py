"""Words, characters and labels by number."""

import json

import numpy as np
import pytest

from keras_rnnlm.text import Vocabulary

TEXTS = [["The", "cat", "sat"], ["the", "Cat"], ["a", "the"]]


@pytest.fixture
def vocabulary():
    return Vocabulary.learn(TEXTS, ["V", "N", "D"], lower=True, min_count=2, longest_word=2)


def test_words_that_are_rare_or_new_are_unknown_and_nothing_is_padding(vocabulary):
    assert (vocabulary.words, vocabulary.labels) == (["the", "cat"], ["D", "N", "V"])
    assert vocabulary.word_ids(["THE", "cat", "sat", "dog", ""]).tolist() == [2, 3, 1, 1, 1]
    assert vocabulary.label_ids(["V", "D", "X"]).tolist() == [2, 0, -1]
    assert vocabulary.sizes == {"words": 4, "characters": 2 + len(vocabulary.characters), "labels": 3}


def test_characters_are_as_written_and_those_that_come_once_are_unknown(vocabulary):
    assert set(vocabulary.characters) == set("tahe")  # c, C, T and s come once
    (the, cat), ids = vocabulary.character_ids(["The", "a"]), vocabulary.characters.index
    assert the.tolist() == [1, 2 + ids("h")]  # of three, the first two
    assert cat.tolist() == [2 + ids("a"), 0]


def test_texts_side_by_side_are_padded_to_the_longest(vocabulary):
    found = vocabulary.encode([["the", "cat", "dog"], [], ["cat"]])
    assert found["words"].tolist() == [[2, 3, 1], [0, 0, 0], [3, 0, 0]]
    assert found["characters"].shape == (3, 3, 2)
    np.testing.assert_array_equal(found["characters"][0], vocabulary.character_ids(["the", "cat", "dog"]))
    assert not found["characters"][1].any() and not found["characters"][2, 1:].any()
    assert (vocabulary.encode([])["words"].shape, vocabulary.encode([[]])["words"].shape) == ((0, 0), (1, 0))


def test_only_the_most_frequent_words_stay_where_a_size_is_given():
    assert Vocabulary.learn(TEXTS, [], vocabulary_size=3).words == ["the"]


def test_what_is_saved_is_the_same_and_known_by_its_fingerprint(vocabulary, tmp_path):
    vocabulary.save(tmp_path)
    loaded = Vocabulary.load(tmp_path)
    assert json.loads((tmp_path / "vocabulary.json").read_text())["lower"] is True
    assert loaded.fingerprint == Vocabulary.load(tmp_path / "vocabulary.json").fingerprint == vocabulary.fingerprint
    assert (
        Vocabulary.of(loaded.definitions).encode(TEXTS)["words"].tolist() == vocabulary.encode(TEXTS)["words"].tolist()
    )
    assert Vocabulary.learn(TEXTS, ["N"]).fingerprint != Vocabulary.learn(TEXTS, ["V"]).fingerprint
    second = loaded.of_column(2)
    assert Vocabulary.of(second.definitions).word_column == 2 and second.words == loaded.words
    assert second.of_column(None).definition == loaded.definition


@pytest.mark.parametrize(
    "damage, message",
    [
        ("", "Expecting value"),
        ("[]", "an object"),
        ('{"format": 2}', "`format` is a whole number, from 1 to 1"),
        ({"words": ["a", "a"]}, "`words` are each there once"),
        ({"labels": [3]}, r"`labels\[0\]` is a text"),
    ],
)
def test_a_file_that_holds_none_is_told_in_a_line(vocabulary, damage, message, tmp_path):
    written = damage if isinstance(damage, str) else json.dumps(json.loads(vocabulary.definition) | damage)
    (tmp_path / "vocabulary.json").write_text(written)
    with pytest.raises(ValueError, match=f"vocabulary.json is no vocabulary: .*{message}") as caught:
        Vocabulary.load(tmp_path)
    assert "\n" not in str(caught.value)
