"""The weights of a recurrence: how they are made, named and read, and which columns belong to which gate."""

import keras
from keras import ops

from keras_rnnlm.cells import mogrifier, weight_drop
from keras_rnnlm.cells.dot import state_dtype
from keras_rnnlm.initializers import another


class Weights:
    """The weights of a `RecurrentCell`: kernel, recurrent kernel and bias, unless a subclass says otherwise."""

    @property
    def kernel_gates(self):
        """The gates that have a block of columns in `kernel`: all, unless a subclass says otherwise."""
        return self.gates

    @property
    def recurrent_gates(self):
        """The gates that have a block of columns in `recurrent_kernel`: without any, there is no such weight."""
        return self.gates

    def build(self, input_shape):
        self.declared = []
        self.declare("kernel", (input_shape[-1], len(self.kernel_gates) * self.units), "kernel")
        if self.recurrent_gates:
            self.declare("recurrent_kernel", (self.output_size, len(self.recurrent_gates) * self.units), "recurrent")
        if self.use_bias:
            self.declare("bias", self.bias_shape(), "bias", self.initialize_bias)
        else:
            self.bias = None
        self.declare_what_every_cell_may_have(input_shape[-1])
        self.built = True

    def declare_what_every_cell_may_have(self, features):
        weight_drop.check_weights(self)
        mogrifier.declare(self, features)
        if self.learned_initial_state:  # no step reads it
            self.initial_state = [
                self.add_weight(
                    name=f"initial_{name}",
                    shape=(width,),
                    initializer=keras.initializers.Constant(self.starts_at.get(name, 0.0)),
                )
                for name, width in zip(self.state_names, self.state_widths)
            ]

    def bias_shape(self):
        return (len(self.gates) * self.units,)

    def initialize_bias(self, shape, dtype=None, number=0):
        """The bias, of several the one of a number."""
        return another(self.bias_initializer, number)(shape, dtype=dtype)

    def declare(self, name, shape, kind, initializer=None):
        """Adds a weight, which becomes the attribute `name`, and returns it. `read_weights` gives it by that name.

        Args:
            name: of the weight.
            shape: of it.
            kind: "kernel", "recurrent" or "bias", or what else the cell has a `..._initializer` for: by it go its
                initializer, regularizer and constraint. "recurrent" are those that read the states.
            initializer: instead of that of its kind: a function of shape and dtype.

        >>> class Decaying(keras_rnnlm.cells.RecurrentCell):
        ...     gates = "n"
        ...
        ...     def build(self, input_shape):
        ...         super().build(input_shape)
        ...         self.declare("decay", (self.units,), "bias")
        ...
        ...     def parameters(self, w):
        ...         return {"decay": w["decay"]}
        ...
        ...     def step(self, dot, x, states, p):
        ...         (h,) = states
        ...         keep = ops.sigmoid(p["decay"])
        ...         return (keep * h + (1 - keep) * self.activation(dot(h, "recurrent_kernel", x)),)
        >>> cell = Decaying(4)
        >>> output, state = cell(np.ones((2, 3)), np.zeros((2, 4)))
        >>> tuple(cell.decay.shape)
        (4,)
        """
        if not hasattr(self, f"{kind}_initializer"):
            known = [name.removesuffix("_initializer") for name in self.arguments if name.endswith("_initializer")]
            raise ValueError(f"The kind of a weight is one of {', '.join(known)}. Received: kind={kind!r}, of {name!r}")
        if initializer is None:
            initializer = another(getattr(self, f"{kind}_initializer"), self.kinds.count(kind))
        self.kinds.append(kind)

        def initialize(shape, dtype=None):
            # Orthogonal matrices come from a QR decomposition, which has no half precision.
            return ops.cast(initializer(shape, dtype=state_dtype(keras.backend.standardize_dtype(dtype))), dtype)

        variable = self.add_weight(
            name=name,
            shape=shape,
            initializer=initialize,
            regularizer=getattr(self, f"{kind}_regularizer"),
            constraint=getattr(self, f"{kind}_constraint"),
        )
        setattr(self, name, variable)
        self.declared.append(name)
        if kind == "recurrent":
            self.recurrent_names.append(name)
        return variable

    def declare_norm(self, name, width, bias=False):
        """Adds the gain of a layer normalization, ones at first, and its bias where it has one."""
        for what, initial in (("gain", "ones"), ("bias", "zeros"))[: 1 + bias]:
            setattr(self, f"{name}_{what}", self.add_weight(name=f"{name}_{what}", shape=(width,), initializer=initial))
            self.declared.append(f"{name}_{what}")

    def read_weights(self, training=False):
        """The weights as tensors, by name, in the dtype of the computation: once a sequence, or once a single step.

        What training does to them, such as dropping or rounding some, is done here, and has its gradient.
        """
        w = {name: ops.cast(getattr(self, name), self.compute_dtype) for name in self.declared}
        return weight_drop.dropped(self, w) if training and self.weight_drop else w

    def products(self):
        """Which gates' columns of the recurrent kernel each product of the step reads."""
        return {"recurrent_kernel": self.recurrent_gates} if self.recurrent_gates else {}

    def kernels(self, w):
        """The matrices that `dot` reads, from the weights `w`."""
        stored, products = self.recurrent_gates, self.products().items()
        return {name: self.columns(w["recurrent_kernel"], gates, stored) for name, gates in products}

    def parameters(self, w):
        """The vectors that the step itself reads, from the weights `w`."""
        return {}

    def input_bias(self, w):
        return w.get("bias")

    def columns(self, matrix, gates, stored=None):
        """The columns of neighbouring gates, of a matrix with a block for each of `stored`: of all, by default."""
        stored = self.gates if stored is None else stored
        if gates == stored:
            return matrix
        start = stored.index(gates)
        return matrix[..., start * self.units : (start + len(gates)) * self.units]
