"""What a model offers outside of Keras: named tensors in, named tensors out, in their order."""

import dataclasses
from collections.abc import Callable, Mapping


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A tensor that goes in: None in its shape is a size that each call chooses."""

    name: str
    shape: tuple
    dtype: str
    below: int | None = None  # integers are smaller than this


@dataclasses.dataclass(frozen=True)
class State:
    """A tensor that one call hands to the next: its names when it goes in and comes out, its shape without the batch.

    It begins at zero: a model whose states begin elsewhere adds that to what goes in, and subtracts it from what comes
    out.
    """

    name: str
    output: str
    shape: tuple

    @property
    def tensor(self):
        return Tensor(self.name, (None, *self.shape), "float32")


@dataclasses.dataclass(frozen=True)
class Signature:
    """A function that an export holds, from a dict of tensors to a dict of tensors, by name.

    Their order is written into every file: the inputs, then the states; the outputs, then what the states became.

    Attributes:
        name: of the function, where a format has names for them.
        inputs: the `Tensor`s that go in, without the states.
        outputs: the names of what comes out, without the states. Empty: what `call` returns, in its order.
        call: the function.
        states: the `State`s.
        splits_in_time: whether two calls, the states handed on, give what one gives for the whole. Every input and
            output that is no state then has time as its second axis.
        step: of one that splits in time, the same for one time step, without that axis and without a loop.
        task: by what `keras_rnnlm.tasks` knows how an exported file answers; None: it has `run` alone.
        facts: what that answer needs to know besides, as JSON can hold it.
        begin: where the first call takes what another function makes, as of a source, that `Signature`, without states.
            What it gives as NAME_begin goes in as NAME. No name of the two is the same.
        padding: "right" where all that is padding stands at the end of a row; None: that is not known.
    """

    name: str
    inputs: tuple
    outputs: tuple
    call: Callable
    states: tuple = ()
    splits_in_time: bool = False
    step: Callable | None = None
    task: str | None = None
    facts: Mapping = dataclasses.field(default_factory=dict)
    begin: "Signature | None" = None
    padding: str | None = None


def of_language_model(model):
    """`score`: tokens and states to logits and states."""
    from keras import ops

    stack, size = model.stack, model.vocabulary_size
    states = [State(name, f"{name}_out", (width,)) for name, width in zip(stack.state_names, stack.state_widths)]
    begin = [ops.convert_to_numpy(state) for state in model.initial_states(1)]
    begin = [state if state.any() else None for state in begin]

    def by_name(run):
        def call(inputs):
            given = [ops.convert_to_tensor(inputs[state.name]) for state in states]
            given = [state if first is None else state + first for state, first in zip(given, begin)]
            logits, after = run(ops.convert_to_tensor(inputs["tokens"]), given)
            after = [state if first is None else state - first for state, first in zip(after, begin)]
            return {"logits": logits, **{state.output: value for state, value in zip(states, after)}}

        return call

    return Signature(
        "score",
        (Tensor("tokens", (None, None), "int32", below=size),),
        ("logits",),
        by_name(lambda tokens, given: model(tokens, given, return_states=True)),
        tuple(states),
        splits_in_time=True,
        step=by_name(model.step),
        task="language_model",
        facts={"vocabulary_size": size},
    )
