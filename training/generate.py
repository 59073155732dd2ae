"""The command `generate`: a model writes."""

import pathlib

from keras_rnnlm.training.run import load_run, to_json


def arguments(parser):
    parser.add_argument("run_directory", metavar="RUN", type=pathlib.Path, help="a run directory")
    parser.add_argument("--prompt", action="append", help="what to go on from; several are written side by side")
    parser.add_argument("--length", type=int, default=200, help="tokens to write (default: %(default)s)")
    parser.add_argument("--temperature", type=float, help="below 1 is safer, above bolder, 0 always the likeliest")
    parser.add_argument("--top-k", type=int, help="draw from the K likeliest")
    parser.add_argument("--top-p", type=float, help="draw from the likeliest that reach this probability together")
    parser.add_argument("--min-p", type=float, help="draw from those at least this fraction as likely as the likeliest")
    parser.add_argument("--repetition-penalty", type=float, default=1.0, help="above 1: avoid what was written already")
    parser.add_argument("--beam", type=int, help="search for the likeliest text, this many at a time")
    parser.add_argument("--seed", type=int, default=0, help="the same seed writes the same text (default: %(default)s)")
    parser.add_argument("--stop", action="store_true", help="end at the first <eos>")
    parser.add_argument("--json", action="store_true", help="print one JSON object, with the prompts and the texts")


def run(options):
    from keras_rnnlm.generation import TextStream, make_sampler

    sampler = make_sampler(
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        min_p=options.min_p,
        beam=options.beam,
    )
    trained = load_run(options.run_directory)
    tokenizer, prompts = trained.tokenizer, options.prompt or [""]
    if options.stop and tokenizer.eos is None:
        raise ValueError(f"A {tokenizer.kind} tokenizer has no <eos> to stop at: drop --stop")
    ids = [prompt_ids(tokenizer, prompt) for prompt in prompts]
    settings = dict(
        length=options.length,
        sampler=sampler,
        seed=options.seed,
        repetition_penalty=options.repetition_penalty,
        stop=tokenizer.eos if options.stop else None,
    )
    streams = [TextStream(tokenizer.decode, begun) for begun in ids]
    if options.json or options.beam is not None or len(prompts) > 1:
        written = trained.model.generate(ids, **settings)
        texts = [text.feed(*new) + text.finish() for text, new in zip(streams, written)]
        if options.json:
            print(to_json({"prompts": prompts, "texts": texts}))
            return
        for prompt, text in zip(prompts, texts):
            print(prompt + text)
        return
    print(prompts[0], end="", flush=True)
    for (token,) in trained.model.stream(ids, **settings):
        print(streams[0].feed(token), end="", flush=True)
    print(streams[0].finish())


def prompt_ids(tokenizer, prompt):
    """The ids that a model reads before it writes: the start symbol and the prompt."""
    return [tokenizer.start, *tokenizer.encode(prompt).tolist()]
