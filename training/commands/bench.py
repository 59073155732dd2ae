"""The command `bench`: how fast this machine trains, ours beside Keras's own layers and PyTorch's."""

import argparse
import dataclasses

from keras_rnnlm import quiet
from keras_rnnlm.training.loop import steps_per_second
from keras_rnnlm.training.runs.display import Display
from keras_rnnlm.training.runs.run import to_json


def arguments(parser):
    parser.formatter_class = argparse.ArgumentDefaultsHelpFormatter
    for field in dataclasses.fields(steps_per_second.Size):
        kind = {"choices": ("float32", "bfloat16")} if field.name == "dtype" else {"type": int}
        parser.add_argument(f"--{field.name}", default=field.default, **kind, help="of the model that is trained")
    parser.add_argument("--rounds", type=int, default=5, help="in which all take their steps in turn")
    parser.add_argument("--steps", type=int, default=10, help="of each in a round")
    parser.add_argument("--only", nargs="+", metavar="NAME", help='such as "ours" "Keras"')
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options):
    for name, value in vars(options).items():
        if isinstance(value, int) and not isinstance(value, bool) and value < 1:
            raise ValueError(f"--{name} is at least 1. Received: {value}")
    fields = [field.name for field in dataclasses.fields(steps_per_second.Size)]
    size = steps_per_second.Size(**{name: getattr(options, name) for name in fields})
    Display().say("measuring; other work on this machine is measured along")
    with quiet.loggers("tensorflow"):  # it warns of many programs: each network is a new one
        rows = steps_per_second.compare(size, options.only, options.steps, options.rounds)
    print(to_json({"size": dataclasses.asdict(size), "rows": rows}) if options.json else steps_per_second.table(rows))
