"""Chromium without a window, driven through the DevTools protocol on loopback."""

import base64
import contextlib
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

import websocket

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_OPTIONS = (
    "--headless=new",
    "--no-sandbox",  # which cannot be had as root, or in most containers
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--remote-debugging-port=0",
    "--remote-allow-origins=*",
)
_PATIENCE = 120.0  # s, on a machine with much else to do
_COMPLAINTS = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")


def chromium():
    """The path of a browser, or None where none is installed."""
    return next((path for path in map(shutil.which, _NAMES) if path), None)


class Browser:
    """One tab. `problems` are the errors and warnings of its console, `requests` the addresses that it asked for."""

    def __enter__(self):
        self._stack = contextlib.ExitStack()
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        command = [chromium(), *_OPTIONS, f"--user-data-dir={folder}", "about:blank"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._stack.callback(process.wait, timeout=_PATIENCE)
        self._stack.callback(process.terminate)
        port = self._port(Path(folder) / "DevToolsActivePort")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=_PATIENCE) as answer:
            tab = next(one for one in json.load(answer) if one["type"] == "page")
        self._socket = websocket.create_connection(tab["webSocketDebuggerUrl"], timeout=_PATIENCE)
        self._stack.callback(self._socket.close)
        self._count, self.problems, self.requests = 0, [], []
        for domain in ("Runtime", "Log", "Page", "Network", "Accessibility"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *failure):
        self._stack.close()

    def call(self, method, **parameters):
        """Send a command and wait for its result."""
        self._count += 1
        self._socket.send(json.dumps({"id": self._count, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv())
            if message.get("id") == self._count:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']['message']}")
                return message["result"]
            self._heard(message.get("method"), message.get("params", {}))

    def open(self, path, width=1280, height=900):
        """Open a page from disk, and wait until it is drawn."""
        mobile = width < 500
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        self.problems.clear()
        self.requests.clear()
        self.call("Page.navigate", url=Path(path).as_uri())
        deadline = time.monotonic() + _PATIENCE
        while self.evaluate("location.href + ' ' + document.readyState") != f"{Path(path).as_uri()} complete":
            assert time.monotonic() < deadline, "the page was not loaded"
            time.sleep(0.05)
        self.evaluate("lab2.then(() => null)")

    def evaluate(self, expression):
        """The value of a JavaScript expression, awaited if it is a promise."""
        found = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            raise RuntimeError(json.dumps(found["exceptionDetails"])[:2000])
        return found["result"].get("value")

    def settle(self):
        """Let everything be drawn that waits for it."""
        self.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())))")

    def press(self, key, times=1):
        """Press a key in whatever has the focus."""
        codes = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Home": 36, "End": 35, "Tab": 9}
        codes |= {" ": 32, "Enter": 13}
        text = {" ": " ", "Enter": "\r"}.get(key)
        for _ in range(times):
            for kind in ("keyDown" if text else "rawKeyDown", "keyUp"):
                extra = {"text": text} if text and kind == "keyDown" else {}
                code = {" ": "Space"}.get(key, key)
                self.call(
                    "Input.dispatchKeyEvent",
                    type=kind,
                    key=key,
                    code=code,
                    windowsVirtualKeyCode=codes[key],
                    **extra,
                )
        self.settle()

    def click(self, x, y):
        """Click at a place of the window."""
        for kind, buttons in (("mouseMoved", 0), ("mousePressed", 1), ("mouseReleased", 0)):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=buttons, clickCount=1)
        self.settle()

    def picture(self, path):
        """A picture of the whole page."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        found = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        Path(path).write_bytes(base64.b64decode(found["data"]))

    def _heard(self, event, about):
        if event == "Network.requestWillBeSent":
            self.requests.append(about["request"]["url"])
        if event in _COMPLAINTS and about.get("type", about.get("entry", {}).get("level", "error")) not in (
            "info",
            "log",
        ):
            self.problems.append(json.dumps(about)[:1000])

    def _port(self, file):
        deadline = time.monotonic() + _PATIENCE
        while not (file.is_file() and len(file.read_text().split()) == 2):
            assert time.monotonic() < deadline, "the browser did not start"
            time.sleep(0.05)
        return int(file.read_text().split()[0])
