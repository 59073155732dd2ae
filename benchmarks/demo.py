"""How soon a page is there, and how fast it writes, in Chromium without a window.

    python -m benchmarks.demo RUN [--rounds 5] [--tokens 300] [--gates] [--picture FOLDER] [--json]

RUN is an export, or the run of `keras-rnnlm quickstart`; with --gates, a run. Loading is measured from localhost, from
the beginning of the navigation to where one can write, with an empty cache and with a full one. Other work on the
machine shows in all this.
"""

import argparse
import json
import pathlib
import statistics
import tempfile
import threading

from benchmarks.chromium import Chromium
from keras_rnnlm import serving
from keras_rnnlm.export.commands import demo

READY = "document.documentElement?.dataset.ready === 'true'"
VIEWS = {"light": {}, "dark": {"dark": True}, "narrow": {"width": 390, "height": 844, "mobile": True}}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("export", type=pathlib.Path, metavar="RUN")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=300)
    parser.add_argument("--gates", action="store_true", help="a page that colours by gates, too")
    parser.add_argument("--picture", type=pathlib.Path, help="a folder for pictures of the page")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        page = pathlib.Path(folder, "page")
        make(options, page)
        with serving.server(serving.of_folder(page), 0) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            found = measure(serving.address(server), options)
            server.shutdown()
    print(
        json.dumps(found) if options.json else "\n".join(f"{name:<38}{value:>9,.0f}" for name, value in found.items())
    )


def make(options, page):
    parser = argparse.ArgumentParser()
    demo.arguments(parser)
    given = [str(options.export), "--prompt", "def ", "--out", str(page), *["--gates"] * options.gates]
    demo.run(parser.parse_args(given))


def measure(address, options):
    found = {"first": [], "again": [], "speeds": []}
    for _ in range(options.rounds):
        with Chromium() as page:
            for name in ("first", "again"):
                page.open(address)
                page.wait(READY)
                found[name].append(page.run("performance.getEntriesByName('ready')[0].startTime"))
            found["speeds"].append(write(page, options.tokens))
    if options.picture:
        draw(address, options)
    return {
        "milliseconds to load, a new browser": statistics.median(found["first"]),
        "milliseconds to load, again": statistics.median(found["again"]),
        "tokens a second": statistics.median(found["speeds"]),
        "tokens a second, the best round": max(found["speeds"]),
    }


def write(page, tokens):
    """How many tokens a second it writes, as the page itself says."""
    page.run(f"document.getElementById('length').value = {tokens}; document.getElementById('write').click()")
    page.wait("document.getElementById('status').textContent.includes('a second')")
    return float(page.run("document.getElementById('status').textContent").split()[-3].replace(",", ""))


def draw(address, options):
    options.picture.mkdir(parents=True, exist_ok=True)
    with Chromium() as page:
        for name, view in VIEWS.items():
            page.open(address, **view)
            page.wait(READY)
            write(page, options.tokens)
            page.wait("document.querySelectorAll('#next li').length > 0")
            page.picture(options.picture / f"{name}.png")


if __name__ == "__main__":
    main()
