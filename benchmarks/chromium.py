"""A Chromium without a window, asked through the two pipes of its DevTools protocol, which need no library."""

import base64
import json
import os
import pathlib
import select
import shutil
import subprocess
import tempfile
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--remote-debugging-pipe",
)
SECONDS = 60  # for an answer


def path():
    """Where it is, or None."""
    return next((found for found in map(shutil.which, NAMES) if found), None)


class Chromium:
    """One page of it: `with Chromium() as page: page.open(address); page.run("1 + 1")`."""

    def __init__(self):
        self._number, self._profile = 0, tempfile.mkdtemp()
        self.said = []  # what the page wrote to its console, and its errors
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        # It reads from 3 and writes to 4. Numbers from 10 on do not stand in their way.
        given = [os.dup2(theirs_in, 210), os.dup2(theirs_out, 211)]
        command = ["bash", "-c", 'exec "$@" 3<&210 4>&211', "bash", path(), *FLAGS, f"--user-data-dir={self._profile}"]
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen([*command, "about:blank"], pass_fds=given, stdout=quiet, stderr=quiet)
        for number in (theirs_in, theirs_out, *given):
            os.close(number)
        self._rest = b""
        self._session = None
        targets = self.ask("Target.getTargets")["targetInfos"]
        page = next((target["targetId"] for target in targets if target["type"] == "page"), None)
        page = page or self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.ask(f"{domain}.enable")

    def ask(self, method, **parameters):
        """A command of the protocol, and its answer."""
        self._number += 1
        asked = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            asked["sessionId"] = self._session
        os.write(self._out, json.dumps(asked).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self._note(answer)

    def _next(self):
        until = time.monotonic() + SECONDS
        while b"\0" not in self._rest:
            if not select.select([self._in], [], [], max(until - time.monotonic(), 0))[0]:
                raise TimeoutError(f"Chromium said nothing for {SECONDS} seconds")
            data = os.read(self._in, 1 << 20)
            if not data:
                raise RuntimeError("Chromium has ended")
            self._rest += data
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def _note(self, event):
        given = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            details = given["exceptionDetails"]
            self.said.append(details.get("exception", {}).get("description") or details["text"])
        elif event.get("method") == "Runtime.consoleAPICalled":
            self.said.append(" ".join(str(one.get("value", one.get("description"))) for one in given["args"]))
        elif event.get("method") == "Log.entryAdded":
            self.said.append(given["entry"]["text"])

    def open(self, address, width=1200, height=900, dark=False, mobile=False):
        """Opens a page of that many pixels, in light or dark."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])
        self.ask("Emulation.setFocusEmulationEnabled", enabled=True)  # as of a page in a window that is in front
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
        self.ask("Emulation.setDeviceMetricsOverride", **size)
        self.ask("Page.navigate", url=address)

    def run(self, code):
        """The value of an expression in the page, of a promise what it comes to."""
        found = self.ask("Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"].get("exception", {}).get("description", code))
        return found["result"].get("value")

    def wait(self, code, seconds=SECONDS):
        """Waits until an expression is true."""
        until = time.monotonic() + seconds
        while not self.run(code):
            if time.monotonic() > until:
                raise TimeoutError(f"{code} was not true within {seconds} seconds. The page said: {self.said}")
            time.sleep(0.01)

    def press(self, key, modifiers=0):
        """A key, as from the keyboard: "Tab", "ArrowLeft"."""
        for kind in ("keyDown", "keyUp"):
            codes = {"Enter": 13, "Tab": 9, "Escape": 27, "Home": 36, "End": 35}
            code = codes.get(key, 0)
            text = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
            given = {"key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
            self.ask("Input.dispatchKeyEvent", type=kind, **given, **text)

    def picture(self, file):
        """A picture of the whole page."""
        found = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        pathlib.Path(file).write_bytes(base64.b64decode(found["data"]))

    def close(self):
        self._process.terminate()
        self._process.wait(10)
        os.close(self._in)
        os.close(self._out)
        shutil.rmtree(self._profile, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
