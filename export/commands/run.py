"""The command `run`: an exported file writes. ONNX and LiteRT need no TensorFlow for it."""

import json
import pathlib


def arguments(parser):
    parser.add_argument("artifact", metavar="ARTIFACT", type=pathlib.Path, help="an export folder, or a file of one")
    parser.add_argument("--format", choices=("onnx", "litert", "saved_model"), help="of a folder that holds several")
    parser.add_argument("--prompt", action="append", help="what to go on from; several are written side by side")
    parser.add_argument("--length", type=int, default=200, help="tokens to write (default: %(default)s)")
    parser.add_argument("--temperature", type=float, help="below 1 is safer, above bolder, 0 always the likeliest")
    parser.add_argument("--top-k", type=int, help="draw from the K likeliest")
    parser.add_argument("--top-p", type=float, help="draw from the likeliest that reach this probability together")
    parser.add_argument("--min-p", type=float, help="draw from those at least this fraction as likely as the likeliest")
    parser.add_argument("--repetition-penalty", type=float, default=1.0, help="above 1: avoid what was written already")
    parser.add_argument("--beam", type=int, help="search for the likeliest text, this many at a time")
    parser.add_argument("--seed", type=int, default=0, help="the same seed writes the same text (default: %(default)s)")
    parser.add_argument("--score", metavar="TEXT", help="do not write, but say how probable this text is")
    parser.add_argument("--threads", type=int, help="how many threads to use (default: the runtime's choice)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options):
    from keras_rnnlm.export import runtime

    from keras_rnnlm.generation import make_sampler

    sampler = make_sampler(
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        min_p=options.min_p,
        beam=options.beam,
    )
    model = runtime.load(options.artifact, options.format, threads=options.threads)
    if not isinstance(model, runtime.ExportedLanguageModel):
        raise ValueError(f"{options.artifact} holds no language model: nothing to write with")
    if options.score is not None:
        found = model.score(options.score)
        print(json.dumps(found) if options.json else f"log-probability {found['log_probability']:.4f} nats")
        return
    prompts = options.prompt or [""]
    settings = dict(
        length=options.length,
        sampler=sampler,
        seed=options.seed,
        repetition_penalty=options.repetition_penalty,
    )
    if options.json or options.beam is not None or len(prompts) > 1:
        texts = model.generate(prompts, **settings)
        if options.json:
            print(json.dumps({"prompts": prompts, "texts": texts}))
            return
        for prompt, text in zip(prompts, texts):
            print(prompt + text)
        return
    print(prompts[0], end="", flush=True)
    for piece in model.stream(prompts[0], **settings):
        print(piece, end="", flush=True)
    print()
