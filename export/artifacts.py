"""Files that appear whole or not at all, and what is known about them."""

import contextlib
import dataclasses
import pathlib
import typing
import warnings

from keras_rnnlm import tasks
from keras_rnnlm.export.runtime.answers import answer_of
from keras_rnnlm.whole_files import written_whole

if typing.TYPE_CHECKING:
    from keras_rnnlm.export.parity import Parity

# Operators of a recurrence.
LOOPS = ("LSTM", "GRU", "RNN", "com.microsoft.DynamicQuantizeLSTM", "Loop", "WHILE", "While", "StatelessWhile")


@dataclasses.dataclass(frozen=True)
class Exported:
    """An export that was checked.

    Attributes:
        path: the file, or the folder of a SavedModel.
        format: "onnx", "litert" or "saved_model".
        quantize: None, "float16" or "int8"; None, too, where nothing was large enough to be quantized.
        bytes: its size.
        operators: how many of each operator it holds.
        parity: how far it is from the Keras model.
        quantized: how many weights are stored so, as numbers.

    >>> exported = Exported(pathlib.Path("model.onnx"), "onnx", None, 3000, {"LSTM": 2}, parity=None)
    >>> exported.operators["LSTM"]
    2
    """

    path: pathlib.Path
    format: str
    quantize: str | None
    bytes: int
    operators: dict
    parity: "Parity"
    quantized: int = 0

    def __str__(self):
        recurrent = {name: count for name, count in self.operators.items() if name in LOOPS}
        operators = "".join(f", {count} {name}" for name, count in recurrent.items())
        error = "" if self.parity is None else f", error {self.parity.error:.1e}"
        return f"{self.path}: {self.format}, {self.quantize or 'float32'}, {self.bytes:,} bytes{error}{operators}"


@contextlib.contextmanager
def whole(path):
    """A path beside `path` to write to; what is there in the end takes the place of `path`, unless something failed."""
    path = pathlib.Path(path)
    if not path.parent.is_dir():
        raise ValueError(f"There is no folder {path.parent} to write {path.name} to")
    try:
        with written_whole(path) as partial:
            yield partial
    except OSError as error:
        raise OSError(f"{path} could not be written: {error.strerror or error}") from error


@contextlib.contextmanager
def files_of_tensorflow():
    """Within it, a file that TensorFlow cannot write, on a full disk above all, is an OSError like everyone's."""
    import tensorflow as tf

    try:
        yield
    except tf.errors.OpError as error:
        raise OSError(" ".join(str(error.message).split())[:200]) from error


def checked_path(path, suffix):
    """The path of the one file that is to be written."""
    path = pathlib.Path(path)
    if path.suffix != suffix:
        raise ValueError(f"The file's name ends in {suffix}. Received: path={str(path)!r}")
    return path


def check_quantize(quantize):
    if quantize not in (None, "int8", "float16"):
        raise ValueError(f"`quantize` is 'int8', 'float16' or None. Received: quantize={quantize!r}")


def quantization(quantize, quantized, least):
    """`quantize`, or None and a warning where no weight was large enough for it."""
    if quantize is None or quantized:
        return quantize
    warnings.warn(
        f"quantize={quantize!r} changed nothing, and the export is in float32: it is for matrices of at least {least} "
        "numbers, and the model has none",
        stacklevel=3,
    )
    return None


def raise_unless_equal(measured, quantize, what, tolerance=None):
    """Raises where an export is not the model."""
    problems = measured.problems(quantize, tolerance)
    if problems:
        raise ValueError(
            f"The {what} that was made does not compute what the model does: {'; '.join(problems)}. Nothing was "
            "written; `tolerance` lets a larger error through"
        )


def as_vocabulary(given, interface):
    """A vocabulary, or None, from one or from its path: a tokenizer, or what the task of the model has instead."""
    if given is None:
        return None
    about = interface.description()
    kind = tasks.vocabulary_of(interface.task)
    vocabulary = given if isinstance(given, kind) else kind.load(given)
    answer_of(about, trusted=True).check_belongs(vocabulary, about, "The tokenizer")
    return vocabulary
