"""A headless Chromium driven over `--remote-debugging-pipe`, for the tests of the page.

Messages are JSON, each ended by a zero byte: in on descriptor 3 of the browser, out on 4.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

__all__ = ["MISSING", "Chromium", "Tab", "executable"]

MISSING = "chromium is not installed: apt-get install chromium"
_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-dev-shm-usage "
    "--disable-background-networking --disable-component-update --disable-sync "
    "--remote-debugging-pipe"
).split()
# Puts the two pipes where Chromium expects them, then becomes Chromium.
_LAUNCH = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); "
    "os.execvp(sys.argv[3], sys.argv[3:])"
)
_PATIENCE = 30.0


def executable() -> str | None:
    """Return the browser's program, or None if there is none."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Chromium:
    """One browser with a fresh profile, to be used in a `with` statement."""

    def __enter__(self) -> Chromium:
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        theirs_in, self._out = _pipe()
        self._in, theirs_out = _pipe()
        ends = [str(theirs_in), str(theirs_out)]
        command = [executable() or "", *_FLAGS, f"--user-data-dir={self._profile.name}"]
        self._process = subprocess.Popen(
            [sys.executable, "-c", _LAUNCH, *ends, *command],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in (theirs_in, theirs_out):
            os.close(end)
        self._rest = b""
        self._last = 0
        self.events: list[dict[str, Any]] = []
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.call("Browser.close")
        self._process.wait(_PATIENCE)
        os.close(self._out)
        os.close(self._in)
        self._profile.cleanup()

    def call(self, method: str, tab: str = "", **params: object) -> dict[str, Any]:
        """Send a command and return its result; events that come before it are kept."""
        self._last += 1
        number = self._last
        message: dict[str, object] = {"id": number, "method": method, "params": params}
        if tab:
            message["sessionId"] = tab
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def wait(self, method: str) -> None:
        """Wait for an event, which may have come already."""
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self._receive())

    def open(self, path: Path, width: int = 1400, height: int = 900, dark: bool = False) -> Tab:
        """Open a file with the network cut off, and wait until it is loaded."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        tab = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.events.clear()
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable", tab)
        self.call(
            "Network.emulateNetworkConditions",
            tab,
            offline=True,
            latency=0,
            downloadThroughput=-1,
            uploadThroughput=-1,
        )
        self.call(
            "Emulation.setDeviceMetricsOverride",
            tab,
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", tab, features=[scheme])
        self.call("Page.navigate", tab, url=path.resolve().as_uri())
        self.wait("Page.loadEventFired")
        return Tab(self, tab)

    def _receive(self) -> dict[str, Any]:
        end = time.monotonic() + _PATIENCE
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._in], [], [], max(0.0, end - time.monotonic()))
            data = os.read(self._in, 1 << 16) if ready else b""
            if not data:
                raise TimeoutError("chromium does not answer")
            self._rest += data
        message, _, self._rest = self._rest.partition(b"\0")
        decoded: dict[str, Any] = json.loads(message)
        return decoded


class Tab:
    """One open page."""

    def __init__(self, browser: Chromium, tab: str) -> None:
        self._browser = browser
        self._tab = tab

    @property
    def requests(self) -> list[str]:
        """The addresses that the page has asked for."""
        return [
            event["params"]["request"]["url"]
            for event in self._browser.events
            if event.get("method") == "Network.requestWillBeSent"
        ]

    @property
    def complaints(self) -> list[str]:
        """What the browser's console says: errors of the script, things refused."""
        kinds = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
        return [str(event) for event in self._browser.events if event.get("method") in kinds]

    def run(self, script: str) -> Any:
        """Return the value of an expression in the page."""
        answer = self._browser.call(
            "Runtime.evaluate", self._tab, expression=script, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """Press and release a key."""
        for kind in ("keyDown", "keyUp"):
            text = {"text": key} if len(key) == 1 and kind == "keyDown" else {}
            self._browser.call("Input.dispatchKeyEvent", self._tab, type=kind, key=key, **text)

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """Write what is seen as PNG; `whole` includes what one would have to scroll to."""
        answer = self._browser.call(
            "Page.captureScreenshot", self._tab, format="png", captureBeyondViewport=whole
        )
        path.write_bytes(base64.b64decode(answer["data"]))

    def print(self, path: Path) -> None:
        """Write the page as PDF, as it would be printed."""
        answer = self._browser.call("Page.printToPDF", self._tab, printBackground=True)
        path.write_bytes(base64.b64decode(answer["data"]))


def _pipe() -> tuple[int, int]:
    """Return a pipe whose ends are not 3 or 4, which the browser's ends are moved to."""
    ends = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return high[0], high[1]
