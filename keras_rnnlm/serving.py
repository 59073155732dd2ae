"""A page on this machine alone: a server for whoever sits at it."""

import http.server
import pathlib
import sys

from keras_rnnlm.standard_streams import tell

ADDRESS, PORT = "127.0.0.1", 8000
# What a machine believes of these endings may be anything.
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".wasm": "application/wasm",
    ".txt": "text/plain; charset=utf-8",
    "": "application/octet-stream",
}


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves without a line for each request."""

    extensions_map = TYPES

    def log_message(self, *arguments):
        pass


def of_folder(folder):
    """What answers with the files of a folder."""
    folder = str(pathlib.Path(folder).absolute())

    class Files(Quiet):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=folder)

        def end_headers(self):
            # Another page may be served at this address next, which a browser would mix with what it has kept.
            self.send_header("Cache-Control", "no-cache")
            super().end_headers()

    return Files


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):  # a reader who leaves is no error
            super().handle_error(request, client_address)


def server(handler, port=None):
    """A server on a port: by default 8000, or, where that is taken, any that is free."""
    ports = (PORT, 0) if port is None else (port,)
    for wanted in ports:
        try:
            return _Server((ADDRESS, wanted), handler)
        except (OSError, OverflowError) as error:
            problem = error
    raise ValueError(f"The port {port} cannot be had: {problem}. Choose another --port")


def address(serving):
    return f"http://localhost:{serving.server_port}/"


def serve(handler, port=None, what="the page"):
    """Serves until it is interrupted, and says where."""
    with server(handler, port) as serving:
        tell(f"{what} is at {address(serving)}, until Ctrl-C")
        try:
            serving.serve_forever()
        except KeyboardInterrupt:
            tell("")
