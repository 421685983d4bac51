"""A headless Chromium for tests, spoken to in the DevTools protocol over a pair of pipes.

No driver and no network port: ``--remote-debugging-pipe`` reads commands from file descriptor 3 and
writes answers and events to file descriptor 4, as JSON between zero bytes.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)

# The file descriptors must be 3 and 4 in the browser, whatever they are here
_START = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])
"""

_CODES = {"Enter": 13, "Escape": 27, "Tab": 9, "Home": 36, "End": 35} | {
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
}


def find_chromium() -> str | None:
    """Path of the browser, None where there is none (or no pipes to speak to it)."""
    if os.name != "posix":
        return None
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class BrowserError(Exception):
    """The browser did not do what it was asked."""


class Browser:
    """A browser with one page."""

    def __init__(self, executable: str, patience: float = 60.0) -> None:
        import fcntl  # on POSIX systems alone

        self.patience = patience
        self.errors: list[str] = []
        """What the page wrote to the console as an error or warning, and exceptions in it."""
        self.requests: list[str] = []
        """Addresses that the page asked for."""
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._number = 0
        self._buffer = b""
        pipes = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in self._pipes()]
        theirs, self._to, self._from, theirs_too = pipes
        command = [sys.executable, "-c", _START, str(theirs), str(theirs_too), executable]
        command += [*FLAGS, f"--user-data-dir={self._profile.name}", "about:blank"]
        self._process = subprocess.Popen(
            command,
            pass_fds=(theirs, theirs_too),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs)
        os.close(theirs_too)
        self._session: str | None = None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    @staticmethod
    def _pipes() -> tuple[int, int, int, int]:
        """Read and write ends, out of the way of 3 and 4."""
        return (*os.pipe(), *os.pipe())

    def close(self) -> None:
        """End the browser and remove its profile."""
        try:
            self._session = None
            self.send("Browser.close")
        except (BrowserError, OSError):
            self._process.kill()
        finally:
            for fd in (self._to, self._from):
                os.close(fd)
            try:
                self._process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._profile.cleanup()

    # --- protocol ---------------------------------------------------------------------------------

    def send(self, method: str, **params: Any) -> Any:
        """Call a method of the protocol and return its result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        rest = json.dumps(message).encode() + b"\0"
        while rest:
            rest = rest[os.write(self._to, rest) :]
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self._note(answer)

    def _read(self) -> dict[str, Any]:
        limit = time.monotonic() + self.patience
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._from], [], [], max(0.0, limit - time.monotonic()))
            if not ready:
                raise BrowserError(f"no answer from the browser in {self.patience} s")
            chunk = os.read(self._from, 1 << 16)
            if not chunk:
                raise BrowserError("the browser closed the connection")
            self._buffer += chunk
        message, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def _note(self, event: dict[str, Any]) -> None:
        """Keep what events tell of errors and requests."""
        params = event.get("params", {})
        match event.get("method"):
            case "Runtime.exceptionThrown":
                details = params["exceptionDetails"]
                thrown = details.get("exception", {}).get("description", details["text"])
                self.errors.append(thrown)
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning", "assert"):
                self.errors.append(" ".join(str(a.get("value", a)) for a in params["args"]))
            case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                self.errors.append(params["entry"]["text"])
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])

    # --- what a reader does -----------------------------------------------------------------------

    def open(self, path: Path, *, dark: bool = False, width: int = 1280, height: int = 800) -> None:
        """Open a file in a fresh page of a size and colour scheme, and wait until it is ready."""
        self.errors.clear()
        self.requests.clear()
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", media="", features=[scheme])
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.send("Page.navigate", url=path.resolve().as_uri())
        self.wait("document.documentElement.dataset.ready !== undefined")

    def run(self, expression: str) -> Any:
        """Value of a JavaScript expression in the page."""
        answer = self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise BrowserError(details.get("exception", {}).get("description", details["text"]))
        return answer["result"].get("value")

    def wait(self, condition: str) -> None:
        """Wait until a JavaScript expression is true."""
        answer = self.run(
            f"""new Promise(done => {{
                const end = performance.now() + {self.patience * 500};
                const ask = () => {{
                    let there = false;
                    try {{ there = !!({condition}); }} catch (error) {{ there = false; }}
                    if (there || performance.now() > end) done(there); else setTimeout(ask, 10);
                }};
                ask();
            }})"""
        )
        if not answer:
            raise BrowserError(f"never came true: {condition}")

    def frame(self) -> None:
        """Wait until the page was painted."""
        self.run("new Promise(done => requestAnimationFrame(() => setTimeout(done, 0)))")

    def press(self, key: str, *, shift: bool = False) -> None:
        """Press and release a key."""
        text = {"text": "\r"} if key == "Enter" else {"text": key} if len(key) == 1 else {}
        code = {"windowsVirtualKeyCode": _CODES.get(key, ord(key[0].upper()))}
        given = {"key": key, "modifiers": 8 if shift else 0, **code}
        down = "keyDown" if text else "rawKeyDown"
        self.send("Input.dispatchKeyEvent", type=down, **given, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", **given)

    def type(self, text: str) -> None:
        """Type a text into what has the focus."""
        self.send("Input.insertText", text=text)

    def move(self, x: float, y: float) -> None:
        """Move the pointer."""
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def click(self, x: float, y: float) -> None:
        """Click at a place."""
        self.move(x, y)
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def wheel(self, x: float, y: float, delta: float) -> None:
        """Turn the wheel."""
        self.send("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=delta)

    def screenshot(self, path: Path) -> None:
        """Write what is seen as PNG."""
        self.frame()
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot")["data"]))

    def print_preview(self) -> None:
        """Show the page as it is on paper."""
        self.send("Emulation.setEmulatedMedia", media="print")

    def pdf(self, path: Path) -> None:
        """Write what would be printed."""
        answer = self.send("Page.printToPDF", landscape=True, printBackground=True)
        path.write_bytes(base64.b64decode(answer["data"]))
