"""The processes of the engines, and the pipes to them.

Only one process works at a time; the others are blocked on their pipes. Spinning threads of one
BLAS would slow down another engine in the same process; here they cannot.
"""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from typing import Any

from autodiff.bench.engines import ENGINES, OWN, REFERENCE
from autodiff.bench.settings import Settings, environment

__all__ = ["Fleet", "Peer", "PeerError"]


class PeerError(Exception):
    """The process of an engine ended, or did not answer in time."""


class Peer:
    """The process of one engine, and the pipe to it.

    Parameters
    ----------
    engine : str
    settings : Settings
    command : sequence of str, optional
        What to start; by default the worker of the engine.

    Examples
    --------
    >>> import numpy as np
    >>> with Peer("numpy", Settings()) as peer:
    ...     peer.ask({"do": "hello"})["version"] == np.__version__
    True
    """

    def __init__(
        self, engine: str, settings: Settings, command: Sequence[str] | None = None
    ) -> None:
        self.engine = engine
        self.settings = settings
        self.command = command or [settings.python, "-m", "autodiff.bench.worker", engine]
        # A pipe would block a process that writes much
        self._errors = tempfile.TemporaryFile(  # noqa: SIM115  # closed with the process
            "w+", encoding="utf-8", errors="replace"
        )
        self._process = subprocess.Popen(
            list(self.command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment(settings),
            text=True,
            encoding="utf-8",
        )
        self._answers: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put("")

    def send(self, request: dict[str, Any]) -> None:
        """Write a request; `receive` waits for its answer."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except OSError:
            pass  # `receive` says how the process ended

    def receive(self) -> dict[str, Any]:
        """Wait for an answer.

        Raises
        ------
        PeerError
            The process ended, or did not answer in time and was ended.
        """
        try:
            line = self._answers.get(timeout=self.settings.timeout)
        except queue.Empty:
            self._process.kill()
            raise PeerError(f"no answer within {self.settings.timeout:g} s") from None
        if not line:
            status = self._process.wait()
            how = f"signal {-status}" if status < 0 else f"status {status}"
            raise PeerError(f"the process ended with {how}{self._last_error()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request and wait for its answer."""
        self.send(request)
        return self.receive()

    def _last_error(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return f": {lines[-1]}" if lines else ""

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the process."""
        if self.alive:
            self.send({"do": "end"})
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                with contextlib.suppress(OSError):  # a request that was never read
                    stream.close()

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Fleet:
    """The processes of all engines that are installed.

    Parameters
    ----------
    engines : sequence of str
        This engine and the derivatives by hand, which are the reference, are always there.
    settings : Settings

    Attributes
    ----------
    peers : dict
        Processes by engine.
    about : dict
        What each engine says about itself: versions, BLAS, threads.
    missing : dict
        Why by engine, for those that are not installed.
    """

    def __init__(self, engines: Sequence[str], settings: Settings) -> None:
        self.settings = settings
        names = [name for name in ENGINES if name in {OWN, REFERENCE, *engines}]
        self.peers = {name: Peer(name, settings) for name in names}
        self.about: dict[str, dict[str, Any]] = {}
        self.missing: dict[str, str] = {}
        for peer in self.peers.values():
            peer.send({"do": "hello"})
        for name in names:
            try:
                answer = self.peers[name].receive()
            except PeerError as error:
                answer = {"error": str(error)}
            reason = answer.get("missing", answer.get("error"))
            if reason is None:
                self.about[name] = answer
            else:
                self.missing[name] = "not installed" if "missing" in answer else reason
                self.peers.pop(name).close()
        for name in (OWN, REFERENCE):
            if name in self.missing:
                self.close()
                raise PeerError(f"{name} does not start: {self.missing[name]}")

    def peer(self, engine: str) -> Peer:
        """Process of an engine, a new one if the last has ended."""
        if not self.peers[engine].alive:
            self.peers[engine].close()
            self.peers[engine] = Peer(engine, self.settings)
        return self.peers[engine]

    def close(self) -> None:
        """End all processes."""
        for peer in self.peers.values():
            peer.close()

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
