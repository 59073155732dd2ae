"""n-grams, against the equations of Chen & Goodman (1998) with dictionaries, and against KenLM's figures."""

import os
import pathlib
from collections import Counter, defaultdict

import numpy as np
import pytest

from benchmarks.ngram import KENLM, measure, read_wikitext
from keras_rnnlm.training.evaluation.ngram import FALLBACK, NGram

DATA = pathlib.Path(os.environ.get("KERAS_RNNLM_DATA", "absent")) / "wikitext-2"
EOS = 0


def reference(sentences, order, size):
    """The discounts of each order, and p(word, history), from sentences of numbers that each follow an "<s>"."""
    tables, discounts = [], []
    for n in range(1, order + 1):
        occurrences, before = Counter(), defaultdict(set)
        for sentence in sentences:
            sentence = ("<s>", *sentence)
            for last in range(max(1, n - 1), len(sentence)):
                first = last - n + 1
                gram = sentence[first : last + 1]
                occurrences[gram] += 1
                before[gram].add(sentence[first - 1] if first > 0 else None)
        table = defaultdict(dict)
        numbers = Counter()
        for gram, count in occurrences.items():
            if n < order and gram[0] != "<s>":
                count = len(before[gram])
            table[gram[:-1]][gram[-1]] = count
            numbers[count] += 1
        tables.append(table)
        n1, n2, n3, n4 = (numbers[count] for count in (1, 2, 3, 4))
        d = FALLBACK
        if n1 and n2 and n3:
            y = n1 / (n1 + 2 * n2)
            d = 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3
        discounts.append(d if min(d) > 0 else FALLBACK)

    def p(word, history):
        history = history[max(0, len(history) - order + 1) :]
        lower = p(word, history[1:]) if history else 1 / size
        following = tables[len(history)].get(history)
        if following is None:
            return lower
        d = dict(enumerate(discounts[len(history)], 1))
        total = sum(following.values())
        left = sum(d[min(count, 3)] for count in following.values())
        count = following.get(word, 0)
        return (count - d[min(count, 3)] if count else 0) / total + left / total * lower

    return discounts, p


def random_text(length, size, seed):
    """A text in which a word depends on the one before, some are rare, and `EOS` comes twice in a row at times."""
    random = np.random.default_rng(seed)
    ranks = np.minimum(random.zipf(1.4, length) - 1, size - 1)
    return (ranks + np.roll(ranks, 1) * random.integers(0, 2, length)) % size


def split(text):
    sentences = [[]]
    for word in text.tolist():
        sentences[-1].append(word)
        if word == EOS:
            sentences.append([])
    return [tuple(sentence) for sentence in sentences if sentence]


TEXTS = [pytest.param(8000, 400, marks=pytest.mark.long), (800, 40), (300, 5), (7, 4), (1, 1)]


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize(
    "length, size", [pytest.param(8000, 400, marks=pytest.mark.long), (800, 40), (300, 5), (7, 4), (1, 1)]
)
def test_equals_the_equations_sentence_by_sentence(order, length, size):
    train, text = random_text(length, size, 0), random_text(200, size, 1)
    model = NGram(train, vocabulary_size=size, order=order, boundary=EOS)
    discounts, p = reference(split(train), order, size)
    expected = [p(word, ("<s>", *line[:i])) for line in split(text) for i, word in enumerate(line)]
    np.testing.assert_allclose(model.discounts, discounts, rtol=1e-12)
    np.testing.assert_allclose(model.log_probabilities(text), np.log(expected), rtol=0, atol=1e-9)


@pytest.mark.parametrize("order", [1, 2, 3, 6])
@pytest.mark.parametrize(
    "length, size", [pytest.param(8000, 400, marks=pytest.mark.long), (800, 40), (300, 5), (7, 4), (1, 1)]
)
def test_equals_the_equations_in_one_sequence(order, length, size):
    train, text = random_text(length, size, 2), random_text(200, size, 3)
    model = NGram(train, vocabulary_size=size, order=order)
    discounts, p = reference([tuple(train.tolist())], order, size)
    expected = [p(word, tuple(text[:i].tolist())) for i, word in enumerate(text.tolist())]
    np.testing.assert_allclose(model.discounts, discounts, rtol=1e-12)
    np.testing.assert_allclose(model.log_probabilities(text), np.log(expected), rtol=0, atol=1e-9)


def test_the_random_text_has_discounts_to_estimate():
    model = NGram(random_text(8000, 400, 0), vocabulary_size=400, order=3, boundary=EOS)
    assert FALLBACK not in model.discounts


def test_an_answer_that_can_be_seen():
    # 3 and 1 of 4, less 1.5 and 0.5, which make up 2/4 for a uniform distribution over 4 words.
    model = NGram([1, 1, 1, 2], vocabulary_size=4, order=1)
    expected = [0.5 / 4, 1.5 / 4 + 0.5 / 4, 0.5 / 4 + 0.5 / 4, 0.5 / 4]
    np.testing.assert_allclose(np.exp(model.log_probabilities([0, 1, 2, 3])), expected, rtol=1e-12)


@pytest.mark.parametrize("boundary", [None, EOS])
@pytest.mark.parametrize("length", [1, 2, 5, 3000])
@pytest.mark.parametrize("history", [[], [3], [1, 2], [39, 39, 38, 39], [1, EOS], [EOS, EOS, 2]])
def test_probabilities_sum_to_one(boundary, length, history):
    train = random_text(length, 20, 4)  # so that half of the words are never seen
    model = NGram(train, vocabulary_size=40, order=4, boundary=boundary)
    last = [model.log_probabilities([*history, word])[-1] for word in range(40)]
    assert np.isfinite(last).all()
    assert np.exp(last).sum() == pytest.approx(1, abs=1e-12)


def test_contexts_end_at_a_boundary():
    text = random_text(2000, 10, 5)
    model = NGram(text, vocabulary_size=10, order=4, boundary=EOS)
    alone = model.log_probabilities([3, 1, EOS])
    np.testing.assert_array_equal(model.log_probabilities([1, 2, EOS, 3, 1, EOS])[3:], alone)
    blank = model.log_probabilities([EOS, EOS, EOS])
    np.testing.assert_array_equal(blank, blank[0])


def test_a_longer_order_knows_a_repeated_text_better():
    text = np.tile([1, 2, 3, 1, 2, 4], 50)
    perplexities = [NGram(text, vocabulary_size=5, order=order).perplexity(text) for order in (1, 2, 3, 4)]
    assert perplexities == sorted(perplexities, reverse=True)
    assert perplexities[-1] < 1.1


def test_perplexity_of_what_cannot_be_predicted_is_the_vocabulary():
    assert NGram([0, 1, 2, 3], vocabulary_size=4, order=1).perplexity([3, 1]) == pytest.approx(4)


def test_every_integer_array_will_do(tmp_path):
    text = random_text(500, 20, 6)
    np.save(tmp_path / "text.npy", text.astype(np.uint16))
    model = NGram(np.load(tmp_path / "text.npy", mmap_mode="r"), vocabulary_size=np.int64(20), order=3)
    expected = NGram(text.tolist(), vocabulary_size=20, order=3).log_probabilities(text)
    for dtype in (np.uint8, np.int32, np.uint64):
        np.testing.assert_array_equal(model.log_probabilities(text.astype(dtype)), expected)
    assert model.log_probabilities(text).dtype == np.float64


@pytest.mark.parametrize(
    "message, tokens, options",
    [
        ("`order` is an integer, at least 1.*order=0", [0, 1], dict(order=0)),
        ("`order` is an integer.*order=2.0", [0, 1], dict(order=2.0)),
        ("`vocabulary_size` is an integer.*vocabulary_size=0", [0, 1], dict(vocabulary_size=0)),
        ("`vocabulary_size` is an integer.*below", [0, 1], dict(vocabulary_size=2**40)),
        (r"`boundary`.*range\(2\).*boundary=2", [0, 1], dict(boundary=2)),
        ("`boundary`.*boundary=True", [0, 1], dict(boundary=True)),
        (r"at least one integer.*\(0,\)", np.zeros(0, int), {}),
        ("1-D array.*float64", [0.0, 1.0], {}),
        (r"1-D array.*\(1, 2\)", [[0, 1]], {}),
        (r"range\(2\).*from 0 to 2", [0, 1, 2], {}),
        (r"range\(2\).*from -1 to 1", [-1, 1], {}),
    ],
)
def test_bad_input_is_named(message, tokens, options):
    with pytest.raises(ValueError, match=message) as error:
        NGram(tokens, **{"vocabulary_size": 2, **options})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("tokens", [[], [0.5], [2], [-1]])
def test_bad_text_to_score_is_named(tokens):
    model = NGram([0, 1], vocabulary_size=2)
    with pytest.raises(ValueError, match="`tokens`.*Received"):
        model.perplexity(tokens)


@pytest.mark.skipif(not DATA.exists(), reason="KERAS_RNNLM_DATA names no folder with wikitext-2")
@pytest.mark.long
def test_the_perplexities_are_those_of_kenlm():
    corpus = read_wikitext(DATA)
    texts, size, _ = corpus
    assert ([len(text) for text in texts.values()], size) == ([2_088_628, 217_646, 245_569], 33_278)
    for order, kenlm in KENLM.items():
        measured = measure(order, *corpus)
        # KenLM's figures have one decimal.
        assert {name: measured[name] for name in kenlm} == pytest.approx(kenlm, abs=0.06)
