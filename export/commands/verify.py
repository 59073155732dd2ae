"""The command `verify`: is an export folder whole, and does it compute here what it computed where it was made?"""

import json
import math
import pathlib

from keras_rnnlm.export.folder import verify


def arguments(parser):
    parser.add_argument("folder", metavar="DIR", type=pathlib.Path, help="a folder that `export` wrote")
    parser.add_argument("--trusted", action="store_true", help="it is your own: run and import whatever it names")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options):
    found = verify(options.folder, trusted=options.trusted)
    if options.json:
        for report in found.values():
            if not math.isfinite(report.get("error", 0)):
                report["error"] = None  # JSON has no infinity
        print(json.dumps(found))
    else:
        for kind, report in found.items():
            text = (
                report.get("problem") or report.get("not_run") or f"equal to the Keras model to {report['error']:.1e}"
            )
            print(f"{kind:<12} {report['file']:<14} {text}")
    return 2 if any("problem" in report for report in found.values()) else 0
