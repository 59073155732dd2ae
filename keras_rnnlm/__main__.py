"""The command line. Each room owns its commands; this is the one place that knows all of them."""

import argparse
import importlib
import os
import sys

from keras_rnnlm import installed, standard_streams
from keras_rnnlm.exit_codes import BROKEN_PIPE, TOLD, exit_code_of
from keras_rnnlm.schema import nearest

# command: what it does, and the module that owns it, with `arguments(parser)` and `run(options)`.
COMMANDS = {
    "quickstart": ("train a small model on source code, and export it", "keras_rnnlm.quickstart"),
    "train": ("train a language model on texts", "keras_rnnlm.training.commands.train"),
    "encode": ("write texts in numbers, which trainings read where they lie", "keras_rnnlm.training.commands.encode"),
    "evaluate": ("measure how well a model predicts a text", "keras_rnnlm.training.commands.evaluate"),
    "generate": ("let a model write", "keras_rnnlm.training.commands.generate"),
    "predict": ("say what a model finds in a file: tags, classes", "keras_rnnlm.predict"),
    "watch": ("show a run in the browser while it goes on", "keras_rnnlm.training.commands.watch"),
    "info": ("compare runs", "keras_rnnlm.training.commands.info"),
    "lr-find": ("find the learning rate that suits a text and a recipe", "keras_rnnlm.training.commands.lr_find"),
    "search": ("find settings that suit a text, by training with many", "keras_rnnlm.training.commands.search"),
    "bench": ("measure how fast this machine trains", "keras_rnnlm.training.commands.bench"),
    "study": ("repeat an experiment of the literature", "keras_rnnlm.training.studies.command"),
    "export": ("write a model as SavedModel, ONNX and LiteRT", "keras_rnnlm.export.commands.export"),
    "verify": ("check that exported files are whole and right", "keras_rnnlm.export.commands.verify"),
    "run": ("let an exported model write, without Keras", "keras_rnnlm.export.commands.run"),
    "demo": ("make a page that an exported model answers in", "keras_rnnlm.export.commands.demo"),
    "completion": ("complete commands and options in bash, zsh or fish", "keras_rnnlm.completion"),
}

CODES = """exit codes:
  0    done
  1    it ran, and the result is not as it should be: nothing was learned; or another process of several was lost
  2    a mistake in what was given, told in one line; files that `verify` finds damaged
  130  interrupted; 143: ended by SIGTERM; 141: nobody read the output"""


def main(argv=None, name="keras-rnnlm", offered=tuple(COMMANDS)):
    """Runs what `argv` says. Another distribution may offer some of the commands under a name of its own."""
    argv = sys.argv[1:] if argv is None else list(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    standard_streams.prepare()
    asked = next((word for word in argv if not word.startswith("-")), None)
    problem, leaves = None, None
    try:
        code = _run(argv, asked, name, offered)
    except SystemExit as exit:  # argparse, which has said what it had to say
        code, leaves = exit.code, exit
    except BrokenPipeError:
        code = BROKEN_PIPE
    except TOLD as error:
        if installed.is_of_tensorflow(error):
            error = installed.needs_tensorflow(f"`{asked}`")
        code, problem = exit_code_of(error), str(error)
    except KeyboardInterrupt as error:
        code, problem = exit_code_of(error), "interrupted"
    unwritten = standard_streams.finish(sys.stdout)
    if isinstance(unwritten, BrokenPipeError):
        code, problem, leaves = BROKEN_PIPE, None, None
    elif unwritten is not None:
        code, leaves = 2, None
        problem = f"the standard output could not be written: {unwritten.strerror or unwritten}"
    if problem is not None:
        standard_streams.tell(f"{name} {asked or ''}".rstrip() + f": {problem}")
    standard_streams.finish(sys.stderr)
    if leaves is not None:
        raise leaves
    return code


class Parser(argparse.ArgumentParser):
    """One whose errors are a line, as all others are."""

    def error(self, message):
        raise ValueError(f"{message}. See {self.prog} --help")


def _unknown(word, parser):
    """What is said of a word that a command does not take."""
    option = word.partition("=")[0]
    if not option.startswith("-"):
        return f"what is {word!r} for? It is one argument more than there are. See {parser.prog} --help"
    near = nearest(option, [string for action in parser._actions for string in action.option_strings])
    meant = f": {near}" if near.startswith("did") else "."
    return f"there is no option {option}{meant} See {parser.prog} --help"


def _run(argv, asked, name, offered):
    parser = Parser(prog=name, description="Recurrent language models in Keras.")
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = CODES
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for word in offered:
        text, module = COMMANDS[word]
        command = commands.add_parser(word, help=text, description=f"{text[0].upper()}{text[1:]}.")
        if word == asked:  # only the room that is asked for is loaded: the others would cost seconds
            room = importlib.import_module(module)
            room.arguments(command)
            command.set_defaults(run=room.run)
    if asked is not None and asked not in offered:
        raise ValueError(f"There is no command {asked!r}: {nearest(asked, offered)}")
    options, unknown = parser.parse_known_args(argv)
    if unknown:
        raise ValueError(_unknown(unknown[0], commands.choices.get(asked, parser)))
    options.argv = argv  # for a command that starts others like it
    if options.version:
        from keras_rnnlm import __version__

        print(__version__)
        return 0
    if options.command is None:
        parser.print_help()
        return 0
    return options.run(options) or 0


if __name__ == "__main__":
    sys.exit(main())
