"""What is in a program that XLA has compiled, read from its text: loops and their kernels, collectives, products.

>>> text = '''ENTRY %main (a: f32[8,4]) -> f32[8,4] {
...   %a = f32[8,4]{1,0} parameter(0)
...   ROOT %sum = f32[8,4]{1,0} all-reduce(%a), to_apply=%add
... }'''
>>> Program(text).collectives()
{'all-reduce': {'count': 1, 'bytes': 128}}
"""

import collections
import dataclasses
import math
import re

COLLECTIVES = ("all-reduce", "all-gather", "all-to-all", "collective-permute", "reduce-scatter")
BYTES = {"f64": 8, "s64": 8, "u64": 8, "f32": 4, "s32": 4, "u32": 4, "bf16": 2, "f16": 2, "s16": 2, "u16": 2}
# What takes no kernel: names of what is there; copies that run beside the others.
FREE = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "opt-barrier", "partition-id"}
FREE |= {"copy-start", "slice-start"}

_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?([\w.\-]+) = (.*?) ([a-z][\w\-]*)\((.*)$")
_ARRAY = re.compile(r"\b(pred|[suf]\d+|bf16|f8\w+|c64)\[([\d,]*)\]")
_CALLED = re.compile(r"\b(?:calls|to_apply|body|condition|\w+_computations?)=(\{[^}]*\}|%?[\w.\-]+)")
_STEPS = re.compile(r'known_trip_count":\{"n":"(\d+)"')


@dataclasses.dataclass
class Instruction:
    name: str
    type: str
    kind: str
    rest: str  # the operands, and all that follows them

    def arrays(self):
        """The dtype and the shape of each array of the result."""
        return [
            (dtype, tuple(map(int, shape.split(","))) if shape else ()) for dtype, shape in _ARRAY.findall(self.type)
        ]

    def numbers(self):
        """How many the first array has."""
        arrays = self.arrays()
        return math.prod(arrays[0][1]) if arrays else 0

    def called(self):
        """The computations it calls but for its body, and its body."""
        names, body = [], None
        for match in _CALLED.finditer(self.rest):
            found = re.findall(r"[\w.\-]+", match[1])
            if match[0].startswith("body="):
                body = found[0]
            else:
                names += found
        return names, body


class Program:
    """A compiled program, `compiled.as_text()`."""

    def __init__(self, text):
        self.computations, self.entry, own = {}, None, None
        for line in text.splitlines():
            if match := _COMPUTATION.match(line):
                own = self.computations[match[2]] = []
                self.entry = match[2] if match[1] else self.entry
            elif line.startswith("}"):
                own = None
            elif own is not None and (match := _INSTRUCTION.match(line)):
                own.append(Instruction(*match.groups()))
        self._times = self._count()

    def _count(self):
        """How often each computation runs: that of a loop once a step. A loop of unknown length counts as one step."""
        times, waiting = collections.Counter(), [(self.entry, 1)]
        while waiting:
            name, often = waiting.pop()
            times[name] += often
            for instruction in self.computations.get(name, ()):
                called, body = instruction.called()
                waiting += [(other, often) for other in called]
                if body is not None:
                    waiting.append((body, often * (self._steps(instruction) or 1)))
        return times

    def _steps(self, loop):
        """As XLA says, or what its condition says that it counts up to, or None."""
        if match := _STEPS.search(loop.rest):
            return int(match[1])
        condition = self.computations.get(re.search(r"condition=%?([\w.\-]+)", loop.rest)[1], ())
        if not any(instruction.kind == "compare" for instruction in condition):
            return None
        ends = [re.match(r"(\d+)\)", instruction.rest) for instruction in condition if instruction.kind == "constant"]
        return int(ends[0][1]) if len(ends) == 1 and ends[0] else None

    def _all(self):
        for name, instructions in self.computations.items():
            for instruction in instructions:
                yield name, instruction

    def collectives(self):
        """By kind, how many run and the bytes that come of them on a device: those of a loop at each of its steps."""
        found = {}
        for name, instruction in self._all():
            kind = instruction.kind.removesuffix("-start")
            if kind in COLLECTIVES and self._times[name]:
                arrays = instruction.arrays()
                if kind != instruction.kind and kind != "all-reduce":  # what goes in, what comes out
                    arrays = [one for one in arrays if one != ("u32", ())]  # a permutation's own numbers
                    arrays = arrays[len(arrays) // 2 :]
                size = sum(BYTES.get(dtype, 1) * math.prod(shape) for dtype, shape in arrays)
                of_kind = found.setdefault(kind, {"count": 0, "bytes": 0})
                of_kind["count"] += self._times[name]
                of_kind["bytes"] += self._times[name] * size
        return dict(sorted(found.items()))

    def loops(self):
        """Each loop's steps, and the kernels of one step by kind."""
        found = []
        for name, instruction in self._all():
            _, body = instruction.called()
            if body is not None and self._times[name]:
                kernels = collections.Counter(filter(None, map(_kernel, self.computations[body])))
                found.append(
                    {"steps": self._steps(instruction), "kernels": sum(kernels.values()), "by kind": dict(kernels)}
                )
        return sorted(found, key=lambda loop: -loop["kernels"])

    def flops(self):
        """Of the products of matrices, those of a loop at each of its steps. A multiply-add is two."""
        total = 0
        for name, instructions in self.computations.items():
            if not self._times[name]:
                continue
            numbers = {instruction.name: instruction.numbers() for instruction in instructions}
            for instruction in instructions:
                if _is_product(instruction):
                    operands = re.findall(r"%([\w.\-]+)", instruction.rest.split(")", 1)[0])[:2]
                    sizes = math.prod(numbers.get(operand, 0) for operand in operands) * instruction.numbers()
                    # (m, k) by (k, n) to (m, n): the three sizes are (mkn)² together; b of them side by side, b³(mkn)².
                    total += 2 * self._times[name] * math.isqrt(sizes // max(1, _side_by_side(instruction)))
        return total


def _is_product(instruction):
    if instruction.kind == "custom-call":
        return bool(re.search(r'custom_call_target="[^"]*(gemm|matmul)', instruction.rest))
    return instruction.kind in ("dot", "convolution")


def _side_by_side(instruction):
    """How many products a product is: a long one may be cut into several, which are added afterwards."""
    axes = re.search(r"lhs_batch_dims=\{([\d,]+)\}", instruction.rest)
    return math.prod(instruction.arrays()[0][1][: len(axes[1].split(","))]) if axes else 1


def _kernel(instruction):
    """The kind of kernel that an instruction is, or None."""
    if instruction.kind in FREE or instruction.kind.endswith("-done"):
        return None
    if instruction.kind == "custom-call":
        return re.search(r'custom_call_target="([^"]+)"', instruction.rest)[1]
    if instruction.kind != "fusion" and instruction.type.split("{")[0].endswith("[]"):
        return None  # a number, such as the loop's own counter
    return instruction.kind
