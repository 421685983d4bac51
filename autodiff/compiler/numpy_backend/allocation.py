"""Places in the workspace: memory is used again when what lies there is dead."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush

from autodiff.compiler.numpy_backend.values import Storage

__all__ = ["allocate"]

ALIGNMENT = 64


def allocate(storages: Sequence[Storage]) -> int:
    """Give every static memory its place; returns the bytes of the workspace.

    Two whose lifetimes meet, from the first to the last line that names them, lie apart. The
    smallest hole that is large enough is taken.

    Parameters
    ----------
    storages : sequence of Storage

    Returns
    -------
    int

    Examples
    --------
    >>> import numpy as np
    >>> from autodiff.core.spec import Spec
    >>> spec = Spec((8,), np.dtype(float))
    >>> lives = [(0, 1), (1, 2), (2, 3)]
    >>> made = [Storage("static", spec, begin=begin, end=end) for begin, end in lives]
    >>> allocate(made), [storage.offset for storage in made]
    (128, [0, 64, 0])
    """
    statics = [storage for storage in storages if storage.kind == "static" and storage.begin >= 0]
    statics.sort(key=lambda storage: storage.begin)
    living: list[tuple[int, int, Storage]] = []
    holes: list[tuple[int, int]] = []
    top = 0
    for number, storage in enumerate(statics):
        while living and living[0][0] < storage.begin:
            dead = heappop(living)[2]
            holes = _with_hole(holes, dead.offset, dead.offset + _room(dead))
        size = _room(storage)
        fitting = [hole for hole in holes if hole[1] - hole[0] >= size]
        if fitting:
            best = min(fitting, key=lambda hole: (hole[1] - hole[0], hole[0]))
            holes.remove(best)
            if best[0] + size < best[1]:
                holes = _with_hole(holes, best[0] + size, best[1])
            storage.offset = best[0]
        else:
            last = next((hole for hole in holes if hole[1] == top), None)
            storage.offset = top if last is None else last[0]
            if last is not None:
                holes.remove(last)
            top = storage.offset + size
        heappush(living, (storage.end, number, storage))
    return top


def _room(storage: Storage) -> int:
    return max(-(-storage.spec.nbytes // ALIGNMENT), 1) * ALIGNMENT


def _with_hole(holes: list[tuple[int, int]], start: int, stop: int) -> list[tuple[int, int]]:
    """Holes with one more, which grows together with its neighbours."""
    apart = []
    for first, last in holes:
        if last == start:
            start = first
        elif first == stop:
            stop = last
        else:
            apart.append((first, last))
    return [*apart, (start, stop)]
