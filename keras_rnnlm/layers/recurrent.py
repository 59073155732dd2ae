"""A cell over time: masks, states, directions, and the fast loop."""

import functools
import inspect

import keras
from keras import ops

from keras_rnnlm import recurrence
from keras_rnnlm.cells import RecurrentCell
from keras_rnnlm.cells.checks import check_layout, check_reads
from keras_rnnlm.cells.dot import state_dtype
from keras_rnnlm.cells.private_keras import dropout_mask, no_automatic_dependency_tracking
from keras_rnnlm.cells.signature import keyword_only, serialize, with_options
from keras_rnnlm.layers import exporting, fused
from keras_rnnlm.layers.programs import Programs, program_of
from keras_rnnlm.layers.stackable import Stackable, check_mask, check_states, mask_of


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class Recurrent(Stackable, keras.layers.RNN):
    """Runs a `RecurrentCell` over a sequence, with one gradient through time for every cell.

    Args:
        cell: a `RecurrentCell`.
        return_sequences: return the output of every step, not only of the last.
        return_state: return the final states, too.
        go_backwards: go from the last step to the first; outputs come in the order in which they were computed.
        stateful: start each batch from the states in which the one before it ended.
        unroll: write the loop out.
        zero_output_for_mask: the output of a masked step is zero; by default it repeats the one before it.
        return_trace: return a dict of everything the step computes, its gates and cells, each (batch, time, units). Or
            the names of some: those alone, by the fast loop, and zeros where a step is masked. They have a gradient.
        remat: keep less for the gradient, and compute it again: of T steps what about the square root of T need, beside
            inputs and outputs. A step of training takes the forward part twice. Where the layer
            learns, the number of steps must be known.

    Call arguments:
        sequences: (batch, time, features).
        initial_state: list of tensors, (batch, units); zeros by default.
        mask: booleans, (batch, time). A masked step holds the states.
        training: whether to drop out.
        reads: dict of the tensors of any rank, (batch, ...), that every step reads, those in `reads` of the cell.

    Returns the output, (batch, units), or (batch, time, units) with `return_sequences`; then the states and the trace,
    where they are asked for. Under a half-precision policy states are in float32, so that what is carried from batch
    to batch loses nothing.

    A subclass with a `cell_class` takes the arguments of its cell in place of the cell:

    ```python
    class MinimalGatedUnitLayer(Recurrent):
        cell_class = MinimalGatedUnit
    ```

    >>> layer = Recurrent(keras_rnnlm.cells.LSTMCell(4, peephole=True), return_sequences=True, return_trace=True)
    >>> output, trace = layer(np.ones((2, 5, 3)))
    >>> output.shape, sorted(trace)
    ((2, 5, 4), ['c', 'f', 'g', 'h', 'i', 'o'])
    """

    cell_class = None  # the cell whose arguments this layer takes
    like = keras.layers.SimpleRNN  # and the Keras layer whose arguments, in their order, it takes
    options = {"return_trace": False, "remat": False}

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if cls.cell_class is not None:
            arguments = inspect.signature(cls.like.__init__)
            named = set(arguments.parameters)
            of_cell = [p for p in cls.cell_class.__signature__.parameters.values() if p.name not in named]
            cls.__signature__ = with_options(arguments, [*of_cell, *keyword_only(cls.options)])
            for name in cls.cell_class.__signature__.parameters:
                if name not in ("kwargs", "seed"):
                    setattr(cls, name, property(lambda self, name=name: getattr(self.cell, name)))

    def __init__(self, *args, **kwargs):
        if self.cell_class is None:
            return_trace, remat, more = kwargs.pop("return_trace", False), kwargs.pop("remat", False), {}
            cell = args[0] if args else kwargs.get("cell")
            if not isinstance(cell, RecurrentCell):
                raise ValueError(
                    "`cell` is a RecurrentCell of keras_rnnlm; keras.layers.RNN runs any other. "
                    f"Received: cell={cell!r}"
                )
            super().__init__(*args, **kwargs)
        else:
            kwargs.pop("implementation", None)
            bound = self.__signature__.bind(*args, **kwargs)
            bound.apply_defaults()
            arguments = {**bound.arguments.pop("kwargs"), **bound.arguments}
            return_trace, remat = arguments.pop("return_trace"), arguments.pop("remat")
            more = {name: arguments.pop(name) for name in ("use_cudnn",) if name in arguments}
            of_cell = [name for name in self.cell_class.__signature__.parameters if name in arguments]
            of_cell = {name: arguments.pop(name) for name in of_cell}
            shared = {name: arguments[name] for name in ("dtype", "trainable") if name in arguments}
            name = f"{self.cell_class.__name__.removesuffix('Cell').lower()}_cell"
            super().__init__(self.cell_class(**of_cell, **shared, name=name), **arguments)
        self.return_trace, self.remat = self._checked_trace(return_trace), bool(remat)
        if "use_cudnn" in more:  # an attribute where it is an argument: `keras.layers.Bidirectional` copies it
            self.use_cudnn = more["use_cudnn"]
        self.supports_masking = True
        self.autocast = False  # `call` casts by itself: Keras would round the states that are handed in
        self.input_spec = keras.layers.InputSpec(ndim=3)
        self._programs, self.loops = Programs(), Programs()  # `loops` may be those of several layers
        if self.stateful and self.cell.learned_initial_state:
            raise ValueError(
                "A stateful layer begins with the states that it kept, so there is none to learn: pass stateful=False, "
                "or learned_initial_state=False. Received: both are True"
            )
        if fused.wanted(self) not in ("auto", True, False):
            raise ValueError(f'`use_cudnn` is True, False or "auto". Received: use_cudnn={self.use_cudnn!r}')
        if not (recurrence.backend.compiles_cudnn() or fused.obstacles(self)):
            self.supports_jit = False

    def call(self, sequences, initial_state=None, mask=None, training=False, reads=None):
        mask = mask_of(sequences, mask)
        self._check(sequences, initial_state, mask, reads, training)
        reads = {name: ops.cast(value, self.compute_dtype) for name, value in (reads or {}).items()}
        sequences = ops.cast(sequences, self.compute_dtype)
        states = self._starting_states(sequences, initial_state)
        if mask is not None:
            mask = ops.reshape(ops.cast(mask, "bool"), ops.shape(sequences)[:2] + (1,))
        result, write = None, exporting.writer()
        if write is not None and not self.return_trace:
            written = write(self, sequences, states, mask, reads)
            if written is not None:
                outputs, after = written
                result = outputs if self.return_sequences else after[0], after, {}
        if self.go_backwards:
            sequences = ops.flip(sequences, axis=1)
            mask = None if mask is None else ops.flip(mask, axis=1)

        by = fused.kernel_for(self, mask) if write is None else None
        if by is not None:
            loop = functools.partial(self._run, sequences, states, mask, training, reads)
            result = fused.run(self, by, sequences, states, training, loop)
        if result is None:
            if fused.wanted(self) is True and write is None:
                raise ValueError(f'use_cudnn=True, but the backend refused to run {self.name!r} by cuDNN. Pass "auto".')
            result = self._run(sequences, states, mask, training, reads)
        output, states, trace = result

        if mask is not None:
            output = self._mask_output(output, mask)
            if self.return_trace is not True:
                trace = {name: _where(mask, value) for name, value in trace.items()}
        output = ops.cast(output, self.compute_dtype)
        if self.stateful:
            for variable, state in zip(self.states, states):
                variable.assign(state)
        results = [output] + list(states) * bool(self.return_state) + [trace] * bool(self.return_trace)
        return results[0] if len(results) == 1 else tuple(results)

    def _run(self, sequences, states, mask, training, reads):
        """The layer's own loop: `(output, states, trace)`."""
        cell = self.cell
        tensors = {"sequences": sequences, "states": states, "weights": cell.read_weights(training)}
        tensors |= {"reads": reads} if reads else {}
        noise = cell.draw_noise(tuple(ops.shape(sequences)[:2]), training)
        tensors |= {"noise": noise} if noise else {}
        if training and cell.dropout:
            tensors["dropout"] = dropout_mask(cell, sequences[:, 0, :], cell.dropout)
        if training and cell.recurrent_dropout:
            like = ops.cast(states[0], self.compute_dtype)
            tensors["recurrent_dropout"] = dropout_mask(cell, like, cell.recurrent_dropout)
        zoned = bool(training) and any(cell.zoneout_rates())
        if zoned:
            masks = cell.zoneout_masks(*ops.shape(sequences)[:2])
            mask = masks if mask is None else [ops.logical_and(m, mask) for m in masks]
        if mask is not None:
            tensors["mask"] = mask
        remat = self.remat and sequences.shape[1] is not None
        settings = (self.return_sequences, self.unroll, self.return_trace, recurrence.is_plain(), zoned, remat)
        program = self._programs.get(settings, lambda: program_of(self, *settings))
        # TensorFlow's own loop gradient, and what is compiled as a whole, need no function of their own.
        plain = self.unroll or self.return_trace is True or recurrence.is_plain()
        if not plain and not recurrence.backend.is_compiled():
            compiled = recurrence.backend.compiled
            program = self._programs.get((*settings, "compiled"), lambda: compiled(program, lengths=not remat))
        return program(tensors)

    def _mask_output(self, output, mask):
        """A masked step repeats the last output, zeros before the first one; or it is zeros."""
        if self.zero_output_for_mask:
            shown = mask if self.return_sequences else mask[:, -1]
        elif self.return_sequences:
            shown = ops.cumsum(ops.cast(mask, "int32"), axis=1) > 0
        else:
            shown = ops.any(mask, axis=1)
        return ops.where(shown, output, ops.zeros_like(output))

    # What a stack needs to know

    @property
    def output_width(self):
        return self.cell.output_size

    @property
    def state_names(self):
        return self.cell.state_names

    @property
    def state_widths(self):
        return self.cell.state_widths

    @property
    def reads(self):
        return self.cell.reads

    def step(self, x, states, reads=None):
        """One step, without a loop: x is (batch, features). Returns the output and the new states."""
        return self.cell.call(x, list(states), reads=reads)

    # States

    def _starting_states(self, sequences, initial_state):
        if initial_state is None:
            initial_state = self.states if self.stateful else self.get_initial_state(ops.shape(sequences)[0])
        elif not isinstance(initial_state, (list, tuple)):
            initial_state = [initial_state]
        states = [ops.cast(state, state_dtype(self.compute_dtype)) for state in initial_state]
        # PyTorch would overwrite, in place, the states that the gradient still needs.
        return [ops.copy(state) for state in states] if self.stateful else states

    def get_initial_state(self, batch_size):
        """Zeros, or what was learned, in the dtype in which states are carried."""
        return self.cell.initial_states(batch_size, state_dtype(self.compute_dtype))

    @no_automatic_dependency_tracking
    def _create_state_variables(self, batch_size):
        zeros = self.get_initial_state(batch_size)
        self.states = [
            keras.Variable(zero, trainable=False, autocast=False, dtype=zero.dtype, name=f"rnn_state_{k}")
            for k, zero in enumerate(zeros)
        ]

    @property
    def variables(self):
        """With the states that are kept: JAX's `fit` and `predict` hand on what is among a model's variables alone."""
        return [*super().variables, *((self.states or []) if self.stateful else [])]

    # Shapes

    def build(self, sequences_shape, initial_state_shape=None):
        super().build(sequences_shape)
        self.input_spec = keras.layers.InputSpec(ndim=3, axes={-1: sequences_shape[-1]})

    def _checked_trace(self, names):
        known = self.cell.traced()
        if isinstance(names, (bool, type(None))):
            return bool(names)
        if not isinstance(names, (list, tuple)) or not set(names) <= set(known):
            raise ValueError(
                f"`return_trace` is True, False or a list of what the step notes: {', '.join(known)}. "
                f"Received: return_trace={names!r}"
            )
        return tuple(names)

    def _check(self, sequences, initial_state, mask, reads=None, training=False):
        batch, time = sequences.shape[:2]
        check_reads(self.cell, reads, batch)
        if fused.wanted(self) is True and fused.obstacles(self, mask):
            reasons = "; ".join(fused.obstacles(self, mask))
            raise ValueError(f'use_cudnn=True, but cuDNN cannot run {self.name!r}: {reasons}. Pass "auto".')
        if time == 0:
            raise ValueError(f"`sequences` has no time step. Received: sequences.shape={tuple(sequences.shape)}")
        if self.unroll and time is None:
            raise ValueError(
                "`unroll=True` writes out one step after another, so their number must be known: give the input a "
                f"shape with a time dimension, or drop `unroll`. Received: sequences.shape={tuple(sequences.shape)}"
            )
        if self.remat and time is None and training:
            raise ValueError(
                "`remat=True` cuts a sequence into parts to learn from, so its number of steps must be known: give the "
                "input a shape with a time dimension, or drop `remat`. Received: sequences.shape="
                f"{tuple(sequences.shape)}"
            )
        if self.stateful and None not in (batch, self._expected_batch_size) and batch != self._expected_batch_size:
            raise ValueError(
                f"A stateful layer keeps a state for each row of its batch, here {self._expected_batch_size} rows. "
                f"Received: sequences.shape={tuple(sequences.shape)}"
            )
        if initial_state is not None:
            check_states(initial_state, self.state_widths, batch)
        if mask is not None:
            check_mask(mask, batch, time)

    def _traced(self):
        return self.cell.traced() if self.return_trace is True else self.return_trace or ()

    def compute_output_shape(self, sequences_shape, initial_state_shape=None, reads_shape=None):
        batch, time = sequences_shape[:2]
        shapes = [(batch, time, self.output_width) if self.return_sequences else (batch, self.output_width)]
        shapes += [(batch, width) for width in self.state_widths if self.return_state]
        if self.return_trace:
            widths = dict(zip(self.cell.state_names, self.state_widths)) | self.cell.trace_widths
            shapes.append({name: (batch, time, widths.get(name, self.cell.units)) for name in self._traced()})
        return shapes[0] if len(shapes) == 1 else tuple(shapes)

    def compute_output_spec(self, sequences, initial_state=None, mask=None, training=False, reads=None):
        self._check(sequences, initial_state, mask[0] if isinstance(mask, (list, tuple)) else mask, reads, training)
        shapes = self.compute_output_shape(sequences.shape)
        if not (self.return_state or self.return_trace):
            return keras.KerasTensor(shapes, dtype=self.compute_dtype)

        def spec(k, shape):
            if isinstance(shape, dict):
                return {name: keras.KerasTensor(s, dtype=self.compute_dtype) for name, s in shape.items()}
            return keras.KerasTensor(shape, dtype=state_dtype(self.compute_dtype) if k else self.compute_dtype)

        return tuple(spec(k, shape) for k, shape in enumerate(shapes))

    def compute_mask(self, _, mask):
        mask = mask[0] if isinstance(mask, (list, tuple)) else mask
        output_mask = mask if self.return_sequences else None
        extra = len(self.state_widths) * bool(self.return_state) + len(self._traced())
        return [output_mask] + [None] * extra if extra else output_mask

    # Weights and configuration

    def set_weights(self, weights):
        check_layout(self, weights)
        super().set_weights(weights)

    def get_config(self):
        config = super().get_config()
        if self.cell_class is not None:
            del config["cell"]
            config |= {name: serialize(name, getattr(self.cell, name)) for name in self.cell.arguments}
            config["activity_regularizer"] = serialize("regularizer", self.activity_regularizer)
            if getattr(self, "use_cudnn", "auto") is False:  # a file that demanded it would open on some machines alone
                config["use_cudnn"] = False
        trace = list(self.return_trace) if isinstance(self.return_trace, tuple) else self.return_trace
        return {**config, "return_trace": trace, "remat": self.remat}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return super().from_config(config, custom_objects) if cls.cell_class is None else cls(**config)


def _where(mask, value):
    """A sequence of any rank, and zeros where a mask (batch, time, 1) is False."""
    mask = ops.reshape(mask, (*ops.shape(mask)[:2], *[1] * (len(value.shape) - 2)))
    return ops.where(mask, value, ops.zeros_like(value))
