"""A language model as single steps that give the gates besides: what a page runs whose text has their colours."""

import numpy as np

from keras_rnnlm import tasks
from keras_rnnlm.diagnostics.steps import noting
from keras_rnnlm.export.interface import Interface, interface_of
from keras_rnnlm.export.onnx import to_onnx
from keras_rnnlm.models.signatures import Signature, Tensor


def write_steps(model, path):
    """Writes the steps of a LanguageModel as ONNX, checked as every export is; returns the gates' names and widths.

    A native operator keeps its gates to itself. A step without one is as fast, for a page reads one token at a time.
    """
    interface = interface_of(model)
    if interface.task != tasks.DEFAULT:
        raise ValueError(f"Gates colour what a language model writes. Received: a model of the task {interface.task}")
    interface = _with_gates(interface)
    to_onnx(interface, path)
    found = interface.numpy(interface.example(np.random.default_rng(0), 1, 1))
    return [[name, found[name].shape[-1]] for name in interface.signature.outputs[1:]]


def _with_gates(interface):
    model, whole = interface.model, interface.signature
    layers = model.stack.layers
    cells = {k: layer.cell for k, layer in enumerate(layers) if hasattr(layer, "cell")}
    gates = {f"layer_{k}_gate_{name}": (k, name) for k, cell in cells.items() for name in cell.gate_names()}
    if not gates:
        kinds = ", ".join(sorted({type(cell).__name__ for cell in cells.values()}))
        raise ValueError(f"There are no gates to colour a text by in cells of the kind {kinds}")

    def call(inputs):
        with noting(layers) as notes:
            found = whole.step({**inputs, "tokens": inputs["tokens"][:, 0]})
        found["logits"] = found["logits"][:, None]
        return {**found, **{output: notes[k][name] for output, (k, name) in gates.items()}}

    tokens = Tensor("tokens", (None, 1), "int32", below=interface.vocabulary_size)
    return Interface(model, Signature("step", (tokens,), ("logits", *gates), call, whole.states))
