"""How much of what a function reads becomes inputs of its tape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["LEVELS", "Level", "Uses", "levels_from"]


class Level(NamedTuple):
    """What becomes an input: integers among the arguments, other numbers, arrays from outside.

    With `namespace`, NumPy's functions that take no Tensors (``np.array``, ``np.zeros``) give way
    to those of `autodiff.numpy`. With `counters`, integers from outside are inputs too.
    """

    integers: bool
    numbers: bool
    arrays: bool
    namespace: bool
    counters: bool = False


LEVELS = tuple(
    Level(*fixed, namespace)
    for fixed in (
        (True, True, True),
        (False, True, True),
        (False, False, True),
        (False, False, False),
    )
    for namespace in (False, True)
)
"""Tried one after the other: a program that needs a number itself, as an axis, gets it."""


class Uses:
    """What a function turned out to use of all that levels tell apart."""

    def __init__(self) -> None:
        self.integers = False
        self.numbers = False
        self.arrays = False
        self.numpy = False


def levels_from(start: int, uses: Uses) -> Iterator[Level]:
    """Levels that are still to be tried, without those that would make no difference.

    What the function uses is noted when it is tried.
    """
    tried: list[Level] = []
    for level in LEVELS[start:]:
        if not any(_alike(level, other, uses) for other in tried):
            yield level
            tried.append(level)


def _alike(one: Level, other: Level, uses: Uses) -> bool:
    """Whether two levels are the same to a function."""
    return all(
        not used or a == b
        for a, b, used in zip(
            one, other, (uses.integers, uses.numbers, uses.arrays, uses.numpy, False), strict=True
        )
    )
