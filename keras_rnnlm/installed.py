"""What is installed here, and what to install where something is missing."""

import importlib
import importlib.util
import sys

TENSORFLOW = "tensorflow"


def has_tensorflow():
    """Whether TensorFlow can be imported. It is not imported to find out."""
    if TENSORFLOW in sys.modules:
        return sys.modules[TENSORFLOW] is not None
    try:
        return importlib.util.find_spec(TENSORFLOW) is not None
    except ImportError:
        return False


def is_of_tensorflow(error):
    """Whether an error of an import is that TensorFlow is missing."""
    return isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == TENSORFLOW


def needs_tensorflow(what, otherwise=""):
    """The error of what cannot be done without TensorFlow: a line that says what to install, or do otherwise."""
    return ImportError(f"{what} needs TensorFlow, which is not installed here: pip install tensorflow{otherwise}")


def import_extra(module, what, library, extra):
    """A module of an extra; where it is missing, a ValueError that says what needs it, and what to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ValueError(f"{what} needs {library}: pip install 'keras-rnnlm[{extra}]'") from error
