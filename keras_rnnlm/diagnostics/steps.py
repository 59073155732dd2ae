"""A model taken one step at a time, and what its cells note at each step."""

import contextlib
import dataclasses
from collections.abc import Callable

import keras
from keras import ops

from keras_rnnlm.heads import Head
from keras_rnnlm.layers import RecurrentStack
from keras_rnnlm.layers.stackable import Stackable
from keras_rnnlm.models import LanguageModel, ids
from keras_rnnlm.models.compiled import compiled

PER_STEP = (
    keras.layers.Activation,
    keras.layers.Dense,
    keras.layers.Dropout,
    keras.layers.Embedding,
    keras.layers.LayerNormalization,
    keras.layers.TimeDistributed,
    Head,
)


@dataclasses.dataclass(frozen=True)
class Steps:
    """A model as steps.

    Attributes:
        model: what it was made of.
        layers: those of a model that carry states, from below.
        step: `step(x, states) -> (output, states)`, with a flat list of states.
        sequences: what it reads, (batch, time, ...).
        states: where it begins.
    """

    model: keras.layers.Layer
    layers: list
    step: Callable
    sequences: object
    states: list

    def state_names(self):
        return [f"layer {k}, {name}" for k, layer in enumerate(self.layers) for name in layer.state_names]

    def notes(self):
        """For each step, for each layer, a dict of its cell's h and of what it notes: arrays of (batch, units)."""

        def noted(x, states):
            with noting(self.layers) as notes:
                states = self.step(x, states)[1]
            return states, notes

        noted, states = compiled(self.model, noted), self.states
        for t in range(self.sequences.shape[1]):
            states, notes = noted(self.sequences[:, t], states)
            yield keras.tree.map_structure(ops.convert_to_numpy, notes)


@contextlib.contextmanager
def noting(layers):
    """Of each layer a dict, which has, at the end, its cell's h and what it noted in the last step."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(_noting(layer)) for layer in layers]


@contextlib.contextmanager
def _noting(layer):
    """A dict that has, at the end, what the layer's cell noted. A layer without a cell notes nothing."""
    notes, cell = {}, getattr(layer, "cell", None)
    if cell is None:
        yield notes
        return
    step = cell.step

    def noted_step(dot, x, states, p):
        new = step(dot, x, states, p)
        notes.update({"h": new[0], **dot.notes})
        return new

    cell.step = noted_step
    try:
        yield notes
    finally:
        del cell.step


def layers_of(model):
    """The layers of a model that carry states, from below."""
    return _parts(model)[1]


def reads_tokens(model):
    """Whether a step of the model's input is one number, a token, and not a row of features."""
    return isinstance(_parts(model)[0], keras.layers.Embedding)


def steps(model, inputs, states=None):
    """`model` as steps over `inputs`, from `states`, zeros by default.

    Args:
        model: a LanguageModel, a RecurrentStack, a recurrent layer, or a `keras.Sequential` or functional model that is
            one chain of recurrent layers and of layers that work step by step.
        inputs: of a LanguageModel, tokens (batch, time); else what the model reads, (batch, time, ...).
        states: a flat list, layer by layer.
    """
    reads, layers, step = _parts(model)
    sequences = ops.convert_to_tensor(inputs)
    dimensions = 2 if isinstance(reads, keras.layers.Embedding) else 3
    if len(sequences.shape) != dimensions or not sequences.shape[1]:
        wanted = "(batch, time)" if dimensions == 2 else "(batch, time, features)"
        shape = tuple(sequences.shape)
        raise ValueError(f"`inputs` are {wanted}, and have at least one step. Received: inputs of shape {shape}")
    if dimensions == 2:
        ids.check(inputs, reads.input_dim, ids.TOKENS)
    if not model.built:
        model.build((None, None, *sequences.shape[2:]))
    if states is None:
        states = [state for layer in layers for state in layer.get_initial_state(sequences.shape[0])]
    return Steps(model, layers, step, sequences, [ops.convert_to_tensor(state) for state in states])


def _parts(model):
    """What reads the inputs, the layers that carry states, and `step(x, states) -> (output, states)`."""
    if isinstance(model, LanguageModel):
        return model.embedding, model.stack.layers, lambda x, states: model.stack.step(model.embedding(x), states)
    if isinstance(model, RecurrentStack):
        return model, model.layers, model.step
    chain = _chain(model)
    return chain[0], [layer for layer in chain if isinstance(layer, Stackable)], _step_through(chain)


def _chain(model):
    """The layers that a model without branches runs one after another."""
    if isinstance(model, Stackable):
        chain = [model]
    elif isinstance(model, keras.Model) and len(getattr(model, "inputs", None) or [()]) == 1:
        chain = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    else:
        chain = []
    if not any(isinstance(layer, Stackable) for layer in chain) or not _is_unbranched(model, chain):
        raise ValueError(
            "What goes step by step is a LanguageModel, a recurrent layer of keras_rnnlm.layers, a RecurrentStack, or "
            "a keras.Sequential or functional model that is one chain with such layers in it. "
            f"Received: {type(model).__name__}"
        )
    for layer in chain:
        if isinstance(layer, Stackable) and not layer.go_backwards:
            continue
        if not isinstance(layer, PER_STEP) or getattr(layer, "mask_zero", False):
            names = ", ".join(kind.__name__ for kind in PER_STEP)
            raise ValueError(
                "A chain that goes step by step holds recurrent layers of keras_rnnlm.layers that run forwards, and "
                f"around them {names}, without masks. Received: the layer {layer.name!r}, a {type(layer).__name__}"
            )
    return chain


def _is_unbranched(model, chain):
    if isinstance(model, (Stackable, keras.Sequential)):
        return True
    try:
        return all(b.input is a.output for a, b in zip(chain, chain[1:])) and chain[-1].output is model.output
    except (AttributeError, ValueError):  # a layer that is called twice, or never, has no one input
        return False


def _step_through(chain):
    def step(x, states):
        states, new = list(states), []
        for layer in chain:
            if isinstance(layer, Stackable):
                number = len(layer.state_names)
                x, mine = layer.step(x, states[:number])
                states, new = states[number:], new + list(mine)
            else:
                x = layer(x[:, None], training=False)[:, 0]  # it may count on an axis of time
        return x, new

    return step
