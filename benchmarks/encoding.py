"""How fast texts become ids, from files to shards on disk, and with --memory how much memory a gigabyte takes.

    python benchmarks/encoding.py                      # megabytes of UTF-8 a second, for each kind of tokenizer
    python benchmarks/encoding.py --json > result.json
    python benchmarks/encoding.py --memory             # needs 4 GB of disk for a while

The text is WikiText-2, War and Peace and tinyshakespeare from the folder KERAS_RNNLM_DATA, and Python's standard
library, each once: repeated text would flatter what remembers words. Figures are the best of some rounds.
"""

import argparse
import functools
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile
import time

import numpy as np
import tokenizers

from keras_rnnlm.text import pipelines
from keras_rnnlm.text.tokenizers import Tokenizer
from keras_rnnlm.training.corpora.encoded import encode_corpus
from keras_rnnlm.training.corpora.opening import open_corpus

TEXTS = ("wikitext-2/*.txt", "war-and-peace/*.txt", "tinyshakespeare/*.txt")
SIZES = {"word": 50_000, "bpe": 10_000}
GIGABYTE = 10**9

# Encodes a file and reads all of it back, once in long slices and once in 20 streams side by side.
MEMORY = """
import pathlib, re, sys
from keras_rnnlm.training.corpora.opening import open_corpus
from keras_rnnlm.training.corpora.encoded import encode_corpus
from keras_rnnlm.text.tokenizers import Tokenizer
path, kind, folder = sys.argv[1:]
corpus = open_corpus(path)
tokenizer = Tokenizer.train(kind, corpus.splits["train"].chunks(), {"word": 50_000, "bpe": 300}.get(kind))
train = encode_corpus(corpus, tokenizer, folder)["train"]
for start in range(0, len(train), 1 << 20):
    train[start : start + (1 << 20)]
stream, window = len(train) // 20, 10_000
for start in range(0, stream, window):
    for row in range(20):
        train[row * stream + start : row * stream + start + window]
# Not getrusage, which also counts what the parent had resident.
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1]) * 1024 / 1e6)
"""


def write_text(path):
    """All the texts in one file."""
    root = os.environ.get("KERAS_RNNLM_DATA")
    files = [file for pattern in TEXTS for file in sorted(pathlib.Path(root).glob(pattern))] if root else []
    with open(path, "w", encoding="utf-8") as out:
        for source in [*map(str, files), "stdlib"]:
            corpus = open_corpus(source)
            for documents in corpus.splits.values():
                for chunk in documents.chunks():
                    out.write(chunk)


def measure(kinds, rounds, folder):
    """For each kind: megabytes a second to learn the vocabulary, to encode, and by Hugging Face's tokenizers alone."""
    path = folder / "text.txt"
    write_text(path)
    size = path.stat().st_size / 1e6
    sample = next(open_corpus(path).splits["valid"].chunks())
    results = {}
    for kind in kinds:
        start = time.perf_counter()
        corpus = open_corpus(path)
        tokenizer = Tokenizer.train(kind, corpus.splits["train"].chunks(), SIZES.get(kind))
        learned = time.perf_counter() - start
        tokenizer.save(folder / "tokenizer.json")
        plain = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        encoded, alone = [], []
        for round in range(rounds):
            tokenizer = Tokenizer.load(folder / "tokenizer.json")  # remembers nothing
            start = time.perf_counter()
            encode_corpus(corpus, tokenizer, folder / f"{kind}{round}")
            encoded.append(time.perf_counter() - start)
            start = time.perf_counter()
            plain.encode_batch_fast([sample[: len(sample) // 2], sample[len(sample) // 2 :]])
            alone.append(time.perf_counter() - start)
        results[kind] = {
            "learn": size / learned,
            "encode": size / min(encoded),
            "hugging_face": len(sample.encode()) / 1e6 / min(alone),
        }
    return size, results


def write_synthetic(path, size, seed=0):
    """Lines of made-up words, `size` bytes."""
    random = np.random.default_rng(seed)
    block = random.choice(np.frombuffer(b"etaoinshrdlu     \n", np.uint8), 1 << 24)
    with open(path, "wb") as file:
        for start in range(0, size, block.size):
            file.write(block[: size - start].tobytes())


def memory(kinds, size, folder):
    """Megabytes that a process has resident at its peak: with a file of `size` bytes, and with a tiny one."""
    peaks = {}
    for kind in kinds:
        peaks[kind] = {}
        for name, length in (("tiny", 10_000), ("large", size)):
            path, target = folder / f"{name}.txt", folder / f"{kind}-{name}"
            if not path.exists():
                write_synthetic(path, length)
            root = pathlib.Path(__file__).resolve().parent.parent
            done = subprocess.run(
                [sys.executable, "-c", MEMORY, path, kind, target], cwd=root, capture_output=True, text=True, check=True
            )
            peaks[kind][name] = float(done.stdout)
            shutil.rmtree(target)
    return peaks


def machine():
    cpuinfo = pathlib.Path("/proc/cpuinfo")  # only Linux says there what the processor is called
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if "model name" in line), platform.processor())
    versions = f"Python {platform.python_version()}, tokenizers {tokenizers.__version__}, numpy {np.__version__}"
    return f"{os.cpu_count()} cores of {model}, {versions}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--kinds", nargs="*", help="of tokenizers (default: all; for --memory: char)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", action="store_true", help="measure memory instead of speed")
    parser.add_argument("--size", type=int, default=GIGABYTE, help="bytes of text for --memory (default: %(default)s)")
    options = parser.parse_args()
    say = functools.partial(print, file=sys.stderr if options.json else sys.stdout, flush=True)
    say(machine())
    result = {"machine": machine()}
    with tempfile.TemporaryDirectory(prefix="encoding-") as folder:
        folder = pathlib.Path(folder)
        if options.memory:
            needed, free = 4 * options.size, shutil.disk_usage(folder).free
            if free < needed:
                sys.exit(f"{folder} has {free:,} bytes free, and {needed:,} are needed: set TMPDIR to another disk")
            result["memory"] = memory(options.kinds or ["char"], options.size, folder)
            say(f"\nresident at the peak, MB{'tiny text':>14}{f'{options.size / 1e6:,.0f} MB':>14}{'more':>10}")
            for kind, row in result["memory"].items():
                say(f"{kind:24}{row['tiny']:14.0f}{row['large']:14.0f}{row['large'] - row['tiny']:10.0f}")
        else:
            size, rows = measure(options.kinds or pipelines.KINDS, options.rounds, folder)
            result.update(megabytes=size, rows=rows)
            say(f"\nMB/s over {size:.1f} MB   learn vocabulary        encode   tokenizers alone")
            for kind, row in rows.items():
                say(f"{kind:16}{row['learn']:23.1f}{row['encode']:14.1f}{row['hugging_face']:19.1f}")
    if options.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
