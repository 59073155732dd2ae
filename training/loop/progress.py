"""Where a run stands, as its checkpoints have it."""

import dataclasses
import math
import numbers

from keras_rnnlm.belonging import SCHEMA
from keras_rnnlm.schema import COUNT, Optional, Rule, is_a, number


def nothing():
    return dict(nats=0.0, tokens=0, seconds=0.0, norm=0.0, steps=0, clipped=0, skipped=0)


@dataclasses.dataclass
class Progress:
    """Where a run stands: all that is not in a variable of the model or of its optimizer."""

    epoch: int = 0
    window: int = 0  # the next one of the epoch
    step: int = 0  # batches seen, in all epochs
    taken: int = 1  # of these in the last execution, see `steps_per_execution`
    tokens: int = 0
    seconds: float = 0.0  # spent, validation included
    best: float = math.inf  # validation loss, and the step of it
    best_step: int = -1
    waits: int = 0  # validations since
    plateau_waits: int = 0  # the same, counted again from each decay
    decays: int = 0  # of a plateau
    retries: int = 0  # after a NaN
    went_back_to: int = -1  # the step that the last retry began from
    validated: int = -1  # the step of the last validation
    averaging_from: int = -1  # the step from which on weights are averaged
    losses: list = dataclasses.field(default_factory=list)  # of validations, while these decide when that is
    history: int = 0  # bytes of history.jsonl
    sums: dict = dataclasses.field(default_factory=nothing)  # since the last line of history.jsonl


REAL = Rule("a number", lambda value: is_a(value, numbers.Real))
PLACE = Rule("a whole number, -1 or above", lambda value: is_a(value, int) and -1 <= value < 2**63)
RECORD = {
    **{field.name: COUNT if field.default == 0 else PLACE for field in dataclasses.fields(Progress)},
    "seconds": number(", 0 or above", lambda value: value >= 0),
    "best": Rule("a number", lambda value: is_a(value, numbers.Real) and not math.isnan(value)),
    "losses": [REAL],
    "sums": {name: COUNT if name in ("tokens", "steps", "clipped", "skipped") else REAL for name in nothing()},
}
RECORD = {name: Optional(rule) for name, rule in RECORD.items()} | {"identity": SCHEMA}
