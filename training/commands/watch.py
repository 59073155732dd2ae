"""The command `watch`: a page on this machine that shows a run while it goes on."""

import contextlib
import pathlib

from keras_rnnlm import serving
from keras_rnnlm.standard_streams import tell
from keras_rnnlm.training.runs import watching
from keras_rnnlm.training.runs.run import RunFolder, to_json


def arguments(parser):
    parser.add_argument("run_directory", metavar="RUN", type=pathlib.Path, help="a run directory")
    parser.add_argument("--prompt", default="", help="what its samples go on from")
    parser.add_argument("--no-samples", action="store_true", help="let its model write nothing, for a busy machine")
    parser.add_argument("--port", type=int, help=f"of the page (default: {serving.PORT}, or a free one)")


def run(options):
    folder = RunFolder(options.run_directory)
    folder.read_recipe()  # is it a run?
    with contextlib.ExitStack() as stack:
        samples = []
        if not options.no_samples:
            samples = stack.enter_context(watching.Samples(folder, options.prompt, tell))
        serving.serve(handler(folder, samples), options.port, f"the run {folder}")


def handler(folder, samples):
    """What answers with the page, and with what it shows."""

    class Watching(serving.Quiet):
        def do_GET(self):
            path = self.path.partition("?")[0]
            if path == "/":
                self._send(watching.page(), ".html")
            elif path == "/state.json":
                self._send(to_json(watching.state(folder, samples)).encode(), ".json")
            else:
                self.send_error(404)

        def do_HEAD(self):  # which would tell of files in the current folder
            self.send_error(405)

        def _send(self, data, ending):
            self.send_response(200)
            self.send_header("Content-Type", serving.TYPES[ending])
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(data)

    return Watching
