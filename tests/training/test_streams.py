"""Streams: each token predicted once from the one before it, the same whenever it is asked for again."""

import subprocess
import sys

import numpy as np
import pytest

from keras_rnnlm.training.streams import Contiguous, Examples, Sentences, contiguous, padded, pools, sentences

START, END = 99_999, 3
SHAPES = [(1, 1, 1), (7, 1, 3), (7, 7, 2), (8, 7, 2), (12, 3, 4), (13, 3, 4), (50, 8, 100), (1000, 20, 35), (997, 6, 7)]


def text_of(length):
    """No token comes twice, so that each tells where it stands; 0 is padding's alone."""
    return np.arange(1, length + 1, dtype=np.int32)


def lines_of(length, seed=0, long=12):
    """Sentences of many lengths, some of one token, in a text whose last sentence lacks its end."""
    random = np.random.default_rng(seed)
    text = random.integers(4, 1000, length)
    ends = np.cumsum(random.integers(1, long, length)) - 1
    text[ends[ends < length]] = END
    text[-1] = 4
    return text


def pieces_of(text, longest=None):
    """(the token before, the tokens) of each sentence or piece of one."""
    pieces, begin = [], 0
    for end in [*np.flatnonzero(text == END) + 1, len(text)]:
        for a in range(begin, end, longest or len(text)):
            before = START if a == begin else int(text[a - 1])
            pieces.append((before, *text[a : min(end, a + (longest or len(text)))].tolist()))
        begin = end
    return pieces


class Shards:
    """A text larger than memory: it can be sliced, nothing else, and not by much."""

    def __init__(self, text, most):
        self.text, self.most = text, most

    def __len__(self):
        return len(self.text)

    def __getitem__(self, key):
        assert isinstance(key, slice) and key.step is None and 0 <= key.start < key.stop <= len(self.text)
        assert key.stop - key.start <= self.most
        return self.text[key]


def as_numpy(elements):
    import tensorflow as tf

    return [tf.nest.map_structure(np.asarray, element) for element in elements]


def assert_same(got, wanted):
    got, wanted = list(got), list(wanted)
    assert len(got) == len(wanted)
    for a, b in zip(got, wanted):
        assert flat(a) == flat(b)


def flat(element):
    """Arrays with their dtypes and shapes, in numbers that can be compared."""
    inputs, *rest = element
    inputs = [inputs["tokens"], inputs["start"]] if isinstance(inputs, dict) else [inputs]
    return [(array.dtype, array.shape, array.tobytes()) for array in (*inputs, *rest)]


@pytest.fixture(params=[contiguous.BLOCK, 16], ids=["one block", "many blocks"])
def blocks(request, monkeypatch):
    monkeypatch.setattr(contiguous, "BLOCK", request.param)


@pytest.mark.parametrize("random", [False, True])
@pytest.mark.parametrize("length, batch, window", SHAPES)
def test_every_token_is_predicted_once_from_the_one_before_it(blocks, length, batch, window, random):
    text, window = text_of(length), max(window, 5) if random else window
    predicted = []
    for inputs, targets, weights in Contiguous(text, batch, window, start=START, random=random).windows():
        assert not inputs["tokens"][weights == 0].any() and not targets[weights == 0].any()
        assert set(np.unique(weights)) <= {0, 1}
        predicted += zip(inputs["tokens"][weights == 1].tolist(), targets[weights == 1].tolist())
    assert sorted(predicted, key=lambda pair: pair[1]) == list(zip([START, *text.tolist()], text.tolist()))


@pytest.mark.parametrize("random", [False, True])
@pytest.mark.parametrize("length, batch, window", SHAPES)
def test_rows_in_line_give_the_text(blocks, length, batch, window, random):
    stream = Contiguous(text_of(length), batch, max(window, 5), start=START, random=random)
    windows = list(stream.windows(epoch=4))
    targets = np.concatenate([targets for _, targets, _ in windows], axis=1)
    weights = np.concatenate([weights for _, _, weights in windows], axis=1)
    # In a row, padding comes after the text, so that cutting it off keeps all in line.
    np.testing.assert_array_equal(targets[weights == 1], text_of(length))
    assert (np.diff(weights, axis=1) <= 0).all()
    row = -(-length // batch)
    np.testing.assert_array_equal(targets[:, :row].ravel()[:length], text_of(length))


def test_streams_side_by_side_can_be_seen():
    stream = Contiguous([5, 6, 7, 8, 9], 2, 2, start=1)
    (one, targets_of_one, weights_of_one), (two, targets_of_two, weights_of_two) = stream.windows()
    assert one["tokens"].tolist() == [[1, 5], [7, 8]] and targets_of_one.tolist() == [[5, 6], [8, 9]]
    assert two["tokens"].tolist() == [[6, 0], [0, 0]] and targets_of_two.tolist() == [[7, 0], [0, 0]]
    assert weights_of_one.tolist() == [[1, 1], [1, 1]] and weights_of_two.tolist() == [[1, 0], [0, 0]]
    assert one["start"].tolist() == [True, True] and two["start"].tolist() == [False, False]
    assert (stream.steps(), stream.lengths().tolist(), stream.tokens_per_epoch) == (2, [2, 1], 5)


@pytest.mark.parametrize("random", [False, True])
def test_a_stream_resumes_at_every_window(blocks, random):
    stream = Contiguous(text_of(997), 6, 9, start=START, random=random, seed=5)
    whole = list(stream.windows(epoch=2))
    assert len(whole) == stream.steps(2)
    assert [bool(inputs["start"].any()) for inputs, _, _ in whole] == [True] + [False] * (len(whole) - 1)
    for first in range(len(whole) + 1):
        assert_same(Contiguous(text_of(997), 6, 9, start=START, random=random, seed=5).windows(2, first), whole[first:])


def test_random_lengths_are_those_of_awd_lstm():
    stream = Contiguous(text_of(200_000), 1, 70, start=START, random=True)
    lengths = stream.lengths(0)
    assert [targets.shape for _, targets, _ in stream.windows()] == [(1, length) for length in lengths]
    assert lengths.sum() == 200_000 and lengths[:-1].min() >= 5 and lengths.max() <= 90
    halves = lengths < 52
    assert halves.mean() == pytest.approx(0.05, abs=0.015)
    # The integers are rounded towards 0.
    assert lengths[halves].mean() == pytest.approx(34.5, abs=2) and lengths[~halves].mean() == pytest.approx(
        69.5, abs=0.5
    )
    assert lengths[~halves].std() == pytest.approx(5, abs=0.3)


def test_random_lengths_stay_within_bounds():
    # So many are drawn that some lie four standard deviations away.
    lengths = Contiguous(text_of(3_000_000), 1, 5, start=START, random=True).lengths()
    assert lengths[:-1].min() == 5 and lengths.max() == 25


def test_epochs_and_seeds_differ_where_they_should():
    def lengths(epoch, **options):
        return Contiguous(text_of(3000), 2, 35, start=START, **options).lengths(epoch).tolist()

    assert lengths(0, random=True) == lengths(0, random=True)
    assert lengths(0, random=True) != lengths(1, random=True) != lengths(1, random=True, seed=1)
    assert lengths(0) == lengths(1, seed=3) == [35] * 42 + [30]


def test_another_batch_size_reads_the_same_text():
    for batch in (1, 2, 64):
        targets = [targets for _, targets, _ in Contiguous(text_of(1000), batch, 35, start=START).windows()]
        assert sorted(np.concatenate([t[t > 0] for t in targets])) == text_of(1000).tolist()


@pytest.mark.parametrize("longest", [None, 1, 5])
@pytest.mark.parametrize("length, batch", [(1, 1), (1, 4), (30, 4), (5000, 3), (5000, 7)])
def test_every_sentence_is_predicted_once_and_whole(monkeypatch, length, batch, longest):
    monkeypatch.setattr(sentences, "CHUNK", 17)  # so that sentences stand across chunks
    monkeypatch.setattr(sentences, "GAP", 5)
    text = np.array([END]) if length == 1 else lines_of(length)
    stream = Sentences(text, batch, end=END, start=START, longest=longest)
    found, rows = [], 0
    for tokens, targets, weights in stream.windows(epoch=1):
        assert tokens.shape == targets.shape == weights.shape == (batch, tokens.shape[1])
        assert not tokens[weights == 0].any() and not targets[weights == 0].any()
        assert (np.diff(weights, axis=1) <= 0).all()
        np.testing.assert_array_equal(tokens[:, 1:][weights[:, 1:] == 1], targets[:, :-1][weights[:, 1:] == 1])
        for row in range(batch):
            if count := int(weights[row].sum()):
                found.append((int(tokens[row, 0]), *targets[row, :count].tolist()))
        rows += batch
    assert sorted(found) == sorted(pieces_of(text, longest))
    assert rows == stream.steps(1) * batch < len(found) + batch


def test_sentences_can_be_seen():
    stream = Sentences(np.array([5, END, END, 6, 7], np.uint16), 3, end=END, shuffle=False)
    ((tokens, targets, weights),) = stream.windows()
    assert tokens.shape == (3, 8)
    assert tokens[:, :3].tolist() == [[END, 5, 0], [END, 6, 0], [END, 0, 0]]
    assert targets[:, :3].tolist() == [[5, END, 0], [6, 7, 0], [END, 0, 0]]
    assert weights.sum(axis=1).tolist() == [2, 2, 1]


@pytest.mark.parametrize("shuffle", [False, True])
def test_sentences_resume_at_every_batch(monkeypatch, shuffle):
    monkeypatch.setattr(pools, "POOL", 3)
    text = lines_of(500)
    whole = list(Sentences(text, 7, end=END, seed=2, shuffle=shuffle).windows(epoch=3))
    assert len(whole) > 2 * pools.POOL
    for first in range(len(whole) + 1):
        assert_same(Sentences(text, 7, end=END, seed=2, shuffle=shuffle).windows(3, first), whole[first:])


def test_sentences_are_shuffled_anew_in_each_epoch():
    def order(epoch, **options):
        windows = Sentences(lines_of(4000), 4, end=END, **options).windows(epoch)
        return [targets[0].tolist() for _, targets, _ in windows]

    assert order(0) == order(0) != order(1) != order(1, seed=1)
    assert order(0, shuffle=False) == order(1, shuffle=False, seed=1)


def test_sorting_in_pools_keeps_the_padding_small():
    text = lines_of(100_000, long=60)
    stream = Sentences(text, 16, end=END)
    times = np.array([weights.shape[1] for _, _, weights in stream.windows()])
    longest = [int(weights.sum(axis=1).max()) for _, _, weights in stream.windows()]
    np.testing.assert_array_equal(times, -(-np.array(longest) // 8) * 8)
    np.testing.assert_array_equal(times, stream.lengths())
    assert len(text) / (times.sum() * 16) > 0.85
    # Long and short come in turns.
    assert abs(np.corrcoef(times, np.arange(len(times)))[0, 1]) < 0.2


def test_a_text_larger_than_memory_is_read_by_slices(monkeypatch):
    monkeypatch.setattr(contiguous, "BLOCK", 256)
    monkeypatch.setattr(sentences, "CHUNK", 128)
    monkeypatch.setattr(sentences, "GAP", 2)
    text = lines_of(20_000)
    wanted = Contiguous(text, 4, 16, start=START).windows()
    assert_same(Contiguous(Shards(text, 65), 4, 16, start=START).windows(), wanted)
    assert_same(Sentences(Shards(text, 500), 4, end=END).windows(), Sentences(text, 4, end=END).windows())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64])
def test_every_integer_array_will_do(tmp_path, dtype):
    text = lines_of(300).astype(np.uint8)
    np.save(tmp_path / "text.npy", text.astype(dtype))
    mapped = np.load(tmp_path / "text.npy", mmap_mode="r")
    for make in (lambda t: Contiguous(t, 4, 6, start=START), lambda t: Sentences(t, 4, end=END, start=START)):
        assert_same(make(mapped).windows(), make(text.tolist()).windows())


@pytest.mark.parametrize(
    "stream, window",
    [
        (Contiguous(text_of(500), 6, 7, start=START), 7),
        (Contiguous(text_of(500), 6, 7, start=START, random=True), None),
        (Sentences(lines_of(500), 6, end=END), None),
    ],
    ids=["fixed", "random", "sentences"],
)
def test_the_dataset_is_the_windows_with_static_shapes(monkeypatch, stream, window):
    import tensorflow as tf

    monkeypatch.setattr(contiguous, "BLOCK", 64)
    for first in (0, 1, 4, stream.steps(1)):
        dataset = stream.dataset(1, first)
        assert len(dataset) == stream.steps(1) - first
        assert_same(as_numpy(dataset), stream.windows(1, first))
    tokens, targets, weights = dataset.element_spec
    if isinstance(stream, Contiguous):
        assert tokens["start"] == tf.TensorSpec((6,), tf.bool)
        tokens = tokens["tokens"]
    assert tokens == targets == tf.TensorSpec((6, window), tf.int32)
    assert weights == tf.TensorSpec((6, window), tf.float32)
    assert dataset.options().deterministic


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("random", [False, True])
def test_parts_of_a_contiguous_stream_read_their_own_rows_and_are_the_whole(blocks, count, random):
    text = text_of(500)
    assert_parts_are_the_whole(lambda text: Contiguous(text, 6, 7, start=START, random=random), text, count)


@pytest.mark.parametrize("count", [2, 3])
def test_parts_of_sentences_read_their_own_rows_and_are_the_whole(monkeypatch, count):
    monkeypatch.setattr(pools, "POOL", 3)
    monkeypatch.setattr(sentences, "GAP", 0)
    assert_parts_are_the_whole(lambda text: Sentences(text, 6, end=END, longest=9), lines_of(505), count)


def assert_parts_are_the_whole(make, text, count):
    class Counted(Shards):
        read = 0

        def __getitem__(self, key):
            Counted.read += key.stop - key.start
            return super().__getitem__(key)

    stream = make(Counted(text, len(text)))
    for first in (0, 2):
        reads, parts = [], []
        for index in range(count):
            Counted.read = 0
            parts.append(list(stream.part(index, count).windows(1, first)))
            reads.append(Counted.read)
        assert max(reads) < 1.7 * len(text) / count  # with the token before each
        assert_same(as_numpy(stream.part(1, count).dataset(1, first)), parts[1])
        import tensorflow as tf

        joined = [tf.nest.map_structure(lambda *arrays: np.concatenate(arrays), *pieces) for pieces in zip(*parts)]
        assert_same(joined, stream.windows(1, first))
    with pytest.raises(ValueError, match="`batch` is a multiple of the 4 parts. Received: batch=6"):
        stream.part(0, 4)


def test_a_dataset_can_be_read_twice():
    dataset = Contiguous(text_of(500), 6, 7, start=START, random=True).dataset(epoch=2)
    assert_same(as_numpy(dataset), as_numpy(dataset))


def test_a_process_ends_though_an_epoch_was_cut_short():
    code = (
        "import numpy as np; from keras_rnnlm.training.streams import Examples\n"
        "def collate(chosen, batch, time):\n"
        "    sum(i * i for i in range(1_000_000))\n"  # Python is in the midst of a batch when the process ends
        "    return (np.zeros((batch, time), 'int32'),)\n"
        "iterator = iter(Examples(np.full(20_000, 5), collate, 16).dataset())\n"
        "next(iterator)\n"
        "cycle = [iterator]; cycle.append(cycle); del iterator, cycle"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0


def test_numpy_windows_need_no_tensorflow():
    code = (
        "import sys; from keras_rnnlm.training.streams import Contiguous; "
        "next(Contiguous([1, 2, 3], 1, 2, start=0).windows()); sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(
    "message, tokens, options",
    [
        ("The text is empty", [], {}),
        ("`tokens` is one dimension of integers.*float64", [0.5, 1.0], {}),
        ("`tokens` is one dimension of integers.*2 dimensions", [[1, 2]], {}),
        ("`batch` is an integer, at least 1.*batch=0", [1, 2], dict(batch=0)),
        ("`batch` is an integer.*batch=2.0", [1, 2], dict(batch=2.0)),
        ("A text of 2 tokens.*lower `batch`.*batch=3", [1, 2], dict(batch=3)),
        ("`window` is an integer, at least 1.*window=0", [1, 2], dict(window=0)),
        ("`window` is an integer.*window=True", [1, 2], dict(window=True)),
        ("Random lengths are at least 5.*window=4", [1, 2], dict(window=4, random=True)),
        ("`start` is an integer.*start=None", [1, 2], dict(start=None)),
        ("`start` is an integer, at least 0.*start=-1", [1, 2], dict(start=-1)),
        ("`start` is an integer.*start=2147483648", [1, 2], dict(start=2**31)),
        ("`seed` is an integer, at least 0.*seed=-1", [1, 2], dict(seed=-1)),
    ],
)
def test_bad_input_to_contiguous_is_named(message, tokens, options):
    with pytest.raises(ValueError, match=message) as error:
        Contiguous(tokens, **{"batch": 1, "window": 2, "start": 0, **options})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "message, tokens, options",
    [
        ("The text is empty", [], {}),
        ("`batch` is an integer, at least 1.*batch=0", [1, 2], dict(batch=0)),
        ("`end` is an integer.*end=None", [1, 2], dict(end=None)),
        ("`end` is an integer.*end=-1", [1, 2], dict(end=-1)),
        ("`start` is an integer.*start=-1", [1, 2], dict(start=-1)),
        ("`longest` is an integer, at least 1.*longest=0", [1, 2], dict(longest=0)),
        ("no token `end`.*all 2 tokens.*`longest`.*end=5", [1, 2], dict(end=5)),
    ],
)
def test_bad_input_to_sentences_is_named(message, tokens, options):
    with pytest.raises(ValueError, match=message) as error:
        Sentences(tokens, **{"batch": 1, "end": 2, **options})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("read", ["windows", "dataset"])
@pytest.mark.parametrize("stream", [Contiguous(text_of(9), 2, 2, start=0), Sentences([1, 2, 1, 2], 1, end=2)])
def test_a_bad_place_in_the_data_is_named(stream, read):
    with pytest.raises(ValueError, match=r"`epoch` is an integer, at least 0.*epoch=-1"):
        getattr(stream, read)(-1)
    with pytest.raises(ValueError, match=r"`first` is an integer, at least 0.*first=-1"):
        getattr(stream, read)(0, -1)
    with pytest.raises(ValueError, match=r"`first` is the number of a window.*first=9"):
        getattr(stream, read)(0, 9)


def examples_of(lengths, **options):
    """Each example is its own number, plus one, over and over."""
    texts = [np.full(length, k + 1, np.int32) for k, length in enumerate(lengths)]

    def collate(chosen, *shape):
        return {"words": padded([texts[k] for k in chosen], *shape)}, np.arange(shape[0])

    return Examples(lengths, collate, **options)


def test_examples_each_come_once_an_epoch_beside_others_of_their_length():
    lengths = np.random.default_rng(0).integers(0, 100, 1000)
    stream = examples_of(lengths, batch=8, seed=3)
    found, shapes, all_there = [], set(), 0
    for inputs, _ in stream.batches(epoch=1):
        found += [int(row[0]) - 1 for row in inputs["words"] if row[0]]
        shapes.add(inputs["words"].shape)
        all_there += inputs["words"].size
    assert sorted(found) == np.flatnonzero(lengths).tolist()
    assert {rows for rows, _ in shapes} == {8} and {time for _, time in shapes} <= {8, 12, 16, 24, 32, 48, 64, 96, 128}
    assert all_there < 1.4 * lengths.sum()  # with batches drawn at random it is nearly 2
    other = [int(row[0]) - 1 for inputs, _ in stream.batches(epoch=2) for row in inputs["words"] if row[0]]
    assert sorted(other) == sorted(found) and other != found


@pytest.mark.parametrize("shuffle", [False, True])
def test_examples_resume_at_every_batch_and_are_the_same_from_tensorflow(monkeypatch, shuffle):
    monkeypatch.setattr(pools, "POOL", 3)
    lengths = np.random.default_rng(1).integers(1, 30, 83)
    whole = list(examples_of(lengths, batch=4, shuffle=shuffle).batches(epoch=2))
    assert len(whole) == examples_of(lengths, batch=4).steps() == 21
    for first in (0, 1, 3, 8, 20, 21):
        stream = examples_of(lengths, batch=4, shuffle=shuffle)
        rest = list(stream.batches(2, first))
        dataset = stream.dataset(2, first)
        assert len(rest) == len(dataset) == 21 - first
        for one, other, made in zip(whole[first:], rest, dataset.as_numpy_iterator(), strict=True):
            np.testing.assert_array_equal(one[0]["words"], other[0]["words"])
            np.testing.assert_array_equal(one[0]["words"], made[0]["words"])
    with pytest.raises(ValueError, match="epoch 2 has 21. Received: first=22"):
        next(stream.batches(2, 22))
    with pytest.raises(ValueError, match="at least one example"):
        Examples([], None, 4)
