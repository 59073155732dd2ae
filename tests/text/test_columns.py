"""Sentences in columns, as they come."""

import pytest

from keras_rnnlm.text import Vocabulary
from keras_rnnlm.text.columns import Columns

CONLL_U = """# sent_id = 1
# text = vámonos al
1-2\tvámonos\t_\t_\t_\t_\t_\t_\t_\t_
1\tvamos\tir\tVERB\t_\t_\t0\t_\t_\t_
2\tnos\tnosotros\tPRON\t_\t_\t1\t_\t_\t_
2.1\tnada\t_\tX\t_\t_\t_\t_\t_\t_
3\t#\t#\tSYM\t_\t_\t1\t_\t_\t_
"""


def read(text, tags=True, **columns):
    return list(Columns(**columns).sentences(text.split("\n"), "a.tsv", tags))


def test_words_that_look_like_comments_or_numbers_are_words():
    text = "# sent_id = a\n#\tO\n#tag\tO\n1-2\tO\n\t\n \n# c\n#\nA\tB-x\n# \tO\n"
    assert read(text) == [(["#", "#tag", "1-2"], ["O", "O", "O"]), (["A", "# "], ["B-x", "O"])]
    spaces = "# O\na B-x\n\n# id = 3\n# O\n"
    assert read("a X\n\n" + spaces) == [(["a"], ["X"]), (["#", "a"], ["O", "B-x"]), (["#"], ["O"])]


def test_conll_u_is_read_by_its_own_columns_without_what_is_no_word():
    assert read(CONLL_U) == [(["vamos", "nos", "#"], ["VERB", "PRON", "SYM"])]
    assert read(CONLL_U, word=2, tag=3) == [(["vamos", "nos", "#"], ["ir", "nosotros", "#"])]
    assert read(CONLL_U, word=2) == read(CONLL_U) and read(CONLL_U, word=3)[0][1] == ["VERB", "PRON", "SYM"]
    with pytest.raises(ValueError, match="words and tags are read from the same column, 2: name another one"):
        read("a\tb\n", word=2)


def test_columns_are_chosen_and_without_tags_one_is_enough():
    assert read("The\tDET\tDT\ncat\tNOUN\tNN", tag=3) == [(["The", "cat"], ["DT", "NN"])]
    assert read("The\ncat\r\n\nsat\n", tags=False) == [(["The", "cat"], None), (["sat"], None)]
    assert read("\n\n# only a comment\n") == []
    assert read("-DOCSTART- -X- O\n\na X O\n\n-DOCSTART-\nb Y O\n", tag=3) == [(["a"], ["O"]), (["b"], ["O"])]


@pytest.mark.parametrize(
    "text, columns, message",
    [
        ("a\tX\nb\n", {}, "a.tsv, line 2: 1 column, and the lines before have 2. .*Received: 'b'"),
        ("a\tX\n\nb\tX\tY\n", {}, "a.tsv, line 3: 3 columns, and the lines before have 2"),
        ("a\n", {}, "a.tsv, line 1: 1 column, and tags are read from the column 2. Received: 'a'"),
        ("a\tX\n", {"word": 3}, "2 columns, and words are read from the column 3"),
        ("a\tX\nb\t\n", {}, "a.tsv, line 2: the tag is empty"),
        ("a\tX\n\tX\n", {}, "a.tsv, line 2: the word is empty"),
    ],
)
def test_what_is_misaligned_is_told_with_its_line(text, columns, message):
    with pytest.raises(ValueError, match=message):
        read(text, **columns)


KNOWN = Vocabulary.learn([["Anna", "sees", "Rome", "."]], ["O", "B-PER", "B-LOC"])


@pytest.mark.parametrize("text", ["Zorg visits Plim !\n", "Anna sees Rome .\nBen sees Oslo .\n", "a b\n\nc d\n\n"])
def test_a_sentence_a_line_is_no_file_in_columns(text):
    with pytest.raises(
        ValueError, match="a.txt: [24] columns without tags, .* put one word a line, .* Received: '[ZAa]"
    ):
        Columns().unlabelled(text.split("\n"), "a.txt", KNOWN)


@pytest.mark.parametrize(
    "text",
    [
        "Anna\n\nRome\n",
        "Anna B-PER\n\nRome B-LOC\n",  # sentences of one word
        "Anna NNP I-NP B-PER\nsees VBZ I-VP O\nRome NNP I-NP B-LOC\n",
        "Anna NNP I-NP\nsees VBZ I-VP\n. . O\n",  # the columns before the tags
        "Anna\tsees\n",
    ],
)
def test_words_with_other_columns_are_read_beside_their_tags(text):
    found = Columns().unlabelled(text.split("\n"), "a.txt", KNOWN)
    assert [word for words in found for word in words][0] == "Anna"


def test_each_word_has_the_number_of_its_line():
    text = "# id = 1\nAnna\tB-PER\nsees\tO\n\n\nRome\tB-LOC\n"
    assert [numbers for *_, numbers in Columns().placed(text.split("\n"))] == [[2, 3], [6]]
