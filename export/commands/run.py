"""The command `run`: an exported file answers. ONNX and LiteRT need no TensorFlow for it."""

import pathlib

from keras_rnnlm.generation import command


def arguments(parser):
    parser.add_argument("artifact", metavar="ARTIFACT", type=pathlib.Path, help="an export folder, or a file of one")
    parser.add_argument(
        "--format",
        choices=("onnx", "litert", "saved_model"),
        help="of a folder that holds several (default: the first of these that can run here)",
    )
    command.arguments(parser)
    parser.add_argument("--score", metavar="TEXT", help="do not write, but say how probable this text is")
    parser.add_argument("--threads", type=int, help="how many threads to use (default: the runtime's choice)")
    parser.add_argument("--trusted", action="store_true", help="it is your own: run and import whatever it names")


def run(options):
    from keras_rnnlm.export import runtime

    settings, prompts = command.settings(options), options.prompt or [""]
    model = runtime.load(options.artifact, options.format, threads=options.threads, trusted=options.trusted)
    if model.asked is not None:
        if not options.prompt:
            raise ValueError(
                f"What is {options.artifact} to answer to? --prompt TEXT; a file is for the command `predict`"
            )
        command.check_read(options, model.asked, f"{options.artifact}, an export of the task {model.about['task']}")
    model.show(options, settings, prompts)
