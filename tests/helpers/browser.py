"""Headless Chromium over a pipe: enough of its protocol to open a page, use it and watch what it does.

No driver and no port: the browser speaks JSON over two file descriptors (`--remote-debugging-pipe`).
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def find_chromium() -> str | None:
    """Path of a Chromium: `$CHROMIUM`, or one of the usual names; None when there is none."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


SCREENS = [
    pytest.param(1280, False, marks=pytest.mark.exhaustive),
    (1280, True),
    (390, False),
    pytest.param(390, True, marks=pytest.mark.exhaustive),
]
"""Widths in pixels, a desktop's and a phone's, in the light and in the dark."""


class Browser:
    """One page of a fresh headless Chromium without network."""

    def __init__(self, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Start the browser.

        Args:
            width: of the window, CSS pixels.
            height: likewise.
            dark: whether the reader prefers a dark scheme.
        """
        self.folder = Path(tempfile.mkdtemp(prefix="overmem-browser-"))
        self.events: list[dict[str, Any]] = []
        self._buffer, self._last = b"", 0
        to_read, self._to = os.pipe()
        self._from, to_write = os.pipe()
        flags = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--hide-scrollbars",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={self.folder / 'profile'}",
            "--remote-debugging-pipe",
            "about:blank",
        ]
        # bash moves the pipes to 3 and 4, where Chromium looks for them.
        script = f'exec "$@" 3<&{to_read} 4>&{to_write}'
        self._process = subprocess.Popen(
            ["bash", "-c", script, "bash", str(find_chromium()), *flags],
            pass_fds=(to_read, to_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(to_write)
        self._session: str | None = None
        targets = self.send("Target.getTargets")["targetInfos"]
        page = next(t["targetId"] for t in targets if t["type"] == "page")
        self._session = self.send("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")
        self.downloads = self.folder / "downloads"
        self.downloads.mkdir()
        self.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(self.downloads))
        self.resize(width, height)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.send("Emulation.setEmulatedMedia", features=scheme)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the browser and remove what it left."""
        try:
            self._session = None
            self.send("Browser.close", wait=5)
        except (TimeoutError, OSError):
            self._process.kill()
        self._process.wait(timeout=20)
        os.close(self._to)
        os.close(self._from)
        shutil.rmtree(self.folder, ignore_errors=True)

    def resize(self, width: int, height: int) -> None:
        """Set the size of the window; phones are 390 wide."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def open(self, path: Path) -> None:
        """Open a file and wait until it is loaded."""
        self.events.clear()
        self.send("Page.navigate", url=path.resolve().as_uri())
        self.wait_for(lambda: any(e["method"] == "Page.loadEventFired" for e in self.events))

    def js(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page; promises are pending."""
        got = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in got:
            raise AssertionError(got["exceptionDetails"])
        return got["result"].get("value")

    def wait_for(self, condition: Any, seconds: float = 60) -> None:
        """Wait until a function, or a JavaScript expression, is true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.js(condition) if isinstance(condition, str) else condition():
                return
            self._read(0.05)
        raise TimeoutError(f"not true after {seconds} s: {condition}")

    def move(self, x: float, y: float) -> None:
        """Move the mouse, in CSS pixels of the window."""
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def press(self, key: str, code: int) -> None:
        """Press and release a key."""
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def screenshot(self, path: Path, *, whole: bool = False) -> Path:
        """Save a picture of the window, or of the whole page after scrolling through it."""
        if whole:
            self.js("""(async () => { for (let y = 0; y < document.body.scrollHeight; y += 500) {
                scrollTo(0, y); await new Promise(r => setTimeout(r, 60)); } scrollTo(0, 0);
                await new Promise(r => setTimeout(r, 200)); })()""")
        got = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(got["data"]))
        return path

    def pdf(self, path: Path) -> Path:
        """Print the page."""
        got = self.send("Page.printToPDF", printBackground=False, preferCSSPageSize=True)
        path.write_bytes(base64.b64decode(got["data"]))
        return path

    def requests(self) -> list[str]:
        """What was asked for since the page was opened, the page itself left out."""
        urls = [
            e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in urls if not url.startswith("data:")][1:]

    def complaints(self) -> list[str]:
        """Exceptions, console errors and warnings, and violations of the page's policy."""
        found = []
        for event in self.events:
            method, params = event["method"], event["params"]
            if method == "Runtime.exceptionThrown":
                found.append(str(params["exceptionDetails"]))
            if method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
                found.append(str(params["args"]))
            if method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
                found.append(params["entry"]["text"])
            if method == "Page.javascriptDialogOpening":
                found.append(f"a dialog: {params['message']}")
        return found

    def send(self, method: str, wait: float = 60, **params: Any) -> dict[str, Any]:
        """Ask the browser for something and wait for its answer."""
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        answers: list[dict[str, Any]] = []
        end = time.monotonic() + wait
        while not answers:
            if time.monotonic() > end:
                raise TimeoutError(f"{method}: no answer in {wait} s")
            answers = [answer for answer in self._read(0.2) if answer.get("id") == message["id"]]
        if "error" in answers[0]:
            raise AssertionError(f"{method}: {answers[0]['error']}")
        return dict(answers[0]["result"])

    def _read(self, seconds: float) -> list[dict[str, Any]]:
        """What arrived; events are kept, answers returned."""
        if not select.select([self._from], [], [], seconds)[0]:
            return []
        got = os.read(self._from, 1 << 20)
        if not got:
            raise OSError("the browser has gone")
        *whole, self._buffer = (self._buffer + got).split(b"\0")
        messages = [json.loads(text) for text in whole]
        self.events += [message for message in messages if "method" in message]
        return [message for message in messages if "id" in message]
