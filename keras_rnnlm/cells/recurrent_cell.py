"""What every recurrence has in common: arguments, dropout, config, and one step as a Keras cell."""

import inspect
import numbers

import keras
from keras import ops

from keras_rnnlm.cells import equations, mogrifier, weight_drop
from keras_rnnlm.cells.checks import check_layout, check_reads, checked_step
from keras_rnnlm.cells.dot import Dot, DroppedDot, state_dtype
from keras_rnnlm.cells.private_keras import DropoutRNNCell
from keras_rnnlm.cells.signature import deserialize, keyword_only, serialize, with_options
from keras_rnnlm.cells.weights import Weights


class RecurrentCell(Weights, DropoutRNNCell, keras.layers.Layer):
    """A recurrence: which weights it has, and one step of it.

    A subclass gives

    - `gates`: a letter for each block of `units` columns of `kernel`, `recurrent_kernel` and `bias`;
    - `step(dot, x, states, p)`: its equations.

    Everything else is done here, so that this is a whole cell, with dropout, regularizers, saving, and a fast gradient
    through time in `keras_rnnlm.layers.Recurrent`:

    ```python
    class MinimalGatedUnit(RecurrentCell):
        gates = "fn"

        def step(self, dot, x, states, p):
            (h,) = states
            xf, xn = self.by_gate(x)
            f = ops.sigmoid(dot(h, "f", xf))
            n = self.activation(dot(f * h, "n", xn))
            return ((1 - f) * h + f * n,)

        def products(self):
            return {"f": "f", "n": "n"}
    ```

    What else a cell may define:

    | name | default | what it is |
    |---|---|---|
    | `like` | `keras.layers.SimpleRNNCell` | the Keras cell whose arguments, in their order, it takes |
    | `options` | `{}` | arguments of its own, by keyword, and their defaults |
    | `check_options()` | nothing | raises where options contradict each other, works out what follows from them |
    | `state_names` | `("h",)` | the states, of which the first is the output |
    | `state_widths` | `units` each | the width of each state |
    | `kernel_gates`, `recurrent_gates` | `gates` | the blocks of the kernels; `recurrent_gates = ""`: one kernel |
    | `build(input_shape)` | the kernels and the bias | declares further weights by `declare`, after `super().build` |
    | `initialize_bias`, `bias_shape()` | one vector | how the bias begins |
    | `products()` | the whole kernel | which gates' columns of `recurrent_kernel` each `dot` reads |
    | `kernels(w)` | these | every matrix that `dot` reads, by name |
    | `parameters(w)` | `{}` | the vectors that the step itself reads in `p` |
    | `input_bias(w)`, `project(...)` | `x@W + b` | what the step gets as x |
    | `read_weights(training)` | as they are | the weights as training sees them, drawn once a sequence |
    | `reads` | `()` | names of tensors (batch, ...) that every step reads in `p`; called with `reads={name: tensor}` |
    | `draw_noise(leading, training)` | `{}` | what each step reads in `p` beside x, without a gradient |
    | `traced()` | `["h"]` | the names of what the step notes by `dot.note`: layers return it, with its gradient |
    | `trace_widths` | `{}` | the widths of those that are not as wide as the units |
    | `starts_at` | `{}` | the numbers at which states that count or weigh begin, learned or after an encoder, too |
    | `only_adds_x` | False | the step only adds x, whole, to one product, `dot(h, name, x)`: it is faster |
    | `takes_mogrifier` | True | whether input and h may gate each other before the step |
    | `zoneout_rates()` | for h | the fraction of each state that keeps its values |
    | `fused_kernel`, `beyond_cudnn()` | None | the backend's own kernel, and why it cannot run this cell |
    | `equations()` | class and attributes | what the step depends on, see there |

    Every cell takes the arguments of a Keras cell, in its order, and by keyword these and its own:

    Args:
        zoneout: fraction of the units of h that keep their values at a step, in training.
        weight_drop: fraction of the recurrent weights that are zero in training: the same ones at all steps of a call
            of the layer; in `keras.layers.RNN`, which calls the cell, others at each step.
        learned_initial_state: learn the states that a sequence begins with where none are given; they start as zeros,
            but for the normalizer of `SLSTM`, which starts at one: at zero nothing would learn.
        mogrifier: rounds in which input and h gate each other before the step reads them (Melis et al. 2020).
        mogrifier_rank: of the matrices of these rounds; None for full ones.

    The masks of `dropout` and `recurrent_dropout` are those of Keras: drawn once a call of the layer, for each sequence
    and each gate (where `recurrent_dropout` is 0, one for all gates), and constant over time. Those of `zoneout` are
    drawn at each step. JAX draws nothing within the loop of `keras.layers.RNN`: with `zoneout` or `weight_drop` put the
    cell into `keras_rnnlm.layers.Recurrent`, or unroll the loop.

    >>> class LeakyCell(RecurrentCell):
    ...     gates = "n"
    ...
    ...     def step(self, dot, x, states, p):
    ...         (h,) = states
    ...         return (0.9 * h + 0.1 * self.activation(dot(h, "recurrent_kernel", x)),)
    >>> output, state = LeakyCell(4)(np.ones((2, 3)), np.zeros((2, 4)))
    >>> output.shape
    (2, 4)
    """

    like = keras.layers.SimpleRNNCell
    options = {"zoneout": 0.0, "weight_drop": 0.0, "learned_initial_state": False}
    options |= {"mogrifier": 0, "mogrifier_rank": None}
    gates = ""
    takes_mogrifier = True
    state_names = ("h",)
    only_adds_x = False
    reads = ()
    trace_widths = {}
    starts_at = {}

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "step" in vars(cls) and "only_adds_x" not in vars(cls):
            cls.only_adds_x = False  # other equations than those that it was said of
        inherited = {}
        for base in reversed(cls.__mro__):
            inherited |= vars(base).get("options", {})
        arguments = inspect.signature(cls.like.__init__)
        cls.__signature__ = with_options(arguments, keyword_only(inherited))

    def __init__(self, *args, **kwargs):
        kwargs.pop("implementation", None)
        bound = self.__signature__.bind(*args, **kwargs)
        bound.apply_defaults()
        layer_arguments = bound.arguments.pop("kwargs", {})
        super().__init__(**layer_arguments)
        self.arguments = list(bound.arguments)
        for name, value in bound.arguments.items():
            setattr(self, name, deserialize(name, value))
        if isinstance(self.units, numbers.Integral) and not isinstance(self.units, bool):
            self.units = int(self.units)  # a numpy integer has no place in a saved configuration
        if type(self.units) is not int or self.units <= 0:
            raise ValueError(f"`units` is the width of the state: a positive integer. Received: units={self.units!r}")
        for name in ("dropout", "recurrent_dropout", "zoneout", "zoneout_cell", "weight_drop"):
            rate = getattr(self, name, 0)
            if isinstance(rate, bool) or not isinstance(rate, numbers.Real) or not 0 <= rate <= 1:
                raise ValueError(f"`{name}` is a fraction, from 0 to 1. Received: {name}={rate!r}")
            if not isinstance(rate, (int, float)):
                setattr(self, name, float(rate))  # a numpy number has no place in a saved configuration
        weight_drop.check_rate(self)
        self.recurrent_names = []  # of the weights that read the states
        self.kinds = []  # of the weights that are declared
        self.seed_generator = keras.random.SeedGenerator(seed=self.seed)
        self.check_options()
        mogrifier.check(self)
        if self.mogrifier:
            self.only_adds_x = False
        if self.recurrent_dropout:
            self.dropout_mask_count = max(len(self.gates), len(self.kernel_gates))  # a mask a gate, as Keras has it
        self.output_size = self.state_widths[0]
        self.state_size = list(self.state_widths) if self.number_of_states > 1 else self.output_size

    def check_options(self):
        """Raises a ValueError where the options contradict each other, and works out what follows from them."""

    def step(self, dot, x, states, p):
        """One step of the recurrence.

        Args:
            dot: `dot(a, name)` is `a @ kernel`, the only product by a weight in a step; `dot(a, name, x)` adds x to it.
            x: `inputs @ kernel + bias`, (batch, gates * units).
            states: tuple of tensors, (batch, width), the widths being `state_widths`. The first is the output.
            p: dict of the step's own weights, and of anything else that it reads.

        Returns:
            The new states.
        """
        raise NotImplementedError(f"{type(self).__name__} has no `step`: write its equations there.")

    def equations(self):
        """What the step depends on beside tensors, None where that is not known: by it, equal cells share a loop.

        That is the class and all attributes. A step that reads more, such as a global that changes, returns None here.
        """
        return equations.of(self, RecurrentCell)

    def lasting_equations(self):
        """`equations`, where all that they hold is there as long as the process is, such as a module's functions."""
        return self.equations() if equations.are_lasting(self) else None

    def without_weights(self):
        """A copy that has the step and its options, and nothing of Keras's: it keeps no weight in memory."""
        return equations.without_weights(self)

    @property
    def number_of_states(self):
        return len(self.state_names)

    @property
    def state_widths(self):
        """The width of each state."""
        return [self.units] * self.number_of_states

    def zoneout_rates(self):
        """For each state, the fraction of its units that keeps its value at a step, in training."""
        return [self.zoneout] + [0.0] * (self.number_of_states - 1)

    def expect_zoneout(self, step):
        """The step outside of training: what zoneout gives in the mean."""
        rates = self.zoneout_rates()

        def mixed(dot, x, states, p):
            new = step(dot, x, states, p)
            return [rate * s + (1 - rate) * n if rate else n for rate, s, n in zip(rates, states, new)]

        return mixed if any(rates) else step

    def zoneout_masks(self, *shape):
        """For each state, where it takes its new value: booleans of this shape and the state's width."""
        draws = [
            keras.random.uniform((*shape, width), dtype="float32", seed=self.seed_generator)
            for width in self.state_widths
        ]
        return [draw >= rate for draw, rate in zip(draws, self.zoneout_rates())]

    fused_kernel = None

    def beyond_cudnn(self):
        """Why cuDNN has no kernel for this cell: a list of reasons."""
        return [f"cuDNN has no {type(self).__name__}"]

    def unusual_functions(self):
        """What differs from the functions that cuDNN has for a gated cell."""
        reasons = [] if self.use_bias else ["use_bias=False"]
        if self.activation is not keras.activations.tanh:
            reasons.append("an activation other than tanh")
        if self.recurrent_activation is not keras.activations.sigmoid:
            reasons.append("a recurrent_activation other than sigmoid")
        return reasons

    def traced(self):
        """The names of what the step notes."""
        return ["h"]

    def gate_names(self):
        """Those of `traced()` that are gates, from 0, closed, to 1, open: all but states and candidates."""
        return [name for name in self.traced() if name.split("_")[0] not in ("h", "c", "g", "n")]

    # What the weights are multiplied by

    @staticmethod
    def normalize(z):
        """Mean 0 and variance 1 over the last axis."""
        z = z - ops.mean(z, axis=-1, keepdims=True)
        return z * ops.rsqrt(ops.mean(z * z, axis=-1, keepdims=True) + 1e-5)

    def by_gate(self, z):
        """Splits (..., gates * units) into a tensor a gate."""
        return ops.split(z, z.shape[-1] // self.units, axis=-1)

    def read(self, inputs, w, mask=None):
        """What the step reads of the inputs, of one step or of all: their projection, or what a Mogrifier gates."""
        if not self.mogrifier:
            return self.project(inputs, w, mask)
        inputs = ops.cast(inputs, w["kernel"].dtype)
        mask = mask[0] if isinstance(mask, (list, tuple)) else mask
        return inputs if mask is None else inputs * mask

    def with_raw(self, x, raw):
        """The projection x, and where a gate takes the input as it is, that beside it."""
        return x

    def project(self, inputs, w, mask=None):
        """`inputs @ kernel + bias`, for one step or for all; `mask` drops inputs, one mask or one for each gate."""
        inputs = ops.cast(inputs, w["kernel"].dtype)
        if isinstance(mask, (list, tuple)):
            blocks = [self.columns(w["kernel"], gate, self.kernel_gates) for gate in self.kernel_gates]
            x = ops.concatenate([ops.matmul(inputs * m, block) for m, block in zip(mask, blocks)], axis=-1)
        else:
            x = ops.matmul(inputs if mask is None else inputs * mask, w["kernel"])
        bias = self.input_bias(w)
        return x if bias is None else x + bias

    def recurrence(self, w, recurrent_mask=None, training=False):
        """What `recurrence.run` needs: the step, and the kernels, parameters and constants that it reads."""
        kernels, parameters = self.kernels(w), self.parameters(w)
        if self.mogrifier:
            kernels |= mogrifier.kernels(w)
            bias = self.input_bias(w)
            parameters |= {} if bias is None else {"bias_of_x": bias}
        if recurrent_mask is None:
            return self.whole(self.step, training), kernels, parameters, {}
        masks = {f"mask_{gate}": mask for gate, mask in zip(self.gates, recurrent_mask)}
        products = self.products()
        for name, gates in products.items():
            kernel = kernels.pop(name)
            for k, gate in enumerate(gates):
                kernels[f"{name}_{gate}"] = kernel[:, k * self.units : (k + 1) * self.units]

        def step(dot, x, states, p):
            return self.step(DroppedDot(dot, products, p), x, states, p)

        return self.whole(step, training), kernels, parameters, masks

    def whole(self, step, training):
        """The step with what the options put around it."""
        step = checked_step(self, step)
        step = mogrifier.in_front(self, step) if self.mogrifier else step
        return step if training else self.expect_zoneout(step)

    def draw_noise(self, leading, training):
        """A dict of what each step reads beside x without a gradient, such as noise: of shapes (*leading, ...).

        `leading` is (batch, time), or (batch,) where a step is taken alone.
        """
        return {}

    def call(self, inputs, states, training=False, reads=None, notes=None):
        """One step: `(inputs, states) -> (output, new states)`, as keras.layers.RNN asks of a cell.

        What the step notes is put into `notes`, a dict, where there is one.
        """
        alone = not isinstance(states, (list, tuple))
        states = [states] if alone else list(states)
        if len(states) != self.number_of_states:
            raise ValueError(
                f"`states` of {self.name!r} are {self.number_of_states} tensors of shape (batch, width), of widths "
                f"{self.state_widths}. "
                f"Received shapes: {[tuple(state.shape) for state in states]}"
            )
        dtype = state_dtype(self.compute_dtype)
        mask = self.get_dropout_mask(inputs) if training and self.dropout else None
        recurrent_mask = self.get_recurrent_dropout_mask(states[0]) if training and self.recurrent_dropout else None
        w = self.read_weights(training)
        step, kernels, parameters, constants = self.recurrence(w, recurrent_mask, training)
        beside = check_reads(self, reads) | self.draw_noise((ops.shape(inputs)[0],), training)
        p = {name: ops.cast(value, dtype) for name, value in (parameters | constants | beside).items()}
        x = ops.cast(self.read(inputs, w, mask), dtype)
        dot = Dot(kernels, dtype)
        new = step(dot, x, tuple(ops.cast(state, dtype) for state in states), p)
        if notes is not None:
            notes.update(dot.notes)
        if training and any(self.zoneout_rates()):
            masks = self.zoneout_masks(ops.shape(new[0])[0])
            new = [ops.where(m, n, ops.cast(s, dtype)) for m, n, s in zip(masks, new, states)]
        output = ops.cast(new[0], self.compute_dtype)
        new = [ops.cast(n, state.dtype) for n, state in zip(new, states)]
        return output, new[0] if alone else new

    def get_initial_state(self, batch_size=None):
        states = self.initial_states(batch_size, self.compute_dtype)
        return states[0] if self.number_of_states == 1 else states

    def initial_states(self, batch_size, dtype):
        """Zeros, or what was learned: a list."""
        shapes = [(batch_size, width) for width in self.state_widths]
        if not self.learned_initial_state:
            return [ops.zeros(shape, dtype=dtype) for shape in shapes]
        return [ops.broadcast_to(ops.cast(s, dtype), shape) for s, shape in zip(self.initial_state, shapes)]

    def set_weights(self, weights):
        check_layout(self, weights)
        super().set_weights(weights)

    def get_config(self):
        config = {name: serialize(name, getattr(self, name)) for name in self.arguments}
        return {**super().get_config(), **config}
