"""The three runtimes, each as functions of numpy arrays by name. All may be called from several threads at once."""

import importlib
import importlib.util
import os
import pathlib
import threading

import numpy as np

from keras_rnnlm import quiet
from keras_rnnlm.export.runtime import description, litert_metadata
from keras_rnnlm.export.runtime.operators import foreign_operators

PACKAGES = {"onnx": "onnxruntime", "litert": "ai-edge-litert", "saved_model": "tensorflow"}
MODULES = {"onnx": "onnxruntime", "litert": "ai_edge_litert.interpreter", "saved_model": "tensorflow"}


def step_of(run, states, inputs):
    """As `run`, for one time step: all but the `states`, names, have time as their second axis there."""
    outputs = run({name: value if name in states else value[:, None] for name, value in inputs.items()})
    return {name: value if name in states else value[:, 0] for name, value in outputs.items()}


class Onnx:
    """`run(inputs)`, of an ONNX file in ONNX Runtime; the same for a step and for whole sequences."""

    def __init__(self, path, threads):
        runtime = runtime_of("onnx")
        options = runtime.SessionOptions()
        options.log_severity_level = 3
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # of ONNX Runtime's own kinds
            raise _unreadable(path, "ONNX", error) from error
        self._session = session
        self._names = [output.name for output in session.get_outputs()]
        self._taken = {given.name for given in session.get_inputs()}
        properties = session.get_modelmeta().custom_metadata_map
        self.description = description.read(properties.get(description.KEY), path)
        self.held = properties
        self._states = {name for state in self.description.get("states", ()) for name in state[:2]}
        # One graph holds both functions, and wants all inputs, whatever is asked for: small ones for the other one.
        begin = self.description.get("begin", {})
        self._of_begin = set(begin.get("outputs", ()))
        begun = {tensor["name"] for tensor in begin.get("inputs", ())}
        self._small = {"begin": {}, "other": {}}
        for given in session.get_inputs() if begun else ():
            shape = [size if isinstance(size, int) else 1 for size in given.shape]
            whose = "begin" if given.name in begun else "other"
            self._small[whose][given.name] = np.ones(shape, _TYPES.get(given.type, "float32"))

    def run(self, inputs):
        return self._ask([name for name in self._names if name not in self._of_begin], self._small["begin"], inputs)

    def ask(self, name, inputs):
        """What the function by this name gives, that with which a model begins."""
        return self._ask([name for name in self._names if name in self._of_begin], self._small["other"], inputs)

    def _ask(self, names, small, inputs):
        given = {name: value for name, value in {**small, **inputs}.items() if name in self._taken}
        for name, value in given.items():
            if 0 in np.shape(value)[1:]:  # which can end the process
                raise ValueError(f"{name!r} is empty: there is nothing to compute. Received: shape {np.shape(value)}")
        return dict(zip(names, self._session.run(names, given)))

    def step(self, inputs):
        return step_of(self.run, self._states, inputs)

    def by_names(self):
        return {}  # every ONNX file of ours describes itself


# Of inputs, as ONNX Runtime names them.
_TYPES = {"tensor(float)": "float32", "tensor(int32)": "int32", "tensor(int64)": "int64", "tensor(bool)": "bool"}


class LiteRT:
    """`run(inputs)` and `step(inputs)`, of a LiteRT file in its interpreter.

    An interpreter computes in its own memory, so calls from several threads take turns. An interpreter for each thread
    would hold all weights again, 1.3 times the file, and was as fast or at most 1.4 times as fast on two cores.
    """

    held = {}  # texts by name, the files of a vocabulary among them

    def __init__(self, path, threads):
        interpreter, self._turn, self._path = runtime_of("litert").Interpreter, threading.Lock(), path
        try:
            written = litert_metadata.read(path, description.KEY)
            with quiet.standard_error():  # it says from C that it made a delegate
                self._interpreter = interpreter(model_path=str(path), num_threads=threads)
                self._interpreter.allocate_tensors()
                names = self._interpreter.get_signature_list()
        except Exception as error:
            raise _unreadable(path, "LiteRT", error) from error
        self.description = description.read(written, path)
        try:
            self._whole = self._runner(description.whole(self.description, names))
            self._step = self._runner("step") if "step" in names else None
            begin = self.description.get("begin", {}).get("signature")
            self._begin = self._runner(begin) if begin in names else None
        except Exception as error:
            raise _unreadable(path, "LiteRT", error) from error

    def run(self, inputs):
        return self._call(self._whole, inputs)

    def step(self, inputs):
        return self._call(self._step, inputs)

    def ask(self, name, inputs):
        """What the function by this name gives, that with which a model begins."""
        if self._begin is None:
            raise ValueError(f"{self._path} is damaged: it holds no function {name!r}")
        return self._call(self._begin, inputs)

    def by_names(self):
        if self._step is None:
            return {}
        details = self._step[1], self._step[0].get_output_details()
        return description.by_names(*({k: list(v["shape_signature"]) for k, v in found.items()} for found in details))

    def _runner(self, signature):
        """What runs a signature, and its inputs, which to ask for takes as long as a step of a small model."""
        runner = self._interpreter.get_signature_runner(signature)
        return runner, runner.get_input_details()

    def _call(self, runner, inputs):
        run, taken = runner
        given = {name: np.ascontiguousarray(value) for name, value in inputs.items() if name in taken}
        try:
            with self._turn:
                found = run(**given)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
            raise ValueError(f"{self._path} is damaged, or does not take these inputs: {reason}") from error
        return description.in_order(found, self.description)


class SavedModel:
    """`run(inputs)` and `step(inputs)`, of a SavedModel in TensorFlow."""

    held = {}  # texts by name, the files of a vocabulary among them

    def __init__(self, path, threads, trusted=False):
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        with quiet.standard_error(without=quiet.GREETING):
            tf = runtime_of("saved_model")
            tf.config.list_physical_devices()  # here it looks for GPUs, and says what it found
        try:
            foreign = [] if trusted else foreign_operators(path, tf)
            self._loaded = None if foreign else tf.saved_model.load(str(path))
        except Exception as error:
            raise _unreadable(path, "SavedModel", error) from error
        if foreign:
            raise ValueError(
                f"{path} is not run: it holds {', '.join(foreign)}, and may reach beyond its own numbers. "
                "`runtime.load(path, trusted=True)` runs one that you made yourself"
            )
        self._tf, self.signatures = tf, self._loaded.signatures
        written = pathlib.Path(path) / description.OF_SAVED_MODEL
        self.description = description.read(written.read_bytes() if written.is_file() else None, path)

    def run(self, inputs):
        return self.ask(description.whole(self.description, self.signatures), inputs)

    def step(self, inputs):
        return self.ask("step", inputs)

    def by_names(self):
        if "step" not in self.signatures:
            return {}
        step = self.signatures["step"]
        specs = step.structured_input_signature[1], step.structured_outputs
        return description.by_names(*({k: list(v.shape) for k, v in found.items()} for found in specs))

    def ask(self, name, inputs):
        function = self.signatures[name]
        taken = function.structured_input_signature[1]
        given = {k: self._tf.constant(value, taken[k].dtype) for k, value in inputs.items() if k in taken}
        found = {name: value.numpy() for name, value in function(**given).items()}
        return description.in_order(found, self.description)


ENGINES = {"onnx": Onnx, "litert": LiteRT, "saved_model": SavedModel}


def runtime_of(kind):
    """The module that runs a format, or an error that says what to install."""
    try:
        return importlib.import_module(MODULES[kind])
    except ImportError as error:
        raise ValueError(f"{kind} files run with {PACKAGES[kind]}: pip install {PACKAGES[kind]} ({error})") from error


def has_runtime(kind):
    try:
        return importlib.util.find_spec(MODULES[kind].split(".")[0]) is not None
    except ImportError:
        return False


def _unreadable(path, kind, error):
    reason = " ".join(str(error).split())[:200]
    return ValueError(f"{path} is damaged, or no {kind} model: {reason}")
