"""Threads that take parts of a loop of native code.

Whoever runs a program takes parts of its large loops one after the other, and so does every helper
that is awake and finds the loop open. So nobody waits for a thread to start: the caller does alone
what nobody helps with, after a fork, say, or where all processors are busy; it waits only for parts
that somebody has begun. One loop at a time is open: a second caller does its own alone.

Helpers are threads of Python that sleep on a lock of Python's. Awake, they look for open loops
without Python's global lock, for a fraction of a millisecond more than there are any.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import threading
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

from autodiff.host import thread_count

__all__ = ["HELP", "MEMORY", "SHARE", "adopt", "adopted", "own_memory", "waking"]

SHARE = "autodiff_share"
"""Name of the function that has a loop done: ``void share(ptr passes, ptr table, i64 count)``."""

HELP = "autodiff_help"
"""Name of the function that helpers run: ``void help(i64 patience)``."""

MEMORY = "autodiff_shared"
"""Name of the memory that both use."""

MOST = 32
"""Threads of a loop."""

PATIENCE = 4_000
"""How often a helper looks for an open loop before it sleeps: some 200 microseconds."""

_LINES = np.zeros(128, np.int64)
_code: list[tuple[Mapping[str, int], Any]] = []
"""The functions' addresses, and what keeps their code."""


def own_memory() -> dict[str, int]:
    """Address of the memory, on a line of the cache of its own, by its name."""
    start = _LINES.ctypes.data
    return {MEMORY: start + -start % 128}


def adopted() -> Mapping[str, int]:
    """Addresses of the functions by their names, empty where no code of them is loaded."""
    return _code[0][0] if _code else {}


def adopt(addresses: Mapping[str, int], life: Any) -> None:
    """Use code of the functions, which stays for good; not where some is loaded already."""
    if not _code:  # two that come at once do no harm: they use the same memory, and both stay
        _code.append(({name: addresses[name] for name in (SHARE, HELP)}, life))


def waking(call: Callable[..., int], parts: int) -> Callable[..., int]:
    """A native function with loops of so many parts that wakes helpers before it begins."""

    def woken(*args: Any) -> int:
        for helper in _helpers()[: parts - 1]:
            helper.wake()
        return call(*args)

    return woken


class _Helper:
    """A thread that helps when it is woken."""

    def __init__(self, help_out: Callable[[int], None], number: int) -> None:
        self.help_out = help_out
        self.lock = threading.Lock()
        self.lock.acquire()
        self.sleeps = True
        self.ends = False
        self.thread = threading.Thread(
            target=self._run, name=f"autodiff native {number}", daemon=True
        )
        self.thread.start()

    def _run(self) -> None:
        while True:
            self.lock.acquire()
            if self.ends:
                return
            self.help_out(PATIENCE)
            self.sleeps = True

    def wake(self) -> None:
        """Have it look for open loops, if it sleeps."""
        if self.sleeps:
            self.sleeps = False
            with contextlib.suppress(RuntimeError):  # somebody else has at the same time
                self.lock.release()

    def end(self) -> None:
        """Have the thread end, and wait for that."""
        self.ends = True
        self.sleeps = True
        self.wake()
        self.thread.join(1.0)


@cache
def _helpers() -> tuple[_Helper, ...]:
    help_out = ctypes.CFUNCTYPE(None, ctypes.c_int64)(adopted()[HELP])
    return tuple([_Helper(help_out, number) for number in range(thread_count(MOST) - 1)])


def _end() -> None:
    """Have no thread in native code when the interpreter takes itself apart."""
    if _helpers.cache_info().currsize:
        for helper in _helpers():
            helper.end()


def _forget() -> None:
    """A child process has none of its parent's threads, and maybe loops that they left open."""
    _LINES[:] = 0
    _helpers.cache_clear()


atexit.register(_end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
