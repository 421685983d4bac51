"""Reversing a loop of many steps with few snapshots of its state.

Going back through a loop needs the state before each step, the last first. With room for fewer
states than steps, states are computed again from those that are kept. A. Griewank and A. Walther
("Algorithm 799: revolve", ACM TOMS 26, 2000) show which to keep: with s snapshots, and no step
evaluated more than r times, a loop of C(s + r, s) steps can be reversed and no longer one; the
schedule here needs the fewest evaluations that there can be.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

__all__ = [
    "Action",
    "evaluations",
    "first_snapshots",
    "longest",
    "schedule",
    "segment_size",
    "snapshots_for",
]


class Action(NamedTuple):
    """One thing to do: ``"advance"`` from the snapshot before one step to the state before another.

    ``"pull"`` goes back through a step, before which the state is then known, and lets go of it.
    """

    kind: str
    start: int
    stop: int


def longest(snapshots: int, repetitions: int) -> int:
    """Length of the longest loop that can be reversed: beta(s, r) = C(s + r, s).

    Parameters
    ----------
    snapshots : int
        States that are kept at a time, the initial one among them.
    repetitions : int
        How often a step may be evaluated to reach a later state; -1 gives 0.
    """
    return 0 if repetitions < 0 else math.comb(snapshots + repetitions, snapshots)


def _repetitions(length: int, snapshots: int) -> int:
    """Fewest repetitions with which a loop can be reversed."""
    repetitions = 0
    while longest(snapshots, repetitions) < length:
        repetitions += 1
    return repetitions


def evaluations(length: int, snapshots: int) -> int:
    """Fewest evaluations of a step that reach every state, the last first.

    Those that are recorded to be pulled back, one for each step, do not count. The closed form is
    r l - beta(s + 1, r - 1), with r the smallest number for which beta(s, r) >= l.

    Parameters
    ----------
    length, snapshots : int

    Examples
    --------
    >>> evaluations(10, 1), evaluations(10, 3), evaluations(10, 10)
    (45, 15, 9)
    """
    if length < 1:
        return 0
    repetitions = _repetitions(length, snapshots)
    return repetitions * length - longest(snapshots + 1, repetitions - 1)


def _stride(length: int, snapshots: int) -> int:
    """How far to advance from the first state of a loop before taking the next snapshot."""
    if snapshots == 1:
        return length - 1
    repetitions = _repetitions(length, snapshots)
    # Both parts must be reversible with as many repetitions as are left to them
    return max(length - longest(snapshots - 1, repetitions), longest(snapshots, repetitions - 2), 1)


def schedule(length: int, snapshots: int) -> Iterator[Action]:
    """Give what to do, in order, to go back through a loop.

    Parameters
    ----------
    length : int
        Number of steps, at least 1.
    snapshots : int
        At least 1.

    Examples
    --------
    >>> [tuple(action) for action in schedule(3, 1)]  # doctest: +NORMALIZE_WHITESPACE
    [('advance', 0, 2), ('pull', 2, 3), ('advance', 0, 1), ('pull', 1, 2), ('pull', 0, 1)]
    """
    yield from _schedule(0, length, snapshots)


def _schedule(start: int, stop: int, snapshots: int) -> Iterator[Action]:
    while stop - start > 1:
        middle = start + _stride(stop - start, snapshots)
        yield Action("advance", start, middle)
        yield from _schedule(middle, stop, snapshots - 1)
        stop = middle
    yield Action("pull", start, stop)


def first_snapshots(length: int, snapshots: int) -> tuple[int, ...]:
    """Steps before which the schedule knows the state when it comes to the last step.

    A first run through the loop passes them; what it keeps there need not be computed again.
    They are the snapshots, and the state before the last step.
    """
    found = [0]
    for action in schedule(length, snapshots):
        if action.kind == "pull":
            break
        found.append(action.stop)
    return tuple(found)


def snapshots_for(length: int) -> int:
    """Snapshots for a loop: as many as its length has binary digits.

    Memory and repetitions then both grow with the logarithm of the length: 10 snapshots and at most
    4 repetitions for 1,000 steps, 20 and at most 8 for 1,000,000.
    """
    return max(1, length.bit_length())


def segment_size(length: int, segments: int) -> int:
    """Steps in each of so many segments, of which the last one may be shorter."""
    return -(-length // max(1, min(segments, length)))
