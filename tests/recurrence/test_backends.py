"""What the package asks of Keras's backend, by one list of questions."""

import inspect
import pathlib
import re

import keras_rnnlm
from keras_rnnlm import training
from keras_rnnlm.recurrence import backend, default_backend

ROOMS = [pathlib.Path(package.__file__).parent for package in (keras_rnnlm, training)]
QUESTIONS = {name: f for name, f in vars(default_backend).items() if inspect.isfunction(f)}


def test_the_backend_answers_all_that_is_asked():
    sources = [path.read_text() for room in ROOMS for path in room.rglob("*.py")]
    asked = {name for source in sources for name in re.findall(r"(?<!keras\.)\bbackend\.(\w+)", source)}
    assert len(asked) > 20 and {name for name in asked if not callable(getattr(backend, name, None))} <= {"own_kernel"}
    assert set(QUESTIONS) <= asked


def test_a_backend_is_asked_as_the_default_is():
    def arguments(f):
        return [(p.name, p.default) for p in inspect.signature(f).parameters.values()]

    assert {n: arguments(getattr(backend, n)) for n in QUESTIONS} == {n: arguments(f) for n, f in QUESTIONS.items()}
