"""The pace of the garbage collector while large graphs are recorded.

A recorded graph is all alive until the sweep, and CPython's collector looks at what is alive again
and again while it grows: of a graph of a hundred thousand operations it makes as much work as the
operations themselves, and finds nothing. So a transform that has been running through a few
collections asks it to wait longer, and gives back the pace on its way out. Small transforms never
come here. Whether the collector runs at all is the user's (`gc.disable`), and so is a pace that was
changed in the meantime.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["PATIENT", "go_on", "slow_down", "slowed_for"]

PATIENT = 50_000
"""New objects after which the collector looks again, while it is slowed down."""


_SELDOM = 1_000
"""Collections of the middle generation after which all objects are looked at, while a program is
recorded or worked on: they are many, and there for as long as that takes."""

_LARGE = 1_000
"""Operations from which on collecting garbage takes longer than it is worth."""


class _Pace:
    """Thresholds before, and while as many as ``holders`` want them raised."""

    former: tuple[int, int, int] = gc.get_threshold()
    raised: tuple[int, int, int] = former
    holders = 0
    alive = 0


_lock = threading.Lock()


def slow_down(alive: bool = False) -> bool:
    """Make the collector wait longer until `go_on` is called as often as this returned True.

    Waits for nobody, because it is called from within collections, wherever they begin: where
    another thread is about to change the pace, nothing is done.

    Parameters
    ----------
    alive : bool
        Whether all that is made meanwhile stays: then looking at everything there is waits too.

    Examples
    --------
    >>> before = gc.get_threshold()
    >>> slow_down(), gc.get_threshold()[0]
    (True, 50000)
    >>> go_on()
    >>> gc.get_threshold() == before
    True
    """
    if not _lock.acquire(blocking=False):
        return False
    try:
        if not _Pace.holders:
            former = gc.get_threshold()
            if not 0 < former[0] < PATIENT:
                return False
            gc.set_threshold(PATIENT, *former[1:])
            _Pace.former, _Pace.raised = former, gc.get_threshold()
        _Pace.holders += 1
        _set_seldom(alive)
        return True
    finally:
        _lock.release()


def go_on(alive: bool = False) -> None:
    """Give back the pace that a `slow_down` of the same kind changed."""
    with _lock:
        _Pace.holders -= 1
        _set_seldom(-alive)
        if not _Pace.holders and gc.get_threshold() == _Pace.raised:
            gc.set_threshold(*_Pace.former)


def _set_seldom(more: int) -> None:
    """Count those who keep all that they make, and look at everything as often as is due."""
    _Pace.alive += more
    if more and gc.get_threshold() == _Pace.raised:
        last = _SELDOM if _Pace.alive else _Pace.former[2]
        gc.set_threshold(*_Pace.raised[:2], last)
        _Pace.raised = gc.get_threshold()


@contextmanager
def slowed_for(operations: int) -> Iterator[None]:
    """Let the collector wait longer while a program of so many operations is worked on."""
    slows = operations >= _LARGE and slow_down(alive=True)
    try:
        yield
    finally:
        if slows:
            go_on(alive=True)
