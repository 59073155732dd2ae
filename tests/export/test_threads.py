"""One loaded model, many threads: each gets what it would get alone."""

import concurrent.futures
import itertools
import os
import threading

import numpy as np
import pytest

from keras_rnnlm import export, quiet
from keras_rnnlm.export import runtime
from keras_rnnlm.export.interface import interface_of
from keras_rnnlm.generation import Beam
from keras_rnnlm.text import Tokenizer, tokenizers
from tests.export.models import language_model, regressor

THREADS, REQUESTS = 8, 2000
FILES = {"onnx": "m.onnx", "litert": "m.tflite", "saved_model": "m"}
WRITERS = {"onnx": export.to_onnx, "litert": export.to_litert, "saved_model": export.to_saved_model}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder, model = tmp_path_factory.mktemp("threads"), interface_of(language_model("gru", layers=1, units=8))
    for kind, write in WRITERS.items():
        write(model, folder / FILES[kind])
    return folder


def side_by_side(ask, requests):
    """The answers, in order, the requests shared among threads that begin at once."""
    barrier = threading.Barrier(THREADS)

    def work(first):
        barrier.wait()
        return [ask(request) for request in requests[first::THREADS]]

    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        parts = list(pool.map(work, range(THREADS)))
    return [answer for answers in itertools.zip_longest(*parts) for answer in answers][: len(requests)]


@pytest.mark.parametrize("kind", FILES)
def test_eight_threads_get_what_one_gets(folder, kind):
    loaded, rng = runtime.load(folder / FILES[kind]), np.random.default_rng(0)
    sizes = [(kind, *rng.integers(1, 4, 2)) for kind in ("logits", "step", "score", "generate", "stream", "beam")] * 4
    different = [(name, rng.integers(0, 30, (batch, time)).tolist()) for name, batch, time in sizes]

    def ask(request):
        name, rows = request
        if name == "logits":
            return [array.tolist() for array in (lambda logits, states: [logits, *states])(*loaded.logits(rows))]
        if name == "step":
            logits, states = loaded.step([row[0] for row in rows], loaded.initial_states(len(rows)))
            return [array.tolist() for array in (logits, *states)]
        if name == "score":
            return loaded.score(rows[0])
        if name == "stream":
            return list(loaded.stream(rows[0], 2, seed=1))
        return loaded.generate(rows, 2, Beam(2) if name == "beam" else None)

    wanted = [ask(request) for request in different]
    numbers = rng.permutation(np.arange(REQUESTS) % len(different)).tolist()
    assert side_by_side(ask, [different[number] for number in numbers]) == [wanted[number] for number in numbers]


def test_any_model_is_run_by_several_threads(tmp_path):
    export.to_litert(regressor(), tmp_path / "m.tflite")
    loaded, rng = runtime.load(tmp_path / "m.tflite"), np.random.default_rng(0)
    given = [{"series": rng.normal(size=(n, 12, 3)), "extra": rng.normal(size=(n, 2))} for n in (1, 2, 3)] * 20
    given = [{name: value.astype("float32") for name, value in inputs.items()} for inputs in given]

    def ask(inputs):
        return loaded.run(inputs)["value"].tolist()

    assert side_by_side(ask, given) == [ask(inputs) for inputs in given]


def test_loading_in_several_threads_leaves_the_standard_error_where_it_was(folder):
    before = os.fstat(2)
    side_by_side(lambda _: runtime.load(folder / "m.tflite").format, range(40))
    assert os.path.samestat(os.fstat(2), before)


def test_two_threads_silence_the_standard_error_in_turn():
    before, inner = os.fstat(2), threading.Event()

    def second():
        with quiet.standard_error():
            inner.set()

    thread = threading.Thread(target=second)
    with quiet.standard_error():
        thread.start()
        assert not inner.wait(0.1)
    thread.join()
    assert inner.is_set() and os.path.samestat(os.fstat(2), before)


def test_a_tokenizer_that_forgets_is_shared_by_threads(monkeypatch):
    monkeypatch.setattr(tokenizers, "REMEMBERED", 20)
    texts = [" ".join(words) for words in itertools.permutations(("the", "cat", "sat", "on", "mats"), 3)] * 20
    tokenizer = Tokenizer.train("bpe", texts, vocabulary_size=300)
    wanted = [tokenizer.encode(text).tolist() for text in texts]
    assert side_by_side(lambda text: tokenizer.encode(text).tolist(), texts) == wanted
