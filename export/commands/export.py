"""The command `export`: a run's best model in the formats that servers and devices run."""

import os
import pathlib
import warnings

from keras_rnnlm.export.folder import FORMATS, export_run
from keras_rnnlm.installed import has_tensorflow
from keras_rnnlm.standard_streams import tell


def arguments(parser):
    parser.add_argument("run_directory", metavar="RUN", type=pathlib.Path, help="a run directory")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="the folder to make")
    parser.add_argument("--format", nargs="+", choices=FORMATS, default=list(FORMATS), help="default: all three")
    parser.add_argument("--quantize", choices=("int8", "float16"), help="store ONNX's and LiteRT's weights so")
    parser.add_argument("--json", action="store_true", help="print the manifest")


def run(options):
    import json

    if os.environ.setdefault("KERAS_BACKEND", "tensorflow") != "tensorflow" and has_tensorflow():
        raise ValueError(
            f"Exports are made with Keras's backend tensorflow, of runs of any: KERAS_BACKEND=tensorflow keras-rnnlm "
            f"export {options.run_directory} ... Received: KERAS_BACKEND={os.environ['KERAS_BACKEND']}"
        )
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: tell(f"keras-rnnlm export: warning: {message}")  # in one line
        manifest = export_run(options.run_directory, options.out, options.format, options.quantize, say=tell)
    if options.json:
        print(json.dumps(manifest))
        return
    print(table(manifest))


def table(manifest):
    """A line for each file: its size, and how far it is from the Keras model."""
    titles = ("megabytes", "output error", "state error", "perplexity", "of Keras")
    lines = [" " * 14 + "".join(f"  {title}" for title in titles)]
    for entry in manifest["artifacts"]:
        parity = entry["parity"]
        shown = [f"{entry['bytes'] / 1e6:.2f}", f"{parity['error']:.1e}", f"{parity['state_error']:.1e}"]
        for perplexity in (parity["perplexity"], parity["wanted_perplexity"]):
            shown.append("" if perplexity is None else f"{perplexity:.3f}")
        lines.append(f"{entry['file']:<14}" + "".join(f"{x:>{len(title) + 2}}" for x, title in zip(shown, titles)))
    return "\n".join(lines)
