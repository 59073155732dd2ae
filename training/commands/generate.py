"""The command `generate`: a model writes."""

import pathlib

from keras_rnnlm.generation import TextStream, command
from keras_rnnlm.training.runs.run import load_run


def arguments(parser):
    parser.add_argument("run_directory", metavar="RUN", type=pathlib.Path, help="a run directory")
    command.arguments(parser)
    parser.add_argument("--stop", action="store_true", help="end at the first <eos>")


def run(options):
    settings, prompts = command.settings(options), options.prompt or [""]
    trained = load_run(options.run_directory)
    model, tokenizer = trained.model, trained.tokenizer
    if not hasattr(model, "generate"):
        raise ValueError(f"{options.run_directory} is a run of the task {trained.recipe.task}, which does not write")
    if options.stop and tokenizer.eos is None:
        raise ValueError(f"A {tokenizer.kind} tokenizer has no <eos> to stop at: drop --stop")
    settings["stop"] = tokenizer.eos if options.stop else None
    ids = [prompt_ids(tokenizer, prompt) for prompt in prompts]
    streams = [TextStream(tokenizer.decode, begun) for begun in ids]
    command.show(
        options,
        prompts,
        texts=lambda: [text.whole(new) for text, new in zip(streams, model.generate(ids, **settings))],
        pieces=lambda: streams[0].pieces(token for (token,) in model.stream(ids, **settings)),
    )


def prompt_ids(tokenizer, prompt):
    """The ids that a model reads before it writes: the start symbol and the prompt."""
    return [tokenizer.start, *tokenizer.encode(prompt).tolist()]
