"""The one matrix product of a step."""

from keras import ops


class Dot:
    """Multiplies by the kernels, and keeps the products."""

    def __init__(self, kernels, dtype):
        self.kernels, self.dtype, self.kept, self.notes = kernels, dtype, [], {}

    def __call__(self, operand, name, plus=None):
        """`operand @ kernel`, `+ plus` where given: what is added here need not be read again by the gradient."""
        if name not in self.kernels:
            raise ValueError(
                f"`dot` multiplies by {', '.join(self.kernels) or 'nothing'} here. Received: name={name!r}"
            )
        kernel = self.kernels[name]
        y = cast(ops.matmul(cast(operand, kernel.dtype), kernel), self.dtype)
        if plus is not None:
            y = y + plus
        self.kept.append(cast(y, kernel.dtype))
        return y

    def note(self, **values):
        """Names values of the step for a trace of it."""
        self.notes.update(values)


class DroppedDot:
    """A `dot` whose recurrent products see a masked operand, with a mask of its own for each gate."""

    def __init__(self, dot, products, masks):
        self.dot, self.products, self.masks, self.note = dot, products, masks, dot.note

    def __call__(self, operand, name, plus=None):
        if name not in self.products:
            if any(name == f"{product}_{gate}" for product, gates in self.products.items() for gate in gates):
                raise ValueError(f"`dot` multiplies by {', '.join(self.products)}. Received: name={name!r}")
            return self.dot(operand, name, plus)
        gates = self.products[name]
        y = [self.dot(operand * self.masks[f"mask_{gate}"], f"{name}_{gate}") for gate in gates]
        y = ops.concatenate(y, axis=-1)
        return y if plus is None else y + plus


def cast(value, dtype):
    return value if value.dtype == dtype else ops.cast(value, dtype)


def state_dtype(compute_dtype):
    """The dtype in which states are carried and gradients summed: half precision carries in float32."""
    return "float32" if compute_dtype in ("float16", "bfloat16") else compute_dtype
