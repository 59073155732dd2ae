"""What a model's training adds up, for a loop that reads it now and then."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Tally:
    """The sum of the losses, and what their mean is over. A loop reads both, and sets them to zero.

    Attributes:
        total: the variable that sums the losses, in nats where they are logarithms of probabilities.
        count: the variable that counts what they are of: tokens, examples.
        choices: where each is the choice of one of so many, their number: the loss of guessing is its logarithm.
        unit: what is counted, in the singular: shown as `100 tokens/s`.
    """

    total: Any
    count: Any
    choices: int | None = None
    unit: str = "token"
