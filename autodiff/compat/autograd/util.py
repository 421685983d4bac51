"""Small helpers that packages import: tuples with entries replaced, the order of a sweep."""

from __future__ import annotations

import operator
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

__all__ = ["func", "quick_grad_check", "subval", "subvals", "toposort", "warn"]

T = TypeVar("T")

quick_grad_check: Callable[..., None]
"""An old way to check gradients, of `test_util`, which puts it here."""


def subvals(x: Iterable[Any], ivs: Iterable[tuple[int, Any]]) -> tuple[Any, ...]:
    """Tuple with other values at some places, given as pairs of place and value."""
    values = list(x)
    for place, value in ivs:
        values[place] = value
    return tuple(values)


def subval(x: Iterable[Any], i: int, v: Any) -> tuple[Any, ...]:
    """Tuple with another value at one place."""
    return subvals(x, [(i, v)])


def func(f: T) -> T:
    """Give a method as a function, which it is."""
    return f


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn, at the line outside this engine that led here, however many calls are between."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and _is_own(frame.f_globals.get("__name__", "")):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def _is_own(module: str) -> bool:
    return module.partition(".")[0] == __name__.partition(".")[0]


def toposort(
    end_node: T, parents: Callable[[T], Iterable[T]] = operator.attrgetter("parents")
) -> Iterator[T]:
    """Go from a node to its parents, each after all of its children."""
    uses: dict[T, int] = {}
    pending = [end_node]
    while pending:
        node = pending.pop()
        uses[node] = uses.get(node, 0) + 1
        if uses[node] == 1:
            pending.extend(parents(node))
    ready = [end_node]
    while ready:
        node = ready.pop()
        yield node
        for parent in parents(node):
            uses[parent] -= 1
            if not uses[parent]:
                ready.append(parent)
