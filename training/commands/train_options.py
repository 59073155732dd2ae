"""What the command `train` may be told, and how its help tells of it."""

import argparse
import pathlib

from keras_rnnlm import cell_list, head_list, tasks
from keras_rnnlm.training.devices import choice
from keras_rnnlm.training.recipes.recipe import built_in, settings_help

EXAMPLES = """examples:
  keras-rnnlm train book.txt --out run --minutes 10               what suits the text and this machine
  keras-rnnlm train book.txt --out run --recipe char --set units=512
  keras-rnnlm train reviews.csv --out run --text-column review
  keras-rnnlm train train.conll --valid dev.conll --out run --task tag
  keras-rnnlm train --out run --resume
  keras-rnnlm watch run                                           in a browser, while it goes on
  keras-rnnlm train book.txt --out run --backend jax --devices all"""


def arguments(parser):
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "corpus",
        nargs="*",
        help="files, folders, globs, .gz, tables (.csv, .tsv, .jsonl, .json, .parquet), - for standard input, "
        "tfds:NAME, hf:NAME, stdlib: Python's own library here; or a folder that `encode` has written",
    )
    parser.add_argument(
        "--out", type=pathlib.Path, required=True, help="the run directory, new; or, with --resume, old"
    )
    parser.add_argument(
        "--task",
        help=f"what is learned: {', '.join(tasks.TASKS)}, or the place of your own (default: that of the recipe)",
    )
    parser.add_argument("--valid", help="a text to validate on")
    parser.add_argument("--test", help="a text kept for `evaluate RUN test`")
    parser.add_argument("--split", help="percentages to cut a text by that has no splits of its own, such as 90/5/5")
    parser.add_argument("--text-column", metavar="NAME", help="of tables, the column that is the text")
    parser.add_argument("--encoding", help="of the text's files, such as latin-1 (default: utf-8)")
    parser.add_argument(
        "--recipe",
        help="the name of a built-in recipe, or a TOML file. Without one, and with --minutes or no --set, what suits "
        "the text and this machine is chosen, and said",
    )
    parser.add_argument("--minutes", type=float, metavar="N", help="how long it may train (default, chosen: 30)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting, as often as needed")
    choice.arguments(parser)
    parser.add_argument("--resume", action="store_true", help="resume an interrupted run")
    parser.add_argument("--init-from", type=pathlib.Path, metavar="RUN", help="begin with the weights of another run")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end: what `info` tells")
    parser.add_argument("--quiet", action="store_true", help="show nothing but warnings")
    parser.add_argument(
        "--help-settings",
        action=HelpSettings,
        help="list the settings, those of a --task too, cells and heads, and exit",
    )
    recipes = "\n".join(f"  {name:<16}{text}" for name, text in built_in().items())
    parser.epilog = f"{EXAMPLES}\n\nrecipes:\n{recipes}"


class HelpSettings(argparse.Action):
    """Prints what `--set` and a recipe's file may hold."""

    def __init__(self, option_strings, dest, **options):
        super().__init__(option_strings, argparse.SUPPRESS, nargs=argparse.REMAINDER, **options)

    def __call__(self, parser, namespace, values, option_string=None):
        others = type(parser)(add_help=False, prog=parser.prog)
        others.add_argument("--task", default=namespace.task)
        task = others.parse_known_args(values)[0].task  # which may come after, too
        print(f"settings, their defaults and meanings:\n{settings_help(task)}\n")
        if task is None:
            print(f"a task's own settings: --help-settings --task NAME, of {', '.join(tasks.TASKS)}\n")
        print(f"cells:\n{cell_list.listed()}\n\nheads:\n{head_list.listed()}")
        parser.exit()
