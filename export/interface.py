"""A model as an exporter sees it: named tensors in, named tensors out, nothing kept between calls."""

import dataclasses
import functools
import re
import typing

import keras
import numpy as np

from keras_rnnlm.models import LanguageModel


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A tensor that goes in: None in its shape is a size that each call chooses."""

    name: str
    shape: tuple
    dtype: str
    below: int | None = None  # integers are smaller than this


@dataclasses.dataclass(frozen=True)
class State:
    """A state of a language model: the names by which it goes in and comes out, and its width."""

    name: str
    output: str
    units: int


@dataclasses.dataclass(frozen=True)
class Interface:
    """What is exported.

    Attributes:
        model: the Keras model, in float32.
        inputs: the `Tensor`s that go in.
        call: from a dict of tensors to a dict of tensors, by name.
        states: of a language model, the `State`s among them; else none.
        vocabulary_size: of a language model; else None.
        step: of a language model, `call` for one token of each row; else None.

    A text begins with zeros in every format: states that were learned to begin with are subtracted from those that
    come out, and added to those that go in.
    """

    model: keras.Model
    inputs: tuple
    call: typing.Callable
    states: tuple = ()
    vocabulary_size: int | None = None
    step: typing.Callable | None = None

    def numpy(self, inputs):
        """What Keras computes, as numpy arrays."""
        found = self._traced[0]({t.name: keras.ops.convert_to_tensor(inputs[t.name]) for t in self.inputs})
        return {name: np.array(keras.ops.convert_to_numpy(found[name])) for name in self.outputs}

    @property
    def outputs(self):
        """The names of what comes out, in the model's own order."""
        return self._traced[1]

    def description(self):
        """What every file says of itself, and the manifest beside it: `runtime.description` reads it."""
        found = {
            "inputs": [{"name": t.name, "shape": list(t.shape), "dtype": t.dtype} for t in self.inputs],
            "outputs": list(self.outputs),
        }
        if not self.states:
            return found
        states = [[state.name, state.output, state.units] for state in self.states]
        return {"vocabulary_size": self.vocabulary_size, "states": states, **found}

    @functools.cached_property
    def _traced(self):
        """`call` as a graph, and the names of its outputs, which a graph sorts."""
        import tensorflow as tf

        names, specs = [], {t.name: tf.TensorSpec(t.shape, t.dtype, name=t.name) for t in self.inputs}

        def call(given):
            found = self.call(given)
            names[:] = found
            return found

        graph = tf.function(call, input_signature=[specs], autograph=False)
        graph.get_concrete_function()
        return graph, names

    def example(self, rng, batch, time, padding=None, from_zeros=False):
        """Random inputs: of every row but the first, with padding, the end is zeros; states are zeros if asked for."""
        found = {}
        for tensor in self.inputs:
            shape = [size if size is not None else batch if k == 0 else time for k, size in enumerate(tensor.shape)]
            if "int" in tensor.dtype:
                value = rng.integers(1 if padding else 0, tensor.below or 2, shape)
            elif tensor.dtype == "bool":
                value = rng.random(shape) < 0.5
            else:
                is_state = tensor.name in {state.name for state in self.states}
                value = rng.normal(size=shape) * ((0 if from_zeros else 0.5) if is_state else 1)
            if padding == "right" and len(shape) > 1 and tensor.shape[1] is None:
                for row in range(1, batch):
                    value[row, rng.integers(1, time + 1) :] = 0
            found[tensor.name] = value.astype(tensor.dtype)
        return found


def interface_of(model):
    """The interface of a LanguageModel, or of any other Keras model."""
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "Exports are made with Keras's TensorFlow backend: save the model, and load it where "
            f"KERAS_BACKEND=tensorflow. Received: the backend {keras.backend.backend()}"
        )
    if not isinstance(model, keras.Model):
        raise ValueError(f"What is exported is a keras.Model. Received: {type(model).__name__}")
    if not model.built:
        raise ValueError(f"{model.name!r} has no weights yet: call it on data, or build it, before it is exported")
    for layer in layers_of(model):
        check_stateless(layer)
    model = in_float32(model)
    return _of_language_model(model) if isinstance(model, LanguageModel) else _of_any(model)


def _of_language_model(model):
    stack = model.stack
    states = [State(name, f"{name}_out", width) for name, width in zip(stack.state_names, stack.state_widths)]

    begin = [keras.ops.convert_to_numpy(state) for state in model.initial_states(1)]
    begin = [state if state.any() else None for state in begin]

    def by_name(run, inputs):
        given = [keras.ops.convert_to_tensor(inputs[state.name]) for state in states]
        given = [state if first is None else state + first for state, first in zip(given, begin)]
        logits, after = run(keras.ops.convert_to_tensor(inputs["tokens"]), given)
        after = [state if first is None else state - first for state, first in zip(after, begin)]
        return {"logits": logits, **{state.output: value for state, value in zip(states, after)}}

    call = functools.partial(by_name, lambda tokens, given: model(tokens, given, return_states=True))
    size = model.vocabulary_size
    tokens = Tensor("tokens", (None, None), "int32", below=size)
    inputs = (tokens, *(Tensor(state.name, (None, state.units), "float32") for state in states))
    return Interface(model, inputs, call, tuple(states), size, functools.partial(by_name, model.step))


def _of_any(model):
    structure = _inputs_of(model)
    flat, keys = keras.tree.flatten(structure), []
    for tensor in flat:  # TensorFlow names arguments as Python does
        name = re.sub(r"\W", "_", tensor.name, flags=re.ASCII)
        keys.append(name if name not in keys else f"{name}_{len(keys)}")
    below = min((layer.input_dim for layer in layers_of(model) if isinstance(layer, keras.layers.Embedding)), default=2)
    inputs = tuple(Tensor(key, (None, *t.shape[1:]), t.dtype, below) for key, t in zip(keys, flat))

    def call(given):
        tensors = [keras.ops.convert_to_tensor(given[key]) for key in keys]
        outputs = model(keras.tree.pack_sequence_as(structure, tensors), training=False)
        if isinstance(outputs, dict):
            return {str(name): keras.ops.convert_to_tensor(value) for name, value in outputs.items()}
        outputs = [keras.ops.convert_to_tensor(output) for output in keras.tree.flatten(outputs)]
        names = list(getattr(model, "output_names", []))
        if len(set(names)) != len(outputs):
            names = [f"output_{k}" for k in range(len(outputs))]
        return dict(zip(names, outputs))

    return Interface(model, inputs, call)


def _inputs_of(model):
    """What a model is called on: a KerasTensor, or a structure of them."""
    structure = getattr(model, "_inputs_struct", None)
    if structure is None:
        structure = getattr(model, "inputs", None)
        structure = structure[0] if isinstance(structure, list) and len(structure) == 1 else structure
    if structure is None:
        # Keras notes the shape that a subclassed model was first called on.
        shapes = list((getattr(model, "_build_shapes_dict", None) or {}).values())
        if len(shapes) == 1 and all(size is None or isinstance(size, int) for size in shapes[0]):
            structure = keras.KerasTensor((None, *shapes[0][1:]), dtype=model.input_dtype, name="inputs")
    if structure is None:
        raise ValueError(
            f"What {model.name!r} takes is not written down in it: make it a functional model, keras.Model(inputs, "
            f"outputs). Received: a {type(model).__name__}"
        )
    return structure


def layers_of(model):
    """Every layer in it, however deep."""
    return model._flatten_layers(include_self=False, recursive=True)


def check_stateless(layer):
    if getattr(layer, "stateful", False):
        raise ValueError(
            f"{layer.name!r} is stateful, and an exported file keeps no states between calls: build the model with "
            "`stateful=False`, and hand the states in and out (`initial_state`, `return_state`)"
        )


def in_float32(model):
    """The model itself, or, if it computes in half precision, a copy that computes in float32."""
    if all(layer.compute_dtype == "float32" for layer in [model, *layers_of(model)] if layer.dtype_policy):
        return model
    copy = type(model).from_config(_float32(model.get_config()))
    if not copy.built:
        copy.build_from_config(model.get_build_config())
    copy.set_weights(model.get_weights())
    return copy


def _float32(config):
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy":
            return {**config, "config": {"name": "float32"}}
        return {key: _float32(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return type(config)(_float32(value) for value in config)
    return config
