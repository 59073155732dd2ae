"""The three runtimes, each as functions of numpy arrays by name."""

import importlib
import importlib.util
import json
import os

import numpy as np

from keras_rnnlm import quiet

PACKAGES = {"onnx": "onnxruntime", "litert": "ai-edge-litert", "saved_model": "tensorflow"}
MODULES = {"onnx": "onnxruntime", "litert": "ai_edge_litert.interpreter", "saved_model": "tensorflow"}


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
        self.description = json.loads(properties.get("keras_rnnlm", "{}"))
        self.tokenizer = properties.get("tokenizer.json")

    def run(self, inputs):
        given = {name: value for name, value in inputs.items() if name in self._taken}
        return dict(zip(self._names, self._session.run(self._names, given)))

    def step(self, inputs):
        outputs = self.run({**inputs, "tokens": inputs["tokens"][:, None]})
        return {**outputs, "logits": outputs["logits"][:, 0]}


class LiteRT:
    """`run(inputs)` and `step(inputs)`, of a LiteRT file in its interpreter."""

    tokenizer = None

    def __init__(self, path, threads):
        interpreter = runtime_of("litert").Interpreter
        try:
            with quiet.standard_error():  # it says from C that it made a delegate
                self._interpreter = interpreter(model_path=str(path), num_threads=threads)
                self._interpreter.allocate_tensors()
                names = self._interpreter.get_signature_list()
                whole = "score" if "score" in names else "serving_default"
                self._whole = self._interpreter.get_signature_runner(whole)
                self._step = self._interpreter.get_signature_runner("step") if "step" in names else None
        except Exception as error:
            raise _unreadable(path, "LiteRT", error) from error
        self.description = {}
        if self._step is not None:
            widths = {name: given["shape_signature"][-1] for name, given in self._step.get_input_details().items()}
            logits = self._step.get_output_details()["logits"]
            self.description = _described(widths, logits["shape_signature"][-1])

    def run(self, inputs):
        return self._call(self._whole, inputs)

    def step(self, inputs):
        return self._call(self._step, inputs)

    def _call(self, runner, inputs):
        taken = runner.get_input_details()
        # What it returns lies in the interpreter's own memory, which the next call writes over.
        found = runner(**{name: np.ascontiguousarray(value) for name, value in inputs.items() if name in taken})
        return {name: np.array(value) for name, value in found.items()}


class SavedModel:
    """`run(inputs)` and `step(inputs)`, of a SavedModel in TensorFlow."""

    tokenizer = None

    def __init__(self, path, threads):
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        with quiet.standard_error(without=quiet.GREETING):
            tf = runtime_of("saved_model")
            tf.config.list_physical_devices()  # here it looks for GPUs, and says what it found
        try:
            self._loaded = tf.saved_model.load(str(path))
        except Exception as error:
            raise _unreadable(path, "SavedModel", error) from error
        self._tf, self.signatures = tf, self._loaded.signatures
        self.description = {}
        if "step" in self.signatures:
            step = self.signatures["step"]
            widths = {name: spec.shape[-1] for name, spec in step.structured_input_signature[1].items()}
            self.description = _described(widths, step.structured_outputs["logits"].shape[-1])

    def run(self, inputs):
        return self.ask("score" if "score" in self.signatures else "serving_default", inputs)

    def step(self, inputs):
        return self.ask("step", inputs)

    def ask(self, name, inputs):
        function = self.signatures[name]
        taken = function.structured_input_signature[1]
        given = {k: self._tf.constant(value, taken[k].dtype) for k, value in inputs.items() if k in taken}
        return {name: value.numpy() for name, value in function(**given).items()}


ENGINES = {"onnx": Onnx, "litert": LiteRT, "saved_model": SavedModel}


def _described(widths, vocabulary_size):
    """What a file without a manifest says by the names of its states: layer_0_h, layer_0_c, layer_1_h, ..."""

    def place(name):
        _, layer, letter = name.split("_", 2)
        return int(layer), ("h", "c").index(letter) if letter in "hc" else 2, letter

    names = sorted((name for name in widths if name.startswith("layer_")), key=place)
    states = [[name, f"{name}_out", int(widths[name])] for name in names]
    return {"vocabulary_size": int(vocabulary_size), "states": states}


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
