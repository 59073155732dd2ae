"""The command line. Each room owns its commands; this is the one place that knows all of them."""

import argparse
import importlib
import os
import sys

# command: what it does, and the module that owns it, with `arguments(parser)` and `run(options)`.
COMMANDS = {
    "quickstart": ("train a small model on source code, and export it", "keras_rnnlm.quickstart"),
    "train": ("train a language model on texts", "keras_rnnlm.training.train"),
    "evaluate": ("measure how well a model predicts a text", "keras_rnnlm.training.evaluate"),
    "generate": ("let a model write", "keras_rnnlm.training.generate"),
    "info": ("compare runs", "keras_rnnlm.training.info"),
    "bench": ("measure how fast this machine trains", "keras_rnnlm.training.bench"),
    "study": ("repeat an experiment of the literature", "keras_rnnlm.training.studies.command"),
    "export": ("write a model as SavedModel, ONNX and LiteRT", "keras_rnnlm.export.commands.export"),
    "verify": ("check that exported files are whole and right", "keras_rnnlm.export.commands.verify"),
    "run": ("let an exported model write, without Keras", "keras_rnnlm.export.commands.run"),
}


def main(argv=None):
    argv = sys.argv[1:] if argv is None else list(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    parser = argparse.ArgumentParser(prog="keras-rnnlm", description="Recurrent language models in Keras.")
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    asked = next((word for word in argv if not word.startswith("-")), None)
    for name, (text, module) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        if name == asked:  # only the room that is asked for is loaded: the others would cost seconds
            room = importlib.import_module(module)
            room.arguments(command)
            command.set_defaults(run=room.run)
    options = parser.parse_args(argv)
    if options.version:
        from keras_rnnlm import __version__

        print(__version__)
        return 0
    if options.command is None:
        parser.print_help()
        return 0
    try:
        return options.run(options) or 0
    except (ValueError, OSError) as error:
        print(f"keras-rnnlm {options.command}: {error}", file=sys.stderr)
        return getattr(error, "exit_code", 2)
    except KeyboardInterrupt:
        print(f"keras-rnnlm {options.command}: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
