"""Libraries that say less: on Python's loggers, and on the standard error, where code in C writes."""

import contextlib
import logging
import os
import re
import sys
import tempfile
import threading

from keras_rnnlm.installed import has_tensorflow, is_of_tensorflow, needs_tensorflow

BACKENDS = ("tensorflow", "jax", "torch")
_TURN = threading.RLock()  # the process has one standard error
# What a driver of NVIDIA's leaves on Linux, in a container, or under Windows.
DRIVERS = ("/proc/driver/nvidia", "/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg")
GREETING = rb"WARNING: All log messages before absl::InitializeLog|I\d{4} "
NO_GPU = rb"E\d{4} .*failed call to cuInit"
# That no GPU answers is an error where there is one.
GREETING = re.compile(GREETING if any(map(os.path.exists, DRIVERS)) else GREETING + b"|" + NO_GPU)


def check_backend(name):
    if name not in BACKENDS:
        raise ImportError(
            "keras_rnnlm runs on three of Keras's backends: set KERAS_BACKEND to tensorflow, jax or torch, before "
            f"Keras is imported. Received: the backend {name!r}"
        )


def import_keras():
    """Keras, without what TensorFlow's C++ code greets with, whatever the level of its log."""
    if "keras" not in sys.modules:
        # Before Keras, which on another backend may want packages that are not here.
        check_backend(os.environ.get("KERAS_BACKEND") or BACKENDS[0])
        with standard_error(without=GREETING):
            try:
                import keras
            except ModuleNotFoundError as error:
                if not is_of_tensorflow(error):
                    raise
                otherwise = ", or set KERAS_BACKEND to jax or torch"
                raise needs_tensorflow("Keras's backend tensorflow", otherwise) from error
            if has_tensorflow():  # which then reads data on every backend
                import tensorflow

                tensorflow.config.list_physical_devices()  # here it looks for GPUs, and says what it found
                if keras.config.backend() != "tensorflow":
                    with contextlib.suppress(RuntimeError):  # it computes already
                        tensorflow.config.set_visible_devices([], "GPU")  # it would take all memory that is left
    return sys.modules["keras"]


@contextlib.contextmanager
def loggers(*names):
    """These loggers tell errors alone."""
    found = [logging.getLogger(name) for name in names]
    before = [logger.level for logger in found]
    for logger in found:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(found, before):
            logger.setLevel(level)


@contextlib.contextmanager
def standard_error(without=re.compile(b"")):
    """The standard error without the lines that begin so, by default without any; the others come at the end.

    It is the whole process's: other threads that ask for this wait, and what they say meanwhile is treated alike.
    """
    with _TURN, _standard_error(without):
        yield


@contextlib.contextmanager
def _standard_error(without):
    try:
        sys.stderr.flush()
        said, kept = tempfile.TemporaryFile(), os.dup(2)
    except (AttributeError, OSError, ValueError):  # there is no standard error, or nowhere to keep what is said
        yield
        return
    with said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            said.seek(0)
            os.write(2, b"".join(line for line in said if not without.match(line)))
