"""A model as an exporter sees it: named tensors in, named tensors out, nothing kept between calls."""

import dataclasses
import functools
import re

import keras
import numpy as np

from keras_rnnlm import installed
from keras_rnnlm.models.signatures import Signature, Tensor


@dataclasses.dataclass(frozen=True)
class Interface:
    """What is exported: a Keras model in float32, and its `Signature`."""

    model: keras.Model
    signature: Signature

    @property
    def inputs(self):
        """The `Tensor`s that go in, the states last."""
        return (*self.signature.inputs, *(state.tensor for state in self.signature.states))

    @property
    def states(self):
        return self.signature.states

    @property
    def task(self):
        return self.signature.task

    @property
    def vocabulary_size(self):
        """Of a model of symbols; else None."""
        return self.signature.facts.get("vocabulary_size")

    def programs(self):
        """The functions that a format with several holds: name, function of tensors by name, the `Tensor`s it takes."""
        found, signature = [(self.signature.name, self.signature.call, self.inputs)], self.signature
        if signature.step is not None:
            one = [dataclasses.replace(t, shape=(t.shape[0], *t.shape[2:])) for t in signature.inputs]
            found.append(("step", signature.step, (*one, *(state.tensor for state in signature.states))))
        return found if self.begin is None else found + self.begin.programs()

    @functools.cached_property
    def begin(self):
        """The interface of what makes what a first call takes, or None."""
        return None if self.signature.begin is None else Interface(self.model, self.signature.begin)

    @property
    def parts(self):
        """Itself, and what begins."""
        return [self] if self.begin is None else [self, self.begin]

    def numpy(self, inputs):
        """What Keras computes, as numpy arrays."""
        found = self._traced[0]({t.name: keras.ops.convert_to_tensor(inputs[t.name]) for t in self.inputs})
        return {name: np.array(keras.ops.convert_to_numpy(found[name])) for name in self.outputs}

    @property
    def outputs(self):
        """The names of what comes out, in the model's own order, the states last."""
        named = self.signature.outputs
        return [*named, *(state.output for state in self.states)] if named else self._traced[1]

    def description(self):
        """What every file says of itself, and the manifest beside it: `runtime.description` reads it."""
        found = {
            **({} if self.task is None else {"task": self.task}),
            **self.signature.facts,
            "signature": self.signature.name,
            "inputs": [{"name": t.name, "shape": list(t.shape), "dtype": t.dtype} for t in self.inputs],
            "outputs": list(self.outputs),
        }
        if self.states:
            # A width alone stands for the shape of a vector.
            shapes = [s.shape[0] if len(s.shape) == 1 else list(s.shape) for s in self.states]
            found["states"] = [[s.name, s.output, shape] for s, shape in zip(self.states, shapes)]
        if self.begin is not None:
            found["begin"] = self.begin.description()
        return found

    @functools.cached_property
    def _traced(self):
        """The signature as a graph, and the names of its outputs, which a graph sorts."""
        import tensorflow as tf

        names, specs = [], {t.name: tf.TensorSpec(t.shape, t.dtype, name=t.name) for t in self.inputs}

        def call(given):
            found = self.signature.call(given)
            names[:] = found
            return found

        graph = tf.function(call, input_signature=[specs], autograph=False)
        graph.get_concrete_function()
        return graph, names

    def example(self, rng, batch, time, padding=None, from_zeros=False):
        """Random inputs, of every row but the first with masked steps where there are masks; states zeros if asked for.

        With padding the end is masked. Else one step is, of a model without signatures whose layers make masks.
        """
        found, padding = {}, padding or self.signature.padding
        masked_by = None if hasattr(self.model, "signatures") else mask_value(self.model)
        for tensor in self.inputs:
            shape = [size if size is not None else batch if k == 0 else time for k, size in enumerate(tensor.shape)]
            if "int" in tensor.dtype:
                value = rng.integers(1 if padding else 0, tensor.below or 2, shape)
            elif tensor.dtype == "bool":
                value = np.ones(shape, bool) if padding else rng.random(shape) < 0.5
            else:
                is_state = tensor.name in {state.name for state in self.states}
                value = rng.normal(size=shape) * ((0 if from_zeros else 0.5) if is_state else 1)
            if len(shape) > 1 and (tensor.shape[1] is None or masked_by is not None):
                hidden = 0 if masked_by is None or "float" not in tensor.dtype else masked_by
                for row in range(1, batch):
                    if padding == "right":
                        value[row, rng.integers(1, shape[1] + 1) :] = hidden
                    elif masked_by is not None and shape[1] > 1:  # of one step nothing would be left
                        value[row, rng.integers(shape[1])] = hidden
            found[tensor.name] = value.astype(tensor.dtype)
        return found


def interface_of(model):
    """The interface of a model that has `signatures`, or of any other Keras model. One that is made stays."""
    if isinstance(model, Interface):
        return model
    if not installed.has_tensorflow():
        raise installed.needs_tensorflow("An export to SavedModel, ONNX or LiteRT")
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
    if not hasattr(model, "signatures"):
        return Interface(model, _of_any(model))
    found = model.signatures()
    if len(found) != 1:
        raise ValueError(
            f"An export holds one signature, and the `signatures` of {model.name!r} are "
            f"{', '.join(signature.name for signature in found) or 'none'}"
        )
    return Interface(model, found[0])


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

    return Signature("serving_default", inputs, (), call)


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


def mask_value(model):
    """What a masked step holds, of a model whose layers make masks of their inputs; else None."""
    layers = layers_of(model)
    values = [layer.mask_value for layer in layers if isinstance(layer, keras.layers.Masking)]
    values += [0 for layer in layers if isinstance(layer, keras.layers.Embedding) and layer.mask_zero]
    return values[0] if values else None


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
    for layer in layers_of(copy):
        if isinstance(layer, keras.layers.Normalization):  # which works something out of its weights
            layer.finalize_state()
    return copy


def _float32(config):
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy":
            return {**config, "config": {"name": "float32"}}
        return {key: _float32(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return type(config)(_float32(value) for value in config)
    return config
