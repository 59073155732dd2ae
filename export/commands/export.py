"""The command `export`: a run's best model in the formats that servers and devices run."""

import os
import pathlib
import sys

from keras_rnnlm.export.folder import FORMATS, export_run


def arguments(parser):
    parser.add_argument("run_directory", metavar="RUN", type=pathlib.Path, help="a run directory")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="the folder to make")
    parser.add_argument("--format", nargs="+", choices=FORMATS, default=list(FORMATS), help="default: all three")
    parser.add_argument("--quantize", choices=("int8", "float16"), help="store ONNX's and LiteRT's weights so")
    parser.add_argument("--json", action="store_true", help="print the manifest")


def run(options):
    import json

    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    manifest = export_run(
        options.run_directory,
        options.out,
        options.format,
        options.quantize,
        say=lambda text: print(text, file=sys.stderr, flush=True),
    )
    if options.json:
        print(json.dumps(manifest))
        return
    print(table(manifest))


def table(manifest):
    """A line for each file: its size, and how far it is from the Keras model."""
    lines = [f"{'':<14}{'megabytes':>10}{'error':>10}{'perplexity':>12}{'of Keras':>10}"]
    for entry in manifest["artifacts"]:
        parity = entry["parity"]
        error = max(parity["error"], parity["state_error"])
        numbers = [parity["perplexity"], parity["wanted_perplexity"]]
        shown = "".join(
            f"{'' if number is None else f'{number:.3f}':>{width}}" for number, width in zip(numbers, (12, 10))
        )
        lines.append(f"{entry['file']:<14}{entry['bytes'] / 1e6:>10.2f}{error:>10.1e}{shown}")
    return "\n".join(lines)
