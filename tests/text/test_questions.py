"""Questions are read from SQuAD's JSON and from objects, and passages cut into sentences."""

import json

import numpy as np
import pytest

from keras_rnnlm.text import WeightedVocabulary
from keras_rnnlm.text.questions import questions, sentences_of


def test_sentences_end_where_the_rule_says():
    passage = ' Mr. A. Lee of the U.S. Army spoke. "Why?" Nobody knew (in 1.5 days).\n\nThen e.g. he left! 50 came'
    found = sentences_of(passage)
    wanted = [
        "Mr. A. Lee of the U.S. Army spoke.",
        '"Why?"',
        "Nobody knew (in 1.5 days).",
        "Then e.g. he left!",
        "50 came",
    ]
    assert [text for _, text in found] == wanted
    assert all(passage[begin:].startswith(text) for begin, text in found)
    assert sentences_of(" \n") == []
    for whole in ("Стоит 5 руб. за штуку.", "Il vient, etc. à Paris.", 'Er kam, o. ä. "über Nacht".'):
        assert sentences_of(whole) == [(0, whole)]
    assert [begin for begin, _ in sentences_of("Он ушёл. Она пришла.\nи всё. 2 дня.")] == [0, 9, 21, 28]


CONTEXT = "Rain fell. The river rose. It rose by two feet."


def test_squad_s_json_and_objects_say_the_same():
    answers = [{"text": "two feet", "answer_start": 38}, {"text": "It", "answer_start": 27}]
    asked = "How far did it rise?"
    paragraph = {"context": CONTEXT, "qas": [{"id": "a", "question": asked, "answers": answers}]}
    squad = json.dumps({"version": "1.1", "data": [{"title": "River", "paragraphs": [paragraph]}]}, indent=1)
    column = {"text": ["two feet"], "answer_start": [38]}
    objects = [
        {"question": f" {asked}", "context": CONTEXT, "answers": column},
        {"question": asked, "sentences": ["Rain fell.", "The river rose.", "It rose by two feet."], "right": 2},
    ]
    for lines in (squad, json.dumps(objects[0]), "\n\n".join(map(json.dumps, objects)), json.dumps(objects)):
        for found in questions(lines.split("\n")):
            assert found[:3] == (asked, ("Rain fell.", "The river rose.", "It rose by two feet."), 2)
    (unanswered,) = questions([json.dumps({"question": asked, "context": CONTEXT, "answers": []})])
    assert unanswered.right is None


@pytest.mark.parametrize(
    "line, message",
    [
        ("a question?", "f, line 1: an object of JSON is .* Received: 'a question\\?'"),
        ('{"text": "a"}', "f, line 1: a question is .* Received: text"),
        ('{"question": "a", "context": " "}', "f, line 1: a question is"),
        ('{"question": "a", "sentences": []}', "`sentences` is a list of texts, one or more. Received: \\[\\]"),
        ('{"question": "a", "sentences": ["b"], "right": 1}', "the right sentence, from 0 to 0. Received: 1"),
        ('{"question": "a", "sentences": [" "], "right": 0}', "the right sentence has no words. Received: ' '"),
        ('{"question": "a", "context": "b", "answers": [{"answer_start": -1}]}', "0 or above. Received: -1"),
        (
            '{"question": "a", "context": "b", "answers": {"answer_start": [9]}}',
            "1 characters. Received: answer_start=9",
        ),
        (
            '{"question": "a", "context": "b", "answers": "c"}',
            "`answer_start` is a whole number, 0 or above. Received: 'c'",
        ),
        ('{"question": "a\\ud800", "sentences": ["b"]}', "this is no text of Unicode"),
        ('{"data": [{"title": "T"}]}', "f, article 'T': in SQuAD's JSON an article has `paragraphs`"),
    ],
)
def test_what_is_no_question_is_told_with_its_place(line, message):
    with pytest.raises(ValueError, match=message):
        list(questions([line], "f"))


def test_a_word_weighs_more_the_rarer_it_is_and_is_marked_where_the_question_has_it(tmp_path):
    vocabulary = WeightedVocabulary.learn([["the", "cat"], ["the", "dog", "dog"], ["the", "cat"]], min_count=2)
    assert (vocabulary.words, vocabulary.counts, vocabulary.texts) == (["the", "cat"], [3, 2], 3)
    vocabulary.save(tmp_path)
    vocabulary = WeightedVocabulary.load(tmp_path)
    weights = vocabulary.weights(["the", "cat", "dog"]).tolist()
    assert weights[0] == 0 < weights[1] < weights[2] == 1
    found = vocabulary.encode([(["mouse", "cat"], [["the", "mouse"], ["dog"]]), (["the"], [["cat"]])])
    assert found["question"].tolist() == [[1, 3], [2, 0]]
    assert found["sentences"].tolist() == [[[2, 1], [1, 0]], [[3, 0], [0, 0]]]
    # Words that the vocabulary lacks are told from each other.
    assert found["sentence_features"][..., 0].tolist() == [[[0, 1], [0, 0]], [[0, 0], [0, 0]]]
    assert found["sentence_features"][0, 0, :, 1].tolist() == [0, 1]
    (alike,) = vocabulary.encode([(["lions", "gives"], [["lion", "given", "givesome", "lions"]])])["sentence_features"]
    assert alike[0, :, 0].tolist() == [0, 0, 0.5, 1]
    assert found["question_features"][1].tolist() == [[1, 0, 1, 1], [0, 0, 0, 0]]
    # Counted once in its sentence, and the rarer in its passage the more.
    passage = [["cats", "cat", "mouse", "cat"], ["mouse"], ["dog"]]
    (found,) = vocabulary.encode([(["mouse", "cat"], passage)])["sentence_features"]
    assert found[0, :, 2].tolist() == [0, 1, 1, 0]
    once, twice = 1 - np.log(2) / np.log(4), 1 - np.log(3) / np.log(4)
    assert found[0, :, 3] == pytest.approx([once, once, twice, once], abs=1e-6)
    with pytest.raises(ValueError, match="is no vocabulary: `counts` are of `words`"):
        (tmp_path / "vocabulary.json").write_text('{"format": 1, "texts": 1, "words": ["a"], "counts": [2]}')
        WeightedVocabulary.load(tmp_path)
