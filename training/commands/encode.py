"""The command `encode`: texts in numbers, which trainings read where they lie."""

import argparse
import pathlib
import re
import shutil
from contextlib import suppress

from keras_rnnlm.training.corpora.encoded_folder import VOCABULARY
from keras_rnnlm.training.corpora.encoded_shards import encode_shard, merge_shards, shard_folder
from keras_rnnlm.training.corpora.opening import open_corpus, paths_of, tell_columns
from keras_rnnlm.training.recipes.recipe import Recipe
from keras_rnnlm.training.recipes.rules import TOKENIZER, TOKENIZERS
from keras_rnnlm.training.runs.display import Display
from keras_rnnlm.training.runs.run import to_json

EXAMPLES = """examples:
  keras-rnnlm encode texts/ --out data --tokenizer bpe --vocabulary-size 32000
  keras-rnnlm train data --out run --minutes 600

by many processes, see docs/scaling.md:
  keras-rnnlm encode texts/ --out data --tokenizer bpe --vocabulary-size 32000 --vocabulary-only
  keras-rnnlm encode texts/ --out data --shard 0/64                and 1/64, 2/64, ... in any order
  keras-rnnlm encode --merge data"""


def arguments(parser):
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    parser.add_argument("corpus", nargs="*", help="texts, as `train` takes them, but for standard input")
    parser.add_argument("--out", type=pathlib.Path, metavar="DATA", help="the folder to write to")
    parser.add_argument(
        "--tokenizer",
        metavar="KIND|FILE",
        help=f"{', '.join(TOKENIZERS)}, or a tokenizer.json (default: {Recipe().tokenizer})",
    )
    parser.add_argument("--vocabulary-size", type=int, metavar="N", help="the most symbols it may have")
    parser.add_argument("--min-count", type=int, metavar="N", help="leaves rarer symbols out")
    parser.add_argument("--valid", help="a text to validate on")
    parser.add_argument("--test", help="a text kept for `evaluate RUN test`")
    parser.add_argument("--split", help="percentages to cut a text by that has no splits of its own, such as 90/5/5")
    parser.add_argument("--text-column", metavar="NAME", help="of tables, the column that is the text")
    parser.add_argument("--encoding", default="utf-8", help="of the text's files, such as latin-1 (default: utf-8)")
    parser.add_argument("--vocabulary-only", action="store_true", help="write the tokenizer.json, which shards need")
    parser.add_argument("--shard", metavar="i/N", help="write one of N shards alone, 0 to N - 1")
    parser.add_argument("--merge", type=pathlib.Path, metavar="DATA", help="make one text of the shards in a folder")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quiet", action="store_true", help="show nothing but warnings")


def run(options):
    display = Display(quiet=options.quiet)
    if options.merge is not None:
        given = [name for name, value in vars(options).items() if name in OF_A_TEXT and value]
        if given:
            raise ValueError(f"--merge takes a folder of shards and nothing else. Received: {', '.join(given)}")
        encoded = merge_shards(options.merge)
    else:
        if not options.corpus or options.out is None:
            raise ValueError("Name texts and, by --out, a folder to write to; or --merge and a folder of shards")
        encoded = encode(
            options.corpus,
            options.out,
            shard=None if options.shard is None else _shard(options.shard),
            display=display,
            **{name: getattr(options, name) for name in OF_A_TEXT if name not in ("corpus", "out", "shard")},
            encoding=options.encoding,
        )
    counts = {} if encoded is None else {name: len(split) for name, split in encoded.splits.items()}
    if counts:
        told = ", ".join(f"{count:,} tokens in {name}" for name, count in counts.items())
        display.say(f"{told}; {encoded.vocabulary_size:,} different")
    if options.json:
        print(to_json({"tokens": counts}))


OF_A_TEXT = ("corpus", "out", "tokenizer", "vocabulary_size", "min_count", "valid", "test", "split", "text_column")
OF_A_TEXT += ("shard", "vocabulary_only")


def encode(
    corpus,
    out,
    *,
    tokenizer=None,
    vocabulary_size=None,
    min_count=None,
    valid=None,
    test=None,
    split=None,
    text_column=None,
    encoding="utf-8",
    vocabulary_only=False,
    shard=None,
    display=None,
):
    """Writes texts in numbers to a folder, which `train` takes in place of texts, and reads where it lies.

    Args:
        corpus: what `open_corpus` takes, but for standard input.
        out: the folder: new or empty, or one that holds a tokenizer.json alone, which is then taken.
        tokenizer: "word", "char", "byte" or "bpe", or the path of a tokenizer.json; by default a recipe's default.
        vocabulary_size, min_count: of a vocabulary that is learned, see `Tokenizer.train`.
        valid, test, split, text_column, encoding: see `open_corpus`.
        vocabulary_only: whether to write the tokenizer.json alone.
        shard: `(i, N)`, to write one of N shards alone, see `encode_shard`.
        display: of what is going on.

    Returns:
        An `Encoded`; None where not all is written.

    >>> encode("stdlib:20k", "data", tokenizer="byte").vocabulary_size
    256
    """
    folder, display = pathlib.Path(out), display or Display(quiet=True)
    vocabulary = {"tokenizer": tokenizer, "vocabulary_size": vocabulary_size, "min_count": min_count}
    named = [name for name, value in vocabulary.items() if value is not None]
    there = (folder / VOCABULARY).is_file()
    if shard is not None and (named or vocabulary_only):
        raise ValueError(
            f"All shards are written with {folder / VOCABULARY}: drop {', '.join(named or ['vocabulary_only'])}. "
            "Another vocabulary is written first, by --vocabulary-only, to another folder"
        )
    if shard is None:
        _check_free(folder, there)
        if there and (named or vocabulary_only):
            raise ValueError(
                f"{folder} holds a tokenizer.json already: drop {', '.join(named or ['vocabulary_only'])}, or choose "
                "another --out"
            )
    if "-" in paths_of(corpus):
        raise ValueError("A text that is encoded is read more than once: write the standard input to a file")
    texts = open_corpus(corpus, valid, test, split, encoding, text_column=text_column)
    tell_columns(texts, text_column, display)
    if shard is not None:
        if not encode_shard(texts, folder, *shard, display.encoding):
            display.say(f"shard {shard[0]}/{shard[1]} is there already")
        display.clear()
        return None
    existed, had = folder.is_dir(), shard_folder(folder, 0, 1).is_dir()
    try:
        if not there:
            _vocabulary(texts, vocabulary, display, folder)
        if vocabulary_only:
            return None
        encode_shard(texts, folder, 0, 1, display.encoding)
        display.clear()
        return merge_shards(folder)
    except BaseException:
        if not had:
            shutil.rmtree(shard_folder(folder, 0, 1), ignore_errors=True)
        if not there:
            (folder / VOCABULARY).unlink(missing_ok=True)
        if not existed:
            with suppress(OSError):
                folder.rmdir()
        raise


def _check_free(folder, there):
    shard = shard_folder(folder, 0, 1).name  # what a process that was killed has left, half written or whole
    begun = (VOCABULARY, shard, f".{shard}") if there else ()
    if folder.exists() and (not folder.is_dir() or any(not p.name.startswith(begun) for p in folder.iterdir())):
        raise ValueError(f"{folder} exists already, and nothing is written over: choose another --out")


def _vocabulary(texts, given, display, folder):
    from keras_rnnlm.text.tokenizers import Tokenizer

    kind = Recipe().tokenizer if given["tokenizer"] is None else str(given["tokenizer"])
    if not TOKENIZER.fits(kind):
        raise ValueError(f"`tokenizer` is {TOKENIZER.allowed}. Received: tokenizer={kind!r}")
    size, least = given["vocabulary_size"], given["min_count"]
    if kind in TOKENIZERS:
        display.say(f"learning a vocabulary ({kind})")
        tokenizer = Tokenizer.train(kind, texts.splits["train"].chunks(), size, 1 if least is None else least)
    elif size is None and least is None:
        tokenizer = Tokenizer.load(kind)
    else:
        raise ValueError(
            "A tokenizer.json brings its vocabulary: drop `vocabulary_size` and `min_count`. Received: "
            f"tokenizer={kind!r}, vocabulary_size={size}, min_count={least}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(folder)


def _shard(text):
    numbers = re.fullmatch(r"(\d+)/(\d+)", text)
    if numbers is None:
        raise ValueError(f"--shard is i/N, with i from 0 to N - 1, such as 0/8. Received: {text}")
    return int(numbers[1]), int(numbers[2])
