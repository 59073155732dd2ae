"""The command `run`: an exported file writes. ONNX and LiteRT need no TensorFlow for it."""

import json
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


def run(options):
    from keras_rnnlm.export import runtime

    settings, prompts = command.settings(options), options.prompt or [""]
    model = runtime.load(options.artifact, options.format, threads=options.threads)
    if not isinstance(model, runtime.ExportedLanguageModel):
        raise ValueError(f"{options.artifact} holds no language model: nothing to write with")
    if options.score is not None:
        found = model.score(options.score)
        print(json.dumps(found) if options.json else f"log-probability {found['log_probability']:.4f} nats")
        return
    command.show(
        options,
        prompts,
        texts=lambda: model.generate(prompts, **settings),
        pieces=lambda: model.stream(prompts[0], **settings),
    )
