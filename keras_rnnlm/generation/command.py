"""What the commands that write have in common: their options, the sampler these ask for, and how texts are shown."""

import json

from keras_rnnlm.generation.samplers import make_sampler

# What is taken where nothing is asked for.
DEFAULTS = {"length": 200, "repetition_penalty": 1.0, "seed": 0}


def arguments(parser):
    parser.add_argument("--prompt", action="append", help="what to go on from; several are written side by side")
    parser.add_argument(
        "--length", type=int, help=f"tokens to write (default: {DEFAULTS['length']}, of translators 100)"
    )
    parser.add_argument("--temperature", type=float, help="below 1 is safer, above bolder, 0 always the likeliest")
    parser.add_argument("--top-k", type=int, help="draw from the K likeliest")
    parser.add_argument("--top-p", type=float, help="draw from the likeliest that reach this probability together")
    parser.add_argument("--min-p", type=float, help="draw from those at least this fraction as likely as the likeliest")
    parser.add_argument("--repetition-penalty", type=float, help="above 1: avoid what was written already")
    parser.add_argument("--beam", type=int, help="search for the likeliest text, this many at a time")
    parser.add_argument("--seed", type=int, help=f"the same seed writes the same text (default: {DEFAULTS['seed']})")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def settings(options):
    """What `generate` and `stream` are to be called with."""
    sampler = make_sampler(
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        min_p=options.min_p,
        beam=options.beam,
    )
    given = {name: getattr(options, name) for name in DEFAULTS}
    return DEFAULTS | {name: value for name, value in given.items() if value is not None} | {"sampler": sampler}


def check_read(options, read, which):
    """Raises for an option of `run` that is given, and that what `which` names does not read.

    Args:
        read: the names of those that it reads, besides the prompt.
    """
    unread = {"score", "temperature", "top_k", "top_p", "min_p", "beam", *DEFAULTS} - {*read}
    given = [f"--{name.replace('_', '-')}" for name in sorted(unread) if getattr(options, name) is not None]
    if given:
        raise ValueError(
            f"{' and '.join(given)} cannot be asked of {which}: drop {'it' if len(given) == 1 else 'them'}"
        )


def show(options, prompts, texts, pieces):
    """Prints prompts and what follows them: a single one as it is written, several when they are there.

    Args:
        texts: `texts()` returns what follows each prompt.
        pieces: `pieces()` yields what follows the only one, piece by piece.
    """
    if options.json or options.beam is not None or len(prompts) > 1:
        written = texts()
        if options.json:
            print(json.dumps({"prompts": prompts, "texts": written}))
            return
        for prompt, text in zip(prompts, written):
            print(prompt + text)
        return
    written = pieces()  # which checks its arguments before anything is printed
    print(prompts[0], end="", flush=True)
    for piece in written:
        print(piece, end="", flush=True)
    print()
