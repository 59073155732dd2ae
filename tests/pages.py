"""Pages for tests: served from a folder, and opened in a Chromium without a window."""

import contextlib
import json
import threading

import pytest

from benchmarks import chromium
from keras_rnnlm import serving
from keras_rnnlm.export.page import make_page


@contextlib.contextmanager
def served(handler):
    """The address of a server while it runs."""
    with serving.server(handler, 0) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield serving.address(server)
        server.shutdown()


@contextlib.contextmanager
def opened(exported, folder, make=make_page):
    """The page of an export, made in a folder; skips where there is no Chromium, or nothing to run the model by."""
    if chromium.path() is None:
        pytest.skip("there is no Chromium")
    try:
        make(exported, folder)
    except ValueError as error:
        if "could not be downloaded" not in str(error):
            raise
        pytest.skip(str(error))
    with served(serving.of_folder(folder)) as address, Page() as page:
        page.address = address
        page.begin()
        yield page


class Page(chromium.Chromium):
    """A page as its readers use it."""

    def begin(self, **options):
        self.open(self.address, **options)
        self.wait("document.documentElement?.dataset.ready === 'true'")

    def set(self, **values):
        for name, value in values.items():
            self.run(f"""{{
                const field = document.getElementById({json.dumps(name.replace("_", "-"))});
                field.value = {json.dumps(str(value))};
                field.dispatchEvent(new Event("input"));
                field.dispatchEvent(new Event("change"));
            }}""")

    def text(self, selector="#text"):
        return self.run(f"document.querySelector({json.dumps(selector)}).textContent")

    def texts(self, selector):
        """Of all that there are."""
        return self.run(f"Array.from(document.querySelectorAll({json.dumps(selector)}), (one) => one.textContent)")

    def weights(self, selector):
        """How strong the colours are, from 0 to 1."""
        style = "Number(one.style.getPropertyValue('--weight'))"
        return self.run(f"Array.from(document.querySelectorAll({json.dumps(selector)}), (one) => {style})")
