"""Which of a scan's flat values is what, and which of its carries depend on what is looked at."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

from autodiff.errors import AutodiffError

__all__ = ["Grown", "Layout", "chosen", "cut", "until_settled"]

T = TypeVar("T")
Values = Sequence[Any]
Flags = tuple[bool, ...]


class Layout(NamedTuple):
    """Numbers of values that a step takes and gives, in this order.

    It takes the carries, what is scanned (one slice of each), and what is the same in every step;
    it gives the carries, what is stacked, and what is summed up over the steps.
    """

    carries: int
    scanned: int
    outside: int
    stacked: int
    summed: int

    @property
    def inputs(self) -> int:
        """How many values a step takes."""
        return self.carries + self.scanned + self.outside

    @property
    def outputs(self) -> int:
        """How many values a step gives."""
        return self.carries + self.stacked + self.summed

    def split_inputs(self, values: Values) -> list[list[Any]]:
        """Carries, what is scanned, what is outside."""
        return cut(values, (self.carries, self.scanned, self.outside))

    def split_outputs(self, values: Values) -> list[list[Any]]:
        """Carries, what is stacked, what is summed."""
        return cut(values, (self.carries, self.stacked, self.summed))


def cut(values: Iterable[Any], lengths: Iterable[int]) -> list[list[Any]]:
    """Cut values in a row into lists of given lengths."""
    remaining = iter(values)
    return [list(itertools.islice(remaining, length)) for length in lengths]


def chosen(values: Iterable[T], flags: Iterable[bool]) -> list[T]:
    """Values that are marked; what has no mark is left out."""
    return list(itertools.compress(values, flags))


class Grown(AutodiffError):
    """A step gave something that depends on what is looked at, where that was not foreseen.

    Whoever foresees it is told by this exception, and tries again. It only gets further where a
    recorded scan is given inputs for which its function goes another way.
    """

    def __init__(self, name: str, owner: object, places: Iterable[int]) -> None:
        super().__init__(
            f"{name}: a carry or output depends on more than it did when this was recorded; "
            "record again"
        )
        self.owner = owner
        self.places = frozenset(places)


def until_settled(flags: Flags, attempt: Callable[[Flags, object], T]) -> tuple[Flags, T]:
    """Try with more and more of the outputs of a step marked, until a scan runs through.

    What a carry depends on is known when all steps have run, but most often after the first one.
    """
    while True:
        owner = object()
        try:
            return flags, attempt(flags, owner)
        except Grown as grown:
            if grown.owner is not owner:
                raise
            flags = tuple(flag or i in grown.places for i, flag in enumerate(flags))
