"""The command `study`: an experiment with its table and its picture."""

import argparse
import logging
import pathlib

from keras_rnnlm.quiet import import_keras
from keras_rnnlm.training import studies
from keras_rnnlm.training.runs.display import Display
from keras_rnnlm.training.runs.run import to_json
from keras_rnnlm.training.studies.running import run_study, shown


def arguments(parser):
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    name = parser.add_argument("name", nargs="?", metavar="NAME", help="the study; without one, all are listed")
    name.words = studies.NAMES  # for completion: a name that is none of them has an error of its own
    parser.add_argument("--list", action="store_true", help="list the studies")
    parser.add_argument("--short", action="store_true", help="within a minute: it shows that all runs, and little more")
    parser.add_argument("--seeds", type=int, help="how many runs to make of each kind, by default those of the study")
    parser.add_argument("--minutes", type=float, help="begin no further run after so long; the next call goes on")
    parser.add_argument(
        "--out", type=pathlib.Path, default=pathlib.Path("studies"), help="the folder for results (studies/)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.epilog = f"studies:\n{_list()}"


def run(options):
    if options.name is None or options.list:
        if options.json:
            print(to_json({name: studies.question(name) for name in studies.NAMES}))
        else:
            print(_list())
        return
    if options.name in studies.NAMES:
        import_keras()
        logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns of many programs: each network is a new one
    found = run_study(
        studies.load(options.name),
        options.name,
        options.out,
        short=options.short,
        seeds=options.seeds,
        minutes=options.minutes,
        display=Display(),
    )
    print(to_json(found) if options.json else shown(found))


def _list():
    return "\n".join(f"  {name:<12}{studies.question(name)}" for name in studies.NAMES)
